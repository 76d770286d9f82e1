"""The official `openai` package of PyPI against the gateway."""

import io
import json
import os
import time
import traceback
import urllib.request

import openai

URL, KEY = os.environ["AIGW_URL"], os.environ["AIGW_KEY"]
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"i": {"type": "integer"}}}}}]


def client(**kw):
    kw.setdefault("api_key", KEY)
    return openai.OpenAI(base_url=URL, max_retries=0, **kw)


def raises(cls, call):
    try:
        call()
    except cls as e:
        return e
    raise AssertionError(f"{cls.__name__} was not raised")


def chat():
    a = client().chat.completions.create(model="m", messages=HI)
    assert a.choices[0].message.content == "w" * 40 and a.usage.completion_tokens == 5
    assert a._request_id


def chat_stream():
    chunks = list(client().chat.completions.create(model="m-chunks7", messages=HI, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "".join(f"{i}wwwww" for i in range(7))
    assert chunks[-1].choices[0].finish_reason == "stop" and all(c.usage is None for c in chunks)


def chat_stream_usage():
    chunks = list(client().chat.completions.create(model="m-chunks3", messages=HI, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens == 3


def chat_stream_helper():
    with client().chat.completions.stream(model="m-chunks3", messages=HI) as s:
        for _ in s:
            pass
        assert s.get_final_completion().choices[0].message.content


def tools():
    a = client().chat.completions.create(model="m-tools", messages=HI, tools=TOOLS, tool_choice="required")
    calls = a.choices[0].message.tool_calls
    assert [json.loads(c.function.arguments)["i"] for c in calls] == [0, 1] and a.choices[0].finish_reason == "tool_calls"


def completions():
    assert client().completions.create(model="m", prompt="a").choices[0].text == "w" * 40


def embeddings():
    a = client().embeddings.create(model="m", input=["a", "b"])
    assert len(a.data) == 2 and len(a.data[0].embedding) == 3


def models_list():
    assert [m.id for m in client().models.list()] == ["m*"]
    assert client().models.retrieve("m1").id == "m1"


def files_upload():
    f = client().files.create(file=("a.jsonl", io.BytesIO(b'{"a": 1}\n' * 1000)), purpose="batch")
    assert f.id == "file-1" and f.bytes > 9000


def raw_response_headers():
    a = client().chat.completions.with_raw_response.create(model="m", messages=HI)
    assert a.headers["x-aigw-provider"] == "mock" and a.parse().choices


def aborted_stream():
    stats = lambda: json.loads(urllib.request.urlopen(os.environ["AIGW_UPSTREAM"]).read())
    before = stats()["aborted"]
    stream = client().chat.completions.create(model="m-chunks1000-gap20", messages=HI, stream=True)
    next(iter(stream))
    stream.close()
    end = time.monotonic() + 1
    while stats()["aborted"] == before:
        assert time.monotonic() < end, "the provider call was not aborted"
        time.sleep(0.01)


def stream_error():
    e = raises(openai.APIError, lambda: list(client().chat.completions.create(model="m-chunks5-cut2", messages=HI, stream=True)))
    assert e.code == "upstream_cut", e.code


def authentication_error():
    e = raises(openai.AuthenticationError, lambda: client(api_key="sk-wrong-key-wrong-key").chat.completions.create(model="m", messages=HI))
    assert e.code == "invalid_api_key" and e.type == "invalid_request_error"


def rate_limit_error():
    c = client(api_key=os.environ["AIGW_LIMITED_KEY"])
    c.chat.completions.create(model="m", messages=HI)
    e = raises(openai.RateLimitError, lambda: c.chat.completions.create(model="m", messages=HI))
    assert e.code == "rate_limit_exceeded" and int(e.response.headers["retry-after"]) > 0


def provider_rate_limit_error():
    raises(openai.RateLimitError, lambda: client().chat.completions.create(model="m-status429", messages=HI))


def bad_request_error():
    raises(openai.BadRequestError, lambda: client().chat.completions.create(model="m-status400", messages=HI))
    raises(openai.BadRequestError, lambda: client().chat.completions.create(model="m", messages=HI, stream="yes"))


def not_found_error():
    e = raises(openai.NotFoundError, lambda: client().chat.completions.create(model="no-such-model", messages=HI))
    assert e.code == "model_not_found"


def internal_server_error():
    raises(openai.InternalServerError, lambda: client().chat.completions.create(model="m-status500", messages=HI))


def timeout_error():
    raises(openai.APITimeoutError, lambda: client(timeout=0.3).chat.completions.create(model="m-hang", messages=HI))


CASES = [chat, chat_stream, chat_stream_usage, chat_stream_helper, tools, completions, embeddings, models_list, files_upload, raw_response_headers, aborted_stream,
         stream_error, authentication_error, rate_limit_error, provider_rate_limit_error, bad_request_error, not_found_error, internal_server_error, timeout_error]
for case in CASES:
    try:
        case()
        print("ok", case.__name__)
    except Exception as e:
        print("not ok", case.__name__ + ":", type(e).__name__, str(e).replace("\n", " ")[:300])
        traceback.print_exc()
