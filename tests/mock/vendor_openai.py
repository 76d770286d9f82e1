"""OpenAI's wire, as its own servers and those of Azure, Mistral, DeepSeek and vLLM speak it: chat completions, responses, embeddings."""

import base64
import json
import struct
import urllib.parse

from vendor_agent import Ask, Refused, closed, need, number, only, play, sniffed, text_of, tool_name, unbase64
from vendor_wire import Vendor, Stream, Whole, event, pieces, vector

CHAT = set(
    "model messages stream stream_options max_completion_tokens max_tokens temperature top_p n stop seed presence_penalty frequency_penalty logit_bias logprobs"
    " top_logprobs tools tool_choice parallel_tool_calls functions function_call response_format reasoning_effort verbosity modalities audio prediction"
    " web_search_options service_tier store metadata user safety_identifier prompt_cache_key prompt_cache_retention".split()
)
MISTRAL = set(
    "model messages stream max_tokens temperature top_p n stop random_seed presence_penalty frequency_penalty tools tool_choice parallel_tool_calls response_format"
    " prediction prompt_mode safe_prompt reasoning_effort prompt_cache_key metadata service_tier".split()
)
RESPONSES = set(
    "model input instructions previous_response_id conversation max_output_tokens temperature top_p top_logprobs tools tool_choice parallel_tool_calls max_tool_calls text"
    " reasoning include store stream stream_options truncation background metadata service_tier user safety_identifier prompt_cache_key prompt".split()
)
MESSAGE = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "audio", "function_call", "annotations"},
    "tool": {"role", "content", "tool_call_id"},
}
ERRORS = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error", 404: "invalid_request_error", 429: "requests", 500: "server_error"}
FINISH = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": "content_filter", "refusal": "stop"}


# what a custom tool takes, in the agent's terms: it gets the text alone
CUSTOM = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"], "custom": True}


def parse_url(url, where, ask):
    need(isinstance(url, str), f"{where}: is no string")
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        mime = head.split(";")[0]
        need(head.endswith(";base64") and "/" in mime, f"{where}: invalid data URL")
        ask.media.append((mime, sniffed(unbase64(data, where), mime, where)))
    else:
        need(url.startswith("https://") or url.startswith("http://"), f"{where}: invalid URL")
        ask.media.append(("url", url))


class OpenAI(Vendor):
    name = "openai"
    has_responses = True

    # ------------------------------------------------------------ HTTP

    def authorized(self, req):
        return req.headers.get("authorization") == f"Bearer {self.key}"

    def answer(self, req, do):
        path = self.path(req)
        if path == "/chat/completions":
            return self.chat(req, do)
        if path == "/embeddings":
            return self.embeddings(req)
        if path == "/responses" and self.has_responses:
            return Responses(self).answer(req, do)
        raise Refused(f"Invalid URL (POST {path})", 404)

    def path(self, req):
        path = req.path.split("?")[0]
        return path[3:] if path.startswith("/v1/") else path

    def model(self, req):
        return req.json.get("model")

    def error(self, status, message, kind=None, param=None):
        code = kind or {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
        kind = "insufficient_quota" if kind == "insufficient_quota" else ERRORS.get(status, "server_error" if status >= 500 else "invalid_request_error")
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def error_headers(self, status):
        return {"x-request-id": "req_up_openai"}

    def error_event(self, stream):
        message = "The server had an error while processing your request."
        if b'"response.created"' in stream.events[0]:
            return event({"type": "error", "sequence_number": 4, "code": "server_error", "message": message, "param": None}, "error")
        return event(self.error(500, message))

    words = {"toolong": "This model's maximum context length is 128000 tokens. However, your messages resulted in 200001 tokens.", "policy": "Your request was rejected as a result of our safety system (content policy)."}
    kinds = {"toolong": "context_length_exceeded", "policy": "content_policy_violation"}

    # ------------------------------------------------------------ the request

    allowed = CHAT
    message_members = MESSAGE

    def read(self, body, do):
        lax = "lax" in do
        only(body, self.allowed, "request", lax)
        ask = Ask(model=text_of(body.get("model"), "model"), stream=body.get("stream") is True)
        number(body, "temperature", 0, 2), number(body, "top_p", 0, 1), number(body, "top_logprobs", 0, 20, True)
        number(body, "max_tokens", 1, 1e6, True), number(body, "max_completion_tokens", 1, 1e6, True), number(body, "seed", -(2**63), 2**63, True)
        t = body.get("thinking") or {"type": "enabled"}
        need(t in ({"type": "enabled"}, {"type": "disabled"}), f"thinking: {t}")
        need("stream_options" not in body or ask.stream, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
        ask.n = number(body, "n", 1, 8, True) or 1
        ask.stop = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or []
        need(len(ask.stop) <= 4 and all(isinstance(s, str) for s in ask.stop), "stop: at most 4 strings", param="stop")
        if ask.model.startswith(("o4", "gpt-5")):
            need("max_tokens" not in body, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", kind="unsupported_parameter", param="max_tokens")
            need(body.get("temperature", 1) == 1, "Unsupported value: 'temperature' does not support this value with this model.", kind="unsupported_value", param="temperature")
        self.read_tools(ask, body)
        self.read_format(ask, body)
        self.read_messages(ask, body.get("messages"), lax)
        ask.thinks = body.get("reasoning_effort") not in (None, "none", "minimal")
        return ask

    def read_tools(self, ask, body):
        tools = body.get("tools")
        need("tools" not in body or (isinstance(tools, list) and tools), "[] is too short - 'tools'", kind="empty_array", param="tools")
        for t in tools or []:
            if self.has_custom(ask) and t.get("type") == "custom":
                self.read_custom(ask, t)
                continue
            only(t, {"type", "function"}, "tools")
            f = t.get("function")
            need(t.get("type") == "function" and isinstance(f, dict), "tools: Missing required parameter", param="tools")
            only(f, {"name", "description", "parameters", "strict"}, "tools.function")
            schema = f.get("parameters", {"type": "object", "properties": {}})
            need(isinstance(schema, dict) and schema.get("type") == "object", f"Invalid schema for function '{f.get('name')}': schema must be a JSON Schema of 'type: \"object\"'", kind="invalid_function_parameters")
            if f.get("strict"):
                closed(schema, f"Invalid schema for function '{f['name']}'", True)
            need(f.get("name") not in ask.tools, "tools: names must be unique")
            ask.tools[tool_name(f.get("name"))] = schema
        choice = body.get("tool_choice")
        need(choice is None or tools, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
        need("parallel_tool_calls" not in body or tools, "'parallel_tool_calls' is only allowed when 'tools' are specified.", param="parallel_tool_calls")
        if isinstance(choice, dict):
            kind = choice.get("type")
            need(kind in ("function", "custom") and set(choice) == {"type", kind} and choice[kind].get("name") in ask.tools, f"Invalid tool_choice {choice}", param="tool_choice")
            need((kind == "custom") == (ask.tools[choice[kind]["name"]] == CUSTOM), f"Invalid tool_choice {choice}: it is of another type", param="tool_choice")
            ask.choice = "=" + choice[kind]["name"]
        else:
            need(choice in self.choices, f"Invalid tool_choice {choice!r}", param="tool_choice")
            ask.choice = {"any": "required", None: "auto"}.get(choice, choice)
        ask.parallel = body.get("parallel_tool_calls", True)

    def has_custom(self, ask):
        return self.name in ("openai", "azure") and ask.model.startswith("gpt-5")

    def read_custom(self, ask, t):
        only(t, {"type", "custom"}, "tools")
        c = t["custom"]
        only(c, {"name", "description", "format"}, "tools.custom")
        f = c.get("format", {"type": "text"})
        if f.get("type") == "grammar":
            only(f, {"type", "grammar"}, "tools.custom.format")
            only(f["grammar"], {"syntax", "definition"}, "tools.custom.format.grammar")
            need(f["grammar"].get("syntax") in ("lark", "regex") and f["grammar"].get("definition"), "tools.custom.format.grammar")
        else:
            need(f == {"type": "text"}, f"tools.custom.format: {f}")
        need(c.get("name") not in ask.tools, "tools: names must be unique")
        ask.tools[tool_name(c.get("name"))] = CUSTOM

    choices = (None, "none", "auto", "required")

    def read_format(self, ask, body):
        f = body.get("response_format") or {"type": "text"}
        need(f.get("type") in ("text", "json_object", "json_schema"), f"Invalid response_format {f}", param="response_format")
        ask.json = f["type"] == "json_object"
        if ask.json:
            need("json" in json.dumps(body.get("messages")).lower(), "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.", param="messages")
        if f["type"] == "json_schema":
            s = f.get("json_schema")
            only(s, {"name", "description", "schema", "strict"}, "response_format.json_schema")
            tool_name(s.get("name"))
            ask.schema = s.get("schema")
            need(isinstance(ask.schema, dict), "response_format.json_schema.schema: missing")
            if s.get("strict"):
                closed(ask.schema, f"Invalid schema for response_format '{s['name']}'", True)

    def read_parts(self, ask, content, where, kinds):
        if isinstance(content, str):
            return content
        need(isinstance(content, list) and content, f"{where}: expected a string or an array of parts")
        texts = []
        for p in content:
            kind = p.get("type")
            need(kind in kinds, f"{where}: invalid part type {kind!r}")
            only(p, {"type", kind}, where)
            if kind == "text":
                texts.append(text_of(p["text"], where, empty=True))
            elif kind == "refusal":
                texts.append(p["refusal"])
            elif kind == "image_url":
                only(p["image_url"], {"url", "detail"}, where)
                parse_url(p["image_url"].get("url"), where, ask)
            elif kind == "file":
                only(p["file"], {"file_data", "filename", "file_id"}, where)
                need(p["file"].get("filename") or p["file"].get("file_id"), f"{where}: file without a name")
                parse_url(p["file"].get("file_data"), where, ask)
            elif kind == "input_audio":
                only(p["input_audio"], {"data", "format"}, where)
                ask.media.append(("audio/" + p["input_audio"]["format"], unbase64(p["input_audio"]["data"], where)))
        return "".join(texts)

    def read_messages(self, ask, messages, lax):
        need(isinstance(messages, list) and messages, "[] is too short - 'messages'", kind="empty_array", param="messages")
        waiting, names, after_tools = {}, {}, False
        for i, m in enumerate(messages):
            where = f"messages[{i}]"
            need(isinstance(m, dict) and m.get("role") in self.message_members, f"Invalid value: {m.get('role')!r} in {where}", param=where)
            role = m["role"]
            only(m, self.message_members[role], where, lax)
            need(not self.template or role not in ("system", "developer") or i == 0, "System message must be at the beginning.", param=where)
            if role == "tool":
                need(m.get("tool_call_id") in waiting, f"Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls' ({m.get('tool_call_id')})", param=where)
                waiting.pop(m["tool_call_id"])
                ask.results.append((names[m["tool_call_id"]], self.read_parts(ask, m.get("content"), where, ("text",)), False))
                after_tools = True
                continue
            need(not waiting, f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: {sorted(waiting)}", param=where)
            need(not (after_tools and role == "user" and self.name == "mistral"), "Unexpected role 'user' after role 'tool'", param=where)
            after_tools = False
            self.read_message(ask, m, role, where, waiting, names)
        need(not waiting, f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: {sorted(waiting)}", param="messages")
        ask.turns = sum(m["role"] in ("user", "assistant") for m in messages)

    def read_message(self, ask, m, role, where, waiting, names):
        if role in ("system", "developer"):
            text = self.read_parts(ask, m.get("content"), where, ("text",))
            ask.system = (ask.system + "\n" + text).strip()
            return
        ask.results = []
        if role == "user":
            ask.user = self.read_parts(ask, m.get("content"), where, ("text", "image_url", "file", "input_audio"))
            return
        need(m.get("content") is not None or m.get("tool_calls") or m.get("refusal"), f"Invalid value for 'content': expected a string, got null. ({where})", param=where)
        if m.get("content") is not None:
            self.read_parts(ask, m["content"], where, ("text", "refusal"))
        need("tool_calls" not in m or m["tool_calls"], f"{where}.tool_calls: [] is too short", kind="empty_array")
        for c in m.get("tool_calls") or []:
            if self.has_custom(ask) and c.get("type") == "custom":
                only(c, {"id", "type", "custom"}, where + ".tool_calls")
                only(c["custom"], {"name", "input"}, where + ".tool_calls.custom")
                need(isinstance(c["custom"].get("input"), str) and c["id"] not in names, f"{where}.tool_calls: invalid")
                waiting[c["id"]] = names[c["id"]] = tool_name(c["custom"]["name"])
                continue
            only(c, {"id", "type", "function", "index"}, where + ".tool_calls", self.lax_calls)
            only(c.get("function"), {"name", "arguments"}, where + ".tool_calls.function")
            need(c.get("type") == "function" and isinstance(c.get("id"), str) and 0 < len(c["id"]) <= self.max_id, f"{where}.tool_calls: invalid id {c.get('id')!r}", param=where)
            need(self.id_ok(c["id"]) and c["id"] not in names, f"{where}.tool_calls: invalid id {c['id']!r}", param=where)
            try:
                need(isinstance(json.loads(c["function"]["arguments"]), dict), "")
            except (ValueError, TypeError, KeyError):
                raise Refused(f"{where}.tool_calls: arguments are no JSON object: {c['function'].get('arguments')!r}") from None
            waiting[c["id"]] = names[c["id"]] = tool_name(c["function"]["name"])
        ask.rounds += bool(m.get("tool_calls"))

    lax_calls = False
    max_id = 40
    template = False  # an open model's template makes the prompt: instructions can only be first

    @staticmethod
    def id_ok(_):
        return True

    # ------------------------------------------------------------ the answer

    def usage(self, u):
        return {
            "prompt_tokens": u.input,
            "completion_tokens": u.output,
            "total_tokens": u.input + u.output,
            "prompt_tokens_details": {"cached_tokens": u.cached, "cache_write_tokens": u.written, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": u.reasoning, "audio_tokens": 0},
        }

    def call_id(self, ask, i):
        return f"call_{ask.rounds}{i}Abcdefghijklmnopqrst"

    def calls(self, ask, turn):
        def called(n, a):
            if ask.tools.get(n) == CUSTOM:
                return {"type": "custom", "custom": {"name": n, "input": a["input"]}}
            return {"type": "function", "function": {"name": n, "arguments": self.arguments(a)}}

        return [{"id": self.call_id(ask, i), **called(n, a)} for i, (n, a) in enumerate(turn.calls)]

    @staticmethod
    def arguments(a):
        return json.dumps(a, ensure_ascii=False)

    def base(self, ask, kind):
        return {"id": "chatcmpl-up1", "object": kind, "created": 1700000000, "model": ask.model}

    def thinking_members(self, text):
        return {}  # OpenAI's own never shows it

    def chat(self, req, do):
        ask = self.read(req.json, do)
        turn = play(ask, do)
        return self.stream(ask, turn, do, req) if ask.stream else self.whole(ask, turn, do)

    def whole(self, ask, turn, do):
        message = {"role": "assistant", "content": turn.text or None, "refusal": None, **self.thinking_members(turn.thinking)}
        if turn.finish == "refusal":
            message.update(content=None, refusal=turn.text)
        if turn.calls:
            message["tool_calls"] = self.calls(ask, turn)
        choices = [{"index": i, "message": message, "logprobs": None, "finish_reason": FINISH[turn.finish]} for i in range(ask.n)]
        return Whole({**self.base(ask, "chat.completion"), "choices": choices, "usage": self.usage(turn.usage), "system_fingerprint": "fp_1", "x_new_member": [1]})

    def stream(self, ask, turn, do, req):
        wants = (req.json.get("stream_options") or {}).get("include_usage")
        out, rnd = [], req.random
        base = {**self.base(ask, "chat.completion.chunk"), **({"usage": None} if wants else {}), "x_new_member": [1]}

        def chunk(delta, finish=None, **kw):
            out.append(event({**base, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "obfuscation": "aZ3" * rnd.randint(1, 3), **kw}))

        self.stream_begin(out, ask)
        chunk({"role": "assistant", "content": "" if turn.text else None, "refusal": None})
        for p in pieces(turn.thinking, rnd):
            if self.thinking_members(p):
                chunk(self.thinking_members(p))
        for p in pieces(turn.text, rnd):
            chunk({"refusal" if turn.finish == "refusal" else "content": p})
        self.stream_calls(chunk, ask, turn, rnd)
        self.stream_end(chunk, out, base, turn, wants)
        return Stream(out, last=1)

    def stream_begin(self, out, ask):
        pass

    def stream_calls(self, chunk, ask, turn, rnd):
        for i, c in enumerate(self.calls(ask, turn)):
            kind = c["type"]
            f, text = c[kind], {"function": "arguments", "custom": "input"}[kind]
            chunk({"tool_calls": [{"index": i, "id": c["id"], "type": kind, kind: {"name": f["name"], text: ""}}]})
            for p in pieces(f[text], rnd):
                chunk({"tool_calls": [{"index": i, kind: {text: p}}]})

    def stream_end(self, chunk, out, base, turn, wants):
        chunk({}, FINISH[turn.finish])
        if wants:
            out.append(event({**base, "choices": [], "usage": self.usage(turn.usage)}))
        out.append(b"data: [DONE]\n\n")

    # ------------------------------------------------------------ embeddings

    def embeddings(self, req):
        body = req.json
        only(body, {"model", "input", "encoding_format", "dimensions", "user"}, "request")
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        need(isinstance(texts, list) and texts and all(isinstance(t, str) and t for t in texts), "'$.input' is invalid.", param="input")
        vectors = [vector(t, body.get("dimensions") or 4) for t in texts]
        if body.get("encoding_format") == "base64":
            vectors = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        return Whole({"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 8 * len(texts), "total_tokens": 8 * len(texts)}})


class Azure(OpenAI):
    name = "azure"

    def authorized(self, req):
        return req.headers.get("api-key") == self.key and "authorization" not in req.headers

    def path(self, req):
        path, _, query = req.path.partition("?")
        need("api-version=" in query, "api-version is missing", status=404, kind="404")
        prefix = "/openai/deployments/"
        need(path.startswith(prefix), f"Resource not found: {path}", status=404, kind="404")
        self.deployment, _, rest = path[len(prefix) :].partition("/")
        return "/" + rest

    def model(self, req):
        return urllib.parse.unquote(req.path.split("/")[3]) if req.path.startswith("/openai/deployments/") else ""

    def read(self, body, do):
        return super().read({"model": self.deployment, **body}, do)

    has_responses = False

    def error(self, status, message, kind=None, param=None):
        return {"error": {"code": kind or {404: "DeploymentNotFound", 429: "RateLimitReached"}.get(status, str(status)), "message": message}}

    def error_headers(self, status):
        return {"apim-request-id": "req_up_azure"}

    kinds = {"policy": "content_filter"}

    def stream_begin(self, out, ask):
        out.append(event({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}))


class Mistral(OpenAI):
    name = "mistral"
    template = True
    has_responses = False
    allowed = MISTRAL
    choices = (None, "none", "auto", "any", "required")
    message_members = {**{k: v - {"name"} for k, v in MESSAGE.items()}, "tool": {"role", "content", "tool_call_id", "name"}, "assistant": {"role", "content", "tool_calls", "prefix"}}

    def error(self, status, message, kind=None, param=None):
        if status == 401:
            return {"detail": message}
        return {"object": "error", "message": message, "type": kind or {429: "rate_limited"}.get(status, "invalid_request_error"), "param": param, "code": "1300", "raw_status_code": status}

    def error_headers(self, status):
        return {"mistral-correlation-id": "req_up_mistral"}

    @staticmethod
    def id_ok(i):
        return len(i) == 9 and i.isalnum() and i.isascii()

    def call_id(self, ask, i):
        return f"D681{ask.rounds}{i}abc"

    def usage(self, u):
        return {"prompt_tokens": u.input, "completion_tokens": u.output, "total_tokens": u.input + u.output, "prompt_tokens_details": {"cached_tokens": u.cached}}

    def thinking_members(self, text):
        return {}

    def stream_calls(self, chunk, ask, turn, rnd):
        self.whole_calls = [{"index": i, **c} for i, c in enumerate(self.calls(ask, turn))]

    def stream_end(self, chunk, out, base, turn, wants):
        chunk({"content": "", **({"tool_calls": self.whole_calls} if turn.calls else {})}, FINISH[turn.finish], usage=self.usage(turn.usage))
        out.append(b"data: [DONE]\n\n")


class DeepSeek(OpenAI):
    name = "deepseek"
    has_responses = False
    allowed = CHAT | {"thinking"}
    message_members = {**MESSAGE, "assistant": MESSAGE["assistant"] | {"reasoning_content"}}

    def read(self, body, do):
        ask = super().read(body, do)
        ask.thinks = "reasoner" in ask.model
        return ask

    def thinking_members(self, text):
        return {"reasoning_content": text} if text else {}

    def usage(self, u):
        return {**super().usage(u), "prompt_cache_hit_tokens": u.cached, "prompt_cache_miss_tokens": u.input - u.cached}

    def stream_end(self, chunk, out, base, turn, wants):
        chunk({"content": ""}, FINISH[turn.finish], usage=self.usage(turn.usage))
        out.append(b"data: [DONE]\n\n")


class Vllm(OpenAI):
    """An OpenAI-compatible server without a Responses endpoint, which takes unknown members."""

    name = "vllm"
    template = True
    has_responses = False

    def read(self, body, do):
        return super().read(body, {**do, "lax": 1})


class Responses:
    """OpenAI's own Responses endpoint, for those whose calls pass."""

    def __init__(self, vendor):
        self.vendor = vendor

    def read(self, body, do):
        only(body, RESPONSES, "request", "lax" in do)
        ask = Ask(model=text_of(body.get("model"), "model"), stream=body.get("stream") is True, system=body.get("instructions") or "")
        for t in body.get("tools") or []:
            need(t.get("type") == "function", f"tools: {t.get('type')}")
            ask.tools[tool_name(t.get("name"))] = t.get("parameters") or {"type": "object"}
        choice = body.get("tool_choice", "auto")
        ask.choice = "=" + choice["name"] if isinstance(choice, dict) else choice
        ask.parallel = body.get("parallel_tool_calls") is not False
        f = (body.get("text") or {}).get("format") or {}
        ask.schema, ask.json = f.get("schema"), f.get("type") == "json_object"
        ask.thinks = bool((body.get("reasoning") or {}).get("effort"))
        items = body.get("input")
        self.read_items(ask, [{"role": "user", "content": items}] if isinstance(items, str) else items or [])
        return ask

    def read_items(self, ask, items):
        names, calling = {}, False
        for it in items:
            kind = it.get("type", "message")
            if kind == "function_call":
                names[it["call_id"]] = it["name"]
                ask.rounds += not calling
                calling = True
                continue
            if kind == "function_call_output":
                need(it.get("call_id") in names, f"No tool call found for function call output with call_id {it.get('call_id')}.")
                ask.results.append((names[it["call_id"]], it["output"], False))
                calling = False
                continue
            if kind != "message":
                continue
            calling, ask.results = False, []
            content = it["content"] if isinstance(it["content"], list) else [{"type": "input_text", "text": it["content"]}]
            text = "".join(p.get("text", "") for p in content)
            for p in content:
                if p["type"] == "input_image":
                    parse_url(p["image_url"], "input_image", ask)
            if it["role"] == "user":
                ask.user = text
            elif it["role"] in ("system", "developer"):
                ask.system = (ask.system + "\n" + text).strip()
            ask.turns += it["role"] in ("user", "assistant")

    def response(self, ask, turn, status="completed"):
        out = []
        if turn.thinking:
            out.append({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": turn.thinking}]})
        if turn.text:
            out.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}]})
        for i, (n, a) in enumerate(turn.calls):
            out.append({"type": "function_call", "id": f"fc_{i}", "call_id": f"call_{ask.rounds}{i}", "name": n, "arguments": json.dumps(a, ensure_ascii=False), "status": "completed"})
        u = turn.usage
        usage = {"input_tokens": u.input, "input_tokens_details": {"cached_tokens": u.cached, "cache_write_tokens": u.written}, "output_tokens": u.output, "output_tokens_details": {"reasoning_tokens": u.reasoning}, "total_tokens": u.input + u.output}
        done = status == "completed"
        return {
            "id": "resp_up1", "object": "response", "created_at": 1700000000, "status": status, "error": None, "incomplete_details": None, "instructions": None, "model": ask.model,
            "output": out if done else [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0, "metadata": {}, "usage": usage if done else None, "x_new_member": [1],
        }  # fmt: skip

    def answer(self, req, do):
        ask = self.read(req.json, do)
        turn = play(ask, do)
        if not ask.stream:
            return Whole(self.response(ask, turn))
        out = []

        def send(kind, **kw):
            out.append(event({"type": kind, "sequence_number": len(out), **kw}, name=kind))

        send("response.created", response=self.response(ask, turn, "in_progress"))
        send("response.in_progress", response=self.response(ask, turn, "in_progress"))
        for i, item in enumerate(self.response(ask, turn)["output"]):
            self.stream_item(send, i, item, req.random)
        send("response.completed", response=self.response(ask, turn))
        return Stream(out, last=1)

    @staticmethod
    def stream_item(send, i, item, rnd):
        at = {"item_id": item["id"], "output_index": i}
        empty = {"message": {"content": [], "status": "in_progress"}, "function_call": {"arguments": "", "status": "in_progress"}, "reasoning": {"summary": []}}[item["type"]]
        send("response.output_item.added", output_index=i, item={**item, **empty})
        if item["type"] == "message":
            part = item["content"][0]
            send("response.content_part.added", **at, content_index=0, part={**part, "text": ""})
            for p in pieces(part["text"], rnd):
                send("response.output_text.delta", **at, content_index=0, delta=p, logprobs=[])
            send("response.output_text.done", **at, content_index=0, text=part["text"], logprobs=[])
            send("response.content_part.done", **at, content_index=0, part=part)
        elif item["type"] == "function_call":
            for p in pieces(item["arguments"], rnd):
                send("response.function_call_arguments.delta", **at, delta=p)
            send("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
        else:
            part = item["summary"][0]
            send("response.reasoning_summary_part.added", **at, summary_index=0, part={**part, "text": ""})
            for p in pieces(part["text"], rnd):
                send("response.reasoning_summary_text.delta", **at, summary_index=0, delta=p)
            send("response.reasoning_summary_text.done", **at, summary_index=0, text=part["text"])
            send("response.reasoning_summary_part.done", **at, summary_index=0, part=part)
        send("response.output_item.done", output_index=i, item=item)
