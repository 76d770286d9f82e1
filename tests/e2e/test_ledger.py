"""The ledger under adverse conditions: killed again and again, and with a full store."""

import os
import signal
import struct
import threading
import time

from gateway import wait_until


def call_until(gw, key, stop, counts, **fields):
    while not stop.is_set():
        try:
            a = gw.chat(key, **fields)
            counts[a.status] = counts.get(a.status, 0) + 1
        except OSError:
            counts["broken"] = counts.get("broken", 0) + 1


def test_one_row_a_call_while_the_ledger_is_killed(gw, upstream):
    key = gw.make_key()["key"]
    stop, counts = threading.Event(), [{} for _ in range(6)]
    threads = [threading.Thread(target=call_until, args=(gw, key, stop, c)) for c in counts]
    for t in threads:
        t.start()
    kills, end = 0, time.monotonic() + 4
    while time.monotonic() < end:
        for pid in gw.pids("ledger"):
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    stop.set()
    for t in threads:
        t.join()
    answered = sum(c.get(200, 0) for c in counts)
    assert kills > 3 and answered > 100
    assert sum(sum(c.values()) for c in counts) == answered, "no call failed because of it"
    assert upstream.requests == answered
    wait_until(lambda: len(gw.rows()) >= answered, 30, 0.1)
    rows = gw.rows()
    assert len(rows) == answered
    assert len({r["request_id"] for r in rows}) == answered
    assert sum(g["requests"] for g in gw.usage()["data"]) == answered


def spilled_row(number, age_days):
    """A record as a worker leaves it in a spill file."""
    text = f"old-{number}".encode()
    head = struct.pack("<qIIIHHHBBI5QQQ", int((time.time() - age_days * 86400) * 1e6), 1000, 10, 5, 200, 0, 1, 1, 0, 0, 7, 0, 0, 3, 0, 2_000_000, 0)
    fields = struct.pack("40s32s48s48s64s64s32s96s", text, b"key_of_old", b"t", b"d", b"m", b"m", b"mock", b"")
    return head + fields


def test_old_rows_go_and_their_totals_stay(make_gateway):
    """Also while the ledger is killed again and again."""
    gw = make_gateway(extra="ledger = { keep_days = 3; commit_ms = 5; };")
    gw.stop()
    spill = os.path.join(gw.folder, "state", "store", "spill")
    os.makedirs(spill, mode=0o700, exist_ok=True)
    for i in range(4):
        with open(os.path.join(spill, f"{20 + i}-999999-{i:016x}"), "wb") as f:
            f.write(b"".join(spilled_row(i * 2000 + k, 3.5 if k < 1990 else 2.5) for k in range(2000)))
        os.chmod(f.name, 0o600)
    gw.start()
    key = gw.make_key()["key"]
    for _ in range(15):
        for pid in gw.pids("ledger"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert gw.chat(key).status == 200
    wait_until(lambda: gw.usage()["total"]["requests"] == 8015, 20, 0.1)
    wait_until(lambda: len(gw.rows(limit=100000)) == 55, 20, 0.1)
    kept = [r for r in gw.rows(limit=100000) if r["key_id"] == "key_of_old"]
    assert len(kept) == 40 and all(int(r["request_id"][4:]) % 2000 >= 1990 for r in kept)
    old = next(g for g in gw.usage("group_by=key")["data"] if g["key"] == "key_of_old")
    assert old["requests"] == 8000 and old["tokens"]["input"] == 56000 and abs(float(old["cost_usd"]) - 0.016) < 1e-9


def test_a_full_store_refuses_and_loses_nothing(make_gateway, upstream):
    gw = make_gateway(extra="ledger = { max_bytes = 1048576; commit_ms = 5; };")
    key = gw.make_key()["key"]
    counts, stop = [{} for _ in range(6)], threading.Event()
    threads = [threading.Thread(target=call_until, args=(gw, key, stop, c)) for c in counts]
    for t in threads:
        t.start()
    wait_until(lambda: sum(c.get(503, 0) for c in counts) > 0, 60, 0.1)
    stop.set()
    for t in threads:
        t.join()
    answered = sum(c.get(200, 0) for c in counts)
    assert gw.chat(key).json()["error"]["code"] == "usage_store_full"
    before = upstream.requests
    assert gw.chat(key).status == 503 and upstream.requests == before, "refused before the provider is called"

    gw.write_config(extra="ledger = { max_bytes = 67108864; commit_ms = 5; };")
    assert gw.admin("POST", "/v1/reload").status == 200
    wait_until(lambda: gw.chat(key).status == 200, 20, 0.1)
    wait_until(lambda: len(gw.rows()) == answered + 1, 20, 0.1)
    assert upstream.requests == answered + 1
