"""Anthropic's wire: messages, count_tokens; its own servers, and Vertex's (rawPredict)."""

import json
import re

from vendor_agent import Ask, Refused, check_signature, closed, keywords, need, number, only, play, schema_object, sign, sniffed, text_of, tool_name, unbase64
from vendor_wire import Stream, Vendor, Whole, event, pieces

ALLOWED = set("model max_tokens messages system stream stop_sequences temperature top_p top_k metadata tools tool_choice thinking output_config service_tier cache_control".split())
# what is there only for those who ask for its beta
BETAS = {"context-management-2025-06-27": "context_management", "fast-mode-2026-02-01": "speed", "mcp-client-2025-11-20": "mcp_servers", "structured-outputs-2025-11-13": "output_format"}
SEARCHING = ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19")
# Vertex refuses betas that it does not know
BETAS_OF_VERTEX = set(
    "tool-search-tool-2025-10-19 compact-2026-01-12 computer-use-2025-01-24 computer-use-2025-11-24 context-1m-2025-08-07 context-management-2025-06-27"
    " interleaved-thinking-2025-05-14 web-search-2025-03-05 thinking-display-updates-2026-08-18".split()
)
BLOCKS = {
    "user": {
        "text": {"text", "citations"},
        "image": {"source"},
        "document": {"source", "title", "context", "citations"},
        "tool_result": {"tool_use_id", "content", "is_error"},
    },
    "assistant": {
        "text": {"text", "citations"},
        "thinking": {"thinking", "signature"},
        "redacted_thinking": {"data"},
        "tool_use": {"id", "name", "input", "caller"},
    },
}
KINDS = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error"}
FINISH = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "filter": "refusal", "refusal": "refusal", "broken": "pause_turn"}
SYSTEM_TURNS = ("claude-opus-4-8", "claude-opus-5")  # models that take instructions amid the conversation
NOT_IN_SCHEMAS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "multipleOf", "uniqueItems", "maxItems", "oneOf", "not"}


class Anthropic(Vendor):
    name = "anthropic"
    words = {"toolong": "prompt is too long: 200001 tokens > 200000 maximum", "policy": "Output blocked by content filtering policy"}

    def authorized(self, req):
        need(req.headers.get("anthropic-version") in ("2023-06-01", "2026-10-21"), "anthropic-version: header is required")
        need(req.headers.get("content-type", "").startswith("application/json"), "content-type: must be application/json")
        return req.headers.get("x-api-key") == self.key and "authorization" not in req.headers

    def model(self, req):
        return req.json.get("model")

    def error(self, status, message, kind=None, param=None):
        details = {"details": {"error_code": kind}} if kind else {}
        return {"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message, **details}, "request_id": "req_up_anthropic"}

    def error_headers(self, status):
        return {"request-id": "req_up_anthropic"}

    def error_event(self, stream):
        return event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")

    def answer(self, req, do):
        path = req.path.split("?")[0]
        self.betas = self.asked_betas(req)
        if path == "/v1/messages/count_tokens":
            return self.count(req, do)
        need(path == "/v1/messages", "Not Found", status=404)
        return self.messages(req, do)

    betas = ()

    @staticmethod
    def asked_betas(req):
        return [b.strip() for b in req.headers.get("anthropic-beta", "").split(",") if b.strip()]

    def count(self, req, do):
        need("max_tokens" not in req.json and "stream" not in req.json, "max_tokens: Extra inputs are not permitted")
        Anthropic.read(self, {"max_tokens": 4096, **{k: v for k, v in req.json.items() if k != "anthropic_version"}}, do)
        return Whole({"input_tokens": 42})

    # ------------------------------------------------------------ the request

    def read(self, body, do):
        lax = "lax" in do
        need("thread" not in body, "This organization's settings don't go with `thread`.", kind="thread_unsupported_request")
        only(body, ALLOWED | {BETAS[b] for b in self.betas if b in BETAS}, "request", lax)
        ask = Ask(model=text_of(body.get("model"), "model"), stream=body.get("stream") is True)
        need("max_tokens" in body, "max_tokens: Field required")
        number(body, "max_tokens", 1, 128000, True), number(body, "temperature", 0, 1), number(body, "top_p", 0, 1), number(body, "top_k", 0, 1e6, True)
        need(not ("temperature" in body and "top_p" in body), "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
        ask.stop = body.get("stop_sequences", [])
        need(isinstance(ask.stop, list) and all(isinstance(s, str) and s.strip() for s in ask.stop), "stop_sequences: each stop sequence must contain non-whitespace")
        only(body.get("metadata") or {}, {"user_id"}, "metadata")
        self.read_system(ask, body.get("system"))
        self.read_tools(ask, body)
        self.read_thinking(ask, body)
        self.read_format(ask, body)
        need(json.dumps(body).count('"cache_control"') <= 4, "A maximum of 4 blocks with cache_control may be provided.")
        self.read_messages(ask, body.get("messages"), body)
        return ask

    def read_system(self, ask, system):
        if isinstance(system, list):
            need(system, "system: empty")
            for b in system:
                only(b, {"type", "text", "cache_control"}, "system")
                need(b.get("type") == "text", "system: only text")
            ask.system = "\n".join(text_of(b["text"], "system") for b in system)
        elif system is not None:
            ask.system = text_of(system, "system")

    def read_tools(self, ask, body):
        for t in body.get("tools") or []:
            waits = {"defer_loading"} if any(b in SEARCHING for b in self.betas) else set()
            only(t, {"type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming"} | waits, "tools")
            need(t.get("type", "custom") == "custom", f"tools: unknown type {t.get('type')}")
            need(t.get("name") not in ask.tools, "tools: Tool names must be unique.")
            ask.tools[tool_name(t.get("name"), 128)] = schema_object(t.get("input_schema"), "tools.0.custom.input_schema")
        choice = body.get("tool_choice") or {"type": "auto"}
        kind = choice.get("type")
        only(choice, {"type"} | ({"name"} if kind == "tool" else set()) | ({"disable_parallel_tool_use"} if kind != "none" else set()), "tool_choice")
        need("tool_choice" not in body or ask.tools, "tool_choice may only be specified while providing tools.")
        need(kind in ("auto", "any", "tool", "none"), f"tool_choice: {kind}")
        need(kind != "tool" or choice.get("name") in ask.tools, "Tool choice names no tool")
        ask.choice = {"any": "required", "tool": "=" + choice.get("name", "")}.get(kind, kind)
        ask.parallel = not choice.get("disable_parallel_tool_use")

    def read_thinking(self, ask, body):
        t = body.get("thinking") or {"type": "disabled"}
        need(t.get("type") in ("enabled", "disabled", "adaptive"), f"thinking: {t}")
        only(t, {"type", "budget_tokens", "display"} if t["type"] == "enabled" else {"type", "display"}, "thinking")
        ask.thinks = t["type"] != "disabled"
        need(not ask.thinks or "claude-3" not in ask.model, "This model does not support thinking.")
        if t["type"] == "enabled":
            need(isinstance(t.get("budget_tokens"), int) and t["budget_tokens"] >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
            need(t["budget_tokens"] < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
        if ask.thinks:
            need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
            need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")
            need(ask.choice in ("auto", "none"), "Thinking may not be enabled when tool_choice forces tool use.")

    def read_format(self, ask, body):
        config = body.get("output_config") or ({"format": body["output_format"]} if body.get("output_format") else {})
        only(config, {"format", "effort", "task_budget"}, "output_config")
        need(not config or "claude-3" not in ask.model, "This model does not support structured outputs or effort.")
        if "format" in config:
            only(config["format"], {"type", "schema"}, "output_config.format")
            need(config["format"].get("type") == "json_schema", "output_config.format.type")
            ask.schema = config["format"]["schema"]
            closed(ask.schema, "output_config.format.schema", False)
            bad = keywords(ask.schema) & NOT_IN_SCHEMAS
            need(not bad, f"output_config.format.schema: properties {sorted(bad)} are not supported")

    def read_source(self, ask, block, where):
        s = block.get("source") or {}
        kind = s.get("type")
        if kind == "base64":
            only(s, {"type", "media_type", "data"}, where)
            allowed = ("image/jpeg", "image/png", "image/gif", "image/webp") if block["type"] == "image" else ("application/pdf",)
            need(s.get("media_type") in allowed, f"{where}: media_type {s.get('media_type')}")
            ask.media.append((s["media_type"], sniffed(unbase64(s.get("data"), where), s["media_type"], where)))
        elif kind == "text" and block["type"] == "document":
            only(s, {"type", "media_type", "data"}, where)
            need(s.get("media_type") == "text/plain", where)
            ask.media.append(("text/plain", text_of(s["data"], where).encode()))
        else:
            only(s, {"type", "url"}, where)
            need(kind == "url" and self.takes_urls and str(s.get("url")).startswith("https://"), f"{where}: source {kind} {s.get('url')}")
            ask.media.append(("url", s["url"]))

    takes_urls = True

    def read_block(self, ask, b, role, where):
        kind = b.get("type")
        need(kind in BLOCKS[role], f"{where}: Input tag '{kind}' does not match any of the expected tags for {role}")
        only(b, BLOCKS[role][kind] | {"type", "cache_control"}, where)
        if kind == "text":
            return text_of(b.get("text"), f"{where}: text content blocks")
        if kind in ("image", "document"):
            self.read_source(ask, b, where)
        if kind == "thinking":
            need(isinstance(b.get("thinking"), str), where)
            check_signature("anthropic", b["thinking"], b.get("signature"))
        if kind == "redacted_thinking":
            need(b.get("data") == sign("anthropic", "redacted"), "Invalid `data` in `redacted_thinking` block")
        if kind == "tool_use":
            need(isinstance(b.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
            need(re.fullmatch(r"[a-zA-Z0-9_-]+", b.get("id") or ""), f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$' ({b.get('id')!r})")
            tool_name(b.get("name"), 128)
        return ""

    def read_messages(self, ask, messages, body):
        need(isinstance(messages, list) and messages, "messages: at least one message is required")
        pending, role = {}, None
        for i, m in enumerate(messages):
            where = f"messages.{i}"
            only(m, {"role", "content"}, where)
            system = m.get("role") == "system" and ask.model.partition("--")[0] in SYSTEM_TURNS
            need((m.get("role") in BLOCKS or system) and m["role"] != role, f"{where}: roles must alternate between \"user\" and \"assistant\"")
            need(i > 0 or m["role"] == "user", "messages: first message must use the \"user\" role")
            content = m.get("content")
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if m["role"] == "system":
                need(role == "user", f"{where}: a system message must follow a user turn")
                ask.system = "\n".join([ask.system] + [text_of(b.get("text"), where) for b in blocks]).strip()
                continue
            role = m["role"]
            need(isinstance(blocks, list) and blocks, f"{where}: all messages must have non-empty content")
            texts = [self.read_block(ask, b, role, f"{where}.content.{k}") for k, b in enumerate(blocks)]
            if role == "user":
                pending = self.read_user(ask, blocks, texts, pending, where)
            else:
                pending = self.read_assistant(ask, blocks, i == len(messages) - 1, where)
        ask.turns = len(messages)
        need(role == "user" or not pending, f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(pending)}.")
        need(not (role == "assistant" and ask.thinks), "prefill is not supported with thinking")
        need(ask.tools or '"tool_use"' not in json.dumps(messages), "Requests which include `tool_use` or `tool_result` blocks must define tools")
        self.check_loop(ask, messages)

    def read_user(self, ask, blocks, texts, pending, where):
        results = [b for b in blocks if b["type"] == "tool_result"]
        need(blocks[: len(results)] == results, f"{where}: tool_result blocks must come first")
        need([b.get("tool_use_id") for b in results if b.get("tool_use_id") not in pending] == [], f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {results}")
        ids = [b["tool_use_id"] for b in results]
        need(len(set(ids)) == len(ids) and set(ids) == set(pending), f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(set(pending) - set(ids))}.")
        ask.results = []
        for b in results:
            content = b.get("content", "")
            if isinstance(content, list):
                for c in content:
                    if c.get("type") == "image":
                        self.read_source(ask, c, where)
                content = "".join(c["text"] for c in content if c["type"] == "text")
            ask.results.append((pending[b["tool_use_id"]], content, bool(b.get("is_error"))))
        if any(texts):
            ask.user = "".join(texts)
        if any(texts) and not results:
            ask.results = []
        return {}

    def read_assistant(self, ask, blocks, last, where):
        kinds = [b["type"] for b in blocks]
        if last and kinds[-1] == "text":
            need(blocks[-1]["text"] == blocks[-1]["text"].rstrip(), f"{where}: final assistant content cannot end with trailing whitespace")
        calls = {b["id"]: b["name"] for b in blocks if b["type"] == "tool_use"}
        need(len(calls) == kinds.count("tool_use"), f"{where}: `tool_use` ids must be unique")
        ask.rounds += bool(calls)
        return calls

    def check_loop(self, ask, messages):
        """In the middle of a tool loop, an assistant turn begins with the thinking that led to its calls."""
        if not ask.thinks or not ask.results:
            return
        blocks = messages[-2]["content"]
        need(blocks[0]["type"] in ("thinking", "redacted_thinking"), f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{blocks[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.")

    # ------------------------------------------------------------ the answer

    def usage(self, u):
        return {
            "input_tokens": u.fresh,
            "cache_creation_input_tokens": u.written,
            "cache_read_input_tokens": u.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": u.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": u.output,
            "output_tokens_details": {"thinking_tokens": u.reasoning},
            "service_tier": "standard",
        }

    def content(self, ask, turn, do):
        out = []
        if turn.thinking and "redacted" in do:
            out.append({"type": "redacted_thinking", "data": sign("anthropic", "redacted")})
        elif turn.thinking:
            out.append({"type": "thinking", "thinking": turn.thinking, "signature": sign("anthropic", turn.thinking)})
        if turn.text:
            out.append({"type": "text", "text": turn.text})
        out += [{"type": "tool_use", "id": f"toolu_01{ask.rounds}{i}Abcdefghij", "name": n, "input": a} for i, (n, a) in enumerate(turn.calls)]
        return out

    def message(self, ask, turn, content, **kw):
        return {"id": f"msg_up{ask.rounds + 1}", "type": "message", "role": "assistant", "model": ask.model, "content": content, "stop_reason": None, "stop_sequence": None, "usage": self.usage(turn.usage), "x_new_member": [1], **kw}

    def messages(self, req, do):
        ask = self.read(req.json, do)
        turn = play(ask, do)
        content = self.content(ask, turn, do)
        if not ask.stream or "whole" in do:
            return Whole(self.message(ask, turn, content, stop_reason=FINISH[turn.finish]))
        return self.stream(ask, turn, content, req.random)

    def stream(self, ask, turn, content, rnd):
        out = []

        def send(kind, **kw):
            out.append(event({"type": kind, **kw}, kind))

        start = self.message(ask, turn, [])
        start["usage"] = {**start["usage"], "output_tokens": 1}
        send("message_start", message=start)
        send("ping")
        for i, b in enumerate(content):
            self.stream_block(send, i, b, rnd)
        send("message_delta", delta={"stop_reason": FINISH[turn.finish], "stop_sequence": None}, usage={"output_tokens": turn.usage.output, "output_tokens_details": {"thinking_tokens": turn.usage.reasoning}})
        send("message_stop")
        return Stream(out, last=1)

    @staticmethod
    def stream_block(send, i, b, rnd):
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}.get(b["type"], {})
        send("content_block_start", index=i, content_block={**b, **empty})
        if b["type"] == "text":
            for p in pieces(b["text"], rnd):
                send("content_block_delta", index=i, delta={"type": "text_delta", "text": p})
        if b["type"] == "thinking":
            for p in pieces(b["thinking"], rnd):
                send("content_block_delta", index=i, delta={"type": "thinking_delta", "thinking": p})
            send("content_block_delta", index=i, delta={"type": "signature_delta", "signature": b["signature"]})
        if b["type"] == "tool_use":
            send("content_block_delta", index=i, delta={"type": "input_json_delta", "partial_json": ""})
            for p in pieces(json.dumps(b["input"]) if b["input"] else "", rnd):
                send("content_block_delta", index=i, delta={"type": "input_json_delta", "partial_json": p})
        send("content_block_stop", index=i)


class AnthropicOnVertex(Anthropic):
    """Below Vertex's paths: no model in the body, a version there, no URLs of pictures."""

    takes_urls = False

    def read(self, body, do):
        body = dict(body)
        need(body.pop("anthropic_version", None) == "vertex-2023-10-16", "anthropic_version: Field required")
        need("model" not in body, "model: Extra inputs are not permitted")
        return super().read({**body, "model": self.called}, do)

    def raw_predict(self, req, do, model):
        self.called = model
        self.betas = self.asked_betas(req)
        try:
            odd = [b for b in self.betas if b not in BETAS_OF_VERTEX]
            need(not odd, f"Unexpected value(s) `{', '.join(odd)}` for the `anthropic-beta` header.")
            return self.messages(req, do)
        except Refused as e:
            return Whole(self.error(e.status, str(e)), e.status, self.error_headers(e.status))
