"""The response cache, whatever dialect is spoken and whoever answers (mock/vendors.py): what was streamed answers who waits for it
whole, and the other way round, and nothing of it is lost on the way."""

import json
import time
import uuid

import pytest
from callers import CALLERS, answered, events_of, results, tool, user
from gateway import Gateway, wait_until
from vendor_agent import THOUGHT

SIGNERS = ("claude-sonnet-4-5", "gemini-2.5-flash", "gemini-3-pro", "eu.anthropic.claude-sonnet-4-5-v1:0")
MODELS = (*SIGNERS, "gpt-4o", "deepseek-reasoner", "amazon.nova-pro-v1:0", "command-a-03-2025")
TOOLS = [tool(), tool("add", ("a", "b"), a={"type": "integer"}, b={"type": "integer"})]

dialects = pytest.mark.parametrize("dialect", CALLERS)
first = pytest.mark.parametrize("first", (False, True), ids=("whole-", "stream-"))
second = pytest.mark.parametrize("second", (False, True), ids=("whole", "stream"))


@pytest.fixture(scope="module")
def gw(vendors_gateway):
    claude = 'targets = ( { provider = "anthropic"; model = "claude-sonnet-4-5"; } )'
    settings = {"strict": "strict = true", "short": "max_output = 64", "codex": 'hosted_tools = "drop"', "same": "context_window = 200000"}
    names = "".join(f', {{ name = "{name}-claude"; {claude}; {setting}; }}' for name, setting in settings.items())
    return vendors_gateway(models=names, cache=True)


@pytest.fixture(scope="module")
def key(gw):
    return gw.make_key(name="cached")["key"]


def entries(gw):
    return gw.admin("GET", "/v1/cache/stats").json()["entries"]


def stores(gw, ask):
    """What ask() gives, once its answer is in the cache, which is after it was given: whatever is to be stored in these tests is
    waited for, so that no test counts another one's entry."""
    before = entries(gw)
    got = ask()
    wait_until(lambda: entries(gw) > before)
    return got


def verdict(got):
    return getattr(got, "answer", got).headers.get("x-aigw-cache")


def row_of(gw, got):
    a = getattr(got, "answer", got)
    return wait_until(lambda: next((r for r in gw.rows() if r["request_id"] == a.headers["x-request-id"]), None), 5)


def said():
    """Words that nobody has said before."""
    return "hello " + uuid.uuid4().hex


@second
@first
@dialects
@pytest.mark.parametrize("model", MODELS)
def test_told_in_either_form(gw, key, vendors, model, dialect, first, second):
    c, thinks = CALLERS[dialect], model != "command-a-03-2025" and not model.startswith(("gpt", "amazon"))
    turns = [user(said())]
    body = lambda: c.body(model, turns, tools=TOOLS, thinking=thinks, system="Use tools.")  # noqa: E731
    a = stores(gw, lambda: c.ask(gw, key, body(), first))
    calls = len(vendors.seen)
    b = c.ask(gw, key, body(), second)
    assert (verdict(a), verdict(b)) == ("miss", "hit") and len(vendors.seen) == calls
    assert a.thinking == (THOUGHT if thinks else "") and len(a.calls) == 2 and a.usage
    for what in ("text", "thinking", "calls", "finish", "usage", "model"):
        assert getattr(a, what) == getattr(b, what), what
    assert b.ended == second
    rows = [row_of(gw, x) for x in (a, b)]
    assert [("cache_hit" in r["flags"], "streamed" in r["flags"]) for r in rows] == [(False, first), (True, second)]
    assert rows[0]["tokens"] == rows[1]["tokens"] and float(rows[1]["cost_usd"] or 0) == 0
    # the vendor takes its own signatures and calls back, and only as it made them
    turns += [answered(b), results(b, "rainy", "8")]
    got = c.ask(gw, key, body(), second, headers={"cache-control": "no-store"})
    assert verdict(got) == "bypass" and got.text.startswith("Results: get_weather=rainy, add=8")


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"))
def test_a_hit_told_twice_is_the_same(gw, key, model, dialect):
    c = CALLERS[dialect]
    body = c.body(model, [user(said())], tools=TOOLS)
    stores(gw, lambda: c.ask(gw, key, body, True))
    streams = [c.ask(gw, key, body, True).answer.body for _ in range(2)]
    wholes = [c.ask(gw, key, body).answer.body for _ in range(2)]
    assert streams[0] == streams[1] and wholes[0] == wholes[1]


OWN = {
    "chat": ("gpt-4o", {"messages": [{"role": "user", "content": "?"}]}),
    "responses": ("gpt-4o", {"input": "?"}),
    "messages": ("claude-sonnet-4-5", {"max_tokens": 99, "messages": [{"role": "user", "content": "?"}]}),
    "google": ("gemini-2.5-flash", {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}),
}


@pytest.mark.parametrize("dialect", OWN)
def test_whole_answers_are_kept_byte_for_byte(gw, key, vendors, dialect):
    c = CALLERS[dialect]
    model, body = OWN[dialect]
    body = {**body, "x": said(), **({"model": model + "--lax"} if dialect != "google" else {})}
    ask = lambda: c.post(gw, key, body, model=model + "--lax")  # noqa: E731
    a = stores(gw, ask)
    b = ask()
    assert verdict(b) == "hit" and b.body == a.body == bytes(vendors.seen[-1].sent)


def test_an_array_and_events_share_an_entry(gw, key):
    """Google's two framings, passed and translated."""
    for model in ("gemini-2.5-flash", "gpt-4o", "claude-sonnet-4-5"):
        path, body = f"/v1beta/models/{model}:streamGenerateContent", {"contents": [{"role": "user", "parts": [{"text": said()}]}]}
        ask = lambda query: gw.request("POST", path + query, body, {"x-goog-api-key": key})  # noqa: E731, B023
        a = stores(gw, lambda: ask(""))  # noqa: B023
        b, c = ask(""), ask("?alt=sse")
        assert [verdict(x) for x in (a, b, c)] == ["miss", "hit", "hit"], model
        assert b.headers["content-type"].startswith("application/json") and c.headers["content-type"].startswith("text/event-stream")
        text = lambda chunks: "".join(p.get("text", "") for x in chunks for y in x["candidates"] for p in y["content"]["parts"])  # noqa: E731
        told = [json.loads(x) for _, x in events_of(c.body)[0]]
        assert text(a.json()) == text(b.json()) == text(told) != ""
        assert told[-1]["candidates"][0]["finishReason"] == "STOP" and told[-1]["usageMetadata"]["promptTokenCount"] == 120


@second
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5"))
def test_chat_usage_is_kept_from_who_did_not_ask(gw, key, model, second):
    body = {"model": model, "messages": [{"role": "user", "content": said()}]}
    ask = lambda **more: gw.request("POST", "/v1/chat/completions", {**body, **more}, key=key)  # noqa: E731
    a = stores(gw, lambda: ask(stream=True))
    assert not any(json.loads(e).get("usage") for e in a.events()[:-1])
    b = ask(stream=True, stream_options={"include_usage": True}) if second else ask()
    usage = json.loads(b.events()[-2])["usage"] if second else b.json()["usage"]
    assert verdict(b) == "hit" and (usage["prompt_tokens"], usage["completion_tokens"]) == (120, 30)


# ---------------------------------------------------------------- what is not stored

BROKEN = ("cut3-seed3", "midway3-seed3", "noend-seed3", "filter", "refuse")


@dialects
@pytest.mark.parametrize("word", BROKEN)
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"))
def test_no_broken_stream_is_stored(gw, key, vendors, model, dialect, word):
    c = CALLERS[dialect]
    if (dialect, model, word) == ("responses", "gpt-4o", "filter"):
        return  # this mock's endpoint always completes
    name = f"{model}--{word}"
    body = c.body(name, [user(said())])
    before = len(vendors.seen)
    is_answer = (model, word) == ("gpt-4o", "refuse") and dialect in ("chat", "responses")  # OpenAI's own refusals come to a proper end
    ask = lambda: c.post(gw, key, body, True, model=name)  # noqa: E731
    bad = stores(gw, ask) if is_answer else ask()
    good = c.body(model, [user(said())])
    stores(gw, lambda: c.ask(gw, key, good, True))  # mail is read in order: whatever there is of the first is stored, too
    again = ask()
    if is_answer:
        told = [c.read_stream(x.body) for x in (bad, again)]
        assert verdict(again) == "hit" and told[0].refusal == told[1].refusal != ""
        return
    assert verdict(again) != "hit" and len(vendors.seen) == before + 3


@pytest.mark.parametrize("first", (False, True), ids=("whole", "stream"))
@dialects
@pytest.mark.parametrize("model", ("claude-sonnet-4-5", "gemini-2.5-flash", "amazon.nova-pro-v1:0"))
def test_no_answer_that_broke_off_is_stored(gw, key, model, dialect, first):
    """Paused, or malformed: not every caller's dialect has a word for it."""
    c = CALLERS[dialect]
    ask = lambda: c.post(gw, key, c.body(f"{model}--broken", [user("again")]), first, model=f"{model}--broken")  # noqa: E731
    bad = ask()
    stores(gw, lambda: c.ask(gw, key, c.body(model, [user(said())]), first))
    assert (verdict(bad), verdict(ask())) == ("miss", "miss")


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "gemini-2.5-flash"))
def test_what_is_too_large_is_not_stored(vendors, tmp_path, model, dialect):
    parts = vendors.parts()
    g = Gateway(tmp_path, upstream_port=9, cache=True, extra="", env=vendors.env(), **parts)
    with open(g.conf) as f:
        text = f.read()
    with open(g.conf, "w") as f:
        f.write(text.replace("enabled = true;", "enabled = true; max_entry = 4096;"))
    g.start()
    try:
        k = g.make_key()["key"]
        c = CALLERS[dialect]
        large, small = (c.body(model, [user(x)]) for x in ("long " * 1500, said()))
        assert verdict(c.ask(g, k, large, True)) == "miss"
        stores(g, lambda: c.ask(g, k, small, True))
        assert verdict(c.ask(g, k, small, True)) == "hit" and verdict(c.ask(g, k, large, True)) == "miss"
    finally:
        try:
            g.stop()
        finally:
            g.clean()


# ---------------------------------------------------------------- which request is the same

def test_dropped_parameters_are_named_again(gw, key):
    c = CALLERS["chat"]
    body = c.body("claude-sonnet-4-5", [user(said())], seed=7, logit_bias={"1": 2})
    a = stores(gw, lambda: c.ask(gw, key, body, True))
    for stream in (False, True):
        b = c.ask(gw, key, body, stream)
        assert verdict(b) == "hit" and b.answer.headers["x-aigw-dropped-params"] == a.answer.headers["x-aigw-dropped-params"] != ""
    refused = c.post(gw, key, {**body, "model": "strict-claude"})
    assert refused.status == 400, "another name of the same target, which takes no such answer"


@pytest.mark.parametrize(
    "dialect, model, headers, query, same",
    (
        ("messages", "claude-sonnet-4-5", {"anthropic-beta": "context-management-2025-06-27"}, "", False),
        ("messages", "claude-sonnet-4-5", {"anthropic-version": "2026-10-21"}, "", False),
        ("messages", "claude-sonnet-4-5", {}, "?beta=true", False),
        ("messages", "claude-sonnet-4-5", {"openai-beta": "x=1", "x-aigw-tags": "a=b", "user-agent": "me"}, "?other=1", True),
        ("chat", "gpt-4o", {"openai-beta": "x=1"}, "", False),
        ("chat", "gpt-4o", {"accept": "*/*", "anthropic-beta": "x"}, "", True),
        ("chat", "gpt-4o", {}, "?a=1", False),
        ("responses", "gpt-4o", {"openai-beta": "x=1"}, "", False),
        ("google", "gemini-2.5-flash", {"x-server-timeout": "9"}, "?alt=json", True),
    ),
)
def test_what_is_part_of_the_question(gw, key, dialect, model, headers, query, same):
    c = CALLERS[dialect]
    body = c.body(model, [user(said())])
    stores(gw, lambda: c.ask(gw, key, body))
    path = c.path(model, False)
    ask = lambda: gw.request("POST", path + query, body, {**c.headers(key), **headers})  # noqa: E731
    a = ask() if same else stores(gw, ask)
    assert a.status == 200 and verdict(a) == ("hit" if same else "miss"), a.headers
    assert verdict(c.ask(gw, key, body)) == "hit"


@pytest.mark.parametrize("name, hit", (("same", True), ("short", False), ("strict", False), ("codex", False)))
def test_names_of_one_target_share_what_they_would_answer_alike(gw, key, vendors, name, hit):
    c = CALLERS["chat"]
    body = c.body("claude-sonnet-4-5", [user(said())])
    stores(gw, lambda: c.ask(gw, key, body))
    before = vendors.count
    a = c.ask(gw, key, {**body, "model": name + "-claude"})
    assert verdict(a) == ("hit" if hit else "miss") and (vendors.count == before) == hit


def test_a_provider_that_is_another_one_now_does_not_hit(vendors, tmp_path):
    """… though it is called as before."""
    parts = vendors.parts()
    g = Gateway(tmp_path, upstream_port=9, cache=True, env=vendors.env(), **parts).start()
    try:
        k, c = g.make_key()["key"], CALLERS["chat"]
        body = c.body("gpt-4o", [user(said())])
        ask = lambda: c.ask(g, k, body)  # noqa: E731
        stores(g, ask)
        own = next(line for line in parts["providers"].splitlines() if 'name = "openai"' in line)
        for changed in (own.replace("127.0.0.1", "localhost"), own.replace("}", 'headers = { openai-organization = "other"; }; }'), own):
            g.write_config(providers=parts["providers"].replace(own, changed))
            assert g.admin("POST", "/v1/reload").status == 200
            wait_until(lambda: verdict(ask()) == ("hit" if changed == own else "miss"))  # noqa: B023
    finally:
        try:
            g.stop()
        finally:
            g.clean()


def test_dialects_do_not_share(gw, key):
    """Chat's and Anthropic's bodies may be the same."""
    body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": said()}]}
    stores(gw, lambda: gw.request("POST", "/v1/messages", body, {"x-api-key": key}))
    a = stores(gw, lambda: gw.request("POST", "/v1/chat/completions", body, {"x-api-key": key}))
    assert a.status == 200 and verdict(a) == "miss" and a.json()["object"] == "chat.completion"


def test_a_container_that_is_kept_is_a_state(gw, key):
    """Skills alone name none."""
    body = {"model": "claude-sonnet-4-5--lax", "max_tokens": 50, "messages": [{"role": "user", "content": said()}]}
    ask = lambda container: gw.request("POST", "/v1/messages", {**body, "container": container}, {"x-api-key": key})  # noqa: E731
    assert [verdict(ask(x)) for x in ("c1", {"id": "c1", "skills": []}, {"skills": []})] == [None, None, "miss"]


@pytest.mark.parametrize("more", ({"conversation": "conv_1"}, {"background": True}))
def test_calls_with_a_state_are_not_cached(gw, key, more):
    a = gw.request("POST", "/v1/responses", {"model": "gpt-4o--lax", "input": said(), **more}, key=key)
    assert verdict(a) is None, a.headers


def test_a_hit_is_quick_however_slow_the_vendor(gw, key):
    """… and told without its pauses."""
    c = CALLERS["messages"]
    body = c.body("claude-sonnet-4-5--pause400", [user(said())])
    stores(gw, lambda: c.ask(gw, key, body, True))
    before = time.monotonic()
    hit = c.ask(gw, key, body, True)
    assert verdict(hit) == "hit" and time.monotonic() - before < 0.4
