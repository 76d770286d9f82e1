"""Answers that vendors' formats allow, or that vendors are known to give, and that recordings hold too seldom: made here.

    made.py FOLDER    writes them as a folder of recordings (see recordings.py)

Each is named for what is odd about it. What they say is read from them by expect.py, as from any recording.
"""

import csv
import json
import os
import struct
import sys
import zlib

MADE = []


def add(provider, endpoint, name, body, status=200, model="", headers=None, extension=None):
    """body: bytes, or a value for JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    streams = isinstance(body, bytes)
    extension = extension or ("bin" if endpoint == "converse-stream" else "sse" if streams else "json")
    MADE.append({"provider": provider, "endpoint": endpoint, "name": name, "raw": raw, "status": status, "model": model, "headers": headers or {},
                 "extension": extension})


def sse(*events, end="\n", done=False, names=False, space=" "):
    out = ""
    for e in events:
        if isinstance(e, str):
            out += e + end + end
            continue
        if names:
            out += f"event:{space}{e['type']}{end}"
        out += f"data:{space}{json.dumps(e, ensure_ascii=False)}{end}{end}"
    return (out + (f"data:{space}[DONE]{end}{end}" if done else "")).encode()


# ---------------------------------------------------------------- OpenAI chat and its relatives

USAGE = {"prompt_tokens": 21, "completion_tokens": 13, "total_tokens": 34, "prompt_tokens_details": {"cached_tokens": 5},
         "completion_tokens_details": {"reasoning_tokens": 4}}


def chunk(delta=None, finish=None, index=0, **more):
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-made", "object": "chat.completion.chunk", "created": 1760000000, "model": "made-1", "choices": choices, **more}


def call(index, name=None, text=None, ident=None, **more):
    function = {k: v for k, v in (("name", name), ("arguments", text)) if v is not None}
    return {"tool_calls": [{**({} if index is None else {"index": index}), **({"id": ident, "type": "function"} if ident else {}), "function": function, **more}]}


def completion(message, finish="stop", usage=None, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {"id": "chatcmpl-made", "object": "chat.completion", "created": 1760000000, "model": "made-1", "choices": [choice], "usage": usage or USAGE, **more}


def tool_call(name, text, ident):
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": text}}


def openai():
    first, last, told = chunk({"role": "assistant", "content": ""}), chunk({}, "stop"), chunk(usage=USAGE)
    texts = [chunk({"content": t}) for t in ("Grüße ", "aus 🏔️", " und", " 東京", "!")]
    add("openai", "chat", "plain-stream", sse(first, *texts, last, told, done=True))
    add("openai", "chat", "no-space-and-crlf", sse(first, *texts, last, told, done=True, space="", end="\r\n"))
    add("openai", "chat", "carriage-returns", sse(first, *texts, last, told, done=True, end="\r"))
    add("openai", "chat", "comments-between", sse(": alive", first, ": alive", *texts, ":", last, told, done=True))
    add("openai", "chat", "byte-order-mark", b"\xef\xbb\xbf" + sse(first, *texts, last, told, done=True))
    add("openai", "chat", "long-text", sse(first, *(chunk({"content": f"{i} word " * 40}) for i in range(600)), last, told, done=True))
    add("openai", "chat", "refusal-stream", sse(first, chunk({"refusal": "I can't "}), chunk({"refusal": "do that."}), last, told, done=True))
    add("openai", "chat", "filtered-stream", sse(first, texts[0], chunk({}, "content_filter"), told, done=True))
    add("openai", "chat", "length-stream", sse(first, texts[0], chunk({}, "length"), told, done=True))
    add("openai", "chat", "calls-one-after-another", sse(
        first, chunk(call(0, "look_up", "", "call_a1")), chunk(call(0, None, '{"q":')), chunk(call(0, None, ' "Zürich"}')),
        chunk(call(1, "add", "", "call_a2")), chunk(call(1, None, '{"a":1,"b":[2.5,{"c":null}]}')), chunk({}, "tool_calls"), told, done=True))
    add("openai", "chat", "calls-interleaved", sse(
        first, chunk(call(0, "look_up", "", "call_b1")), chunk(call(1, "add", "", "call_b2")), chunk(call(0, None, '{"q":')), chunk(call(1, None, '{"a":')),
        chunk(call(0, None, '"x"}')), chunk(call(1, None, "7}")), chunk({}, "tool_calls"), told, done=True))
    add("openai", "chat", "calls-both-in-a-chunk", sse(
        first, chunk({"tool_calls": call(0, "one", '{"a":1}', "call_c1")["tool_calls"] + call(1, "two", '{"b":2}', "call_c2")["tool_calls"]}),
        chunk({}, "tool_calls"), told, done=True))
    add("openai", "chat", "call-without-arguments", sse(first, chunk(call(0, "now", "", "call_d1")), chunk({}, "tool_calls"), told, done=True))
    add("openai", "chat", "call-with-text-before", sse(first, texts[0], chunk(call(0, "now", "{}", "call_e1")), chunk({}, "tool_calls"), told, done=True))
    add("openai", "chat", "call-cut-by-length", sse(first, chunk(call(0, "write", '{"text": "abc', "call_f1")), chunk({}, "length"), told, done=True))
    add("together", "chat", "call-without-index", sse(first, chunk(call(None, "now", '{"z":1}', "call_g1")), chunk({}, "tool_calls"), told, done=True))
    add("openrouter", "chat", "call-finished-by-stop", sse(first, chunk(call(0, "now", '{"z":1}', "call_h1")), last, told, done=True))
    add("openrouter", "chat", "finish-told-twice", sse(first, *texts, chunk({"content": ""}, "stop"), chunk({"content": ""}, "stop", usage=USAGE), done=True))
    add("openai", "chat", "two-choices-stream", sse(
        chunk({"role": "assistant", "content": "a"}), chunk({"role": "assistant", "content": "x"}, index=1), chunk({"content": "b"}),
        chunk({"content": "y"}, index=1), chunk({}, "stop", 1), chunk({}, "length"), told, done=True))
    add("openai", "chat", "cut-in-the-middle", sse(first, *texts))
    add("openai", "chat", "cut-in-a-call", sse(first, chunk(call(0, "look_up", "", "call_i1")), chunk(call(0, None, '{"q":'))))
    add("openai", "chat", "error-first", sse({"error": {"message": "No capacity for you today.", "type": "server_error", "code": None, "param": None}}))
    add("openrouter", "chat", "error-with-choices", sse(
        ": OPENROUTER PROCESSING", first, texts[0],
        chunk({"content": ""}, "error", usage=USAGE, error={"code": 502, "message": "The provider behind went away."}), done=True))
    add("openrouter", "chat", "error-in-a-200", {"error": {"code": 408, "message": "Timed out upstream."}})
    add("openai", "chat", "calls", completion({"tool_calls": [tool_call("look_up", '{"q":"x"}', "call_j1"), tool_call("now", "", "call_j2")]}, "tool_calls"))
    add("openai", "chat", "refusal", completion({"refusal": "That I won't do."}))
    add("openai", "chat", "filtered", completion({"content": ""}, "content_filter"))
    add("openai", "chat", "reasoning", completion({"content": "42", "reasoning_content": "Six times seven."}))
    add("groq", "chat", "reasoning", completion({"content": "42", "reasoning": "Six times seven."}))
    add("mistral", "chat", "content-in-pieces", completion({"content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Six times "}, {"type": "text", "text": "seven."}]}, {"type": "text", "text": "42"}]}))
    add("mistral", "chat", "arguments-as-object", completion({"content": "", "tool_calls": [
        {"id": "aB3dE6gH9", "function": {"name": "now", "arguments": {"zone": "UTC"}}, "index": 0}]}, "tool_calls"))
    add("deepseek", "chat", "reasoning-and-call", sse(
        first, chunk({"reasoning_content": "Let me "}), chunk({"reasoning_content": "look."}), chunk(call(0, "look_up", '{"q":"y"}', "call_k1")),
        chunk({"content": ""}, "tool_calls", usage={**USAGE, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 16}), done=True))
    add("deepseek", "chat", "no-resources", completion({"content": "half an ans"}, "insufficient_system_resource"))
    outside = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 25}}
    add("xai", "chat", "reasoning-beside", completion({"content": "Hi", "reasoning_content": "They greet."}, usage=outside))
    add("xai", "chat", "reasoning-beside-stream", sse(
        first, chunk({"reasoning_content": "They greet."}), chunk({"content": "Hi"}), last, chunk(usage=outside), done=True))
    add("perplexity", "chat", "no-done", sse(*texts, chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE, object="chat.completion.done"), end="\r\n"))
    add("xai", "chat", "error-is-a-text", {"code": "invalid-argument", "error": "Model grok-none does not exist."}, 404)
    add("ollama", "chat", "error-is-a-text", {"error": "model 'nope' not found"}, 404)
    add("mistral", "chat", "detail", {"detail": "Invalid API Key"}, 401)
    add("mistral", "chat", "details", {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]}, 422)
    add("openai", "chat", "forbidden", {"error": {"message": "Project may not use this model.", "type": "invalid_request_error", "code": "model_not_found"}}, 403)
    add("openai", "chat", "too-many", {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}, 429, headers={"retry-after": "3"})
    add("openai", "chat", "gone-to-pages", b"<html><body>502 Bad Gateway</body></html>", 502, extension="txt", headers={"content-type": "text/html"})
    add("openai", "chat", "empty-503", b"", 503, extension="txt", headers={"content-type": "text/plain"})


# ---------------------------------------------------------------- Anthropic


def claude_stream(*blocks, stop="end_turn", usage=None, start=None, before=(), after=(), between=(), **delta):
    message = {"id": "msg_made", "type": "message", "role": "assistant", "model": "claude-made", "content": [], "stop_reason": None, "stop_sequence": None,
               "usage": start or {"input_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}}
    events = [{"type": "message_start", "message": message}, *before]
    for i, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": i, "content_block": block})
        events += [{"type": "content_block_delta", "index": i, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": i})
        events += between
    if stop:
        events.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None, **delta}, "usage": usage or {"output_tokens": 17}})
        events.append({"type": "message_stop"})
    return sse(*events, *after, names=True)


def text_block(*texts):
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in texts]


def use_block(name, *pieces, ident="toolu_made1", given=None):
    return {"type": "tool_use", "id": ident, "name": name, "input": given or {}}, [{"type": "input_json_delta", "partial_json": p} for p in pieces]


def thought_block(*texts, signature="c2lnbmF0dXJl"):
    deltas = [{"type": "thinking_delta", "thinking": t} for t in texts] + [{"type": "signature_delta", "signature": signature}]
    return {"type": "thinking", "thinking": "", "signature": ""}, deltas


def claude(content, stop="end_turn", usage=None, **more):
    return {"id": "msg_made", "type": "message", "role": "assistant", "model": "claude-made", "content": content, "stop_reason": stop, "stop_sequence": None,
            "usage": usage or {"input_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 17}, **more}


def anthropic():
    def made(name, body, **kw):
        add("anthropic", "messages", name, body, **kw)

    text = text_block("Grü", "ße 🏔️", "!")
    made("plain-stream", claude_stream(text))
    made("pings-anywhere", claude_stream(text, before=[{"type": "ping"}], between=[{"type": "ping"}]))
    made("unknown-events", claude_stream(text, before=[{"type": "weather_report", "sky": "blue"}]))
    made("two-texts", claude_stream(text_block("One. "), text_block("Two.")))
    made("thinking-text-calls", claude_stream(
        thought_block("Let me ", "see."), text_block("I look."), use_block("look_up", "", '{"q": "a', '\\u00e9"}', ident="toolu_a"),
        use_block("now", "", ident="toolu_b"), stop="tool_use", usage={"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 8}}))
    made("redacted", claude_stream(({"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}, []), text))
    made("input-given-at-once", claude_stream(use_block("add", given={"a": 1, "b": {"c": [True]}}), stop="tool_use"))
    made("no-argument-events", claude_stream(use_block("now"), stop="tool_use"))
    for stop in ("max_tokens", "pause_turn", "refusal", "model_context_window_exceeded"):
        made(f"stream-{stop.replace('_', '-')}", claude_stream(text, stop=stop))
        made(f"whole-{stop.replace('_', '-')}", claude([{"type": "text", "text": "Half."}], stop))
    made("stream-stop-sequence", claude_stream(text, stop="stop_sequence", stop_sequence="END"))
    made("whole-stop-sequence", claude([{"type": "text", "text": "Until "}], "stop_sequence") | {"stop_sequence": "END"})
    made("refusal-explained", claude([], "refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "Not about that."}))
    made("usage-at-the-end", claude_stream(text, usage={"input_tokens": 30, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 0, "output_tokens": 99}))
    made("cut", claude_stream(text, stop=None))
    made("error-midway", claude_stream(text, stop=None, after=[{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded, sorry."}}]))
    made("error-first", sse({"type": "error", "error": {"type": "api_error", "message": "Something broke inside."}}, names=True))
    made("calls", claude([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "I look."},
                          {"type": "tool_use", "id": "toolu_c", "name": "look_up", "input": {"q": "é", "n": 1.5}},
                          {"type": "tool_use", "id": "toolu_d", "name": "now", "input": {}}], "tool_use"))
    for status, kind in ((401, "authentication_error"), (403, "permission_error"), (404, "not_found_error"), (413, "request_too_large"),
                         (429, "rate_limit_error"), (500, "api_error"), (504, "timeout_error"), (529, "overloaded_error")):
        made(f"error-{status}", {"type": "error", "error": {"type": kind, "message": f"This is a {kind}, made."}, "request_id": "req_made"}, status=status)


# ---------------------------------------------------------------- Google


def gemini_chunk(parts=None, finish=None, usage=None, index=0, **more):
    candidate = {"index": index, **({"content": {"role": "model", "parts": parts}} if parts is not None else {}), **({"finishReason": finish} if finish else {})}
    out = {"candidates": [candidate], "modelVersion": "gemini-made", "responseId": "made"}
    return {**out, **({"usageMetadata": usage} if usage else {}), **more}


GEMINI_USAGE = {"promptTokenCount": 50, "cachedContentTokenCount": 32, "candidatesTokenCount": 9, "thoughtsTokenCount": 6, "toolUsePromptTokenCount": 4,
                "totalTokenCount": 69}


def gemini():
    def stream(name, *chunks, **kw):
        add("gemini", "streamGenerateContent", name, sse(*chunks, end="\r\n"), **kw)

    def whole(name, body, **kw):
        add("gemini", "generateContent", name, body, **kw)

    early = {"promptTokenCount": 50, "totalTokenCount": 50}
    a, b = gemini_chunk([{"text": "Grü"}], usage=early), gemini_chunk([{"text": "ße 🏔️"}], usage=early)
    stream("plain", a, b, gemini_chunk([{"text": "!"}], "STOP", GEMINI_USAGE))
    stream("last-chunk-without-content", a, b, gemini_chunk(None, "STOP", GEMINI_USAGE))
    stream("signature-in-an-empty-text", a, gemini_chunk([{"text": "", "thoughtSignature": "c2ln"}], "STOP", GEMINI_USAGE))
    stream("thoughts", gemini_chunk([{"text": "I think ", "thought": True}]), gemini_chunk([{"text": "so.", "thought": True}]), b, gemini_chunk([], "STOP", GEMINI_USAGE))
    f, g = {"functionCall": {"name": "look_up", "args": {"q": "é", "deep": {"n": [1, 2.5, None]}}}, "thoughtSignature": "c2ln"}, {"functionCall": {"name": "now"}}
    stream("calls-in-one-chunk", gemini_chunk([f, g], "STOP", GEMINI_USAGE))
    stream("calls-in-two-chunks", gemini_chunk([{"text": "I look."}]), gemini_chunk([f]), gemini_chunk([g]), gemini_chunk([{"text": ""}], "STOP", GEMINI_USAGE))
    stream("same-function-twice", gemini_chunk([f]), gemini_chunk([f], "STOP", GEMINI_USAGE))
    stream("arguments-in-pieces",
           gemini_chunk([{"functionCall": {"name": "write", "willContinue": True}}]),
           gemini_chunk([{"functionCall": {"partialArgs": [{"jsonPath": "$.lines[0].text", "stringValue": "He", "willContinue": True}], "willContinue": True}}]),
           gemini_chunk([{"functionCall": {"partialArgs": [{"jsonPath": "$.lines[0].text", "stringValue": "llo\"\\"}], "willContinue": True}}]),
           gemini_chunk([{"functionCall": {"partialArgs": [{"jsonPath": "$.lines[1].n", "numberValue": 3}, {"jsonPath": "$.ok", "boolValue": True},
                                                           {"jsonPath": "$.none", "nullValue": None}], "willContinue": True}}]),
           gemini_chunk([{"functionCall": {}}]), gemini_chunk([], "STOP", GEMINI_USAGE))
    stream("two-candidates", gemini_chunk([{"text": "a"}]), gemini_chunk([{"text": "x"}], index=1), gemini_chunk([{"text": "b"}], "STOP"),
           gemini_chunk([{"text": "y"}], "MAX_TOKENS", GEMINI_USAGE, index=1))
    stream("safety", a, gemini_chunk(None, "SAFETY", GEMINI_USAGE))
    stream("prompt-blocked", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": early, "modelVersion": "gemini-made"})
    stream("cut", a, b)
    stream("error-midway", a, {"error": {"code": 503, "message": "The model is overloaded now.", "status": "UNAVAILABLE"}})
    stream("error-first", {"error": {"code": 500, "message": "An internal error has occurred.", "status": "INTERNAL"}})
    for reason in ("MAX_TOKENS", "SAFETY", "RECITATION", "BLOCKLIST", "SPII", "LANGUAGE", "MALFORMED_FUNCTION_CALL", "OTHER"):
        whole("finish-" + reason.lower().replace("_", "-"), gemini_chunk([{"text": "Half."}], reason, GEMINI_USAGE))
    whole("nothing-but-thoughts", gemini_chunk(None, "MAX_TOKENS", {"promptTokenCount": 5, "thoughtsTokenCount": 20, "totalTokenCount": 25}))
    whole("prompt-blocked", {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": early, "modelVersion": "gemini-made"})
    whole("call-with-id", gemini_chunk([{"functionCall": {"id": "fc-77", "name": "now", "args": {}}}], "STOP", GEMINI_USAGE))
    whole("two-candidates", {**gemini_chunk([{"text": "a"}], "STOP", GEMINI_USAGE), "candidates": [
        gemini_chunk([{"text": "a"}], "STOP")["candidates"][0], gemini_chunk([{"text": "b"}], "MAX_TOKENS", index=1)["candidates"][0]]})
    for status, word in ((403, "PERMISSION_DENIED"), (404, "NOT_FOUND"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")):
        whole(f"error-{status}", {"error": {"code": status, "message": f"This is {word}, made.", "status": word}}, status=status)


# ---------------------------------------------------------------- Bedrock


def frame(name, payload, kind="event"):
    names = {":message-type": kind, ":event-type" if kind == "event" else ":exception-type" if kind == "exception" else ":error-code": name,
             ":content-type": "application/json"}
    if kind == "error":
        names[":error-message"] = payload["message"]
    head = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v.encode())) + v.encode() for k, v in names.items())
    body = json.dumps(payload, ensure_ascii=False).encode()
    out = struct.pack(">II", 16 + len(head) + len(body), len(head))
    out += struct.pack(">I", zlib.crc32(out)) + head + body
    return out + struct.pack(">I", zlib.crc32(out))


BEDROCK_USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 48, "cacheReadInputTokens": 25, "cacheWriteInputTokens": 5}


def converse_stream(*blocks, stop="end_turn", after=(), usage=True):
    out = [frame("messageStart", {"role": "assistant", "p": "abcd"})]
    for i, (start, deltas) in enumerate(blocks):
        if start:
            out.append(frame("contentBlockStart", {"contentBlockIndex": i, "start": start}))
        out += [frame("contentBlockDelta", {"contentBlockIndex": i, "delta": d, "p": "ab"}) for d in deltas]
        out.append(frame("contentBlockStop", {"contentBlockIndex": i}))
    if stop:
        out.append(frame("messageStop", {"stopReason": stop}))
        out += [frame("metadata", {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 5}})] if usage else []
    return b"".join([*out, *after])


def converse(content, stop="end_turn"):
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": BEDROCK_USAGE, "metrics": {"latencyMs": 5}}


def bedrock():
    def stream(name, body):
        add("bedrock", "converse-stream", name, body)

    def whole(name, body, **kw):
        add("bedrock", "converse", name, body, **kw)

    text = (None, [{"text": "Grü"}, {"text": "ße 🏔️"}])
    use = ({"toolUse": {"toolUseId": "tooluse_a", "name": "look_up"}}, [{"toolUse": {"input": '{"q": "'}}, {"toolUse": {"input": 'é"}'}}])
    bare = ({"toolUse": {"toolUseId": "tooluse_b", "name": "now"}}, [{"toolUse": {"input": ""}}])
    thought = (None, [{"reasoningContent": {"text": "Let me "}}, {"reasoningContent": {"text": "see."}}, {"reasoningContent": {"signature": "c2ln"}}])
    stream("plain", converse_stream(text))
    stream("thinking-text-calls", converse_stream(thought, text, use, bare, stop="tool_use"))
    stream("no-usage", converse_stream(text, usage=False))
    for stop in ("max_tokens", "stop_sequence", "content_filtered", "guardrail_intervened", "model_context_window_exceeded", "malformed_model_output"):
        stream("stream-" + stop.replace("_", "-"), converse_stream(text, stop=stop))
        whole("whole-" + stop.replace("_", "-"), converse([{"text": "Half."}], stop))
    stream("cut", converse_stream(text, stop=None))
    stream("exception-midway", converse_stream(text, stop=None, after=[frame("throttlingException", {"message": "Too many tokens, made."}, "exception")]))
    stream("exception-first", frame("serviceUnavailableException", {"message": "Try again later, made."}, "exception"))
    stream("error-midway", converse_stream(text, stop=None, after=[frame("InternalFailure", {"message": "It broke, made."}, "error")]))
    whole("thinking-text-calls", converse([
        {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}}, {"text": "I look."},
        {"toolUse": {"toolUseId": "tooluse_c", "name": "look_up", "input": {"q": "é", "n": 1.5}}}], "tool_use"))
    for status, kind in ((403, "AccessDeniedException"), (404, "ResourceNotFoundException"), (408, "ModelTimeoutException"), (424, "ModelErrorException"),
                         (429, "ThrottlingException"), (500, "InternalServerException"), (503, "ServiceUnavailableException")):
        whole(f"error-{status}", {"message": f"This is a {kind}, made."}, status=status, headers={"x-amzn-errortype": kind + ":http://internal.example/"})


# ---------------------------------------------------------------- Cohere


COHERE_USAGE = {"billed_units": {"input_tokens": 4, "output_tokens": 5}, "tokens": {"input_tokens": 210, "output_tokens": 12}, "cached_tokens": 96}


def cohere():
    start = {"type": "message-start", "id": "made", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}}

    def content(index, kind, *pieces):
        return [{"type": "content-start", "index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}},
                *({"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: p}}}} for p in pieces), {"type": "content-end", "index": index}]

    def calls(index, ident, name, *pieces):
        return [{"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": {
            "id": ident, "type": "function", "function": {"name": name, "arguments": ""}}}}},
            *({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": {"function": {"arguments": p}}}}} for p in pieces),
            {"type": "tool-call-end", "index": index}]

    def end(finish):
        return {"type": "message-end", "delta": {"finish_reason": finish, "usage": COHERE_USAGE}}

    def stream(name, *events):
        add("cohere", "chat-v2", name, sse(*events, names=True, done=True))

    stream("plain", start, *content(0, "text", "Grü", "ße 🏔️"), end("COMPLETE"))
    stream("thinking", start, *content(0, "thinking", "Let me ", "see."), *content(1, "text", "42"), end("COMPLETE"))
    stream("plan-and-calls", start, {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will "}}},
           {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}}, *calls(0, "look_up_a", "look_up", '{"q":', ' "é"}'), *calls(1, "now_b", "now"),
           end("TOOL_CALL"))
    for finish in ("MAX_TOKENS", "STOP_SEQUENCE", "ERROR"):
        stream("stream-" + finish.lower().replace("_", "-"), start, *content(0, "text", "Half."), end(finish))
    add("cohere", "chat-v2", "cut", sse(start, *content(0, "text", "Half."), names=True))
    add("cohere", "chat-v2", "calls", {
        "id": "made", "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [tool_call("look_up", '{"q":"é"}', "look_up_c"), tool_call("now", "null", "now_d")]},
        "finish_reason": "TOOL_CALL", "usage": COHERE_USAGE})
    for status in (400, 404, 422, 429, 500, 503):
        add("cohere", "chat-v2", f"error-{status}", {"id": "made", "message": f"This is a {status}, made."}, status=status)


def write(folder):
    if not MADE:
        for each in (openai, anthropic, gemini, bedrock, cohere):
            each()
    with open(os.path.join(folder, "INDEX.tsv"), "w", encoding="utf-8", newline="") as f:
        rows = csv.writer(f, delimiter="\t", lineterminator="\n")
        rows.writerow(["path", "provider", "endpoint", "streaming", "status", "model", "features", "source", "licence", "kind"])
        for m in MADE:
            path = f"made/{m['provider']}/{m['endpoint']}/{m['name']}"
            rows.writerow([path, m["provider"], m["endpoint"], "yes" if m["extension"] in ("sse", "bin") else "no", m["status"], m["model"], "", "", "", "made"])
            os.makedirs(os.path.join(folder, path), exist_ok=True)
            with open(os.path.join(folder, path, "response." + m["extension"]), "wb") as answer:
                answer.write(m["raw"])
            with open(os.path.join(folder, path, "meta.json"), "w", encoding="utf-8") as meta:
                json.dump({"response_headers": m["headers"], "status": m["status"]}, meta)
    return folder


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    write(sys.argv[1])
