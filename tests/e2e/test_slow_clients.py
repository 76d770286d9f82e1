"""Clients that are slow, silent or gone cost nobody else anything."""

import asyncio
import json
import socket
import time

import pytest
from gateway import wait_until
from load import Honest, chat_bytes

N = 200
BIG = '{"model": "m", "messages": [{"role": "user", "content": "' + "x" * 300_000 + '"}]}'


class Attackers:
    """N connections that each send `first` at once and then `drip` every 0.5 s (nothing when empty); reads only when told."""

    def __init__(self, port, first, drip=b"", read=False, n=N):
        self.port, self.first, self.drip, self.read, self.n = port, first, drip, read, n
        self.gone = 0

    async def one(self, until):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        except OSError:
            self.gone += 1
            return
        try:
            writer.write(self.first)
            while time.monotonic() < until:
                if self.read:
                    try:
                        if not await asyncio.wait_for(reader.read(100), 0.5):
                            break
                    except asyncio.TimeoutError:
                        pass
                else:
                    await asyncio.sleep(0.5)
                if self.drip:
                    writer.write(self.drip)
                    await writer.drain()
                if writer.transport.is_closing() or (not self.read and reader.at_eof()):
                    break
        except (ConnectionError, OSError):
            pass
        writer.close()
        if time.monotonic() < until:
            self.gone += 1

    async def run(self, seconds):
        until = time.monotonic() + seconds
        await asyncio.gather(*[self.one(until) for _ in range(self.n)])


def attack(gw, attackers, key, seconds=8, model="m", rate=40):
    honest = Honest(gw.port, chat_bytes(key, model), rate)

    async def go():
        task = asyncio.ensure_future(attackers.run(seconds + 2))
        await asyncio.sleep(1)
        await honest.run(seconds)
        await task

    asyncio.run(go())
    return honest


def assert_served(honest):
    assert honest.served() >= 0.99, {s: honest.status.count(s) for s in set(honest.status)}
    assert honest.p95_ms() < honest.bound_ms(), (honest.p95_ms(), honest.bound_ms())


def big_head(key):
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(BIG)}\r\n\r\n".encode()


@pytest.mark.parametrize("kind", ["slow head", "slow body", "slow small body", "slow body, no key", "idle", "half open", "silent"])
def test_honest_clients_beside_attackers(make_gateway, kind):
    gw = make_gateway(workers=(8, 64, 4))
    key = gw.make_key()["key"]
    first, drip, read = {
        "slow head": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", b"x", False),
        "slow body": (big_head(key) + b'{"model"', b" ", False),
        "slow small body": (chat_bytes(key)[:-40], b" ", False),
        "slow body, no key": (big_head("sk-nobody") + b'{"model"', b" ", False),
        "idle": (chat_bytes(key), b"", True),
        "half open": (b"POST /v1/chat", b"", False),
        "silent": (b"", b"", False),
    }[kind]
    assert_served(attack(gw, Attackers(gw.port, first, drip, read), key))


def test_slow_readers_of_streams(make_gateway):
    gw = make_gateway(workers=(8, 64, 4))
    key = gw.make_key()["key"]
    first = chat_bytes(key, "m-chunks50-size100000", stream=True)
    assert_served(attack(gw, Attackers(gw.port, first, b"", False), key))


BIG_ANSWERS = ', { name = "big"; type = "virtual"; virtual = { chunks = 80; chunk_bytes = 50000; }; }'
BIG_MODEL = ', { name = "big"; targets = ( { provider = "big"; model = "v"; } ); }'


class Waves:
    """30 attackers a second for 4 s."""

    def __init__(self, port, first):
        self.waves = [Attackers(port, first, n=30) for _ in range(4)]

    async def run(self, seconds):
        tasks = []
        for i, wave in enumerate(self.waves):
            tasks.append(asyncio.ensure_future(wave.run(seconds - i)))
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("stream", [True, False])
def test_slow_readers_of_more_than_the_kernel_holds(make_gateway, stream):
    """Such an answer leaves its worker, too: the provider's 32 places would else be taken by the first wave."""
    gw = make_gateway(workers=(8, 64, 4), providers=BIG_ANSWERS, models=BIG_MODEL)
    key = gw.make_key()["key"]
    honest = attack(gw, Waves(gw.port, chat_bytes(key, "big", stream=stream)), key, rate=20)
    assert honest.served() >= 0.99
    assert gw.metric("aigw_requests_2xx_total") > honest.status.count(200) + 32


def test_a_slow_reader_gets_all_of_its_answer(make_gateway, upstream):
    """What the kernel did not take is kept and sent on, and the connection goes on to the next request."""
    gw = make_gateway(workers=(2, 8, 1))
    key = gw.make_key()["key"]
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.connect(("127.0.0.1", gw.port))
        s.sendall(chat_bytes(key, "m-size6000000"))
        wait_until(lambda: upstream.answered == 1)
        wait_until(lambda: not [x for x in gw.lines()["lines"] if x["role"] == "worker" and x["state"] == "busy"])
        got = b""
        while len(got) < 6_000_000 or not got.endswith(b"}"):
            got += s.recv(65536)
        assert got.count(b"w") >= 6_000_000
        s.sendall(chat_bytes(key))
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["slow head", "slow body", "slow small body", "idle", "silent"])
def test_attackers_are_gone_within_30_s(make_gateway, kind):
    gw = make_gateway(workers=(8, 64, 4))
    key = gw.make_key()["key"]
    first, drip, read = {
        "slow head": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", b"x", True),
        "slow body": (big_head(key) + b'{"model"', b" ", True),
        "slow small body": (chat_bytes(key)[:-40], b" ", True),
        "idle": (chat_bytes(key), b"", True),
        "silent": (b"", b"", True),
    }[kind]
    a = Attackers(gw.port, first, drip, read)
    asyncio.run(a.run(31))
    assert a.gone == N


def test_vanishing_clients_calls_are_aborted(make_gateway, upstream):
    gw = make_gateway(workers=(8, 128, 4))
    key = gw.make_key()["key"]

    async def go():
        async def one():
            reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
            writer.write(chat_bytes(key, "m-chunks1000-gap50", stream=True))
            await reader.readuntil(b"data: ")
            writer.close()

        await asyncio.gather(*[one() for _ in range(50)])

    asyncio.run(go())
    wait_until(lambda: upstream.in_flight == 0, 1.5)
    wait_until(lambda: len(gw.rows()) == 50)


OTHER = ', { name = "other"; type = "virtual"; }'
OTHER_MODEL = ', { name = "o"; targets = ( { provider = "other"; model = "v"; } ); }'


def hanging(gw, key, probe, seconds=6):
    async def go():
        writers = []
        for _ in range(200):
            _, w = await asyncio.open_connection("127.0.0.1", gw.port)
            w.write(chat_bytes(key, "m-hang"))
            writers.append(w)
        await asyncio.sleep(1)
        await probe.run(seconds)
        for w in writers:
            w.close()

    asyncio.run(go())


def test_a_hanging_provider_does_not_take_the_others(make_gateway):
    gw = make_gateway(workers=(8, 64, 4), providers=OTHER, models=OTHER_MODEL)
    key = gw.make_key()["key"]
    probe = Honest(gw.port, chat_bytes(key, "o"), 40)
    hanging(gw, key, probe)
    assert_served(probe)


def test_with_512_workers_not_even_its_own(make_gateway):
    gw = make_gateway(workers=(8, 512, 4), providers=OTHER, models=OTHER_MODEL)
    key = gw.make_key()["key"]
    probe = Honest(gw.port, chat_bytes(key, "m"), 40)
    hanging(gw, key, probe)
    assert_served(probe)


def test_idle_connections_cost_little(make_gateway):
    gw = make_gateway(workers=(8, 64, 4))

    async def go():
        conns = [await asyncio.open_connection("127.0.0.1", gw.port) for _ in range(1000)]
        for _, w in conns:
            w.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        for r, _ in conns:
            assert b" 200 " in await r.readuntil(b"\r\n\r\n")
        key = gw.make_key()["key"]
        honest = Honest(gw.port, chat_bytes(key), 40)
        await honest.run(4)
        for _, w in conns:
            w.close()
        return honest

    assert_served(asyncio.run(go()))
    assert json.loads(gw.admin("GET", "/v1/stats").body)
