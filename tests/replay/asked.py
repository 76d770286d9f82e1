"""Recorded requests, as their callers sent them, to each type of provider: nothing of what was asked may be lost on the way.

    asked.py [RECORDINGS] [--only PATH] [--dialect D,…] [--type T,…] [--verbose] [--report FILE]

Each recorded request in a dialect of callers is sent through the gateway, byte for byte but for the model's name, to one model of
each type of provider (upstream.py answers with some recording of that type). What must then hold: the upstream takes the request
(its checks), and finds in it all texts, tools, calls, results and pictures; or the caller is told in a 400 what can't be had.
The last line is "N passed, N failed, N skipped".
"""

import argparse
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

import expect  # noqa: E402
import judge  # noqa: E402
import recordings  # noqa: E402
import run  # noqa: E402

TARGETS = ("openai", "azure", "mistral", "deepseek", "groq", "anthropic", "gemini", "vertex", "bedrock", "cohere")
TAIL = 60  # of long texts


# ---------------------------------------------------------------- what a request says


def leaves(value, inside=True):
    """All texts in a JSON value, numbers too; of a text that is JSON itself, also its own."""
    if isinstance(value, dict):
        for v in value.values():
            yield from leaves(v, inside)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(v, inside)
    elif isinstance(value, str):
        yield value
        if inside and value.lstrip()[:1] in ("{", "["):
            try:
                yield from leaves(json.loads(value), inside)
            except ValueError:
                pass
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def parts_of(content):
    return content if isinstance(content, list) else [] if content is None else [{"type": "text", "text": content}]


def data_of(url):
    return url.split(",", 1)[1] if isinstance(url, str) and url.startswith("data:") else None


def chat_says(body):
    for t in body.get("tools") or []:
        yield "tool", (t.get("function") or {}).get("name")
    for m in body.get("messages") or []:
        for p in parts_of(m.get("content")):
            if isinstance(p, dict) and p.get("type") == "text":
                yield "text", p.get("text")
            elif isinstance(p, dict) and p.get("type") == "image_url":
                url = p["image_url"] if isinstance(p["image_url"], str) else p["image_url"].get("url")
                yield "data", data_of(url)
            elif isinstance(p, dict) and p.get("type") == "file":
                yield "data", data_of((p.get("file") or {}).get("file_data"))
        for call in m.get("tool_calls") or []:
            yield "call", call["function"]["name"]
            for leaf in leaves(expect.arguments(call["function"].get("arguments"))):
                yield "argument", leaf


def responses_says(body):
    yield "text", body.get("instructions")
    given = body.get("input")
    for t in body.get("tools") or []:
        if t.get("type") == "function":
            yield "tool", t["name"]
    for item in given if isinstance(given, list) else [{"role": "user", "content": given}]:
        kind = item.get("type") or "message"
        if kind == "message":
            for p in parts_of(item.get("content")):
                yield "text", p.get("text") or p.get("refusal")
                yield "data", data_of(p.get("image_url")) or data_of(p.get("file_data"))
        elif kind == "function_call":
            yield "call", item["name"]
            for leaf in leaves(expect.arguments(item.get("arguments"))):
                yield "argument", leaf
        elif kind == "function_call_output":
            for p in parts_of(item.get("output")):
                yield "text", p.get("text")


def messages_says(body):
    for p in parts_of(body.get("system")):
        yield "text", p.get("text")
    for t in body.get("tools") or []:
        if t.get("type", "custom") == "custom":
            yield "tool", t["name"]
    for m in body.get("messages") or []:
        for p in parts_of(m.get("content")):
            kind = p.get("type")
            if kind == "text":
                yield "text", p["text"]
            elif kind in ("image", "document"):
                yield "data", (p.get("source") or {}).get("data")
            elif kind == "tool_use":
                yield "call", p["name"]
                for leaf in leaves(p.get("input")):
                    yield "argument", leaf
            elif kind == "tool_result":
                for inner in parts_of(p.get("content")):
                    yield "text", inner.get("text")


def either(value, *names):
    return next((value[n] for n in names if n in value), None) or {}


def google_says(body):
    for p in (either(body, "systemInstruction", "system_instruction")).get("parts") or []:
        yield "text", p.get("text")
    tools = body.get("tools") or []
    for t in tools if isinstance(tools, list) else [tools]:
        for f in either(t, "functionDeclarations", "function_declarations") or []:
            yield "tool", f["name"]
    for content in body.get("contents") or []:
        for p in content.get("parts") or []:
            if not p.get("thought"):
                yield "text", p.get("text")
            yield "data", either(p, "inlineData", "inline_data").get("data")
            call, result = either(p, "functionCall", "function_call"), either(p, "functionResponse", "function_response")
            yield "call", call.get("name")
            for leaf in [*leaves(call.get("args")), *leaves(result.get("response"))]:
                yield "argument", leaf


SAYS = {"chat": chat_says, "responses": responses_says, "messages": messages_says, "google": google_says}


def squeeze(text):
    return " ".join(text.split())


def narrowed(body):
    """Not all of the tools may be called: a provider that can't be told so is not told of the others."""
    choice = body.get("tool_choice")
    kind = choice.get("type", "function") if isinstance(choice, dict) else choice
    config = either(either(body, "toolConfig", "tool_config"), "functionCallingConfig", "function_calling_config")
    return kind in ("none", "allowed_tools", "function", "tool") or config.get("mode") == "NONE" or "allowedFunctionNames" in config


def lost(dialect, body, upstream_body):
    """What of the request is not in what the provider got."""
    there = [squeeze(t) for t in leaves(upstream_body)]
    whole, pieces = "\n".join(there), set(there)
    for kind, text in SAYS[dialect](body):
        if not text or not str(text).strip() or (kind == "tool" and narrowed(body)):
            continue
        wanted = squeeze(str(text))
        if wanted in pieces or wanted[-TAIL:] in whole:
            continue
        # Google's python package writes base64 in its other alphabet
        if kind == "data" and wanted.replace("-", "+").replace("_", "/").rstrip("=")[-TAIL:] in whole:
            continue
        if kind == "data" and base64.b64encode(text.encode()).decode() in pieces:
            continue
        if kind == "argument" and wanted.removesuffix(".0") in pieces:
            continue
        if all(leaf in whole for leaf in map(squeeze, leaves(json.loads(wanted)))) if wanted[:1] in "{[" and is_json(wanted) else False:
            continue
        yield f"{kind} {judge.short(text)}"


def is_json(text):
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


# ---------------------------------------------------------------- asking


def path_of(dialect, model, stream):
    if dialect == "google":
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[dialect]


def streams(r, dialect, body):
    return r.endpoint == "streamGenerateContent" if dialect == "google" else bool(body.get("stream"))


def post(port, key, path, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        c.request("POST", path, json.dumps(body), {"content-type": "application/json", "authorization": f"Bearer {key}"})
        a = c.getresponse()
        return a.status, {k.lower(): v for k, v in a.getheaders()}, a.read()
    finally:
        c.close()


def pick(all_recordings, kind, stream):
    """A short answer of that type, of a model that can do much."""
    best = None
    for r in all_recordings:
        if r.type != kind or r.kind != "chat" or r.status != 200 or r.streaming != stream or judge.NATIVE.get(r.format) == "responses":
            continue
        size = len(r.raw())
        strong = any(w in r.upstream_model() for w in ("claude", "gemini-2.5", "gemini-3", "command-a", "gpt", "small", "chat"))
        if best is None or (not strong, size) < best[0]:
            wanted = expect.expectation(r)
            if not wanted["error"] and wanted["choices"] and wanted["choices"][0]["text"] and not wanted["choices"][0]["tools"]:
                best = (not strong, size), r
    return best and best[1]


def ask(gw, up, key, target, r, dialect, body):
    """(verdict, what is wrong or was said)"""
    stream = streams(r, dialect, body)
    to = target[stream]
    if to is None:
        return "skipped", "no recording of that type"
    model = f"r{to.number:04d}"
    body = {k: v for k, v in body.items() if k != "model"} if dialect == "google" else {**body, "model": model}
    status, headers, answer = post(gw.port, key, path_of(dialect, model, stream), body)
    text = answer.decode("utf-8", "replace")
    if status == 400 and any(words in text for words in run.NOT_OFFERED):
        return "skipped", "not offered"
    if status == 400 and "the upstream's check" not in text:
        return "refused", expect.message_of(json.loads(text)) or text[:200]
    if status != 200:
        return "wrong", f"{status} {text[:300]}"
    seen = up.get(f"/seen/{to.number}")
    missing = list(lost(dialect, body, seen["body"]))
    if missing:
        return "wrong", "lost: " + "; ".join(missing[:4])
    return "right", headers.get("x-aigw-dropped-params")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("recordings", nargs="?", default=os.environ.get("AIGW_RECORDINGS"))
    p.add_argument("--only")
    p.add_argument("--dialect", type=lambda t: t.split(","))
    p.add_argument("--type", type=lambda t: t.split(","))
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--report")
    args = p.parse_args()
    if not args.recordings or not os.path.exists(os.path.join(args.recordings, "INDEX.tsv")):
        print("skipped: AIGW_RECORDINGS names no folder of recordings\n0 passed, 0 failed, 1 skipped")
        return 0
    every = recordings.load(args.recordings)
    targets = {t: (pick(every, t, False), pick(every, t, True)) for t in args.type or TARGETS}
    askers = []
    for r in every:
        dialect, body = judge.NATIVE.get(r.format), r.request()
        if r.status == 200 and dialect and isinstance(body, dict) and (not args.only or args.only in r.path) and (not args.dialect or dialect in args.dialect):
            askers.append((r, dialect, body))
    folder, up, gw = tempfile.mkdtemp(prefix="aigw-asked-"), run.Upstream(args.recordings, 1), None
    outcomes = collections.defaultdict(list)
    try:
        gw = run.start_gateway(folder, up, [r for pair in targets.values() for r in pair if r])
        key = gw.make_key(name="asked")["key"]

        def all_to(kind):
            for r, dialect, body in askers:
                try:
                    verdict, words = ask(gw, up, key, targets[kind], r, dialect, body)
                except Exception as e:
                    verdict, words = "wrong", f"{type(e).__name__} {e}"
                outcomes[verdict].append((dialect, kind, r.path, words))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(all_to, targets))
    finally:
        if gw:
            gw.stop()
            gw.clean()
        up.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for dialect, kind, path, words in outcomes["wrong"] if args.verbose else outcomes["wrong"][:20]:
        print(f"not ok {dialect} to {kind}: {path}\n    {words}")
    refusals = collections.Counter((d, k, w) for d, k, _, w in outcomes["refused"])
    for (dialect, kind, words), n in refusals.most_common(None if args.verbose else 20):
        print(f"refused {n}: {dialect} to {kind}: {words[:200]}")
    if args.report:
        with open(args.report, "w", encoding="utf-8") as f:
            json.dump(outcomes, f, indent=1, ensure_ascii=False)
    print(f"{len(outcomes['right']) + len(outcomes['refused'])} passed, {len(outcomes['wrong'])} failed, {len(outcomes['skipped'])} skipped")
    return 1 if outcomes["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
