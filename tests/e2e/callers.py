"""The four dialects that callers speak, as programs of theirs would: requests written from one description of a conversation, answers
and streams read strictly, and brought into one form.

    c = CALLERS["messages"]
    got = c.ask(gw, key, c.body("claude-sonnet-4-5", [user("hi")], tools=[…]), stream=True)
    got.text, got.thinking, got.calls, got.finish, got.usage, got.again  # the last one: what goes into the next request's history
"""

import base64
import json
import time

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0").decode()
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()


class Got:
    """An answer in no dialect's terms."""

    def __init__(self):
        self.text = self.thinking = ""
        self.signature = None
        self.calls = []  # (id, name, arguments)
        self.finish = None  # as the dialect says it
        self.usage = None  # dict of input, cached, written, output, reasoning
        self.again = None
        self.answer = None  # status, headers, body
        self.error = None  # of a stream: (type, code, message)
        self.ended = False  # a stream, properly
        self.model = None


def user(text, *media):
    """media: ("image/png", base64) or ("url", URL)."""
    return ("user", text, media)


def answered(got):
    return ("assistant", got)


def results(got, *texts, errors=()):
    """The results of got's calls."""
    return ("results", [(*c, t, i in errors) for i, (c, t) in enumerate(zip(got.calls, texts))])


def tool(name="get_weather", required=("city",), **props):
    props = props or {"city": {"type": "string"}}
    return {"name": name, "description": f"tells {name}", "schema": {"type": "object", "properties": props, "required": list(required)}}


def events_of(body):
    """(name, data) of each event of a text/event-stream, comments left out; and the comments."""
    out, comments = [], []
    text = body.decode()
    assert "�" not in text, "a UTF-8 sequence was broken"
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            if line.startswith(":"):
                comments.append(line)
            elif line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].lstrip(" "))
            else:
                assert line == "", f"a line that is none: {line!r}"
        if data:
            out.append((name, "\n".join(data)))
    return out, comments


class Caller:
    dialect = None
    credential = "authorization"

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}

    def path(self, model, stream):
        raise NotImplementedError

    def post(self, gw, key, body, stream=False, headers=None, model=None, timeout=20):
        model, began = model or body.get("model"), time.time()
        a = gw.request("POST", self.path(model, stream), self.streamed(body, stream), {**self.headers(key), **(headers or {})}, timeout=timeout)
        a.began = began
        return a

    def streamed(self, body, stream):
        return {**body, "stream": True} if stream else body

    def ask(self, gw, key, body, stream=False, **kw):
        a = self.post(gw, key, body, stream, **kw)
        assert a.status == 200, (a.status, a.body[:2000])
        if stream:
            assert a.headers["content-type"].startswith("text/event-stream"), a.headers
        got = self.read_stream(a.body) if stream else self.read(a.json())
        got.answer = a
        return got


class Chat(Caller):
    dialect = "chat"
    finishes = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": "content_filter"}

    def path(self, model, stream):
        return "/v1/chat/completions"

    def streamed(self, body, stream):
        return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body

    def body(self, model, turns, system=None, tools=(), choice=None, schema=None, thinking=False, max_tokens=4096, **more):
        messages = [{"role": "system", "content": system}] if system else []
        for t in turns:
            messages += getattr(self, "put_" + t[0])(*t[1:])
        out = {"model": model, "messages": messages, "max_completion_tokens": max_tokens, **more}
        if tools:
            out["tools"] = [{"type": "function", "function": {"name": x["name"], "description": x["description"], "parameters": x["schema"]}} for x in tools]
        if choice:
            out["tool_choice"] = {"type": "function", "function": {"name": choice[1:]}} if choice.startswith("=") else choice
        if schema:
            out["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        if thinking:
            out["reasoning_effort"] = "low"
        return out

    def put_user(self, text, media):
        if not media:
            return [{"role": "user", "content": text}]
        parts = [{"type": "text", "text": text}]
        for mime, data in media:
            if mime == "application/pdf":
                parts.append({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:{mime};base64,{data}"}})
            else:
                parts.append({"type": "image_url", "image_url": {"url": data if mime == "url" else f"data:{mime};base64,{data}"}})
        return [{"role": "user", "content": parts}]

    def put_assistant(self, got):
        return [got.again] if isinstance(got, Got) else [{"role": "assistant", "content": got}]

    def put_results(self, items):
        return [{"role": "tool", "tool_call_id": i, "content": text} for i, _, _, text, _ in items]

    def usage(self, u):
        if not u:
            return None
        assert u["total_tokens"] == u["prompt_tokens"] + u["completion_tokens"], u
        p, c = u.get("prompt_tokens_details") or {}, u.get("completion_tokens_details") or {}
        return {"input": u["prompt_tokens"], "cached": p.get("cached_tokens", 0), "written": p.get("cache_write_tokens", 0), "output": u["completion_tokens"], "reasoning": c.get("reasoning_tokens", 0)}

    def read(self, a):
        got = Got()
        assert a["object"] == "chat.completion" and a["id"] and isinstance(a["created"], int) and len(a["choices"]) >= 1, a
        choice, got.model = a["choices"][0], a["model"]
        m = choice["message"]
        assert m["role"] == "assistant" and choice["index"] == 0
        got.text, got.thinking, got.finish, got.usage = m.get("content") or "", m.get("reasoning_content") or "", choice["finish_reason"], self.usage(a.get("usage"))
        got.refusal = m.get("refusal")
        got.calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in m.get("tool_calls") or []]
        assert all(c["type"] == "function" for c in m.get("tool_calls") or [])
        got.again = {k: v for k, v in m.items() if k not in ("annotations",) and v is not None}
        got.again.setdefault("content", None)
        return got

    def read_stream(self, body):
        events, got = events_of(body)[0], Got()
        message, calls, ids = {"role": "assistant", "content": None}, {}, set()
        for name, data in events:
            assert name is None and not got.ended, "an event behind [DONE]"
            if data == "[DONE]":
                assert got.error is None
                got.ended = True
                continue
            e = json.loads(data)
            if e.get("error"):
                got.error = (e["error"].get("type"), e["error"].get("code"), e["error"]["message"])
                continue
            if e.get("usage"):
                got.usage = self.usage(e["usage"])
            if not e["choices"]:
                continue
            assert e["object"] == "chat.completion.chunk", e
            ids.add(e["id"])
            got.model = e["model"]
            choice = e["choices"][0]
            assert choice["index"] == 0 and "delta" in choice and "finish_reason" in choice, e
            assert got.finish is None or not any(choice["delta"].get(k) for k in ("content", "tool_calls")), "content behind the finish"
            got.finish = choice["finish_reason"] or got.finish
            self.take_delta(choice["delta"], message, calls)
        assert len(ids) <= 1, "one id for all chunks"
        got.text, got.thinking = message["content"] or "", message.get("reasoning_content") or ""
        if calls:
            assert sorted(calls) == list(range(len(calls))), "tool indices count from 0"
            message["tool_calls"] = [calls[i] for i in sorted(calls)]
        got.calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]) if got.error is None else None) for _, c in sorted(calls.items())]
        got.refusal, got.again = message.pop("refusal", None), message
        return got

    @staticmethod
    def take_delta(delta, message, calls):
        for k in ("content", "reasoning_content", "refusal"):
            if delta.get(k):
                message[k] = (message.get(k) or "") + delta[k]
        if delta.get("thinking_blocks"):
            message.setdefault("thinking_blocks", []).extend(delta["thinking_blocks"])
        for c in delta.get("tool_calls") or []:
            have = calls.setdefault(c["index"], {"id": None, "type": "function", "function": {"name": None, "arguments": ""}})
            if c.get("id"):
                assert have["id"] is None and c["function"]["name"] and c["type"] == "function"
                have["id"], have["function"]["name"] = c["id"], c["function"]["name"]
            if c.get("extra_content"):
                have["extra_content"] = c["extra_content"]
            have["function"]["arguments"] += c["function"].get("arguments") or ""

    def read_error(self, a):
        e = a.json()["error"]
        return e.get("type"), e["code"], e["message"]  # Azure's have no type


class Responses(Caller):
    dialect = "responses"
    finishes = {"stop": "completed", "tools": "completed", "length": "max_output_tokens", "filter": "content_filter"}

    def path(self, model, stream):
        return "/v1/responses"

    def body(self, model, turns, system=None, tools=(), choice=None, schema=None, thinking=False, max_tokens=4096, **more):
        items = []
        for t in turns:
            items += getattr(self, "put_" + t[0])(*t[1:])
        out = {"model": model, "input": items, "max_output_tokens": max_tokens, "store": False, **more}
        if system:
            out["instructions"] = system
        if tools:
            out["tools"] = [{"type": "function", "name": x["name"], "description": x["description"], "parameters": x["schema"], "strict": False} for x in tools]
        if choice:
            out["tool_choice"] = {"type": "function", "name": choice[1:]} if choice.startswith("=") else choice
        if schema:
            out["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}
        if thinking:
            out["reasoning"] = {"effort": "low", "summary": "auto"}
            out["include"] = ["reasoning.encrypted_content"]
        return out

    def put_user(self, text, media):
        parts = [{"type": "input_text", "text": text}]
        for mime, data in media:
            if mime == "application/pdf":
                parts.append({"type": "input_file", "filename": "a.pdf", "file_data": f"data:{mime};base64,{data}"})
            else:
                parts.append({"type": "input_image", "detail": "auto", "image_url": data if mime == "url" else f"data:{mime};base64,{data}"})
        return [{"type": "message", "role": "user", "content": parts}]

    def put_assistant(self, got):
        return got.again if isinstance(got, Got) else [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": got}]}]

    def put_results(self, items):
        return [{"type": "function_call_output", "call_id": i, "output": text} for i, _, _, text, _ in items]

    def read(self, a):
        got = Got()
        assert a["object"] == "response" and a["id"].startswith("resp_") and a["status"] in ("completed", "incomplete", "failed"), a
        got.finish, got.model = a["status"], a["model"]
        if a["status"] == "incomplete":
            got.finish = a["incomplete_details"]["reason"]
        u = a["usage"]
        if u:
            assert u["total_tokens"] == u["input_tokens"] + u["output_tokens"]
            got.usage = {"input": u["input_tokens"], "cached": u["input_tokens_details"]["cached_tokens"], "written": u["input_tokens_details"].get("cache_write_tokens", 0), "output": u["output_tokens"], "reasoning": u["output_tokens_details"]["reasoning_tokens"]}
        got.refusal = None
        for item in a["output"]:
            if item["type"] == "message":
                got.text += "".join(p["text"] for p in item["content"] if p["type"] == "output_text")
                got.refusal = "".join(p["refusal"] for p in item["content"] if p["type"] == "refusal") or got.refusal
            elif item["type"] == "function_call":
                assert item["id"] != item["call_id"]
                got.calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
            elif item["type"] == "reasoning":
                got.thinking += "".join(s["text"] for s in item["summary"])
        got.again = a["output"]
        return got

    def read_stream(self, body):
        events, got, items, done = events_of(body)[0], None, {}, {}
        for n, (name, data) in enumerate(events):
            e = json.loads(data)
            assert name == e["type"] and e["sequence_number"] == n, (name, e)
            kind = e["type"]
            if kind == "response.output_item.added":
                assert e["output_index"] == len(items)
                items[e["output_index"]] = {"item": e["item"], "text": ""}
            elif kind.endswith(".delta"):
                assert e["output_index"] not in done
                items[e["output_index"]]["text"] += e["delta"]
            elif kind in ("response.output_text.done", "response.function_call_arguments.done", "response.reasoning_summary_text.done", "response.refusal.done"):
                assert (e.get("text") or e.get("arguments") or e.get("refusal") or "") == items[e["output_index"]]["text"]
            elif kind == "response.output_item.done":
                assert e["item"]["id"] == items[e["output_index"]]["item"]["id"]
                done[e["output_index"]] = e["item"]
            elif kind == "error":
                got = got or Got()
                got.error = (kind, e.get("code"), e["message"])
            elif kind in ("response.completed", "response.incomplete"):
                assert n == len(events) - 1 and [done[i] for i in sorted(done)] == e["response"]["output"], (done, e)
                got = self.read(e["response"])
                got.ended = True
            elif kind == "response.failed":
                assert n == len(events) - 1 and e["response"]["status"] == "failed" and e["response"]["error"]["message"]
        if got is None:
            got = Got()
        if got.error:
            got.text = "".join(i["text"] for i in items.values() if i["item"]["type"] == "message")
        else:
            assert [json.loads(events[i][1])["type"] for i in (0, 1)] == ["response.created", "response.in_progress"]
        return got

    read_error = Chat.read_error


class Messages(Caller):
    dialect = "messages"
    finishes = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "filter": "refusal"}

    def headers(self, key):
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def path(self, model, stream):
        return "/v1/messages"

    def body(self, model, turns, system=None, tools=(), choice=None, schema=None, thinking=False, max_tokens=4096, **more):
        messages = []
        for t in turns:
            messages += getattr(self, "put_" + t[0])(*t[1:])
        out = {"model": model, "max_tokens": max_tokens, "messages": messages, **more}
        if system:
            out["system"] = system
        if tools:
            out["tools"] = [{"name": x["name"], "description": x["description"], "input_schema": x["schema"]} for x in tools]
        if choice:
            out["tool_choice"] = {"type": "tool", "name": choice[1:]} if choice.startswith("=") else {"type": {"required": "any"}.get(choice, choice)}
        if schema:
            out["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if thinking:
            out["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return out

    def put_user(self, text, media):
        if not media:
            return [{"role": "user", "content": text}]
        blocks = [{"type": "text", "text": text}]
        for mime, data in media:
            kind = "document" if mime == "application/pdf" else "image"
            blocks.append({"type": kind, "source": {"type": "url", "url": data} if mime == "url" else {"type": "base64", "media_type": mime, "data": data}})
        return [{"role": "user", "content": blocks}]

    def put_assistant(self, got):
        return [{"role": "assistant", "content": got.again if isinstance(got, Got) else got}]

    def put_results(self, items):
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": text, **({"is_error": True} if bad else {})} for i, _, _, text, bad in items]}]

    def usage(self, u):
        cached, written = u.get("cache_read_input_tokens") or 0, u.get("cache_creation_input_tokens") or 0
        return {"input": u["input_tokens"] + cached + written, "cached": cached, "written": written, "output": u["output_tokens"], "reasoning": (u.get("output_tokens_details") or {}).get("thinking_tokens", 0)}

    def take(self, got, blocks):
        for b in blocks:
            if b["type"] == "text":
                got.text += b["text"]
            elif b["type"] == "thinking":
                got.thinking += b["thinking"]
                got.signature = b["signature"]
            elif b["type"] == "tool_use":
                assert isinstance(b["input"], dict)
                got.calls.append((b["id"], b["name"], b["input"]))
        got.again = blocks

    def read(self, a):
        got = Got()
        assert a["type"] == "message" and a["role"] == "assistant" and a["id"], a
        got.model, got.finish, got.usage = a["model"], a["stop_reason"], self.usage(a["usage"])
        assert "stop_sequence" in a
        self.take(got, a["content"])
        return got

    def read_stream(self, body):
        events, got, blocks, open_block, usage = events_of(body)[0], Got(), [], None, {}
        for n, (name, data) in enumerate(events):
            e = json.loads(data)
            assert name == e["type"] and not got.ended and got.error is None, (name, e)
            kind = e["type"]
            if kind == "message_start":
                assert n == 0 and e["message"]["content"] == [] and e["message"]["stop_reason"] is None
                usage, got.model = dict(e["message"]["usage"]), e["message"]["model"]
            elif kind == "content_block_start":
                assert open_block is None and e["index"] == len(blocks), "blocks never interleave"
                open_block = e["index"]
                blocks.append({**e["content_block"], "_json": ""})
            elif kind == "content_block_delta":
                assert e["index"] == open_block
                self.take_delta(blocks[open_block], e["delta"])
            elif kind == "content_block_stop":
                assert e["index"] == open_block
                open_block = None
                b = blocks[e["index"]]
                if b["type"] == "tool_use" and b["_json"]:
                    b["input"] = json.loads(b["_json"])
            elif kind == "message_delta":
                assert open_block is None
                got.finish = e["delta"]["stop_reason"]
                usage.update({k: v for k, v in e["usage"].items() if v is not None})
            elif kind == "message_stop":
                got.ended = True
            elif kind == "error":
                got.error = (e["error"]["type"], None, e["error"]["message"])
            else:
                assert kind == "ping", kind
        for b in blocks:
            b.pop("_json")
        self.take(got, blocks)
        got.usage = self.usage(usage) if usage else None
        return got

    @staticmethod
    def take_delta(b, d):
        kind = d["type"]
        if kind == "text_delta":
            b["text"] += d["text"]
        elif kind == "thinking_delta":
            b["thinking"] += d["thinking"]
        elif kind == "signature_delta":
            b["signature"] = d["signature"]
        else:
            assert kind == "input_json_delta" and b["type"] == "tool_use"
            b["_json"] += d["partial_json"]

    def read_error(self, a):
        j = a.json()
        assert j["type"] == "error" and j.get("request_id")
        return j["error"]["type"], None, j["error"]["message"]


class Google(Caller):
    dialect = "google"
    finishes = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}

    def headers(self, key):
        return {"x-goog-api-key": key}

    def path(self, model, stream):
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def post(self, gw, key, body, stream=False, **kw):
        model = kw.pop("model", None) or body["model"]
        return super().post(gw, key, {k: v for k, v in body.items() if k != "model"}, stream, model=model, **kw)

    def streamed(self, body, stream):
        return body

    def body(self, model, turns, system=None, tools=(), choice=None, schema=None, thinking=False, max_tokens=4096, **more):
        contents = []
        for t in turns:
            contents += getattr(self, "put_" + t[0])(*t[1:])
        config = {"maxOutputTokens": max_tokens, **more.pop("generationConfig", {})}
        out = {"model": model, "contents": contents, "generationConfig": config, **more}
        if system:
            out["systemInstruction"] = {"parts": [{"text": system}]}
        if tools:
            out["tools"] = [{"functionDeclarations": [{"name": x["name"], "description": x["description"], "parametersJsonSchema": x["schema"]} for x in tools]}]
        if choice:
            mode = {"auto": "AUTO", "none": "NONE"}.get(choice, "ANY")
            out["toolConfig"] = {"functionCallingConfig": {"mode": mode, **({"allowedFunctionNames": [choice[1:]]} if choice.startswith("=") else {})}}
        if schema:
            config.update(responseMimeType="application/json", responseJsonSchema=schema)
        if thinking:
            config["thinkingConfig"] = {"includeThoughts": True, "thinkingBudget": 1024}
        return out

    def put_user(self, text, media):
        parts = [{"text": text}]
        for mime, data in media:
            parts.append({"fileData": {"fileUri": data, "mimeType": "image/png"}} if mime == "url" else {"inlineData": {"mimeType": mime, "data": data}})
        return [{"role": "user", "parts": parts}]

    def put_assistant(self, got):
        return [got.again] if isinstance(got, Got) else [{"role": "model", "parts": [{"text": got}]}]

    def put_results(self, items):
        return [{"role": "user", "parts": [{"functionResponse": {"name": name, **({"id": i} if i else {}), "response": {"error" if bad else "output": text}}} for i, name, _, text, bad in items]}]

    def usage(self, u):
        thoughts = u.get("thoughtsTokenCount", 0)
        out = u.get("candidatesTokenCount", 0) + thoughts
        assert u["totalTokenCount"] == u["promptTokenCount"] + out, u
        return {"input": u["promptTokenCount"], "cached": u.get("cachedContentTokenCount", 0), "written": 0, "output": out, "reasoning": thoughts}

    def take(self, got, parts):
        for p in parts:
            if p.get("thought"):
                got.thinking += p.get("text", "")
            elif "text" in p:
                got.text += p["text"]
            elif "functionCall" in p:
                got.calls.append((p["functionCall"].get("id"), p["functionCall"]["name"], p["functionCall"].get("args") or {}))

    def read_chunk(self, got, a, parts):
        if a.get("usageMetadata"):
            got.usage = self.usage(a["usageMetadata"])
        got.model = a.get("modelVersion", got.model)
        for c in a.get("candidates") or []:
            assert c.get("index", 0) == 0 and got.finish is None
            got.finish = c.get("finishReason")
            parts += (c.get("content") or {}).get("parts") or []

    def read(self, a):
        got, parts = Got(), []
        self.read_chunk(got, a, parts)
        self.take(got, parts)
        got.again = {"role": "model", "parts": parts}
        return got

    def read_stream(self, body):
        got, parts, events = Got(), [], events_of(body)[0]
        for name, data in events:
            assert name is None and got.error is None
            e = json.loads(data)
            if "error" in e:
                got.error = (e["error"]["status"], e["error"]["code"], e["error"]["message"])
                continue
            self.read_chunk(got, e, parts)
        got.ended = got.finish is not None and got.error is None
        self.take(got, parts)
        got.again = {"role": "model", "parts": self.joined(parts)}
        return got

    @staticmethod
    def joined(parts):
        """Pieces of text in one part, as SDKs do that keep a history."""
        out = []
        for p in parts:
            last = out[-1] if out else {}
            if "text" in p and "text" in last and bool(p.get("thought")) == bool(last.get("thought")) and not last.get("thoughtSignature"):
                out[-1] = {**last, **p, "text": last["text"] + p["text"]}
            else:
                out.append(p)
        return [p for p in out if p.get("text") != "" or "thoughtSignature" in p]

    def read_error(self, a):
        e = a.json()["error"]
        assert e["code"] == a.status
        return e["status"], e["code"], e["message"]


CALLERS = {c.dialect: c for c in (Chat(), Responses(), Messages(), Google())}
