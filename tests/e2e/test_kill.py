"""Any child killed with SIGKILL is replaced, and what it held comes back."""

import os
import signal

import pytest
from gateway import wait_until


@pytest.mark.parametrize("role", ["acceptor", "worker", "ledger", "cache", "aigw-admin"])
def test_a_killed_process_is_replaced(make_gateway, role):
    gw = make_gateway(cache=True)
    key = gw.make_key()["key"]
    assert gw.chat(key, messages=[{"role": "user", "content": "before"}]).status == 200
    for _ in range(3):
        old = set(gw.pids(role))
        assert old
        for p in old:
            os.kill(p, signal.SIGKILL)
        wait_until(lambda: gw.pids(role) and not set(gw.pids(role)) & old)

        def served():
            try:
                return gw.chat(key).status == 200 and gw.admin("GET", "/v1/keys").status == 200
            except OSError:
                return False

        wait_until(served)
    wait_until(lambda: len(gw.rows()) >= 4)


def test_a_killed_workers_request_has_its_row(gw, upstream):
    made = gw.make_key(max_parallel=1)
    import threading

    t = threading.Thread(target=lambda: gw.chat(made["key"], "m-chunks100-gap50", stream=True))
    t.start()
    wait_until(lambda: upstream.in_flight == 1)
    wait_until(lambda: [l for l in gw.lines()["lines"] if l["role"] == "worker" and l["state"] == "busy"])
    busy = [l["pid"] for l in gw.lines()["lines"] if l["role"] == "worker" and l["state"] == "busy"]
    for p in busy:
        os.kill(p, signal.SIGKILL)
    t.join(10)
    rows = wait_until(gw.rows)
    assert len(rows) == 1 and "killed" in rows[0]["flags"] and rows[0]["key_id"] == made["id"]
    assert rows[0]["tokens"]["output"] > 0 and rows[0]["cost_usd"] is None, "not known, which is not 0"
    assert gw.chat(made["key"]).status == 200, "its place came back"


def test_the_master_killed(make_gateway):
    gw = make_gateway()
    key = gw.make_key()["key"]
    assert gw.chat(key).status == 200
    wait_until(gw.rows)
    children = set(gw.pids())
    gw.proc.kill()
    gw.proc.wait()
    wait_until(lambda: not [p for p in children if os.path.exists(f"/proc/{p}/fd") and open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"], 3)
    gw.start()
    assert gw.chat(key).status == 200
    wait_until(lambda: len(gw.rows()) == 2)
