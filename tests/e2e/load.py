"""Many clients at once, on one asyncio loop: raw HTTP/1.1 over kept-alive connections."""

import asyncio
import json
import time


def chat_bytes(key, model="m", extra="", **fields):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **fields})
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{extra}content-length: {len(body)}\r\n\r\n{body}".encode()


class Client:
    """One kept-alive connection. ask() returns (status, body), or (0, b"") when the connection broke."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None
        self.headers = {}

    async def ask(self, data):
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(data)
            return await self._answer()
        except (ConnectionError, asyncio.IncompleteReadError, OSError):
            self.close()
            return 0, b""

    async def _answer(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        self.headers = {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:] if ":" in x)}
        if "content-length" in self.headers:
            body = await self.reader.readexactly(int(self.headers["content-length"]))
        else:
            body = b""
            while True:
                n = int(await self.reader.readline(), 16)
                body += (await self.reader.readexactly(n + 2))[:n]
                if n == 0:
                    break
        if self.headers.get("connection", "").lower() == "close":
            self.close()
        return status, body

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


class Honest:
    """Requests on a fixed schedule, each on a connection of its own from a small pool; keeps statuses and latencies. Beside them
    a bystander, a process that only gives back what it gets, tells how long anybody has to wait for this machine."""

    def __init__(self, port, data, rate=50):
        self.port, self.data, self.rate = port, data, rate
        self.status, self.latency, self.bystander = [], [], []

    async def watch_machine(self):
        cat = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        try:
            while True:
                start = time.monotonic()
                cat.stdin.write(b"x")
                await cat.stdout.readexactly(1)
                self.bystander.append(time.monotonic() - start)
                await asyncio.sleep(1 / self.rate)
        finally:
            cat.kill()
            await cat.wait()

    async def run(self, seconds):
        pool, tasks = [], set()

        async def one():
            c = pool.pop() if pool else Client(self.port)
            start = time.monotonic()
            try:
                status, _ = await asyncio.wait_for(c.ask(self.data), 5)
            except asyncio.TimeoutError:
                status = -1
                c.close()
            self.latency.append(time.monotonic() - start)
            self.status.append(status)
            pool.append(c)

        watch = asyncio.ensure_future(self.watch_machine())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            t = asyncio.ensure_future(one())
            tasks.add(t)
            t.add_done_callback(tasks.discard)
            await asyncio.sleep(1 / self.rate)
        if tasks:
            await asyncio.wait(tasks)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        for c in pool:
            c.close()

    def served(self):
        return sum(s == 200 for s in self.status) / max(1, len(self.status))

    @staticmethod
    def p95_of_ms(seconds):
        return 1000 * sorted(seconds)[int(0.95 * len(seconds))]

    def p95_ms(self):
        return self.p95_of_ms(self.latency)

    def bound_ms(self):
        """What p95 must stay below: 100 ms, or ten times what the bystander waited on a machine that is short of time."""
        return max(100, 10 * self.p95_of_ms(self.bystander))
