"""Reloads: no failed request, nothing leaked; a bad configuration is refused and the old one goes on."""

import asyncio
import os
import signal
import socket
import time

from gateway import wait_until
from load import Client, chat_bytes


def open_things(gw):
    """(processes, descriptors of the master and the acceptor, mappings of the master)"""
    fds = sum(len(os.listdir(f"/proc/{p}/fd")) for p in [gw.proc.pid, *gw.pids("acceptor")])
    with open(f"/proc/{gw.proc.pid}/maps") as f:
        maps = len(f.readlines())
    return len(gw.pids()), fds, maps


def generation(gw):
    return gw.admin("GET", "/v1/stats").json()["generation"]


def test_reload_takes_effect(gw):
    key = gw.make_key()["key"]
    assert gw.chat(key, "later").status == 404
    gw.write_config(models=', { name = "later"; targets = ( { provider = "mock"; model = "m"; } ); }')
    a = gw.admin("POST", "/v1/reload")
    assert a.status == 200, a.body
    assert wait_until(lambda: gw.chat(key, "later").status == 200)


def test_a_bad_config_is_refused(gw):
    key = gw.make_key()["key"]
    gw.write_config(extra="no_such_setting = 1;")
    line = next(i for i, l in enumerate(open(gw.conf), 1) if "no_such_setting" in l)
    a = gw.admin("POST", "/v1/reload")
    assert a.status == 400
    assert f"aigw.conf:{line}:" in a.json()["error"]["message"] and "no_such_setting" in a.json()["error"]["message"]
    assert gw.chat(key).status == 200
    gw.proc.send_signal(signal.SIGHUP)
    wait_until(lambda: gw.log_text().count("no_such_setting") >= 2)
    assert gw.chat(key).status == 200


def test_a_refused_config_brings_no_credential(gw, upstream):
    """Neither does a worker that starts after the refusal have it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = os.path.join(gw.folder, "two.key")

        def write_key(text):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)

        write_key("sk-upstream-secret")
        gw.write_config(
            providers=f', {{ name = "two"; type = "openai"; base_url = "http://127.0.0.1:{upstream.port}/v1"; api_key_file = "{path}"; }}',
            models=', { name = "second"; targets = ( { provider = "two"; model = "m"; } ); }',
        )
        assert gw.admin("POST", "/v1/reload").status == 200
        key = gw.make_key()["key"]
        wait_until(lambda: gw.chat(key, "second").status == 200)
        write_key("sk-for-somebody-else")
        gw.write_config(listen=f'listen = ( {{ address = "127.0.0.1"; port = {gw.port}; }}, {{ address = "127.0.0.1"; port = {taken.getsockname()[1]}; }} );')
        assert gw.admin("POST", "/v1/reload").status == 400
        old = gw.pids("worker")
        for p in old:
            os.kill(p, signal.SIGKILL)
        wait_until(lambda: not set(old) & set(gw.pids("worker")))
        wait_until(lambda: gw.admin("GET", "/v1/stats").status == 200)
        assert gw.chat(key, "second").status == 200
        assert upstream.seen[-1][2]["authorization"] == "Bearer sk-upstream-secret"


def test_100_reloads_under_load(make_gateway):
    gw = make_gateway(workers=(8, 64, 4))
    key = gw.make_key()["key"]
    gw.admin("POST", "/v1/reload")
    wait_until(lambda: generation(gw) == 2)
    before = None
    results = []

    async def go():
        nonlocal before
        stop = asyncio.Event()

        async def client(i):
            c = Client(gw.port)
            while not stop.is_set():
                status, body = await c.ask(chat_bytes(key, "m-chunks4-gap5", stream=True) if i % 2 else chat_bytes(key))
                results.append(status if status != 200 or not i % 2 or b"[DONE]" in body else "cut")
                await asyncio.sleep(0.005)
            c.close()

        tasks = [asyncio.ensure_future(client(i)) for i in range(16)]
        await asyncio.sleep(0.5)
        before = open_things(gw)
        for i in range(100):
            gw.proc.send_signal(signal.SIGHUP)
            want = 3 + i
            loop = asyncio.get_running_loop()
            end = time.monotonic() + 10
            while True:
                try:
                    if await loop.run_in_executor(None, generation, gw) >= want:
                        break
                except (OSError, KeyError):
                    pass
                assert time.monotonic() < end, f"reload {i} did not happen"
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*tasks)

    asyncio.run(go())
    assert len(results) > 500
    assert {s: results.count(s) for s in set(results) if s != 200} == {}

    def back():
        now = open_things(gw)
        return now[0] <= before[0] + 8 and now[1] <= before[1] + 60 and now[2] <= before[2] + 50  # one a reload would be 100

    try:
        wait_until(back, 15, 0.2)
    except AssertionError:
        raise AssertionError(f"before {before}, after {open_things(gw)}")


def test_sigterm_drains(gw):
    key = gw.make_key()["key"]

    async def go():
        c = Client(gw.port)
        task = asyncio.ensure_future(c.ask(chat_bytes(key, "m-chunks10-gap100", stream=True)))
        await asyncio.sleep(0.3)
        gw.proc.send_signal(signal.SIGTERM)
        return await task

    status, body = asyncio.run(go())
    assert status == 200 and b"[DONE]" in body
    assert gw.proc.wait(10) == 0
