"""The relay of the tls processes: large bodies both ways, half-closed and slow clients, reloads under load."""

import asyncio
import json
import os
import signal
import socket
import ssl
import time

import pytest
from gateway import Gateway, free_port, wait_until
from load import chat_bytes
from test_tls import certificate


@pytest.fixture
def tls_gateway(make_gateway, tmp_path):
    folder, port = str(tmp_path), free_port()
    certificate(folder, "server")

    real = Gateway.write_config

    def write(self, **changes):
        listen = f"""listen = ( {{ address = "127.0.0.1"; port = {self.port}; }},
  {{ address = "127.0.0.1"; port = {port}; tls = {{ certificate = "{folder}/server.pem"; key = "{folder}/server.key"; }}; }} );"""
        changes.setdefault("listen", listen)
        real(self, **changes)

    Gateway.write_config = write
    try:
        gw = make_gateway(http="write_timeout_ms = 2000;")
    finally:
        Gateway.write_config = real
    context = ssl.create_default_context(cafile=os.path.join(folder, "server.pem"))
    return gw, port, context


def connect(port, context):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost")


def read_until(s, end, buf=b""):
    while end not in buf:
        got = s.recv(65536)
        assert got, buf[-200:]
        buf += got
    return buf


def test_large_bodies_both_ways(tls_gateway):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-size3000000", "messages": [{"role": "user", "content": "x" * 3_000_000}]}).encode()
    s = connect(port, context)
    for _ in range(3):
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head, rest = read_until(s, b"\r\n\r\n").split(b"\r\n\r\n", 1)
        assert b" 200 " in head
        n = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1])
        assert n > 3_000_000
        while len(rest) < n:
            got = s.recv(1 << 20)
            assert got
            rest += got
        assert len(rest) == n and json.loads(rest)
    s.close()


@pytest.mark.parametrize("size", [64, 1])
def test_a_request_in_many_small_records(tls_gateway, size):
    """What lies between the tls process and the acceptor holds some hundred records only, however small."""
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 900 * size}]}).encode()
    data = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    s = connect(port, context)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(2):
        for at in range(0, len(data), size):
            s.sendall(data[at : at + size])
        head, rest = read_until(s, b"\r\n\r\n").split(b"\r\n\r\n", 1)
        assert b" 200 " in head, head
        n = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1])
        while len(rest) < n:
            rest += s.recv(65536)
    s.close()


def test_a_slow_head_that_expects_to_be_told_to_go_on(tls_gateway):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    s = connect(port, context)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    wait_until(lambda: gw.metric("aigw_spooled_total") == 1)
    s.sendall(f"authorization: Bearer {key}\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n".encode())
    assert read_until(s, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    s.sendall(body)
    assert read_until(s, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    s.close()


def test_the_end_of_an_answer_is_the_end_of_tls(tls_gateway):
    """close_notify comes before the connection ends: a cut answer could be told from a whole one."""
    gw, port, context = tls_gateway
    s = connect(port, context)
    s.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    buf = b""
    while got := s.recv(65536):  # raises SSLEOFError without close_notify
        buf += got
    assert b" 200 " in buf
    s.close()


def test_a_tls_client_that_leaves_cancels(tls_gateway, upstream):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    clients = [connect(port, context) for _ in range(10)]
    for s in clients:
        s.sendall(chat_bytes(key, "m-chunks1000-gap50", stream=True))
        read_until(s, b"data: ")
    assert upstream.in_flight == 10
    for s in clients:
        s.close()
    wait_until(lambda: upstream.in_flight == 0, 1.5)


def test_a_slow_tls_reader_is_cut(tls_gateway, upstream):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    s = connect(port, context)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(chat_bytes(key, "m-chunks200-size60000000", stream=True))
    wait_until(lambda: upstream.in_flight == 1)
    wait_until(lambda: upstream.in_flight == 0, 12)  # it never read: the answer is given up
    wait_until(lambda: gw.metric("aigw_deadline_write_total") >= 1)
    s.close()


class Client:
    def __init__(self, port, context):
        self.port, self.context, self.writer = port, context, None

    async def ask(self, data):
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname="localhost")
            self.writer.write(data)
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            n = int(head.split("content-length: ")[1].split("\r\n")[0])
            await self.reader.readexactly(n)
            if "connection: close" in head:
                self.close()
            return int(head.split(" ")[1])
        except (ConnectionError, asyncio.IncompleteReadError, OSError) as e:
            self.close()
            return repr(e)

    def close(self):
        if self.writer:
            self.writer.close()
        self.writer = None


def test_reloads_under_tls_load(tls_gateway):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    results = []

    async def go():
        stop = asyncio.Event()

        async def client():
            c = Client(port, context)
            while not stop.is_set():
                results.append(await c.ask(chat_bytes(key)))
                await asyncio.sleep(0.005)
            c.close()

        tasks = [asyncio.ensure_future(client()) for _ in range(8)]
        for _ in range(30):
            gw.proc.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.15)
        stop.set()
        await asyncio.gather(*tasks)

    asyncio.run(go())
    assert len(results) > 200
    assert [r for r in results if r != 200] == []
    wait_until(lambda: len(gw.pids("aigw: tls")) == 1, 15)


def test_a_killed_tls_process_is_replaced(tls_gateway):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    for _ in range(3):
        for p in gw.pids("aigw: tls"):
            os.kill(p, signal.SIGKILL)

        def served():
            try:
                s = connect(port, context)
                s.sendall(chat_bytes(key))
                ok = b" 200 " in read_until(s, b"\r\n\r\n")
                s.close()
                return ok
            except (OSError, AssertionError):
                return False

        wait_until(served)


def test_idle_tls_connections_cost_no_worker(tls_gateway):
    gw, port, context = tls_gateway
    key = gw.make_key()["key"]
    idle = []
    for _ in range(150):
        s = connect(port, context)
        s.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(s, b"}")
        idle.append(s)
    started = time.monotonic()
    assert gw.chat(key).status == 200
    assert time.monotonic() - started < 1
    for s in idle:
        s.sendall(chat_bytes(key))
        assert b" 200 " in read_until(s, b"\r\n\r\n")
        s.close()
