"""AWS Bedrock's wire: Converse and ConverseStream (the binary event stream), signatures of version 4 checked; Titan's embeddings."""

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import re
import struct
import urllib.parse

from vendor_agent import Ask, check_signature, closed, need, number, only, play, schema_object, sign, sniffed, text_of, tool_name, unbase64
from vendor_wire import Stream, Vendor, Whole, pieces, vector

ALLOWED = set("messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields additionalModelResponseFieldPaths performanceConfig requestMetadata promptVariables outputConfig serviceTier".split())
KINDS = {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 408: "ModelTimeoutException", 424: "ModelErrorException", 429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"}
FINISH = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens", "filter": "content_filtered", "refusal": "guardrail_intervened", "broken": "malformed_model_output"}
CACHE_POINT = {"type": "default"}


def frame(obj, kind, message_type="event"):
    """One message of the event stream."""
    payload = json.dumps({**obj, "p": "abcdefghijk"}, ensure_ascii=False).encode()
    headers = b""
    for name, value in ((f":{message_type}-type", kind), (":content-type", "application/json"), (":message-type", message_type)):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head += struct.pack(">I", binascii.crc32(head))
    return head + headers + payload + struct.pack(">I", binascii.crc32(head + headers + payload))


def quote(s, safe="-_.~"):
    return urllib.parse.quote(s, safe=safe)


def signature(secret, scope, amz_date, method, path, query, headers, signed, body):
    """SigV4, by AWS's description."""
    pairs = sorted((quote(k), quote(v)) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
    lines = "".join(f"{n}:{' '.join(headers.get(n, '').split())}\n" for n in signed)
    canonical = "\n".join([method, quote(path, "/-_.~"), "&".join(f"{k}={v}" for k, v in pairs), lines, ";".join(signed), hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", amz_date, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Bedrock(Vendor):
    name = "bedrock"
    access_key, secret, session, region = "AKIATESTTESTTESTTEST", "aws-secret-key/of+the+test", "aws-session-token-of-the-test==", "eu-central-1"
    words = {"toolong": "Input is too long for requested model.", "policy": "The content was blocked by the content filter of our usage policies."}

    def credential(self, req):
        return self.secret

    def authorized(self, req):
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", req.headers.get("authorization", ""))
        if not m or m[1] != self.access_key or req.headers.get("x-amz-security-token") != self.session:
            return False
        scope, signed, date = m[2].split("/"), m[3].split(";"), req.headers.get("x-amz-date", "")
        when = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if scope != [date[:8], self.region, "bedrock", "aws4_request"] or abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) > 300:
            return False
        path, _, query = req.path.partition("?")
        want = signature(self.secret, scope, date, req.method, path, query, req.headers, signed, req.body)
        return {"host", "x-amz-date", "x-amz-security-token"} <= set(signed) and hmac.compare_digest(want, m[4])

    def bad_key(self):
        return self.refusal(403, "The request signature we calculated does not match the signature you provided.", "InvalidSignatureException")

    def split(self, req):
        m = re.fullmatch(r"/model/([^/]+)/([a-z-]+)", req.path.partition("?")[0])
        need(m, "UnknownOperationException", status=404)
        need(":" not in m[1], "the model's id must be encoded")
        return urllib.parse.unquote(m[1]), m[2]

    def model(self, req):
        return self.split(req)[0]

    def error(self, status, message, kind=None, param=None):
        return {"message": message}

    def refusal(self, status, message, kind=None, param=None, headers=None):
        kind = kind or KINDS.get(status)
        named = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"} if kind else {}
        return Whole({"message": message}, status, {"x-amzn-requestid": "req_up_bedrock", **named, **(headers or {})})

    def error_event(self, stream):
        return frame({"message": "Too many tokens, please wait before trying again."}, "throttlingException", "exception")

    def answer(self, req, do):
        model, method = self.split(req)
        need(req.headers.get("content-type", "").startswith("application/json"), "content-type")
        if method == "invoke" and "inputText" in req.json:
            only(req.json, {"inputText", "dimensions", "normalize"}, "request")
            return Whole({"embedding": vector(text_of(req.json.get("inputText"), "inputText"), req.json.get("dimensions") or 4), "inputTextTokenCount": 8})
        if method == "count-tokens":
            return Whole({"inputTokens": 42})
        if method.startswith("invoke"):
            return self.damaged(self.invoke_claude(req, model, do, method == "invoke-with-response-stream"), do)
        need(method in ("converse", "converse-stream"), "UnknownOperationException", status=404)
        ask = self.read(req.json, model, do)
        ask.stream = method == "converse-stream"
        turn = play(ask, do)
        content = self.content(ask, turn)
        if not ask.stream:
            return Whole({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": FINISH[turn.finish], "usage": self.usage(turn.usage), "metrics": {"latencyMs": 7}})
        return self.damaged(self.stream(turn, content, req.random), do)

    @staticmethod
    def damaged(stream, do):
        """A bit of the last message but one is another one."""
        if "damage" in do:
            m = bytearray(stream.events[-2])
            m[-6] ^= 1
            stream.events[-2] = bytes(m)
        return stream

    def invoke_claude(self, req, model, do, stream):
        """Claude in its own language; the last event has AWS's metrics."""
        need(req.json.get("anthropic_version") == "bedrock-2023-05-31" and "model" not in req.json and "stream" not in req.json, "anthropic_version")
        text, u = "You said: " + str(req.json["messages"][-1]["content"]), play(Ask(model=model, user="x", turns=1), do).usage
        usage = {"input_tokens": u.fresh, "cache_read_input_tokens": u.cached, "cache_creation_input_tokens": u.written, "output_tokens": u.output}
        metrics = {"inputTokenCount": u.fresh, "outputTokenCount": u.output, "cacheReadInputTokenCount": u.cached, "cacheWriteInputTokenCount": u.written}
        counts = {"x-amzn-bedrock-input-token-count": str(u.fresh), "x-amzn-bedrock-output-token-count": str(u.output), "x-amzn-bedrock-cache-read-input-token-count": str(u.cached), "x-amzn-bedrock-cache-write-input-token-count": str(u.written)}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        if not stream:
            whole = {**message, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
            return Whole({"completion": text} if "other" in do else whole, headers=counts)
        events = [{"type": "message_start", "message": message}, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}]
        events += [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces(text, req.random)]
        events += [{"type": "content_block_stop", "index": 0}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": u.output}}]
        events += [{"type": "message_stop", **({} if "metricless" in do else {"amazon-bedrock-invocationMetrics": metrics})}]
        if "other" in do:  # another model's language
            events = [{"outputText": p, "index": 0} for p in pieces(text, req.random)] + [{"outputText": "", "completionReason": "FINISH", "amazon-bedrock-invocationMetrics": metrics}]
        return Stream([frame({"bytes": base64.b64encode(json.dumps(e).encode()).decode()}, "chunk") for e in events], last=1 if "other" in do else 2, content_type="application/vnd.amazon.eventstream")

    # ------------------------------------------------------------ the request

    def read(self, body, model, do):
        only(body, ALLOWED, "request", "lax" in do)
        ask = Ask(model=model)
        claude = "anthropic" in model
        for b in body.get("system") or []:
            need(list(b) == ["text"] or b == {"cachePoint": CACHE_POINT} or b == {"cachePoint": {**CACHE_POINT, "ttl": "1h"}}, f"system: {list(b)}")
            ask.system = (ask.system + "\n" + text_of(b.get("text", "."), "system")).strip() if "text" in b else ask.system
        c = body.get("inferenceConfig") or {}
        only(c, {"maxTokens", "temperature", "topP", "stopSequences"}, "inferenceConfig")
        number(c, "maxTokens", 1, 128000, True), number(c, "temperature", 0, 1), number(c, "topP", 0, 1)
        need(not (claude and "temperature" in c and "topP" in c), "`temperature` and `top_p` cannot both be specified for this model.")
        ask.stop = c.get("stopSequences", [])
        need(all(isinstance(s, str) and s.strip() for s in ask.stop), "stopSequences")
        self.read_tools(ask, body.get("toolConfig"))
        self.read_fields(ask, body.get("additionalModelRequestFields") or {}, c, claude)
        f = (body.get("outputConfig") or {}).get("textFormat")
        if f:
            need(f.get("type") == "json_schema" and isinstance(f["structure"]["jsonSchema"]["schema"], str), "outputConfig: the schema is a string")
            ask.schema = json.loads(f["structure"]["jsonSchema"]["schema"])
            closed(ask.schema, "outputConfig", False)
        self.read_messages(ask, body.get("messages"), body, claude)
        return ask

    def read_tools(self, ask, config):
        if config is None:
            return
        only(config, {"tools", "toolChoice"}, "toolConfig")
        need(config.get("tools"), "toolConfig.tools: Member must have length greater than or equal to 1")
        for t in config["tools"]:
            if list(t) == ["cachePoint"]:
                continue
            need(list(t) == ["toolSpec"], f"tools: {list(t)}")
            only(t["toolSpec"], {"name", "description", "inputSchema", "strict"}, "toolSpec")
            need("description" not in t["toolSpec"] or t["toolSpec"]["description"].strip(), "toolSpec.description: Member must have length greater than or equal to 1")
            only(t["toolSpec"]["inputSchema"], {"json"}, "inputSchema")
            need(t["toolSpec"]["name"] not in ask.tools, "tools: names must be unique")
            ask.tools[tool_name(t["toolSpec"]["name"])] = schema_object(t["toolSpec"]["inputSchema"]["json"], "inputSchema.json")
        choice = config.get("toolChoice", {"auto": {}})
        need(choice in ({"auto": {}}, {"any": {}}) or (list(choice) == ["tool"] and choice["tool"].get("name") in ask.tools), f"toolChoice: {choice}")
        ask.choice = {"auto": "auto", "any": "required"}.get(list(choice)[0]) or "=" + choice["tool"]["name"]

    def read_fields(self, ask, fields, config, claude):
        need(not fields or claude or set(fields) <= {"inferenceConfig", "reasoningConfig"}, f"additionalModelRequestFields: extraneous key {list(fields)}")
        only(fields, {"thinking", "top_k", "reasoning_config", "anthropic_beta", "inferenceConfig", "reasoningConfig", "tool_choice", "output_config", "metadata"}, "additionalModelRequestFields")
        t = fields.get("thinking") or fields.get("reasoning_config") or {"type": "disabled"}
        ask.thinks = t["type"] != "disabled"
        if t["type"] == "enabled":
            need(1024 <= t["budget_tokens"] < config.get("maxTokens", 0), f"`max_tokens` must be greater than `thinking.budget_tokens`. {t} {config}")
            need(config.get("temperature", 1) == 1 and "top_k" not in fields, "temperature may only be set to 1 when thinking is enabled.")
            need(ask.choice == "auto", "Thinking may not be enabled when tool_choice forces tool use.")
        if "tool_choice" in fields:
            ask.parallel = not fields["tool_choice"].get("disable_parallel_tool_use")

    def read_media(self, ask, b, kind, where):
        only(b[kind], {"format", "source"} | ({"name", "context", "citations"} if kind == "document" else set()), where)
        source = b[kind]["source"]
        need(list(source) == ["bytes"] or (kind == "document" and list(source) == ["text"]), f"{where}: source {list(source)}")
        formats = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"} if kind == "image" else {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html"}
        need(b[kind].get("format") in formats, f"{where}: format {b[kind].get('format')}")
        mime = formats[b[kind]["format"]]
        ask.media.append((mime, sniffed(unbase64(source["bytes"], where), mime, where) if "bytes" in source else source["text"].encode()))
        if kind == "document":
            need(re.fullmatch(r"[a-zA-Z0-9\-()\[\] ]+", b[kind].get("name", "")) and "  " not in b[kind]["name"], f"{where}: The file name {b[kind].get('name')!r} can only contain alphanumeric characters, single whitespace characters, hyphens, parentheses, and square brackets.")

    def read_block(self, ask, b, role, where):
        need(isinstance(b, dict) and len(b) == 1, f"{where}: one member a block, got {list(b)}")
        kind = next(iter(b))
        kinds = {"user": ("text", "image", "document", "toolResult", "cachePoint"), "assistant": ("text", "toolUse", "reasoningContent", "cachePoint")}
        need(kind in kinds[role], f"{where}: {kind} of the {role}")
        if kind == "text":
            return text_of(b["text"], f"The text field in the ContentBlock object at {where}")
        if kind in ("image", "document"):
            self.read_media(ask, b, kind, where)
        if kind == "toolUse":
            only(b[kind], {"toolUseId", "name", "input"}, where)
            need(isinstance(b[kind].get("input"), dict) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", b[kind].get("toolUseId") or ""), f"{where}: {b[kind]}")
            tool_name(b[kind]["name"])
        if kind == "reasoningContent":
            only(b[kind], {"reasoningText", "redactedContent"}, where)
            if "reasoningText" in b[kind]:
                only(b[kind]["reasoningText"], {"text", "signature"}, where)
                check_signature("bedrock", b[kind]["reasoningText"]["text"], b[kind]["reasoningText"].get("signature"))
        return ""

    def read_messages(self, ask, messages, body, claude):
        need(isinstance(messages, list) and messages, "messages: Member must have length greater than or equal to 1")
        pending, role = {}, None
        for i, m in enumerate(messages):
            where = f"messages.{i}"
            only(m, {"role", "content"}, where)
            need(m.get("role") in ("user", "assistant") and m["role"] != role, f"A conversation must alternate between user and assistant roles. ({where})")
            need(i > 0 or m["role"] == "user", "A conversation must start with a user message.")
            role, blocks = m["role"], m.get("content")
            need(isinstance(blocks, list) and blocks, f"The content field in the Message object at {where} is empty.")
            texts = [self.read_block(ask, b, role, f"{where}.content.{k}") for k, b in enumerate(blocks)]
            need(not any("document" in b for b in blocks) or any(texts), f"{where}: a document needs a text block beside it")
            pending = self.read_user(ask, blocks, texts, pending, where) if role == "user" else self.read_assistant(ask, blocks)
        ask.turns = len(messages)
        need(role == "user", "This model does not support assistant message prefill. The conversation must end with a user message.")
        need(ask.tools or '"toolUse"' not in json.dumps(messages), "The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        if ask.thinks and ask.results:
            need("reasoningContent" in messages[-2]["content"][0], f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.")

    def read_user(self, ask, blocks, texts, pending, where):
        results = [b["toolResult"] for b in blocks if "toolResult" in b]
        need(sorted(r.get("toolUseId") for r in results) == sorted(pending), f"Expected toolResult blocks at {where}.content for the following Ids: {', '.join(pending)}")
        need(all("toolResult" in b for b in blocks[: len(results)]), f"{where}: toolResult blocks must come first")
        ask.results = []
        for r in results:
            only(r, {"toolUseId", "content", "status"}, where)
            need(isinstance(r.get("content"), list) and r["content"] and r.get("status", "success") in ("success", "error"), f"{where}: {r}")
            for c in r["content"]:
                need(len(c) == 1 and next(iter(c)) in ("text", "json", "image", "document"), f"{where}: {c}")
                if "image" in c:
                    self.read_media(ask, c, "image", where)
            text = "".join(c["text"] if "text" in c else json.dumps(c["json"]) for c in r["content"] if "text" in c or "json" in c)
            ask.results.append((pending[r["toolUseId"]], text, r.get("status") == "error"))
        if any(texts):
            ask.user = "".join(texts)
        return {}

    def read_assistant(self, ask, blocks):
        calls = {b["toolUse"]["toolUseId"]: b["toolUse"]["name"] for b in blocks if "toolUse" in b}
        ask.rounds += bool(calls)
        return calls

    # ------------------------------------------------------------ the answer

    def usage(self, u):
        return {"inputTokens": u.fresh, "outputTokens": u.output, "totalTokens": u.input + u.output, "cacheReadInputTokens": u.cached, "cacheWriteInputTokens": u.written}

    def content(self, ask, turn):
        out = [{"reasoningContent": {"reasoningText": {"text": turn.thinking, "signature": sign("bedrock", turn.thinking)}}}] if turn.thinking else []
        out += [{"text": turn.text}] if turn.text else []
        return out + [{"toolUse": {"toolUseId": f"tooluse_{ask.rounds}{i}Abcdefghij", "name": n, "input": a}} for i, (n, a) in enumerate(turn.calls)]

    def stream(self, turn, content, rnd):
        out = [frame({"role": "assistant"}, "messageStart")]
        for i, b in enumerate(content):
            at = {"contentBlockIndex": i}

            def delta(d, at=at):
                out.append(frame({**at, "delta": d}, "contentBlockDelta"))

            if "toolUse" in b:
                out.append(frame({**at, "start": {"toolUse": {"toolUseId": b["toolUse"]["toolUseId"], "name": b["toolUse"]["name"]}}}, "contentBlockStart"))
                for p in pieces(json.dumps(b["toolUse"]["input"]) if b["toolUse"]["input"] else "", rnd):
                    delta({"toolUse": {"input": p}})
            elif "text" in b:
                for p in pieces(b["text"], rnd):
                    delta({"text": p})
            else:
                for p in pieces(b["reasoningContent"]["reasoningText"]["text"], rnd):
                    delta({"reasoningContent": {"text": p}})
                delta({"reasoningContent": {"signature": b["reasoningContent"]["reasoningText"]["signature"]}})
            out.append(frame(at, "contentBlockStop"))
        out.append(frame({"stopReason": FINISH[turn.finish]}, "messageStop"))
        out.append(frame({"usage": self.usage(turn.usage), "metrics": {"latencyMs": 7}}, "metadata"))
        return Stream(out, last=2, content_type="application/vnd.amazon.eventstream")
