"""Any dialect in, any provider out: what a caller of each sees of each vendor's models. The vendors are mock/vendors.py, who refuse
what the real ones would."""

import base64
import binascii
import http.client
import http.server
import json
import struct
import threading
import time
import urllib.parse

import pytest
from callers import CALLERS, PDF, PNG, answered, events_of, results, tool, user
from gateway import wait_until
from vendor_agent import TAIL, THOUGHT, fits
from vendor_wire import vector

OPENAI_LIKE = ("gpt-4o", "gpt-4.1", "mistral-large", "deepseek-reasoner", "llama-3")
ANTHROPIC_LIKE = ("claude-sonnet-4-5", "claude-opus-4-5")
GOOGLE_LIKE = ("gemini-2.5-flash", "gemini-3-pro", "gemini-2.5-pro")
BEDROCK = ("eu.anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0")
MODELS = OPENAI_LIKE + ANTHROPIC_LIKE + GOOGLE_LIKE + BEDROCK + ("command-a-03-2025",)
# which calls pass as they are
PASSES = {"chat": OPENAI_LIKE, "responses": ("gpt-4o",), "messages": ANTHROPIC_LIKE, "google": GOOGLE_LIKE}
# what a vendor's wire tells of a usage
TELLS = {"mistral-large": ("cached",), "command-a-03-2025": ("cached",), "amazon.nova-pro-v1:0": ("cached", "written"), BEDROCK[0]: ("cached", "written"), **{m: ("cached", "reasoning") for m in GOOGLE_LIKE}}

pairs = pytest.mark.parametrize("model", MODELS)
dialects = pytest.mark.parametrize("dialect", CALLERS)
streamed = pytest.mark.parametrize("stream", (False, True), ids=("whole", "stream"))


@pytest.fixture(scope="module")
def gw(vendors_gateway):
    """One gateway for all of them."""
    strict = '{ name = "strict-claude"; strict = true; targets = ( { provider = "anthropic"; model = "claude-sonnet-4-5"; } ); },'
    away = '{ name = "away", type = "anthropic"; base_url = "http://127.0.0.1:9"; api_key_env = "KEY_ANTHROPIC"; },'.replace('",', '";', 1)
    falls = "".join(f'{{ name = "falls-to-{m}"; targets = ( {{ provider = "away"; model = "claude-sonnet-4-5"; }}, {{ provider = "{p}"; model = "{m}"; }} ); }},' for m, p in (("gpt-4o", "openai"), ("gemini-2.5-flash", "gemini"), ("command-a-03-2025", "cohere"), ("amazon.nova-pro-v1:0", "bedrock")))
    priced = '{ name = "priced"; context_window = 200000; max_output = 64000; price = { input = 3.0; cached_input = 0.3; output = 15.0; }; targets = ( { provider = "anthropic"; model = "claude-sonnet-4-5"; } ); }'
    return vendors_gateway(
        providers="," + away.rstrip(","),
        models="," + strict + falls + priced,
        http="heartbeat_ms = 100;",
        extra="timeouts = { idle_ms = 1000; first_byte_ms = 5000; }; media = { allow_private = true; };",
    )


@pytest.fixture(scope="module")
def key(gw):
    return gw.make_key(name="dialects")["key"]


def row_of(gw, got):
    """The ledger's row of an answer."""
    a = getattr(got, "answer", got)
    since = int((a.began - 1) * 1e6)
    return wait_until(lambda: next((r for r in gw.rows(from_us=since) if r["request_id"] == a.headers["x-request-id"]), None), 5)


def asked(gw, path, body, headers):
    """Its answer, whose row row_of can find."""
    began = time.time()
    a = gw.request("POST", path, body, headers)
    a.began = began
    return a


def expected_usage(model, thinking=False):
    told = TELLS.get(model, ("cached", "written", "reasoning"))
    all_of_it = {"cached": 40, "written": 20, "reasoning": 10 if thinking else 0}
    return {"input": 120, "output": 30, **{k: v if k in told else 0 for k, v in all_of_it.items()}}


def as_shown(dialect, usage):
    """Google's dialect has no place for what was written to a cache."""
    return {**usage, "written": 0} if dialect == "google" else usage


def check_row(row, usage, stream, status=200):
    assert row["status"] == status and ("streamed" in row["flags"]) == stream
    want = {"input": usage["input"], "cached": usage["cached"], "cache_write": usage["written"], "output": usage["output"], "reasoning": usage["reasoning"]}
    assert {k: row["tokens"][k] for k in want} == want
    assert "cut" not in row["flags"] and "estimated" not in row["flags"]


# ---------------------------------------------------------------- every dialect with every model


@streamed
@dialects
@pairs
def test_text(gw, key, vendors, model, dialect, stream):
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model, [user("hello – 東京")], system="Be terse."), stream)
    thinks = model == "deepseek-reasoner"
    assert got.text == "You said: hello – 東京 [system=Be terse.] (turn 1)" + TAIL
    assert got.finish == c.finishes["stop"] and got.calls == []
    assert got.thinking == (THOUGHT if thinks else "")
    assert not stream or got.ended
    assert got.usage == as_shown(dialect, expected_usage(model, thinks))
    assert got.answer.headers["x-aigw-provider"] == vendors.seen[-1].vendor
    assert "x-aigw-dropped-params" not in got.answer.headers, got.answer.headers
    check_row(row_of(gw, got), expected_usage(model, thinks), stream)


@streamed
@dialects
@pairs
def test_tool_loop(gw, key, model, dialect, stream):
    """Two calls in one turn, their results in the other order with a text behind, then two more, then the answer."""
    c = CALLERS[dialect]
    tools = [tool(), tool("add", ("a", "b"), a={"type": "integer"}, b={"type": "integer"})]
    name = model + "--rounds2"
    turns = [user("What's the weather?")]
    got = c.ask(gw, key, c.body(name, turns, tools=tools, system="Use tools."), stream)
    assert [x[1:] for x in got.calls] == [("get_weather", {"city": "Paris"}), ("add", {"a": 4, "b": 4})]
    assert got.finish == c.finishes["tools"] and got.text == "I'll look that up."
    turns += [answered(got), results(got, "rainy", "8", errors=(1,))]
    got = c.ask(gw, key, c.body(name, turns, tools=tools, system="Use tools."), stream)
    assert len(got.calls) == 2 and len({x[0] for x in got.calls} | {None}) in (1, 3)
    turns += [answered(got), results(got, '{"sky": "blue"}', "10")]
    got = c.ask(gw, key, c.body(name, turns, tools=tools, system="Use tools."), stream)
    assert got.text.startswith("Results: get_weather=") and "blue" in got.text and "add=10" in got.text and got.text.endswith(TAIL)
    assert got.finish == c.finishes["stop"] and not got.calls


@streamed
@dialects
@pytest.mark.parametrize("model", ANTHROPIC_LIKE + GOOGLE_LIKE + BEDROCK[:1] + ("command-a-03-2025", "deepseek-reasoner"))
def test_thinking_survives_a_tool_loop(gw, key, model, dialect, stream):
    """Thoughts are shown, and what the vendor signed comes back to it as it was: it refuses anything else."""
    c = CALLERS[dialect]
    turns = [user("What's the weather?")]
    got = c.ask(gw, key, c.body(model, turns, tools=[tool()], thinking=True), stream)
    assert got.thinking == THOUGHT
    assert len(got.calls) == 2
    assert got.usage["reasoning"] == (10 if model not in TELLS or "reasoning" in TELLS[model] else 0)
    turns += [answered(got), results(got, "rainy", "sunny")]
    got = c.ask(gw, key, c.body(model, turns, tools=[tool()], thinking=True), stream)
    assert got.text.startswith("Results: get_weather=rainy, get_weather=sunny")
    turns += [answered(got), user("Thanks, and now?")]
    got = c.ask(gw, key, c.body(model, turns, thinking=True, tools=[tool()]), stream)
    assert got.finish == c.finishes["stop"]


@dialects
@pytest.mark.parametrize("choice", ("none", "required", "=add"))
@pairs
def test_tool_choice(gw, key, model, dialect, choice):
    c = CALLERS[dialect]
    tools = [tool(), tool("add", ("a",), a={"type": "integer"})]
    got = c.ask(gw, key, c.body(model, [user("?")], tools=tools, choice=choice))
    names = {x[1] for x in got.calls}
    assert names == {"none": set(), "required": {"get_weather", "add"}, "=add": {"add"}}[choice]


@dialects
@pairs
def test_call_without_arguments(gw, key, model, dialect):
    c = CALLERS[dialect]
    for stream in (False, True):
        got = c.ask(gw, key, c.body(model + "--noargs-quiet", [user("?")], tools=[tool("now", ())]), stream)
        assert [x[1:] for x in got.calls] == [("now", {})] * 2 and got.text == ""


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}, "sky": {"enum": ["blue", "grey"], "type": "string"}}, "required": ["city", "days", "sky"], "additionalProperties": False}


@streamed
@dialects
@pytest.mark.parametrize("model", (*MODELS, "claude-3-5-haiku"))
def test_schema(gw, key, model, dialect, stream):
    """Natively, or by a tool that the caller never sees."""
    c = CALLERS[dialect]
    if (dialect, model) == ("messages", "claude-3-5-haiku"):
        return  # passes; such a model has none
    got = c.ask(gw, key, c.body(model, [user("Where? Answer in JSON.")], schema=SCHEMA), stream)
    assert fits(json.loads(got.text), SCHEMA), got.text
    assert got.finish == c.finishes["stop"] and not got.calls


@dialects
@pairs
def test_image(gw, key, model, dialect):
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model, [user("Look!", ("image/png", PNG))]))
    assert "[media=image/png " in got.text, got.text


@pytest.fixture(scope="module")
def picture_url():
    """Of a picture that has to be fetched."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = base64.b64decode(PNG)
            self.send_response(200 if self.path == "/a.png" else 404)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@dialects
@pytest.mark.parametrize("model", ("gemini-2.5-flash", "claude-opus-4-5", *BEDROCK))
def test_image_by_url_is_fetched(gw, key, picture_url, model, dialect):
    """For those who take only its bytes; what can't be fetched is refused, not left out."""
    c = CALLERS[dialect]
    if dialect == "google":
        return  # there, such a URL is a file's at Google
    got = c.ask(gw, key, c.body(model, [user("Look!", ("url", picture_url + "/a.png"))]))
    assert "[media=image/png " in got.text, got.text
    a = c.post(gw, key, c.body(model, [user("Look!", ("url", picture_url + "/none.png"))]))
    assert a.status == 400 and "404" in c.read_error(a)[2], a.body


@dialects
@pytest.mark.parametrize("model", ("claude-sonnet-4-5", "gpt-4o", "command-a-03-2025"))
def test_image_by_url_is_named(gw, key, model, dialect):
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model, [user("Look!", ("url", "https://example.com/a.png"))]))
    assert "[media=url https://example.com/a.png]" in got.text, got.text


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", *ANTHROPIC_LIKE, *GOOGLE_LIKE, *BEDROCK))
def test_pdf(gw, key, model, dialect):
    c = CALLERS[dialect]
    if (dialect, model) == ("responses", "gpt-4o"):
        return  # passes; this mock's endpoint has no files
    got = c.ask(gw, key, c.body(model, [user("Read!", ("application/pdf", PDF))]))
    assert "[media=application/pdf " in got.text, got.text


@pytest.mark.parametrize("finish", ("length", "filter"))
@streamed
@dialects
@pairs
def test_finish(gw, key, model, dialect, stream, finish):
    if finish == "filter" and model == "command-a-03-2025":
        return  # its ERROR is an error
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(f"{model}--{finish}", [user("?")]), stream)
    want = c.finishes[finish]
    if dialect == "google" and finish == "filter":
        assert got.finish in ("SAFETY", "PROHIBITED_CONTENT", "OTHER", "BLOCKLIST")
    elif (dialect, model) == ("responses", "gpt-4o"):
        pass  # passes; this mock's endpoint always completes
    else:
        assert got.finish == want


# ---------------------------------------------------------------- parameters

PARAMS = {
    "chat": ({"temperature": 0.5, "seed": 7, "logit_bias": {"1": 1}, "presence_penalty": 0.5, "n": 1, "some_new_member": 1}, {"seed", "logit_bias", "presence_penalty", "some_new_member"}),
    "responses": ({"temperature": 0.5, "truncation": "disabled", "safety_identifier": "u", "some_new_member": 1}, {"some_new_member"}),
    "google": ({"generationConfig": {"temperature": 0.5, "seed": 7, "mediaResolution": "MEDIA_RESOLUTION_LOW"}}, {"generationConfig.seed", "generationConfig.mediaResolution"}),
}


@pytest.mark.parametrize("dialect", PARAMS)
def test_dropped_parameters_are_named(gw, key, vendors, dialect):
    c = CALLERS[dialect]
    params, dropped = PARAMS[dialect]
    for stream in (False, True):
        got = c.ask(gw, key, c.body("claude-sonnet-4-5", [user("hi")], **params), stream)
        names = set(got.answer.headers["x-aigw-dropped-params"].split(", "))
        assert dropped <= names and "temperature" not in names, names
        assert json.loads(vendors.seen[-1].body)["temperature"] == 0.5


@pytest.mark.parametrize("dialect", PARAMS)
def test_strict_refuses_what_would_be_dropped(gw, key, vendors, dialect):
    c = CALLERS[dialect]
    params, dropped = PARAMS[dialect]
    before = vendors.count
    a = c.post(gw, key, c.body("strict-claude", [user("hi")], **params))
    assert a.status == 400 and all(d in c.read_error(a)[2] for d in dropped), a.body
    assert vendors.count == before, "the provider was not called"
    assert c.ask(gw, key, c.body("strict-claude", [user("hi")])).text


@pytest.mark.parametrize(
    "dialect, model, body",
    [
        ("chat", "claude-sonnet-4-5", {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]}),
        ("chat", "command-a-03-2025", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + PDF}}]}]}),
        ("chat", "gemini-2.5-flash", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}),
        ("chat", "claude-sonnet-4-5", {"messages": [{"role": "wizard", "content": "x"}]}),
        ("chat", "claude-sonnet-4-5", {"messages": []}),
        ("chat", "claude-sonnet-4-5", {"messages": [{"role": "user", "content": "x"}], "n": 2}),
        ("chat", "claude-sonnet-4-5", {"messages": "hi"}),
        ("responses", "claude-sonnet-4-5", {"input": "x", "previous_response_id": "resp_1"}),
        ("responses", "gemini-2.5-flash", {"input": "x", "tools": [{"type": "web_search"}]}),
        ("responses", "claude-sonnet-4-5", {"input": "x", "background": True}),
        ("messages", "gpt-4o", {"max_tokens": 10, "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("messages", "gemini-2.5-flash", {"max_tokens": 10, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]}]}),
        ("messages", "gpt-4o", {"max_tokens": 10, "messages": [{"role": "user", "content": [{"type": "hologram"}]}]}),
        ("google", "claude-sonnet-4-5", {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]}),
        ("google", "gpt-4o", {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "cachedContent": "cachedContents/1"}),
        ("google", "gpt-4o", {"contents": []}),
    ],
)
def test_what_changes_meaning_is_refused(gw, key, vendors, dialect, model, body):
    c = CALLERS[dialect]
    before = vendors.count
    a = c.post(gw, key, body if dialect == "google" else {"model": model, **body}, model=model)
    assert a.status == 400, (a.status, a.body)
    kind, _, message = c.read_error(a)
    assert kind in ("invalid_request_error", "INVALID_ARGUMENT") and len(message) > 10, a.body
    assert vendors.count == before, "the provider was not called"


@pytest.mark.parametrize("model", ("gpt-4o", "gemini-2.5-flash", "claude-opus-4-5", BEDROCK[0]))
@pytest.mark.parametrize("thread", ({"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}))
def test_threads_are_refused_so_that_sdks_go_on_without(gw, key, vendors, model, thread):
    c = CALLERS["messages"]
    before = vendors.count
    a = c.post(gw, key, c.body(model, [user("hi")], thread=thread))
    assert a.status == 400 and c.read_error(a)[0] == "invalid_request_error" and vendors.count == before
    assert a.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}


# ---------------------------------------------------------------- the same dialect on both sides

OWN = {
    "chat": ("gpt-4o", {"messages": [{"role": "user", "content": "hi", "odd": [1.50, "é\\u00e9"]}], "new_member": {"a": 1e3}}),
    "responses": ("gpt-4o", {"input": [{"role": "user", "content": "hi"}], "new_member": {"a": 1e3}}),
    "messages": ("claude-sonnet-4-5", {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], "new_member": {"a": 1e3}}),
    "google": ("gemini-2.5-flash", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "newMember": {"a": 1e3}}),
}


@streamed
@pytest.mark.parametrize("dialect", OWN)
def test_own_dialect_passes_byte_for_byte(gw, key, vendors, dialect, stream):
    c = CALLERS[dialect]
    model, body = OWN[dialect]
    model += "--lax"
    body = c.streamed({"model": model, **body} if dialect != "google" else body, stream)
    raw = json.dumps(body, indent=3, ensure_ascii=False).encode() + b"\n"
    began = time.time()
    a = gw.request("POST", c.path(model, stream), raw, {**c.headers(key), "content-type": "application/json"})
    a.began = began
    assert a.status == 200, a.body
    assert vendors.seen[-1].body == raw, "the request arrived as it was sent"
    assert a.body == bytes(vendors.seen[-1].sent), "the answer arrived as it was sent"
    got = c.read_stream(a.body) if stream else c.read(a.json())
    got.answer = a
    check_row(row_of(gw, got), expected_usage(model.partition("--")[0]), stream)


def test_claude_on_vertex_keeps_unknown_members(gw, key, vendors):
    c = CALLERS["messages"]
    a = c.post(gw, key, c.body("claude-opus-4-5--lax", [user("hi")], new_member={"a": [1, None]}))
    assert a.status == 200, a.body
    assert json.loads(vendors.seen[-1].body)["new_member"] == {"a": [1, None]} and a.body == bytes(vendors.seen[-1].sent)


# what a coding agent adds to each of its requests
AGENT_BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24,advanced-tool-use-2025-11-20"


def agent_body(model, **kw):
    later = {"name": "later", "description": "found by a search", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}, "defer_loading": True}
    find = {"name": "find", "description": "finds tools", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}
    return {
        "model": model,
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "Be terse."}, {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, {"role": "system", "content": [{"type": "text", "text": "It is Monday.", "cache_control": {"type": "ephemeral"}}]}],
        "tools": [find, later],
        "thinking": {"type": "adaptive", "display": "updates"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": '{"device_id":"d0"}'},
        **kw,
    }


def agent_asks(gw, key, body):
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "anthropic-beta": AGENT_BETAS}
    return gw.request("POST", "/v1/messages?beta=true", body, headers)


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ANTHROPIC_LIKE])
def test_an_agent_for_claude_works_with_others(gw, key, vendors, model):
    a = agent_asks(gw, key, agent_body(model + "--text"))
    assert a.status == 200, a.body
    said = "".join(b.get("text", "") for b in a.json()["content"])
    for words in ("hi", "Be terse.", "Be kind.", "It is Monday."):
        assert words in said, said
    dropped = a.headers["x-aigw-dropped-params"].split(", ")
    assert "thinking.display" in dropped and "context_management" in dropped
    sent = vendors.seen[-1].body.decode()
    assert '"find"' in sent and '"later"' not in sent, "a tool that waits is not told"


@pytest.mark.parametrize("model", BEDROCK)
@pytest.mark.parametrize("marked", (0, 1))
def test_marked_results_in_another_order(gw, key, vendors, model, marked):
    """Agents put the mark on the last result, whichever that is."""
    calls = {"role": "assistant", "content": [{"type": "tool_use", "id": f"toolu_{i}", "name": "find", "input": {}} for i in range(2)]}
    back = [{"type": "tool_result", "tool_use_id": f"toolu_{i}", "content": f"r{i}"} for i in (1, 0)]
    back[marked]["cache_control"] = {"type": "ephemeral"}
    body = agent_body(model, messages=[{"role": "user", "content": "hi"}, calls, {"role": "user", "content": back}], thinking=None, output_config=None)
    a = agent_asks(gw, key, body)
    assert a.status == 200 and "find=r0, find=r1" in a.json()["content"][-1]["text"], a.body
    sent = json.loads(vendors.seen[-1].body)["messages"][-1]["content"]
    assert [list(b)[0] for b in sent] == ["toolResult", "toolResult", "cachePoint"]


def test_an_agent_s_betas_at_vertex(gw, key, vendors):
    """Which refuses all that it does not know; where tokens are counted, any."""
    messages = [{"role": "user", "content": "hi"}]
    a = agent_asks(gw, key, agent_body("claude-opus-4-5--text", messages=messages))
    assert a.status == 200, a.body
    assert vendors.seen[-1].headers["anthropic-beta"] == "interleaved-thinking-2025-05-14, context-management-2025-06-27, tool-search-tool-2025-10-19"
    assert a.headers["x-aigw-dropped-params"] == "anthropic-beta.claude-code-20250219, anthropic-beta.effort-2025-11-24"
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "anthropic-beta": AGENT_BETAS}
    a = gw.request("POST", "/v1/messages/count_tokens?beta=true", {"model": "claude-opus-4-5", "messages": messages}, headers)
    assert a.status == 200 and a.json() == {"input_tokens": 42}, a.body


def test_tools_that_come_and_go(gw, key, vendors):
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "x"}}]}
    found = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "tool_reference", "tool_name": "later"}]}]}
    gone = {"role": "system", "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "find"}}]}
    back = {"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": "find"}}]}
    new = {"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"name": "new", "input_schema": {"type": "object"}}}}]}
    start = [{"role": "user", "content": "hi"}]

    def told(*messages, **kw):
        a = agent_asks(gw, key, agent_body("gpt-4o--text", messages=list(messages), **kw))
        assert a.status == 200, a.body
        return [t["function"]["name"] for t in json.loads(vendors.seen[-1].body)["tools"]]

    assert told(*start) == ["find"]
    assert told(*start, call, found) == ["find", "later"]
    assert told(*start, call, found, gone) == ["later"]
    assert told(*start, gone, new, back) == ["find", "new"]
    only = agent_body("x")["tools"][1:]
    assert told(*start, tools=only) == ["later"], "there would be none else"
    search = [*agent_body("x")["tools"], {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}]
    assert told(*start, tools=search) == ["find", "later"], "nobody else could find it"
    a = agent_asks(gw, key, agent_body("gpt-4o", messages=[*start, gone], tool_choice={"type": "tool", "name": "find"}, thinking=None))
    assert a.status == 400 and "tool_choice.name" in a.json()["error"]["message"]


@pytest.mark.parametrize("model", ("mistral-large", "llama-3"))
def test_instructions_amid_a_conversation_of_a_template(gw, key, vendors, model):
    """Which knows them only as the first message, and no two turns of one role."""
    c = [{"role": r, "content": t} for r, t in (("user", "one"), ("system", "two"), ("assistant", "three"), ("system", "four"), ("user", "five"))]
    body = {"model": model, "max_tokens": 50, "system": "zero", "messages": c}
    a = gw.request("POST", "/v1/messages", body, {"x-api-key": key, "anthropic-version": "2023-06-01"})
    assert a.status == 200, a.body
    sent = json.loads(vendors.seen[-1].body)["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]
    texts = ["".join(p["text"] for p in m["content"]) if isinstance(m["content"], list) else m["content"] for m in sent]
    assert texts[0] == "zero" and "one" in texts[1] and "<system>\ntwo\n</system>" in texts[1] and texts[3].index("four") < texts[3].index("five")
    items = [{"role": r, "content": t} for r, t in (("developer", "a"), ("system", "b"), ("user", "c"))]
    if model == "mistral-large":  # which has no Responses
        a = gw.request("POST", "/v1/responses", {"model": model, "instructions": "z", "input": items}, key=key)
        assert a.status == 200, a.body
        assert [m["role"] for m in json.loads(vendors.seen[-1].body)["messages"]] == ["system", "user"]


def test_google_stream_without_sse_is_an_array(gw, key):
    for model in ("gemini-2.5-flash", "gpt-4o", "claude-sonnet-4-5"):
        a = gw.request("POST", f"/v1beta/models/{model}:streamGenerateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, {"x-goog-api-key": key})
        assert a.status == 200 and a.headers["content-type"].startswith("application/json"), (model, a.headers)
        chunks = a.json()
        text = "".join(p.get("text", "") for x in chunks for y in x["candidates"] for p in (y.get("content") or {}).get("parts", []))
        assert text.startswith("You said: hi") and chunks[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("model", ("gemini-2.5-flash", "gpt-4o", "claude-sonnet-4-5", BEDROCK[1]))
def test_array_streams_stay_json(gw, key, model):
    """Silent, with an error midway, cut."""
    path = "/v1beta/models/{}:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    a = gw.request("POST", path.format(model + "--pause350"), body, {"x-goog-api-key": key})
    assert a.status == 200 and a.json()[-1]["candidates"][0]["finishReason"] == "STOP"
    for word in ("midway3", "cut3", "noend"):
        a = asked(gw, path.format(f"{model}--{word}-seed3"), body, {"x-goog-api-key": key})
        if a.status == 200:
            assert "error" in a.json()[-1] and "finishReason" not in a.body.decode(), (word, a.body)
            assert "cut" in row_of(gw, a)["flags"]
        else:
            assert a.status >= 429 and (a.json()[0] if a.body[:1] == b"[" else a.json())["error"]["message"], (word, a.body)


def pieces_of(gw, key, path, body):
    """The answer's body as it comes."""
    c = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=20)
    try:
        c.request("POST", path, json.dumps(body), {"x-goog-api-key": key, "content-type": "application/json"})
        answer = c.getresponse()
        while piece := answer.read1():
            yield piece
    finally:
        c.close()


@pytest.mark.parametrize("path", ("/v1beta/models/{}:streamGenerateContent", "/gemini/v1beta/models/{}:streamGenerateContent?x=1"), ids=("routed", "native"))
def test_array_streams_pass_as_they_come(gw, key, vendors, path):
    body = {"contents": [{"role": "user", "parts": [{"text": "hi – 東京"}]}]}
    a = asked(gw, path.format("gemini-2.5-flash"), body, {"x-goog-api-key": key})
    assert a.status == 200 and a.body == bytes(vendors.seen[-1].sent) and "transfer-encoding" in a.headers
    check_row(row_of(gw, a), expected_usage("gemini-2.5-flash"), True)
    came = b""
    for piece in pieces_of(gw, key, path.format("gemini-2.5-flash--pause700-seed3"), body):
        if not came:
            assert b"candidates" in piece and b"finishReason" not in bytes(vendors.seen[-1].sent), "the first elements were here before the last were sent"
        came += piece
    assert json.loads(came)[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("word", ("midway9", "cut9", "stall9"))
def test_native_array_streams_that_break(gw, key, word):
    path = f"/gemini/v1beta/models/gemini-2.5-flash--{word}-pause300-seed3:streamGenerateContent"
    a = asked(gw, path, {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, {"x-goog-api-key": key})
    chunks = a.json()
    assert a.status == 200 and "candidates" in chunks[0] and chunks[-1]["error"]["status"] and a.cut
    row = row_of(gw, a)
    assert {"cut", "streamed", "native"} <= set(row["flags"]) and row["tokens"]["output"] > 0


def messages_of(body):
    """The event stream's messages: (their kind, :event-type or :exception-type, payload)."""
    out = []
    while body:
        total, n_headers, crc = struct.unpack(">III", body[:12])
        assert crc == binascii.crc32(body[:8]) and struct.unpack(">I", body[total - 4 : total])[0] == binascii.crc32(body[: total - 4])
        headers, at = {}, 12
        while at < 12 + n_headers:
            name, n = body[at + 1 : at + 1 + body[at]].decode(), struct.unpack(">H", body[at + 2 + body[at] : at + 4 + body[at]])[0]
            at += 4 + body[at]
            headers[name] = body[at : at + n].decode()
            at += n
        kind = headers[":message-type"]
        out.append((kind, headers[f":{kind}-type"], json.loads(body[at : total - 4])))
        body = body[total:]
    return out


CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi – 東京"}]}]}
INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [{"role": "user", "content": "hi – 東京"}]}
NATIVE_STREAMS = (("converse-stream", CONVERSE, ""), ("invoke-with-response-stream", INVOKE, ""), ("invoke-with-response-stream", INVOKE, "-other"))


def bedrock_call(gw, key, model, method, body):
    return asked(gw, f"/bedrock/model/{urllib.parse.quote(model, safe='')}/{method}", body, {"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("method,body,words", (*NATIVE_STREAMS, ("invoke-with-response-stream", INVOKE, "-metricless")))
def test_native_event_streams_pass_and_are_metered(gw, key, vendors, method, body, words):
    model = BEDROCK[0] + "--lax" + words
    a = bedrock_call(gw, key, model, method, body)
    assert a.status == 200 and a.headers["content-type"] == "application/vnd.amazon.eventstream" and not a.cut
    assert a.body == bytes(vendors.seen[-1].sent) and messages_of(a.body)
    row = row_of(gw, a)
    check_row(row, expected_usage(BEDROCK[0]), True)
    assert row["endpoint"] == "native" and row["model"] == row["target"] == model and "native" in row["flags"]


@pytest.mark.parametrize("words", ("lax", "other"))
def test_native_invoke_is_metered(gw, key, vendors, words):
    """By its body, or by the answer's head where that tells nothing."""
    a = bedrock_call(gw, key, f"{BEDROCK[0]}--{words}", "invoke", INVOKE)
    assert a.status == 200 and a.body == bytes(vendors.seen[-1].sent)
    check_row(row_of(gw, a), expected_usage(BEDROCK[0]), False)


@pytest.mark.parametrize("word", ("cut9", "stall9", "noend", "damage", "midway9"))
@pytest.mark.parametrize("method,body,words", NATIVE_STREAMS)
def test_native_event_streams_that_break(gw, key, vendors, method, body, words, word):
    """They end in AWS's own exception, and never properly."""
    a = bedrock_call(gw, key, f"{BEDROCK[0]}--{word}-pause300-seed0{words}", method, body)
    got, sent = messages_of(a.body), bytes(vendors.seen[-1].sent)
    assert a.status == 200 and a.cut and len(got) > 1
    assert [kind for kind, _, _ in got] == ["event"] * (len(got) - 1) + ["exception"]
    name, payload = got[-1][1:]
    if word == "midway9":
        assert a.body == sent and name == "throttlingException"
    else:
        assert name == "modelStreamErrorException" and payload["message"].startswith("The provider bedrock ")
        events = a.body[: a.body.rindex(b":exception-type") - 13]
        assert sent.startswith(events)
    row = row_of(gw, a)
    assert {"cut", "native", "streamed", "estimated"} <= set(row["flags"]) and row["tokens"]["output"] > 0


def test_native_event_stream_that_fails_at_once(gw, key):
    a = bedrock_call(gw, key, BEDROCK[0] + "--midway0", "converse-stream", CONVERSE)
    assert a.status == 429 and "Too many tokens" in a.json()["error"]["message"]
    row = row_of(gw, a)
    assert row["status"] == 429 and row["tokens"]["input"] == 0


CHAT = {"messages": [{"role": "user", "content": "hi – 東京"}]}
NATIVE = {
    "anthropic": ("claude-sonnet-4-5", "v1/messages", {"max_tokens": 100, **CHAT}),
    "gemini": ("gemini-2.5-flash", "v1beta/models/{}:streamGenerateContent?alt=sse", {"contents": [{"role": "user", "parts": [{"text": "hi – 東京"}]}]}),
    "cohere": ("command-a-03-2025", "v2/chat", CHAT),
    "mistral": ("mistral-large", "v1/chat/completions", CHAT),
    "bedrock": (BEDROCK[0], "model/{}/converse", CONVERSE),
}


def native(gw, key, provider, words, **more):
    model, path, body = NATIVE[provider]
    model += f"--{words}"
    named = {} if "{}" in path else {"model": model}
    return asked(gw, f"/{provider}/{path.format(urllib.parse.quote(model, safe=''))}", {**body, **named, **more}, {"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("provider", ("anthropic", "gemini", "cohere"))
def test_native_streams_without_their_end(gw, key, vendors, provider):
    more = {} if provider == "gemini" else {"stream": True}
    a = native(gw, key, provider, "seed3", **more)
    assert a.status == 200 and not a.cut and a.body == bytes(vendors.seen[-1].sent)
    a = native(gw, key, provider, "seed3-noend", **more)
    sent = bytes(vendors.seen[-1].sent)
    assert a.status == 200 and a.cut and a.body.startswith(sent) and b"before the end of its answer" in a.body[len(sent) :]
    assert "cut" in row_of(gw, a)["flags"]


@pytest.mark.parametrize("status", (400, 404, 429, 500, 503, 529))
@pytest.mark.parametrize("provider", NATIVE)
def test_native_errors_pass(gw, key, vendors, provider, status):
    """In the provider's own words and status: its own SDK reads them."""
    a = native(gw, key, provider, f"status{status}")
    assert a.status == status and a.body == bytes(vendors.seen[-1].sent)
    if provider == "bedrock" and status == 429:
        assert a.headers["x-amzn-errortype"].startswith("ThrottlingException:")
    a = native(gw, key, provider, "leak400")
    assert a.status == 400 and not [s for s in vendors.secrets() if s in a.body.decode()]


@pytest.mark.parametrize("model", ("gpt-4o", "gemini-2.5-flash"))
def test_several_answers(gw, key, model):
    c = CALLERS["chat"]
    a = c.post(gw, key, c.body(model, [user("hi")], n=2))
    assert [x["index"] for x in a.json()["choices"]] == [0, 1] and all(x["message"]["content"].startswith("You said: hi") for x in a.json()["choices"])


# ---------------------------------------------------------------- silence

@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_heartbeats(gw, key, model, dialect):
    """While the provider says nothing in the middle of a stream."""
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model + "--pause450", [user("hi")]), True)
    assert got.ended and got.text.startswith("You said: hi")
    events, comments = events_of(got.answer.body)
    if dialect == "messages":
        assert not comments and sum(n == "ping" for n, _ in events) >= 3
    elif dialect == "google":  # whose SDK trips over comments: empty lines
        assert not comments and got.answer.body.count(b"\n\n\n\n") + got.answer.body.count(b"\n\r\n\n\n") >= 1, got.answer.body
    else:
        assert sum(x == ": ping" for x in comments) >= 3, comments


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"))
def test_silence_ends(gw, key, model, dialect):
    """Heartbeats don't keep a dead stream alive."""
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model + "--stall3", [user("hi")]), True, timeout=10)
    assert got.error and not got.ended, got.answer.body[-500:]
    assert "stopped answering" in got.error[2]
    row = row_of(gw, got)
    assert "cut" in row["flags"]


# ---------------------------------------------------------------- errors

STATUS = {  # the vendor's → OpenAI's, Anthropic's, Google's: status and type
    400: ((400, "invalid_request_error"), (400, "invalid_request_error"), (400, "INVALID_ARGUMENT")),
    403: ((403, "invalid_request_error"), (403, "permission_error"), (403, "PERMISSION_DENIED")),
    404: ((404, "invalid_request_error"), (404, "not_found_error"), (404, "NOT_FOUND")),
    408: ((408, "timeout"), (408, "timeout_error"), (408, "DEADLINE_EXCEEDED")),
    413: ((413, "invalid_request_error"), (413, "request_too_large"), (413, "INVALID_ARGUMENT")),
    429: ((429, "requests"), (429, "rate_limit_error"), (429, "RESOURCE_EXHAUSTED")),
    500: ((500, "server_error"), (500, "api_error"), (500, "INTERNAL")),
    503: ((503, "server_error"), (529, "overloaded_error"), (503, "UNAVAILABLE")),
    529: ((503, "server_error"), (529, "overloaded_error"), (503, "UNAVAILABLE")),
    504: ((504, "timeout"), (504, "timeout_error"), (504, "DEADLINE_EXCEEDED")),
}
CODES = {404: "model_not_found", 429: "rate_limit_exceeded"}
REQUEST_IDS = {"openai": "req_up_openai", "azure": "req_up_azure", "anthropic": "req_up_anthropic", "bedrock": "req_up_bedrock", "cohere": "req_up_cohere", "mistral": "req_up_mistral"}
FAMILY = {"chat": 0, "responses": 0, "messages": 1, "google": 2}


@pytest.mark.parametrize("status", STATUS)
@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "gpt-4.1", "mistral-large", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_errors(gw, key, vendors, model, dialect, status):
    c = CALLERS[dialect]
    for stream in (False, True):
        a = c.post(gw, key, c.body(f"{model}--status{status}", [user("hi")]), stream)
        want_status, want_kind = STATUS[status][FAMILY[dialect]]
        passed = model in PASSES[dialect]
        if passed and FAMILY[dialect] != 0:
            want_status = status
        kind, code, message = c.read_error(a)
        assert a.status == want_status, (a.status, a.body)
        assert message == f"made to fail with {status}", a.body
        assert passed or kind == want_kind, a.body
        assert passed or FAMILY[dialect] != 0 or status not in CODES or code in (CODES[status], "1300"), a.body
        vendor = vendors.seen[-1].vendor
        if vendor in REQUEST_IDS:
            assert a.headers["x-aigw-upstream-request-id"] == REQUEST_IDS[vendor]
        assert a.headers["content-type"].startswith("application/json")


@dialects
@pytest.mark.parametrize("model", MODELS)
def test_credentials_never_echo(gw, key, vendors, model, dialect):
    c = CALLERS[dialect]
    for status in (401, 400):
        a = c.post(gw, key, c.body(f"{model}--leak{status}", [user("hi")]))
        assert a.status == status, (a.status, a.body)
        text = a.body.decode() + json.dumps(a.headers)
        assert not [s for s in vendors.secrets() if s in text or s[8:] in text], text
        assert "Get another one." in text, "the rest of the message is kept"
        kind, code, _ = c.read_error(a)
        if status == 401:
            assert {0: code == "invalid_api_key" or model in PASSES[dialect], 1: kind == "authentication_error", 2: kind == "UNAUTHENTICATED"}[FAMILY[dialect]], a.body


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_retry_after(gw, key, model, dialect):
    c = CALLERS[dialect]
    a = c.post(gw, key, c.body(f"{model}--status429-retry7", [user("hi")]))
    assert a.status == 429 and a.headers["retry-after"] == "7", a.headers


@dialects
@pytest.mark.parametrize("word, code", (("toolong", "context_length_exceeded"), ("policy", ("content_policy_violation", "content_filter"))))
@pytest.mark.parametrize("model", ("gpt-4o", "gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_kinds_of_400(gw, key, model, dialect, word, code):
    c = CALLERS[dialect]
    a = c.post(gw, key, c.body(f"{model}--{word}", [user("hi")]))
    kind, got, message = c.read_error(a)
    assert a.status == 400 and kind in ("invalid_request_error", "INVALID_ARGUMENT", None)
    assert "aigw" not in message and len(message) > 20
    if FAMILY[dialect] == 0 and model not in PASSES[dialect]:
        assert got == code or got in code, a.body


@dialects
@pytest.mark.parametrize("word", ("disguise", "html", "cut"))
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_answers_that_are_none(gw, key, model, dialect, word):
    """An error under status 200, a proxy's page, a body that breaks off."""
    c = CALLERS[dialect]
    a = c.post(gw, key, c.body(f"{model}--{word}", [user("hi")]))
    assert a.status >= 500, (a.status, a.body)
    kind, _, message = c.read_error(a)
    assert kind in ("server_error", "api_error", "UNAVAILABLE", "INTERNAL") and message and "<html" not in message
    if word == "disguise":
        assert message == "made to fail in disguise"


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_large_events(gw, key, model, dialect):
    """As those that hold a picture."""
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(f"{model}--seed3", [user("0123456789" * 600000)]), True, timeout=60)
    assert got.ended and got.text.startswith("You said: 0123456789") and got.text.count("0123456789") == 600000


# ---------------------------------------------------------------- streams that break

BREAKS = ("cut4", "midway4", "noend")


@pytest.mark.parametrize("word", BREAKS)
@dialects
@pairs
def test_broken_streams(gw, key, model, dialect, word):
    c = CALLERS[dialect]
    for more in ("", "-noargs"):
        tools = [tool()] if more else []
        a = c.post(gw, key, c.body(f"{model}--{word}-seed3{more}", [user("hello, " * 20)], tools=tools), True)
        if a.status != 200:  # nothing had been told yet
            assert a.status >= 429 and c.read_error(a)[2], (a.status, a.body)
            continue
        got = c.read_stream(a.body)
        got.answer = a
        assert not got.ended and got.error, a.body[-600:]
        assert got.error[2], "the error says something"
        if word == "midway4" and model not in ("command-a-03-2025",):
            assert any(w in got.error[2] for w in ("overloaded", "Overloaded", "error while processing", "Too many tokens")), got.error
        assert not more or model in PASSES[dialect] or not got.finish, "no finish of a broken stream"
        row = row_of(gw, got)
        assert "cut" in row["flags"] and "streamed" in row["flags"], row


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", BEDROCK[1], "command-a-03-2025"))
def test_stream_that_fails_at_once(gw, key, model, dialect):
    """Nothing was told yet: a status, not an error inside of a 200."""
    c = CALLERS[dialect]
    a = c.post(gw, key, c.body(f"{model}--midway0", [user("hi")]), True)
    if model in PASSES[dialect] and a.status == 200:
        assert c.read_stream(a.body).error
        return
    assert a.status >= 429 and c.read_error(a)[2], (a.status, a.body)


@dialects
@pytest.mark.parametrize("model", ("claude-sonnet-4-5",))
def test_whole_answer_to_a_stream(gw, key, model, dialect):
    c = CALLERS[dialect]
    got = c.ask(gw, key, c.body(model + "--whole", [user("hi")]), True)
    assert got.ended and got.text.startswith("You said: hi")


# ---------------------------------------------------------------- other endpoints


def test_models_in_each_dialect(gw, key):
    a = gw.request("GET", "/v1/models", key=key).json()
    assert a["object"] == "list" and {"priced", "gpt-4o*"} <= {m["id"] for m in a["data"]}
    m = next(m for m in a["data"] if m["id"] == "priced")
    assert m["object"] == "model" and m["context_window"] == 200000 and m["pricing"]["input"] == 3 and m["pricing"]["cached_input"] == 0.3 and m["pricing"]["output"] == 15
    a = gw.request("GET", "/v1/models", headers={"x-api-key": key, "anthropic-version": "2023-06-01"}).json()
    m = next(m for m in a["data"] if m["id"] == "priced")
    assert m["type"] == "model" and m["display_name"] and m["created_at"] and a["has_more"] is False and a["first_id"] == a["data"][0]["id"]
    assert m["max_input_tokens"] == 200000 and m["pricing"]["output"] == 15
    a = gw.request("GET", "/v1beta/models", headers={"x-goog-api-key": key}).json()
    assert gw.request("GET", "/v1/models", headers={"x-goog-api-key": key}).json() == a  # as Google's newer SDKs ask
    m = next(m for m in a["models"] if m["name"] == "models/priced")
    assert m["inputTokenLimit"] == 200000 and m["outputTokenLimit"] == 64000 and "generateContent" in m["supportedGenerationMethods"] and m["pricing"]["input"] == 3
    assert gw.request("GET", "/v1/models/priced", key=key).json()["id"] == "priced"
    assert gw.request("GET", "/v1/models/priced", headers={"x-api-key": key, "anthropic-version": "2023-06-01"}).json()["type"] == "model"
    assert gw.request("GET", "/v1/models/gpt-4o%2Fmini", key=key).json()["id"] == "gpt-4o/mini"  # as OpenAI's SDK asks for it
    for version in ("v1beta", "v1"):
        assert gw.request("GET", f"/{version}/models/priced", headers={"x-goog-api-key": key}).json()["name"] == "models/priced"


def test_models_are_the_keys_own(gw):
    only = gw.make_key(name="few", models=["claude-*"])["key"]
    ids = {m["id"] for m in gw.request("GET", "/v1/models", key=only).json()["data"]}
    assert ids == {"claude-sonnet-4-5*", "claude-opus-4-5*", "claude-3-5-haiku*"}
    names = {m["name"] for m in gw.request("GET", "/v1beta/models", headers={"x-goog-api-key": only}).json()["models"]}
    assert names == {"models/" + i for i in ids}
    for dialect in ("chat", "messages", "google"):
        c = CALLERS[dialect]
        a = c.post(gw, only, c.body("gpt-4o", [user("hi")]))
        assert a.status in (403, 404) and c.read_error(a)[0] in ("invalid_request_error", "not_found_error", "permission_error", "NOT_FOUND", "PERMISSION_DENIED")


@pairs
def test_count_tokens(gw, key, model):
    """Asked of the vendor where it can tell; else estimated."""
    tools = [tool()]
    exact = model in ANTHROPIC_LIKE + GOOGLE_LIKE
    body = CALLERS["messages"].body(model, [user("How many are these? " * 20)], system="Count.", tools=tools)
    body.pop("max_tokens")
    a = gw.request("POST", "/v1/messages/count_tokens", body, CALLERS["messages"].headers(key))
    assert a.status == 200, a.body
    assert a.json()["input_tokens"] == 42 if exact else 42 <= a.json()["input_tokens"] < 400, a.body
    body = CALLERS["google"].body(model, [user("How many are these? " * 20)])
    for inner in ({"contents": body["contents"]}, {"generateContentRequest": {"model": f"models/{model}", "contents": body["contents"]}}):
        a = gw.request("POST", f"/v1beta/models/{model}:countTokens", inner, {"x-goog-api-key": key})
        assert a.status == 200, a.body
        assert a.json()["totalTokens"] == 42 if exact else 42 <= a.json()["totalTokens"] < 400, a.body


@pytest.mark.parametrize("model", ("text-embedding-3-small", "gemini-embedding-001", "embed-v4.0", "amazon.titan-embed-text-v2:0"))
def test_embeddings(gw, key, model):
    one = model.startswith("amazon")
    texts = ["one"] if one else ["one", "zwei – 東京", "three"]
    a = gw.request("POST", "/v1/embeddings", {"model": model, "input": texts}, key=key)
    assert a.status == 200, a.body
    data = a.json()["data"]
    assert [d["index"] for d in data] == list(range(len(texts))) and [d["embedding"] for d in data] == [vector(t, 4) for t in texts]
    assert a.json()["object"] == "list" and a.json()["usage"]["prompt_tokens"] > 0
    a = gw.request("POST", "/v1/embeddings", {"model": model, "input": texts[0], "encoding_format": "base64", "dimensions": 6}, key=key)
    assert a.status == 200, a.body
    raw = base64.b64decode(a.json()["data"][0]["embedding"])
    assert list(struct.unpack("<6f", raw)) == vector("one", 6)
    google = {"x-goog-api-key": key}
    a = gw.request("POST", f"/v1beta/models/{model}:embedContent", {"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 6}, google)
    assert a.status == 200 and a.json()["embedding"]["values"] == vector("one", 6), a.body
    batch = {"requests": [{"model": f"models/{model}", "content": {"parts": [{"text": t}]}} for t in texts]}
    a = gw.request("POST", f"/v1beta/models/{model}:batchEmbedContents", batch, google)
    assert a.status == 200 and [e["values"] for e in a.json()["embeddings"]] == [vector(t, 4) for t in texts], a.body


def test_tokens_are_no_texts_to_embed(gw, key, vendors):
    before = vendors.count
    a = gw.request("POST", "/v1/embeddings", {"model": "embed-v4.0", "input": [[1, 2, 3]]}, key=key)
    assert a.status == 400 and a.json()["error"]["type"] == "invalid_request_error" and vendors.count == before


def test_responses_where_there_is_no_such_endpoint(gw, key, vendors):
    """Found out once (404), then translated at once."""
    c = CALLERS["responses"]
    for stream in (False, True):
        got = c.ask(gw, key, c.body("llama-3", [user("hi")]), stream)
        assert got.text.startswith("You said: hi") and got.finish == "completed"
    paths = [r.path for r in vendors.seen[-2:]]
    assert paths[-1] == "/v1/chat/completions"


@dialects
@pytest.mark.parametrize("model", ("gpt-4o", "gemini-2.5-flash", "command-a-03-2025", "amazon.nova-pro-v1:0"))
def test_fallback_between_vendors(gw, key, model, dialect):
    """The first target can't be reached; the second is another vendor's."""
    c = CALLERS[dialect]
    for stream in (False, True):
        got = c.ask(gw, key, c.body("falls-to-" + model, [user("hi")]), stream)
        assert got.text.startswith("You said: hi")
        assert got.answer.headers["x-aigw-model"] == model and got.answer.headers["x-aigw-attempts"] == "2"
        check_row(row_of(gw, got), expected_usage(model), stream)
