"""The vendors the gateway's translations are tested against: OpenAI, Azure, Mistral, DeepSeek, vLLM, Anthropic, Gemini, Vertex, Bedrock
and Cohere, each on a port of its own, each speaking its own wire.

A request is checked as strictly as the vendor would (what it would refuse is answered with its own 400, so that a wrong translation
fails the test), then a deterministic little agent answers (vendor_agent.py). Words in the model's name make it misbehave
(vendor_wire.py). Streams are split at random places; the seed is printed.

    with Vendors(folder) as v:
        Gateway(…, **v.parts(), env=v.env())   # a configuration with all of them
        v.seen[-1]                              # the last request: vendor, method, path, headers, body, status, sent

vendors.py FOLDER runs them alone and prints the configuration.
"""

import asyncio
import os
import random
import sys
import threading

from vendor_anthropic import Anthropic
from vendor_bedrock import Bedrock
from vendor_cohere import Cohere
from vendor_google import Gemini, Vertex
from vendor_openai import Azure, DeepSeek, Mistral, OpenAI, Vllm
from vendor_wire import Request, Whole

# what a caller asks for, and who serves it. The first of a vendor's is the one that most tests use
MODELS = {
    "gpt-4o": "openai",
    "gpt-4.1": "azure",
    "mistral-large": "mistral",
    "deepseek-reasoner": "deepseek",
    "llama-3": "vllm",
    "claude-sonnet-4-5": "anthropic",
    "claude-3-5-haiku": "anthropic",
    "claude-opus-4-5": "vertex",
    "gemini-2.5-flash": "gemini",
    "gemini-3-pro": "gemini",
    "gemini-2.5-pro": "vertex",
    "eu.anthropic.claude-sonnet-4-5-v1:0": "bedrock",
    "amazon.nova-pro-v1:0": "bedrock",
    "command-a-03-2025": "cohere",
    # embeddings
    "text-embedding-3-small": "openai",
    "gemini-embedding-001": "gemini",
    "embed-v4.0": "cohere",
    "amazon.titan-embed-text-v2:0": "bedrock",
}
WHERE = {
    "openai": 'type = "openai"; base_url = "{url}/v1"; api_key_env = "KEY_OPENAI";',
    "azure": 'type = "azure"; base_url = "{url}"; api_key_env = "KEY_AZURE";',
    "mistral": 'type = "mistral"; base_url = "{url}/v1"; api_key_env = "KEY_MISTRAL";',
    "deepseek": 'type = "deepseek"; base_url = "{url}"; api_key_env = "KEY_DEEPSEEK";',
    "vllm": 'type = "vllm"; base_url = "{url}/v1"; api_key_env = "KEY_VLLM";',
    "anthropic": 'type = "anthropic"; base_url = "{url}"; api_key_env = "KEY_ANTHROPIC";',
    "gemini": 'type = "gemini"; base_url = "{url}/v1beta"; api_key_env = "KEY_GEMINI";',
    "vertex": 'type = "vertex"; base_url = "{url}"; project = "test-project"; location = "europe-west4"; credentials_file = "{account}";',
    "bedrock": 'type = "bedrock"; base_url = "{url}"; region = "eu-central-1"; access_key_env = "AWS_ID"; secret_key_env = "AWS_SECRET"; session_token_env = "AWS_SESSION";',
    "cohere": 'type = "cohere"; base_url = "{url}"; api_key_env = "KEY_COHERE";',
}
CLASSES = (OpenAI, Azure, Mistral, DeepSeek, Vllm, Anthropic, Gemini, Vertex, Bedrock, Cohere)


class Vendors:
    def __init__(self, folder, seed=None):
        self.folder = str(folder)
        self.seed = seed if seed is not None else int(os.environ.get("AIGW_SEED") or random.randrange(1 << 30))
        self.vendors = {c.name: c() for c in CLASSES}
        for name, v in self.vendors.items():
            v.key = f"sk-{name}-secret-of-the-vendor"
        self.ports, self.seen, self.count = {}, [], 0
        self.ready = threading.Event()

    # ------------------------------------------------------------ life

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self.ready.wait(10)
        self.account = self.vendors["vertex"].make_account(self.folder, self.ports["vertex"])
        print(f"vendors: seed {self.seed}", flush=True)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(5)

    async def _serve(self):
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        servers = []
        for name, v in self.vendors.items():
            servers.append(await asyncio.start_server(lambda r, w, v=v: self._connection(v, r, w), "127.0.0.1", 0, limit=1 << 20))
            self.ports[name] = servers[-1].sockets[0].getsockname()[1]
        self.ready.set()
        await self.stopping.wait()

    # ------------------------------------------------------------ the gateway's configuration

    def parts(self):
        """Of the configuration: its providers and models."""
        out = "".join(
            ', {{ name = "{}"; {} }}\n'.format(name, where.format(url=f"http://127.0.0.1:{self.ports[name]}", account=getattr(self, "account", ""))) for name, where in WHERE.items()
        )
        models = "".join(f', {{ name = "{name}*"; targets = ( {{ provider = "{vendor}"; model = "*"; }} ); }}\n' for name, vendor in MODELS.items())
        return {"providers": out, "models": models}

    def env(self):
        out = {f"KEY_{name.upper()}": v.key for name, v in self.vendors.items()}
        b = self.vendors["bedrock"]
        return {**out, "AWS_ID": b.access_key, "AWS_SECRET": b.secret, "AWS_SESSION": b.session}

    def secrets(self):
        b = self.vendors["bedrock"]
        return [v.key for v in self.vendors.values()] + [b.access_key, b.secret, b.session, self.vendors["vertex"].token]

    # ------------------------------------------------------------ HTTP

    async def _connection(self, vendor, reader, writer):
        try:
            while await self._exchange(vendor, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _exchange(self, vendor, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = dict((k.strip().lower(), v.strip()) for k, v in (x.split(":", 1) for x in head[1:] if ":" in x))
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.count += 1
        req = Request(method, path, headers, body, self.seed + self.count)
        req.vendor = vendor.name
        self.seen = (self.seen + [req])[-500:]
        try:
            answer, do = vendor.handle(req)
        except Exception as e:  # a mistake of the mock's, or a request that nobody would understand
            answer, do = vendor.refusal(500, f"mock: {type(e).__name__}: {e}"), {}
        req.status = answer.status if isinstance(answer, Whole) else 200
        gone = asyncio.ensure_future(self._gone(reader))
        work = asyncio.ensure_future(self._answer(req, vendor, writer, answer, do))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            return work.done() and not work.exception() and work.result()
        finally:
            gone.cancel(), work.cancel()

    @staticmethod
    async def _gone(reader):
        while not reader.at_eof() and not reader._buffer:
            await asyncio.sleep(0.01)

    async def _answer(self, req, vendor, writer, answer, do):
        """True: the connection may go on."""
        if "hang" in do:
            await asyncio.sleep(3600)
        await asyncio.sleep(do.get("wait", 0) / 1000)
        if isinstance(answer, Whole):
            data = answer.body
            lines = "".join(f"{k}: {v}\r\n" for k, v in answer.headers.items())
            writer.write(f"HTTP/1.1 {answer.status} X\r\ncontent-type: {answer.content_type}\r\n{lines}content-length: {len(data)}\r\n\r\n".encode())
            data = data[: len(data) // 2] if "cut" in do else data
            req.sent += data
            writer.write(data)
            await writer.drain()
            return "cut" not in do
        return await self._stream(req, vendor, writer, answer, do)

    async def _stream(self, req, vendor, writer, stream, do):
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {stream.content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(do.get("silent", 0) / 1000)
        events = stream.events[: -stream.last] if "noend" in do else stream.events
        broken = [do[w] for w in ("cut", "midway", "stall") if w in do]
        stop = min(*broken, len(stream.events) - stream.last) if broken else len(events)  # what breaks never tells its end
        data = b""
        for i, ev in enumerate(events[:stop]):
            data += (stream.joint[0] if i == 0 else stream.joint[1]) + ev if stream.joint else ev
            if i == len(events) // 2 and "pause" in do:
                await self._send(req, writer, data)
                data = b""
                await asyncio.sleep(do["pause"] / 1000)
        if "midway" in do:
            data += vendor.error_event(stream)
        elif stream.joint and stop == len(events):
            data += stream.joint[2]
        await self._send(req, writer, data)
        if "stall" in do:
            await asyncio.sleep(3600)
        if "cut" in do:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    @staticmethod
    async def _send(req, writer, data):
        """In pieces, cut anywhere."""
        req.sent += data
        start = 0
        while start < len(data):
            n = req.random.choice((1, 2, 3, 7, 20, 60, 150, 400, 1000)) if len(data) - start < 100000 else 50000
            piece, start = data[start : start + n], start + n
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            if req.random.random() < 0.3:
                await asyncio.sleep(0)



if __name__ == "__main__":
    with Vendors(sys.argv[1]) as v:
        print(v.parts()["providers"], v.parts()["models"], v.env(), sep="\n")
        v.thread.join()
