"""The upstream the tests talk to: an OpenAI-compatible provider whose behaviour is spelled in the model's name.

A model name is words joined by "-"; each word may set one thing:

    delay50      wait 50 ms before the first byte of the answer
    chunks20     a streamed answer has 20 content chunks (default 5)
    gap10        10 ms between chunks (default 0)
    size4096     about so many bytes of text in the answer
    status429    answer with this status and an error body (429 and 503 carry retry-after: 7)
    cut3         close the connection after 3 chunks (not streamed: in the middle of the body)
    midway3      send an error event after 3 chunks, then end without [DONE]
    nodone       end a stream without [DONE]
    untyped      a stream has no content type (mistyped: another one)
    hang         read the request and never answer
    stall3       stop sending after 3 chunks, keep the connection
    nousage      tell no token counts
    html         200 with an HTML page
    tools        answer with two tool calls
    gzip         claim a content-encoding of gzip

GET /stats tells what arrived: requests, answered (a complete answer was sent), aborted (the client went away first), open
connections, and the bodies and headers of the last requests. Runs alone (upstream.py PORT [KEY]) or in a thread.
"""

import asyncio
import json
import re
import sys
import threading


class Upstream:
    def __init__(self, port=0, key=None):
        self.key = key
        self.want_port = port
        self.port = None
        self.requests = self.answered = self.aborted = self.open = self.connections = 0
        self.in_flight = self.max_in_flight = 0
        self.seen = []  # (method, path, headers, body) of the last 200 requests
        self.ready = threading.Event()
        self.loop = None

    # ------------------------------------------------------------ life

    def start(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.ready.wait(10)
        return self

    def _run(self):
        asyncio.run(self.serve())

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.want_port, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        async with server:
            await self.stopping.wait()

    def stop(self):
        if self.loop:
            self.loop.call_soon_threadsafe(self.stopping.set)
            self.thread.join(5)

    def stats(self):
        return {k: getattr(self, k) for k in ("requests", "answered", "aborted", "open", "connections", "in_flight", "max_in_flight")}

    # ------------------------------------------------------------ HTTP

    async def _connection(self, reader, writer):
        self.open += 1
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = dict((k.strip().lower(), v.strip()) for k, v in (x.split(":", 1) for x in lines[1:] if ":" in x))
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path == "/stats":
            return await self._json(writer, 200, self.stats())
        self.requests += 1
        self.seen = (self.seen + [(method, path, headers, body)])[-200:]
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return await self._json(writer, 401, error("Incorrect API key provided: " + headers.get("authorization", ""), "invalid_api_key"))

        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        gone = asyncio.ensure_future(self._gone(reader))
        work = asyncio.ensure_future(self._answer(writer, method, path, headers, body))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.aborted += 1
                work.cancel()
                return False
            if work.exception():
                self.aborted += 1
                return False
            return work.result()
        finally:
            self.in_flight -= 1
            gone.cancel()

    @staticmethod
    async def _gone(reader):
        """Returns when the peer closes; a pipelined request would be an error of the gateway's, so it counts too."""
        while not reader.at_eof() and not reader._buffer:
            await asyncio.sleep(0.005)

    @staticmethod
    async def _json(writer, status, obj, extra="", raw=None):
        body = raw if raw is not None else json.dumps(obj).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-request-id: up-1\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body
        )
        await writer.drain()
        return True

    # ------------------------------------------------------------ answers

    async def _answer(self, writer, method, path, headers, body):
        path = path.split("?")[0]
        try:
            req = json.loads(body) if body else {}
        except ValueError:
            req = {}
        if not isinstance(req, dict):
            req = {}
        do = behaviour(str(req.get("model", "")))
        if "hang" in do:
            await asyncio.sleep(3600)
        if "delay" in do:
            await asyncio.sleep(do["delay"] / 1000)
        if "status" in do:
            extra = "retry-after: 7\r\n" if do["status"] in (429, 503) else ""
            ok = await self._json(writer, do["status"], error(f"made to fail with {do['status']}", "made_to_fail"), extra)
            self.answered += 1
            return ok
        if "html" in do:
            return await self._json(writer, 200, None, raw=b"<html>busy</html>")
        if req.get("stream") and path in ("/v1/chat/completions", "/v1/completions"):
            return await self._stream(writer, path, req, do)
        obj = whole(method, path, headers, body, req, do)
        if obj is None:
            return await self._json(writer, 404, error("no such path", "not_found"))
        raw = json.dumps(obj).encode()
        if "cut" in do:
            writer.write(f"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw[: len(raw) // 2])
            await writer.drain()
            return False
        ok = await self._json(writer, 200, obj, "content-encoding: gzip\r\n" if "gzip" in do else "")
        self.answered += 1
        return ok

    async def _stream(self, writer, path, req, do):
        kind = b"" if "untyped" in do else b"content-type: text/plain\r\n" if "mistyped" in do else b"content-type: text/event-stream\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + kind + b"transfer-encoding: chunked\r\n\r\n")

        async def send(text):
            data = text.encode()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()

        chat = path == "/v1/chat/completions"
        n = do.get("chunks", 5)
        text = "w" * (do.get("size", 40) // n)
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk" if chat else "text_completion", "created": 1700000000, "model": req.get("model")}
        wants = (req.get("stream_options") or {}).get("include_usage")
        if wants:
            base["usage"] = None
        for i in range(n):
            for word, count in (("cut", do.get("cut")), ("midway", do.get("midway")), ("stall", do.get("stall"))):
                if count == i and word in do:
                    if word == "stall":
                        await asyncio.sleep(3600)
                    if word == "midway":
                        await send("data: " + json.dumps(error("broke midway", "server_error")) + "\n\n")
                        writer.write(b"0\r\n\r\n")
                    return False
            piece = f"{i}{text}"
            delta = ({"role": "assistant", "content": piece} if i == 0 else {"content": piece}) if chat else None
            choice = {"index": 0, "delta": delta, "finish_reason": None} if chat else {"index": 0, "text": piece, "finish_reason": None}
            await send("data: " + json.dumps({**base, "choices": [choice]}) + "\n\n")
            if do.get("gap"):
                await asyncio.sleep(do["gap"] / 1000)
        last = {"index": 0, "delta": {}, "finish_reason": "stop"} if chat else {"index": 0, "text": "", "finish_reason": "stop"}
        await send("data: " + json.dumps({**base, "choices": [last]}) + "\n\n")
        if wants and "nousage" not in do:
            await send("data: " + json.dumps({**base, "choices": [], "usage": usage(req, n)}) + "\n\n")
        self.answered += 1
        if "nodone" not in do:
            await send("data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def behaviour(model):
    out = {}
    for word in model.split("-"):
        m = re.fullmatch(r"([a-z]+)(\d*)", word)
        if m:
            out[m[1]] = int(m[2] or 0)
    return out


def error(message, code):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def usage(req, completion):
    prompt = 1 + len(json.dumps(req.get("messages") or req.get("prompt") or req.get("input") or "")) // 4
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
        "completion_tokens_details": {"reasoning_tokens": completion // 2},
    }


def whole(method, path, headers, body, req, do):
    """The unstreamed answer for a path; None: unknown."""
    model, count = req.get("model"), do.get("chunks", 5)
    used = {} if "nousage" in do else {"usage": usage(req, count)}
    if path == "/v1/chat/completions":
        message = {"role": "assistant", "content": "w" * do.get("size", 40)}
        if "tools" in do:
            calls = [{"id": f"call_{i}", "type": "function", "function": {"name": "f", "arguments": '{"i": %d}' % i}} for i in range(2)]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tools" in do else "stop"}
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model, "choices": [choice], "x_new_field": 1, **used}
    if path == "/v1/completions":
        choice = {"index": 0, "text": "w" * do.get("size", 40), "finish_reason": "stop", "logprobs": None}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": model, "choices": [choice], **used}
    if path == "/v1/embeddings":
        inputs = req.get("input")
        inputs = inputs if isinstance(inputs, list) else [inputs]
        data = [{"object": "embedding", "index": i, "embedding": [0.25, -0.5, 1.0]} for i in range(len(inputs))]
        tokens = usage(req, 0)["prompt_tokens"]
        return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    if path == "/v1/files" and method == "POST":
        return {"id": "file-1", "object": "file", "bytes": len(body), "filename": "a.jsonl", "purpose": "batch", "created_at": 1700000000, "status": "processed"}
    if path == "/v1/files":
        return {"object": "list", "data": []}
    if path in ("/v1/moderations", "/v1/responses", "/v1/rerank", "/v1/images/generations", "/v1/audio/transcriptions", "/v1/batches", "/custom/thing"):
        return {"path": path, "method": method, "echo": req, "bytes": len(body), "content_type": headers.get("content-type"), **used}
    return None


if __name__ == "__main__":
    u = Upstream(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    try:
        asyncio.run(u.serve())
    except KeyboardInterrupt:
        pass
