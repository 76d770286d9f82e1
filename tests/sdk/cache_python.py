"""Cached answers, read by the vendors' official packages: what was asked for whole or as a stream comes from the cache in both forms,
and the SDK's own accumulators make the same of both. The models are mock/vendors.py."""

import json
import os
import sys
import time
import traceback
import urllib.request
import uuid

import anthropic
import openai
from google import genai
from google.genai import types

ROOT, KEY, ADMIN, TOKEN = (os.environ["AIGW_" + x] for x in ("ROOT", "KEY", "ADMIN", "ADMIN_TOKEN"))
MODELS = ["gpt-4o", "deepseek-reasoner", "claude-sonnet-4-5", "gemini-2.5-flash", "gemini-3-pro", "eu.anthropic.claude-sonnet-4-5-v1:0", "command-a-03-2025"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
verdicts = []


HOOKS = {"event_hooks": {"response": [lambda r: verdicts.append(r.headers.get("x-aigw-cache"))]}}


def entries():
    request = urllib.request.Request(ADMIN + "/v1/cache/stats", headers={"authorization": "Bearer " + TOKEN})
    return json.loads(urllib.request.urlopen(request).read())["entries"]


def thinks(model):
    return not model.startswith(("gpt", "command"))


# ---------------------------------------------------------------- each SDK's answer, put together by itself


def chat(model, text, stream):
    gpt = openai.OpenAI(base_url=ROOT + "/v1", api_key=KEY, max_retries=0, http_client=openai.DefaultHttpxClient(**HOOKS))
    args = {"model": model, "messages": [{"role": "user", "content": text}], "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": SCHEMA}}]}
    if thinks(model):
        args["reasoning_effort"] = "low"
    if stream:
        with gpt.chat.completions.stream(**args, stream_options={"include_usage": True}) as s:
            a = s.get_final_completion()
    else:
        a = gpt.chat.completions.create(**args)
    m = a.choices[0].message
    blocks = [{k: v for k, v in b.items() if k != "index"} for b in getattr(m, "thinking_blocks", None) or []]
    return {
        "text": m.content,
        "refusal": m.refusal,
        "calls": [(c.id, c.function.name, c.function.arguments, getattr(c, "extra_content", None)) for c in m.tool_calls],
        "thinking": (getattr(m, "reasoning_content", None), blocks),
        "rest": (a.id, a.model, a.choices[0].finish_reason, a.usage.model_dump()),
    }


def responses(model, text, stream):
    gpt = openai.OpenAI(base_url=ROOT + "/v1", api_key=KEY, max_retries=0, http_client=openai.DefaultHttpxClient(**HOOKS))
    args = {"model": model, "input": text, "tools": [{"type": "function", "name": "f", "description": "x", "strict": True, "parameters": SCHEMA}], "store": False}
    if thinks(model):
        args.update(reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"])
    if not stream:
        a = gpt.responses.create(**args)
    else:
        with gpt.responses.stream(**args) as s:
            kinds = [e.type for e in s]
            a = s.get_final_response()
        assert kinds[:2] == ["response.created", "response.in_progress"] and kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == len(a.output)
    output = [{k: v for k, v in o.model_dump().items() if k != "parsed_arguments"} for o in a.output]
    for item in output:
        for part in item.get("content") or []:
            part.pop("parsed", None)
    return {"output": output, "rest": (a.id, a.model, a.status, a.usage.model_dump())}


def messages(model, text, stream):
    claude = anthropic.Anthropic(base_url=ROOT, api_key=KEY, max_retries=0, http_client=anthropic.DefaultHttpxClient(**HOOKS))
    args = {"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": text}], "tools": [{"name": "f", "description": "x", "input_schema": SCHEMA}]}
    if thinks(model):
        args["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if stream:
        with claude.messages.stream(**args) as s:
            kinds = [e.type for e in s]
            a = s.get_final_message()
        assert kinds.count("content_block_start") == kinds.count("content_block_stop") == len(a.content)
    else:
        a = claude.messages.create(**args)
    content = [{k: v for k, v in b.model_dump().items() if k != "parsed_output"} for b in a.content]
    usage = {k: v for k, v in a.usage.model_dump().items() if v}
    return {"content": content, "rest": (a.id, a.model, a.stop_reason, a.stop_sequence, usage)}


def generate(model, text, stream):
    google = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ROOT, client_args=HOOKS))
    f = types.FunctionDeclaration(name="f", description="x", parameters_json_schema={k: v for k, v in SCHEMA.items() if k != "additionalProperties"})
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024) if thinks(model) else None
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[f])], thinking_config=thinking)
    args = {"model": model, "contents": text, "config": config}
    chunks = list(google.models.generate_content_stream(**args)) if stream else [google.models.generate_content(**args)]
    parts = [p for c in chunks for p in (c.candidates[0].content.parts if c.candidates and c.candidates[0].content else None) or []]
    return {
        "text": "".join(p.text or "" for p in parts if not p.thought),
        "thinking": "".join(p.text or "" for p in parts if p.thought),
        "signed": [p.thought_signature for p in parts if p.thought_signature],
        "calls": [(p.function_call.name, p.function_call.args) for p in parts if p.function_call],
        "rest": (chunks[-1].candidates[0].finish_reason, chunks[-1].model_version, chunks[-1].usage_metadata.model_dump(exclude_none=True)),
    }


def either_form(ask, model, first):
    """Asked for in one form, then had from the cache in both, as often as one likes."""
    text = "hello " + uuid.uuid4().hex
    verdicts.clear()
    before, until = entries(), time.monotonic() + 10
    told = ask(model, text, first)
    while entries() == before:
        assert time.monotonic() < until, "it was not stored"
        time.sleep(0.01)
    for stream in (False, True, True):
        again = ask(model, text, stream)
        assert again == told, (stream, again, told)
    assert verdicts == ["miss", "hit", "hit", "hit"], verdicts
    assert len(str(told)) > 200 and "city" in str(told)


def cases():
    for ask in (chat, responses, messages, generate):
        for model in MODELS:
            for first in (False, True):
                yield f"{ask.__name__} {model} {'stream' if first else 'whole'} first", lambda ask=ask, model=model, first=first: either_form(ask, model, first)


only = sys.argv[1:]
for name, run in cases():
    if only and not all(word in name for word in only):
        continue
    try:
        run()
        print("ok", name, flush=True)
    except BaseException as e:
        print("not ok", name + ":", type(e).__name__, str(e).replace("\n", " ")[:400], flush=True)
        if only:
            traceback.print_exc()
