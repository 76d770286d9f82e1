"""What a recording says, in a neutral form, read from the provider's own bytes: the judge of the replay.

Written from the vendors' formats, not from the gateway's readers. One reader for each wire format.

    {"kind": "chat",
     "choices": [{"text", "refusal", "reasoning", "tools": [{"name", "args", "id"}], "finish", "native", "stop_sequence"}],
     "usage": {"input", "cached", "written", "output", "reasoning"} or None (not told),
     "wire_usage": the same numbers as the provider's own SDK shows them, where they differ,
     "explanation": of a refusal,
     "error": None or {"status", "message", "midstream"}}

input counts what was read from a cache and written to it; output counts the reasoning. finish is one of stop, stop_sequence,
length, tool_calls, content_filter, refusal, pause, error, unsaid (the stream ended properly, without one), None (it was cut). native is the provider's own
word. A number that was not told is None.
"""

import base64
import json
import re
import struct
import zlib

# ---------------------------------------------------------------- framing


def sse(raw):
    """[(event, data)] of a text/event-stream body, by its specification: any line end, comments, several data lines."""
    out, event, data = [], None, []
    for line in re.split(r"\r\n|\r|\n", raw.decode("utf-8-sig")):
        if line == "":
            if data:
                out.append((event, "\n".join(data)))
            event, data = None, []
            continue
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
    if data:  # servers that leave out the last empty line
        out.append((event, "\n".join(data)))
    return out


def eventstream(raw):
    """[(message type, event or exception type, payload)] of AWS's binary stream; both checksums must be right."""
    out, at = [], 0
    while at < len(raw):
        total, headers, crc = struct.unpack(">III", raw[at : at + 12])
        assert crc == zlib.crc32(raw[at : at + 8]), "prelude checksum"
        end = at + total
        assert struct.unpack(">I", raw[end - 4 : end])[0] == zlib.crc32(raw[at : end - 4]), "message checksum"
        names, i = {}, at + 12
        while i < at + 12 + headers:
            n = raw[i]
            name, kind = raw[i + 1 : i + 1 + n].decode(), raw[i + 1 + n]
            assert kind == 7, "a header that is no text"
            (size,) = struct.unpack(">H", raw[i + 2 + n : i + 4 + n])
            names[name] = raw[i + 4 + n : i + 4 + n + size].decode()
            i += 4 + n + size
        payload = raw[at + 12 + headers : end - 4]
        kind = names.get(":message-type")
        out.append((kind, names.get(":event-type") or names.get(":exception-type") or names.get(":error-code"), payload))
        at = end
    return out


# ---------------------------------------------------------------- pieces


def count(value):
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def arguments(text):
    """A call's arguments as a value. What is no JSON stays a text, marked."""
    if isinstance(text, (dict, list)):
        return text
    if text is None or text.strip() == "":
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"!text": text}
    return {} if value is None else value


def choice(**known):
    return {"text": "", "refusal": "", "reasoning": "", "tools": [], "finish": None, "native": None, "stop_sequence": None, **known}


def usage(input=None, cached=None, written=None, output=None, reasoning=None):
    return {"input": input, "cached": cached, "written": written, "output": output, "reasoning": reasoning}


def settle(c, finishes):
    """The neutral word for c["native"]. A tool call makes a plain stop one for tools."""
    native = c["native"]
    c["finish"] = None if native is None else finishes.get(native, "stop")
    if c["tools"] and c["finish"] == "stop":
        c["finish"] = "tool_calls"
    if c["refusal"] and c["finish"] == "stop":
        c["finish"] = "refusal"
    return c


def message_of(body):
    """The provider's own words in an error body (a value, or a text that is no JSON)."""
    if isinstance(body, list):
        return message_of(body[0]) if body else None
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        return message_of(error) or error.get("message")
    for key in ("message", "Message", "detail"):
        value = body.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, dict) and "detail" in value:
            value = value["detail"]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return value[0].get("msg")
    return None


def failure(status, body, midstream=False):
    return {"kind": "error", "choices": [], "usage": None, "error": {"status": status, "message": message_of(body), "midstream": midstream}}


# ---------------------------------------------------------------- OpenAI chat and its relatives

OPENAI_FINISH = {
    "stop": "stop", "eos": "stop", "length": "length", "model_length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "error": "error", "insufficient_system_resource": "error",
}


def openai_content(c, content):
    """A text, or Mistral's list of pieces."""
    if isinstance(content, str):
        c["text"] += content
    for piece in content if isinstance(content, list) else []:
        if piece.get("type") == "text":
            c["text"] += piece.get("text") or ""
        elif piece.get("type") == "thinking":
            inner = piece.get("thinking")
            c["reasoning"] += inner if isinstance(inner, str) else "".join(p.get("text") or "" for p in inner or [])


def openai_reasoning(message):
    # OpenRouter's details repeat it, or are all there is
    details = message.get("reasoning_details")
    told = "".join(d.get("text") or d.get("summary") or "" for d in details if isinstance(d, dict)) if isinstance(details, list) else ""
    return message.get("reasoning_content") or message.get("reasoning") or told


def openai_wire_usage(u):
    """As the official SDK shows it."""
    if not isinstance(u, dict) or count(u.get("prompt_tokens")) is None:
        return None
    read, wrote = u.get("prompt_tokens_details") or {}, u.get("completion_tokens_details") or {}
    return usage(count(u["prompt_tokens"]), count(read.get("cached_tokens")), count(read.get("cache_write_tokens")),
                 count(u.get("completion_tokens")), count(wrote.get("reasoning_tokens")))


def openai_usage(u):
    out = openai_wire_usage(u)
    if not out:
        return None
    if out["cached"] is None:
        # DeepSeek, Mistral, Moonshot and Hugging Face had words of their own first
        out["cached"] = next((count(u[k]) for k in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens") if count(u.get(k)) is not None), None)
    if out["cached"] is not None:
        out["cached"] = min(out["cached"], out["input"])
    # where the sum says so, the reasoning stands beside the completion (xAI)
    total, reasoning = count(u.get("total_tokens")), out["reasoning"]
    if reasoning and out["output"] is not None and total == out["input"] + out["output"] + reasoning:
        out["output"] += reasoning
    return out


def openai_tools(message):
    out = [{"name": t["function"].get("name"), "args": arguments(t["function"].get("arguments")), "id": t.get("id") or None}
           for t in message.get("tool_calls") or [] if t.get("function")]
    call = message.get("function_call")
    if call:
        out.append({"name": call.get("name"), "args": arguments(call.get("arguments")), "id": None})
    return out


def openai(raw, status):
    body = json.loads(raw)
    if body.get("error"):
        # one that comes with status 200 may tell its own
        given = body["error"] if isinstance(body["error"], dict) else {}
        inner = next((given[k] for k in ("status", "code") if isinstance(given.get(k), int) and 400 <= given[k] < 600), 400)
        return failure(status if status >= 400 else inner, body)
    return openai_answer(body)


def openai_answer(body):
    choices = []
    for given in sorted(body["choices"], key=lambda x: x.get("index") or 0):
        m = given.get("message") or {}
        c = choice(native=given.get("finish_reason"), refusal=m.get("refusal") or "", tools=openai_tools(m))
        openai_content(c, m.get("content"))
        c["reasoning"] = c["reasoning"] or openai_reasoning(m)
        choices.append(settle(c, OPENAI_FINISH))
    return {"kind": "chat", "choices": choices, "usage": openai_usage(body.get("usage")), "wire_usage": openai_wire_usage(body.get("usage")), "error": None}


def openai_stream_tool(calls, piece):
    """calls: [{index, id, name, text}]"""
    index, ident, function = piece.get("index"), piece.get("id") or None, piece.get("function") or {}
    found = [c for c in calls if c["index"] == index] if index is not None else calls[-1:]
    call = found[-1] if found else None
    if call is None or (ident and call["id"] and ident != call["id"] and function.get("name")):
        call = {"index": index, "id": None, "name": None, "text": ""}
        calls.append(call)
    call["id"] = call["id"] or ident
    call["name"] = call["name"] or function.get("name")
    given = function.get("arguments")
    call["text"] += json.dumps(given) if isinstance(given, dict) else given or ""


def openai_stream(raw, status):
    choices, calls, told, wire, error, done = {}, {}, None, None, None, False
    for event, data in sse(raw):
        if data.strip() == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        u = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if openai_wire_usage(u):
            told, wire = openai_usage(u), openai_wire_usage(chunk.get("usage")) or wire
        if event == "error" or chunk.get("error"):
            error = failure(status, chunk, midstream=True)["error"]
        for given in chunk.get("choices") or []:
            i = given.get("index") or 0
            c = choices.setdefault(i, choice())
            delta = given.get("delta") or {}
            openai_content(c, delta.get("content"))
            c["reasoning"] += openai_reasoning(delta)
            c["refusal"] += delta.get("refusal") or ""
            for piece in delta.get("tool_calls") or []:
                openai_stream_tool(calls.setdefault(i, []), piece)
            c["native"] = c["native"] or given.get("finish_reason") or None
        if error:
            break
    for i, c in choices.items():
        c["tools"] = [{"name": t["name"], "args": arguments(t["text"]), "id": t["id"]} for t in calls.get(i, [])]
        settle(c, OPENAI_FINISH)
        if done and c["native"] is None:
            c["finish"] = "unsaid"
    out = {"kind": "chat", "choices": [choices[i] for i in sorted(choices)], "usage": told, "wire_usage": wire, "error": error}
    if not error and not done and any(c["native"] is None for c in out["choices"]):
        out["error"] = {"status": status, "message": None, "midstream": True}
    return out


# ---------------------------------------------------------------- OpenAI Responses


def responses_items(items):
    c = choice()
    for item in items or []:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or []:
                if part.get("type") == "output_text":
                    c["text"] += part.get("text") or ""
                elif part.get("type") == "refusal":
                    c["refusal"] += part.get("refusal") or ""
        elif kind == "function_call":
            c["tools"].append({"name": item.get("name"), "args": arguments(item.get("arguments")), "id": item.get("call_id")})
        elif kind == "reasoning":
            c["reasoning"] += "".join(p.get("text") or "" for p in item.get("summary") or [])
            c["reasoning"] += "".join(p.get("text") or "" for p in item.get("content") or [])
    return c


def responses_usage(u):
    if not isinstance(u, dict) or count(u.get("input_tokens")) is None:
        return None
    read, wrote = u.get("input_tokens_details") or {}, u.get("output_tokens_details") or {}
    return usage(count(u["input_tokens"]), count(read.get("cached_tokens")), count(read.get("cache_write_tokens")),
                 count(u.get("output_tokens")), count(wrote.get("reasoning_tokens")))


def responses_answer(body, items=None):
    c = responses_items(items if items is not None else body.get("output"))
    reason = (body.get("incomplete_details") or {}).get("reason")
    c["native"] = body.get("status")
    c["finish"] = {"max_output_tokens": "length", "content_filter": "content_filter"}.get(reason, "stop")
    if c["finish"] == "stop":
        c["finish"] = "tool_calls" if c["tools"] else "refusal" if c["refusal"] else "stop"
    return {"kind": "responses", "choices": [c], "usage": responses_usage(body.get("usage")), "error": None}


def responses(raw, status):
    body = json.loads(raw)
    if status >= 400 or (body.get("error") and body.get("status") != "failed" and "output" not in body):
        return failure(status, body)
    return responses_answer(body)


def responses_stream(raw, status):
    items, last, error = {}, None, None
    for _, data in sse(raw):
        if data.strip() == "[DONE]":
            continue
        event = json.loads(data)
        kind = event.get("type")
        if kind == "response.output_item.done":
            items[event.get("output_index")] = event.get("item")
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            last = event["response"]
        if kind == "error" and not error:
            error = failure(status, event if "error" in event else {"error": event}, midstream=True)["error"]
        if kind == "response.failed" and not error:
            error = failure(status, {"error": last.get("error") or {}}, midstream=True)["error"]
    if last is None:
        return {"kind": "responses", "choices": [], "usage": None, "error": error or {"status": status, "message": None, "midstream": True}}
    out = responses_answer(last, [items[i] for i in sorted(items)] if not last.get("output") else None)
    out["error"] = error
    return out


# ---------------------------------------------------------------- Anthropic

ANTHROPIC_FINISH = {
    "end_turn": "stop", "stop_sequence": "stop_sequence", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "refusal": "refusal", "pause_turn": "pause",
}


def anthropic_usage(u):
    if not isinstance(u, dict) or count(u.get("output_tokens")) is None:
        return None
    read, wrote = count(u.get("cache_read_input_tokens")), count(u.get("cache_creation_input_tokens"))
    return usage((count(u.get("input_tokens")) or 0) + (read or 0) + (wrote or 0), read, wrote, count(u["output_tokens"]),
                 count((u.get("output_tokens_details") or {}).get("thinking_tokens")))


def anthropic_blocks(c, blocks):
    """Blocks of tools that ran at the vendor (server_tool_use and their results) are nobody's to answer: not told."""
    for b in blocks:
        if b.get("type") == "text":
            c["text"] += b.get("text") or ""
        elif b.get("type") == "thinking":
            c["reasoning"] += b.get("thinking") or ""
        elif b.get("type") == "tool_use":
            c["tools"].append({"name": b["name"], "args": b.get("input") or {}, "id": b["id"]})


def anthropic(raw, status):
    body = json.loads(raw)
    return failure(status, body) if body.get("type") == "error" else anthropic_answer(body)


def anthropic_answer(body):
    c = choice(native=body.get("stop_reason"), stop_sequence=body.get("stop_sequence"))
    anthropic_blocks(c, body.get("content") or [])
    settle(c, ANTHROPIC_FINISH)
    return {"kind": "chat", "choices": [c], "usage": anthropic_usage(body.get("usage")), "error": None,
            "explanation": (body.get("stop_details") or {}).get("explanation")}


def anthropic_stream(raw, status):
    c, blocks, u, error, explanation, stopped = choice(), {}, {}, None, None, False
    for _, data in sse(raw):
        event = json.loads(data)
        kind = event.get("type")
        if kind == "message_start" and not u:
            u.update({k: v for k, v in (event["message"].get("usage") or {}).items() if v is not None})
            anthropic_blocks(c, event["message"].get("content") or [])
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"], json="")
        elif kind == "content_block_delta":
            b, d = blocks[event["index"]], event["delta"]
            if d["type"] == "text_delta":
                b["text"] = (b.get("text") or "") + d["text"]
            elif d["type"] == "thinking_delta":
                b["thinking"] = (b.get("thinking") or "") + d["thinking"]
            elif d["type"] == "input_json_delta":
                b["json"] += d["partial_json"]
        elif kind == "message_delta":
            c["native"] = event["delta"].get("stop_reason")
            c["stop_sequence"] = event["delta"].get("stop_sequence")
            explanation = (event["delta"].get("stop_details") or {}).get("explanation")
            u.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
        elif kind == "error":
            error = failure(status, event, midstream=True)["error"]
            break
        elif kind == "message_stop":
            stopped = True
            break
    for i in sorted(blocks):
        b = blocks[i]
        if b["json"]:
            b["input"] = arguments(b["json"])
    anthropic_blocks(c, [blocks[i] for i in sorted(blocks)])
    settle(c, ANTHROPIC_FINISH)
    if not error and not stopped:
        error = {"status": status, "message": None, "midstream": True}
    return {"kind": "chat", "choices": [c], "usage": anthropic_usage(u), "error": error, "explanation": explanation}


# ---------------------------------------------------------------- Google

GOOGLE_FILTERS = ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
                  "IMAGE_RECITATION", "IMAGE_OTHER")
GOOGLE_ERRORS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER", "NO_IMAGE")
# servers that were asked for enum-encoding=int
GOOGLE_NUMBERS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 6: "BLOCKLIST", 7: "PROHIBITED_CONTENT", 8: "SPII",
                  9: "MALFORMED_FUNCTION_CALL"}
GOOGLE_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", **dict.fromkeys(GOOGLE_FILTERS, "content_filter"), **dict.fromkeys(GOOGLE_ERRORS, "error")}


def google_usage(u):
    if not isinstance(u, dict) or count(u.get("promptTokenCount")) is None:
        return None
    thoughts = count(u.get("thoughtsTokenCount"))
    return usage(u["promptTokenCount"] + (count(u.get("toolUsePromptTokenCount")) or 0), count(u.get("cachedContentTokenCount")), None,
                 (count(u.get("candidatesTokenCount")) or 0) + (thoughts or 0), thoughts)


def google_path(path):
    """$.a.b[0]['c'] → ["a", "b", 0, "c"]"""
    return [int(i) if i else name or quoted for name, i, quoted in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]", path)]


def google_set(root, path, value, more):
    """Sets what the path names, making what it goes through; a text that goes on is added to."""
    at = root
    for here, follows in zip(path, path[1:] + [None]):
        if isinstance(here, int):
            while len(at) <= here:
                at.append(None)
            old = at[here]
        else:
            old = at.get(here)
        if follows is None:
            new = old + value if more and isinstance(old, str) else value
        else:
            new = old if isinstance(old, (dict, list)) else [] if isinstance(follows, int) else {}
        at[here] = new
        at = new


class GoogleCandidate:
    def __init__(self):
        self.choice, self.open, self.going = choice(), None, set()

    def function_call(self, call):
        if call.get("name"):
            self.open = {"name": call["name"], "args": call.get("args") or {}, "id": call.get("id") or None}
            self.choice["tools"].append(self.open)
            self.going = set()
        if not self.open:
            return
        for piece in call.get("partialArgs") or []:
            path = piece["jsonPath"]
            value = next((piece[k] for k in ("stringValue", "numberValue", "boolValue") if k in piece), None)
            google_set(self.open["args"], google_path(path), value, path in self.going)
            (self.going.add if piece.get("willContinue") else self.going.discard)(path)
        if not call.get("willContinue"):
            self.open = None

    def add(self, candidate):
        for part in (candidate.get("content") or {}).get("parts") or []:
            if "functionCall" in part:
                self.function_call(part["functionCall"])
            elif part.get("text"):
                self.choice["reasoning" if part.get("thought") else "text"] += part["text"]
        reason = candidate.get("finishReason")
        if reason not in (None, 0, "FINISH_REASON_UNSPECIFIED"):
            self.choice["native"] = GOOGLE_NUMBERS.get(reason, reason)


def google_chunks(chunks, status, streamed):
    candidates, told, error, blocked = {}, None, None, None
    for chunk in chunks:
        if "error" in chunk:
            error = failure(status, chunk, midstream=streamed)["error"]
            break
        told = google_usage(chunk.get("usageMetadata")) or told
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason") or blocked
        for given in chunk.get("candidates") or []:
            candidates.setdefault(given.get("index") or 0, GoogleCandidate()).add(given)
    choices = [settle(candidates[i].choice, GOOGLE_FINISH) for i in sorted(candidates)]
    if blocked and not choices:
        choices = [choice(native=None, finish="content_filter")]
    if streamed and not error and (not choices or any(c["finish"] is None for c in choices)):
        error = {"status": status, "message": None, "midstream": True}
    if error and not streamed:
        return failure(error["status"], {"message": error["message"]})
    return {"kind": "chat", "choices": choices, "usage": told, "error": error}


def google(raw, status):
    body = json.loads(raw)
    body = body[0] if isinstance(body, list) else body
    if status >= 400:
        return failure(status, body)
    return google_chunks([body], status, False)


def google_stream(raw, status):
    return google_chunks([json.loads(data) for _, data in sse(raw)], status, True)


# ---------------------------------------------------------------- Bedrock Converse

BEDROCK_FINISH = {
    "end_turn": "stop", "stop_sequence": "stop_sequence", "tool_use": "tool_calls", "max_tokens": "length",
    "model_context_window_exceeded": "length", "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
    "malformed_model_output": "error", "malformed_tool_use": "error",
}


def bedrock_usage(u):
    if not isinstance(u, dict) or count(u.get("inputTokens")) is None:
        return None
    read, wrote = count(u.get("cacheReadInputTokens")), count(u.get("cacheWriteInputTokens"))
    return usage(u["inputTokens"] + (read or 0) + (wrote or 0), read, wrote, count(u.get("outputTokens")), None)


def bedrock(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    c = choice(native=body.get("stopReason"))
    for b in body["output"]["message"]["content"]:
        if "text" in b:
            c["text"] += b["text"]
        elif "citationsContent" in b:
            c["text"] += "".join(p.get("text") or "" for p in b["citationsContent"].get("content") or [])
        elif "reasoningContent" in b:
            c["reasoning"] += (b["reasoningContent"].get("reasoningText") or {}).get("text") or ""
        elif "toolUse" in b and b["toolUse"].get("type") != "server_tool_use":
            c["tools"].append({"name": b["toolUse"]["name"], "args": b["toolUse"].get("input") or {}, "id": b["toolUse"]["toolUseId"]})
    return {"kind": "chat", "choices": [settle(c, BEDROCK_FINISH)], "usage": bedrock_usage(body.get("usage")), "error": None}


def bedrock_stream(raw, status):
    c, told, error, calls = choice(), None, None, {}
    for kind, name, payload in eventstream(raw):
        data = json.loads(payload) if payload else {}
        if kind != "event":
            error = failure(status, data, midstream=True)["error"]
            break
        if name == "contentBlockStart":
            call = data.get("start", {}).get("toolUse")
            if call and call.get("type") != "server_tool_use":
                calls[data["contentBlockIndex"]] = {"name": call["name"], "id": call["toolUseId"], "text": ""}
        elif name == "contentBlockDelta":
            d = data["delta"]
            c["text"] += d.get("text") or ""
            c["reasoning"] += (d.get("reasoningContent") or {}).get("text") or ""
            if "toolUse" in d and data["contentBlockIndex"] in calls:
                calls[data["contentBlockIndex"]]["text"] += d["toolUse"].get("input") or ""
        elif name == "messageStop":
            c["native"] = data.get("stopReason")
        elif name == "metadata":
            told = bedrock_usage(data.get("usage")) or told
    c["tools"] = [{"name": t["name"], "args": arguments(t["text"]), "id": t["id"]} for t in calls.values()]
    settle(c, BEDROCK_FINISH)
    if not error and c["native"] is None:
        error = {"status": status, "message": None, "midstream": True}
    return {"kind": "chat", "choices": [c], "usage": told, "error": error}


# ---------------------------------------------------------------- Cohere v2

COHERE_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop_sequence", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "ERROR": "error",
                 "TIMEOUT": "error", "ERROR_TOXIC": "content_filter", "ERROR_LIMIT": "length"}


def cohere_usage(u):
    tokens = (u or {}).get("tokens") or (u or {}).get("billed_units")
    if not tokens or count(tokens.get("input_tokens")) is None:
        return None
    out = usage(tokens["input_tokens"], count(u.get("cached_tokens")), None, count(tokens.get("output_tokens")), count(tokens.get("reasoning_tokens")))
    # pictures are counted beside; whether they belong to the input is not said anywhere
    if count(tokens.get("image_tokens")):
        out["also_input"] = tokens["input_tokens"] + tokens["image_tokens"]
    return out


def cohere(raw, status):
    body = json.loads(raw)
    if status >= 400 or "message" not in body or not isinstance(body["message"], dict):
        return failure(status, body)
    m = body["message"]
    c = choice(native=body.get("finish_reason"), text=m.get("tool_plan") or "")
    for part in m.get("content") or []:
        c["text"] += part.get("text") or ""
        c["reasoning"] += part.get("thinking") or ""
    c["tools"] = [{"name": t["function"]["name"], "args": arguments(t["function"].get("arguments")), "id": t["id"]} for t in m.get("tool_calls") or []]
    return {"kind": "chat", "choices": [settle(c, COHERE_FINISH)], "usage": cohere_usage(body.get("usage")), "error": None}


def cohere_stream(raw, status):
    c, calls, told, error = choice(), {}, None, None
    for _, data in sse(raw):
        if data.strip() == "[DONE]":
            continue
        event = json.loads(data)
        kind, delta = event.get("type"), event.get("delta") or {}
        m = delta.get("message") or {}
        if kind == "tool-plan-delta":
            c["text"] += m.get("tool_plan") or ""
        elif kind in ("content-start", "content-delta"):
            c["text"] += m["content"].get("text") or ""
            c["reasoning"] += m["content"].get("thinking") or ""
        elif kind == "tool-call-start":
            t = m["tool_calls"]
            calls[event["index"]] = {"name": t["function"]["name"], "id": t["id"], "text": t["function"].get("arguments") or ""}
        elif kind == "tool-call-delta":
            calls[event["index"]]["text"] += m["tool_calls"]["function"].get("arguments") or ""
        elif kind == "message-end":
            c["native"] = delta.get("finish_reason")
            told = cohere_usage(delta.get("usage"))
    c["tools"] = [{"name": t["name"], "args": arguments(t["text"]), "id": t["id"]} for t in calls.values()]
    settle(c, COHERE_FINISH)
    if c["native"] is None:
        error = {"status": status, "message": None, "midstream": True}
    return {"kind": "chat", "choices": [c], "usage": told, "error": error}


# ---------------------------------------------------------------- embeddings, counts, reranking


def vectors(kind, values, tokens):
    return {"kind": kind, "vectors": values, "tokens": tokens, "error": None}


def floats(value):
    """A vector, given as numbers or as base64 of little-endian 32 bit floats."""
    if isinstance(value, str):
        raw = base64.b64decode(value)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw[: len(raw) // 4 * 4]))
    return value


def openai_embeddings(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    data = sorted(body["data"], key=lambda d: d.get("index") or 0)
    out = vectors("embeddings", [floats(d["embedding"]) for d in data], count((body.get("usage") or {}).get("prompt_tokens")))
    return {**out, "plain": not any(isinstance(d["embedding"], str) for d in data)}


def google_embeddings(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    given = body.get("embeddings") or [body["embedding"]]
    return vectors("embeddings", [e["values"] for e in given], count((body.get("usageMetadata") or {}).get("promptTokenCount")))


def vertex_predict(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    given = [p["embeddings"] for p in body["predictions"]]
    tokens = [count((e.get("statistics") or {}).get("token_count")) for e in given]
    return vectors("embeddings", [e["values"] for e in given], None if None in tokens else sum(tokens))


def cohere_embeddings(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    return vectors("embeddings", body["embeddings"]["float"], count(((body.get("meta") or {}).get("billed_units") or {}).get("input_tokens")))


def cohere_rerank(raw, status):
    body = json.loads(raw)
    if status >= 400:
        return failure(status, body)
    return {"kind": "rerank", "results": [(r["index"], r["relevance_score"]) for r in body["results"]], "error": None}


def counted(*names):
    def read(raw, status):
        body = json.loads(raw)
        if status >= 400:
            return failure(status, body)
        return {"kind": "count", "tokens": next(count(body[n]) for n in names if n in body), "error": None}

    return read


# format: (whole, streamed)
READERS = {
    "openai": (openai, openai_stream),
    "responses": (responses, responses_stream),
    "anthropic": (anthropic, anthropic_stream),
    "google": (google, google_stream),
    "bedrock": (bedrock, bedrock_stream),
    "cohere": (cohere, cohere_stream),
    "openai-embeddings": (openai_embeddings, None),
    "google-embeddings": (google_embeddings, None),
    "vertex-predict": (vertex_predict, None),
    "cohere-embeddings": (cohere_embeddings, None),
    "cohere-rerank": (cohere_rerank, None),
    "anthropic-count": (counted("input_tokens"), None),
    "google-count": (counted("totalTokens"), None),
    "bedrock-count": (counted("inputTokens"), None),
}


def expectation(recording):
    whole, streamed = READERS[recording.format]
    is_stream = recording.streaming and recording.status < 400 and not recording.file.endswith((".json", ".txt"))
    is_stream = is_stream or (recording.format == "google" and recording.streaming and recording.status < 400)
    raw = recording.body()
    if recording.status >= 400:
        text = raw.decode("utf-8", "replace")
        events = [d for _, d in sse(raw)] if text.lstrip().startswith(("data:", "event:")) else [text]
        try:
            return failure(recording.status, json.loads(events[0]))
        except (ValueError, IndexError):
            return failure(recording.status, None)
    return (streamed if is_stream else whole)(raw, recording.status)
