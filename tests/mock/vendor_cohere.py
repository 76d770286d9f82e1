"""Cohere's wire, version 2: chat, embed, rerank."""

import json

from vendor_agent import Ask, Refused, need, number, only, play, sniffed, text_of, tool_name, unbase64
from vendor_wire import Stream, Vendor, Whole, event, pieces, vector

ALLOWED = set(
    "model messages tools tool_choice strict_tools documents citation_options response_format safety_mode max_tokens stop_sequences temperature seed frequency_penalty"
    " presence_penalty k p logprobs thinking stream priority".split()
)
FINISH = {"stop": "COMPLETE", "tools": "TOOL_CALL", "length": "MAX_TOKENS", "filter": "ERROR", "refusal": "COMPLETE"}


class Cohere(Vendor):
    name = "cohere"
    words = {"toolong": "too many tokens: total number of tokens in the prompt cannot exceed 256000 - received 300000.", "policy": "The request was blocked by our usage policies."}

    def authorized(self, req):
        return req.headers.get("authorization", "").lower() == f"bearer {self.key}".lower()

    def model(self, req):
        return req.json.get("model")

    def error(self, status, message, kind=None, param=None):
        return {"id": "req_up_cohere", "message": message}

    def error_headers(self, status):
        return {"x-debug-trace-id": "req_up_cohere"}

    def error_event(self, stream):
        """Cohere's streams end with finish_reason ERROR."""
        return event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "the model broke midway"}}, "message-end") + b"data: [DONE]\n\n"

    def answer(self, req, do):
        path = req.path.split("?")[0]
        if path == "/v2/embed":
            return self.embed(req.json)
        if path == "/v2/rerank":
            only(req.json, {"model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"}, "request")
            n = len(req.json["documents"])
            return Whole({"id": "r1", "results": [{"index": i, "relevance_score": 0.9 - i / 10} for i in reversed(range(n))], "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}})
        need(path == "/v2/chat", f"no such path {path}", status=404)
        ask = self.read(req.json, do)
        turn = play(ask, do)
        return self.stream(ask, turn, req.random) if ask.stream else self.whole(ask, turn)

    def embed(self, body):
        only(body, {"model", "texts", "input_type", "embedding_types", "output_dimension", "truncate", "max_tokens", "priority"}, "request")
        need(body.get("input_type") in ("search_document", "search_query", "classification", "clustering"), "valid input_type must be provided with the provided model")
        need(isinstance(body.get("texts"), list) and 0 < len(body["texts"]) <= 96, "texts: 1 to 96")
        need(set(body.get("embedding_types") or ["float"]) == {"float"}, "embedding_types")
        values = [vector(text_of(t, "texts"), body.get("output_dimension") or 4) for t in body["texts"]]
        return Whole({"id": "e1", "embeddings": {"float": values}, "texts": body["texts"], "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 8 * len(values)}}})

    # ------------------------------------------------------------ the request

    def read(self, body, do):
        only(body, ALLOWED, "unknown field", "lax" in do)
        ask = Ask(model=text_of(body.get("model"), "model"), stream=body.get("stream") is True)
        number(body, "temperature", 0, 1), number(body, "p", 0.01, 0.99), number(body, "k", 0, 500, True), number(body, "max_tokens", 1, 1e6, True), number(body, "seed", 0, 2**64, True)
        number(body, "frequency_penalty", 0, 1), number(body, "presence_penalty", 0, 1)
        ask.stop = body.get("stop_sequences", [])
        need(len(ask.stop) <= 5, "stop_sequences: at most 5")
        for t in body.get("tools") or []:
            only(t, {"type", "function"}, "tools")
            only(t["function"], {"name", "description", "parameters"}, "tools.function")
            need(t["type"] == "function" and t["function"].get("name") not in ask.tools, "tools: names must be unique")
            ask.tools[tool_name(t["function"]["name"])] = t["function"].get("parameters") or {"type": "object"}
        choice = body.get("tool_choice")
        need(choice in (None, "REQUIRED", "NONE") and (choice is None or ask.tools), f"tool_choice: {choice}")
        ask.choice = {None: "auto", "REQUIRED": "required", "NONE": "none"}[choice]
        f = body.get("response_format") or {"type": "text"}
        only(f, {"type"} | ({"json_schema"} if f.get("type") == "json_object" else set()), "response_format")
        need(f["type"] in ("text", "json_object") and not (f["type"] == "json_object" and ask.tools), "response_format json_object is not supported with tools")
        ask.json, ask.schema = f["type"] == "json_object", f.get("json_schema")
        t = body.get("thinking") or {"type": "disabled"}
        only(t, {"type", "token_budget"}, "thinking")
        ask.thinks = t["type"] == "enabled"
        self.read_messages(ask, body.get("messages"))
        return ask

    def read_content(self, ask, content, where, kinds):
        if isinstance(content, str):
            return text_of(content, where)
        need(isinstance(content, list) and content, f"{where}: content must not be empty")
        texts = []
        for p in content:
            need(p.get("type") in kinds, f"{where}: {p.get('type')}")
            if p["type"] == "text":
                only(p, {"type", "text"}, where)
                texts.append(text_of(p["text"], where))
            elif p["type"] == "thinking":
                texts.append("")
            elif p["type"] == "document":
                data = p["document"]["data"]
                texts.append(data if isinstance(data, str) else json.dumps(data))
            else:
                only(p["image_url"], {"url", "detail"}, where)
                url = p["image_url"]["url"]
                if url.startswith("data:"):
                    mime = url[5:].split(";")[0]
                    ask.media.append((mime, sniffed(unbase64(url.partition(",")[2], where), mime, where)))
                else:
                    need(url.startswith("https://"), f"{where}: url")
                    ask.media.append(("url", url))
        return "".join(texts)

    def read_messages(self, ask, messages):
        need(isinstance(messages, list) and messages, "messages: at least one is required")
        pending = {}
        for i, m in enumerate(messages):
            where, role = f"messages[{i}]", m.get("role")
            if role == "tool":
                only(m, {"role", "tool_call_id", "content"}, where)
                need(m["tool_call_id"] in pending, f"{where}: cannot find the tool call {m['tool_call_id']}")
                ask.results.append((pending.pop(m["tool_call_id"]), self.read_content(ask, m["content"], where, ("text", "document")), False))
                continue
            need(not pending, f"{where}: tool calls without a result: {sorted(pending)}")
            if role == "assistant":
                pending = self.read_assistant(ask, m, where)
                continue
            only(m, {"role", "content"}, where)
            need(role in ("user", "system", "developer"), f"{where}: role {role}")
            text = self.read_content(ask, m.get("content"), where, ("text", "image_url") if role == "user" else ("text",))
            if role == "user":
                ask.user, ask.results = text, []
            else:
                ask.system = (ask.system + "\n" + text).strip()
        need(not pending, f"tool calls without a result: {sorted(pending)}")
        ask.turns = sum(m["role"] in ("user", "assistant") for m in messages)

    def read_assistant(self, ask, m, where):
        only(m, {"role", "content", "tool_calls", "tool_plan", "citations"}, where)
        ask.results = []
        need("content" in m or m.get("tool_calls"), f"{where}: an assistant message has content or tool_calls")
        need("tool_plan" not in m or m.get("tool_calls"), f"{where}: tool_plan without tool_calls")
        if "content" in m:  # beside calls only what was thought
            self.read_content(ask, m["content"], where, ("thinking",) if m.get("tool_calls") else ("text", "thinking"))
        if not m.get("tool_calls"):
            return {}
        for c in m["tool_calls"]:
            only(c, {"id", "type", "function"}, where)
            try:
                need(isinstance(json.loads(c["function"]["arguments"]), dict), "")
            except (ValueError, TypeError):
                raise Refused(f"{where}: arguments are no JSON object") from None
        ask.rounds += 1
        return {c["id"]: c["function"]["name"] for c in m["tool_calls"]}

    # ------------------------------------------------------------ the answer

    def usage(self, u):
        return {"billed_units": {"input_tokens": 9, "output_tokens": 8}, "tokens": {"input_tokens": u.input, "output_tokens": u.output}, "cached_tokens": u.cached}

    def calls(self, ask, turn):
        return [{"id": f"{n}_{ask.rounds}{i}abcdef", "type": "function", "function": {"name": n, "arguments": json.dumps(a, ensure_ascii=False)}} for i, (n, a) in enumerate(turn.calls)]

    def whole(self, ask, turn):
        message = {"role": "assistant"}
        content = [{"type": "thinking", "thinking": turn.thinking}] if turn.thinking else []
        if turn.calls:
            message.update(tool_plan=turn.text, tool_calls=self.calls(ask, turn))
        elif turn.text:
            content.append({"type": "text", "text": turn.text})
        if content:
            message["content"] = content
        return Whole({"id": "up1", "message": message, "finish_reason": FINISH[turn.finish], "usage": self.usage(turn.usage)})

    def stream(self, ask, turn, rnd):
        out = []

        def send(kind, **kw):
            out.append(event({"type": kind, **kw}, kind))

        send("message-start", id="up1", delta={"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}})
        index = 0
        for kind, text in (("thinking", turn.thinking), ("text", "" if turn.calls else turn.text)):
            if text:
                send("content-start", index=index, delta={"message": {"content": {"type": kind, kind: ""}}})
                for p in pieces(text, rnd):
                    send("content-delta", index=index, delta={"message": {"content": {kind: p}}})
                send("content-end", index=index)
                index += 1
        for p in pieces(turn.text if turn.calls else "", rnd):
            send("tool-plan-delta", delta={"message": {"tool_plan": p}})
        for i, c in enumerate(self.calls(ask, turn)):
            send("tool-call-start", index=i, delta={"message": {"tool_calls": {**c, "function": {"name": c["function"]["name"], "arguments": ""}}}})
            for p in pieces(c["function"]["arguments"], rnd):
                send("tool-call-delta", index=i, delta={"message": {"tool_calls": {"function": {"arguments": p}}}})
            send("tool-call-end", index=i)
        send("message-end", id="up1", delta={"finish_reason": FINISH[turn.finish], "usage": self.usage(turn.usage)})
        out.append(b"data: [DONE]\n\n")
        return Stream(out, last=2)
