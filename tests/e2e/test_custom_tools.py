"""Tools that OpenAI's callers have and other vendors don't: custom (freeform) tools, namespaces, a search among tools that the caller
runs, as Codex sends them, answered by the models of all vendors."""

import json

import pytest
from callers import events_of
from gateway import wait_until
from vendor_agent import TAIL

MODELS = ("gpt-4.1", "mistral-large", "deepseek-reasoner", "llama-3", "claude-sonnet-4-5", "claude-opus-4-5", "gemini-2.5-flash", "gemini-3-pro", "eu.anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0", "command-a-03-2025")
PATCH = '*** Begin Patch\n*** Add File: a "b".txt\n+Zürich \\ 東京 🚀\t.\n*** End Patch\n'
GRAMMAR = 'start: "*** Begin Patch" LF hunk+'
FRESH, CACHED = {"cache-control": "no-store"}, {"x-aigw-tags": "cache=yes"}
pairs = pytest.mark.parametrize("model", MODELS)
streamed = pytest.mark.parametrize("stream", (False, True), ids=("whole", "stream"))


@pytest.fixture(scope="module")
def gw(vendors, vendors_gateway):
    own = f', {{ name = "bare"; type = "openai"; base_url = "http://127.0.0.1:{vendors.ports["openai"]}/v1"; api_key_env = "KEY_OPENAI"; responses = "false"; }}'
    names = {
        "gpt-5.1": 'targets = ( { provider = "bare"; model = "*"; } );',
        "gpt-4o": 'targets = ( { provider = "bare"; model = "*"; } );',
        "strict": 'strict = true; targets = ( { provider = "anthropic"; model = "claude-sonnet-4-5"; } );',
        "codex": 'hosted_tools = "drop"; targets = ( { provider = "anthropic"; model = "claude-sonnet-4-5"; } );',
    }
    models = "".join(f', {{ name = "{n}"; {rest} }}\n' for n, rest in names.items())
    return vendors_gateway(providers=own, models=models, cache=True)


@pytest.fixture(scope="module")
def key(gw):
    return gw.make_key(name="custom")["key"]


def asks_for(name, **arguments):
    return f"Please call {name} with {json.dumps(arguments)}"


# ---------------------------------------------------------------- Responses

RESPONSES_TOOL = {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR}}
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def responses(gw, key, model, items, stream=False, cached=None, **more):
    """The final response object, and the answer; a stream's events are checked against it."""
    body = {"model": model, "input": items, "stream": stream, "store": False, **more}
    a = gw.request("POST", "/v1/responses", body, key=key, headers=cached or FRESH)
    assert a.status == 200, a.body
    if not stream:
        return a.json(), a
    events = [json.loads(data) for _, data in events_of(a.body)[0]]
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    final = events[-1]["response"]
    for i, item in enumerate(final["output"]):
        mine = [e for e in events if e.get("output_index") == i]
        assert mine[0]["type"] == "response.output_item.added" and mine[-1] == {**mine[-1], "type": "response.output_item.done", "item": item}
        if item["type"] == "custom_tool_call":
            assert mine[0]["item"]["input"] == "" and mine[0]["item"]["type"] == "custom_tool_call"
            assert "".join(e["delta"] for e in mine if e["type"] == "response.custom_tool_call_input.delta") == item["input"]
            assert mine[-2] == {**mine[-2], "type": "response.custom_tool_call_input.done", "input": item["input"], "item_id": item["id"]}
    return final, a


def of_type(response, kind):
    return [i for i in response["output"] if i["type"] == kind]


def go_on(response, *outputs):
    """The answer's items and what came of its calls, as the next request's input."""
    kinds = {"custom_tool_call": "custom_tool_call_output", "function_call": "function_call_output"}
    calls = [i for i in response["output"] if i["type"] in kinds]
    return response["output"] + [{"type": kinds[c["type"]], "call_id": c["call_id"], "output": o} for c, o in zip(calls, outputs)]


@streamed
@pairs
def test_responses(gw, key, vendors, model, stream):
    items = [{"role": "user", "content": asks_for("apply_patch", input=PATCH)}]
    got, a = responses(gw, key, model, items, stream, tools=[FUNCTION, RESPONSES_TOOL])
    (call,) = of_type(got, "custom_tool_call")
    assert call["input"] == PATCH and call["name"] == "apply_patch" and call["status"] == "completed" and call["id"] != call["call_id"]
    assert not of_type(got, "function_call") and got["status"] == "completed"
    assert RESPONSES_TOOL in got["tools"]
    assert a.headers["x-aigw-dropped-params"] == "tools[].format"
    sent = json.dumps(vendors.seen[-1].json, ensure_ascii=False)
    assert json.dumps("Edits files.\n\n`input` must follow this Lark grammar:\n" + GRAMMAR)[1:-1] in sent and '"custom"' not in sent
    items += go_on(got, [{"type": "input_text", "text": "patched"}])
    got, _ = responses(gw, key, model, items, stream, tools=[FUNCTION, RESPONSES_TOOL])
    assert of_type(got, "message")[0]["content"][0]["text"] == "Results: apply_patch=patched" + TAIL


@streamed
def test_openai_has_them(gw, key, vendors, stream):
    """Its own chat endpoint: as they are, and enforced, for the models that have them; functions for those that have none."""
    items = [{"role": "user", "content": asks_for("apply_patch", input=PATCH)}]
    got, a = responses(gw, key, "gpt-5.1", items, stream, tools=[RESPONSES_TOOL, FUNCTION], tool_choice={"type": "custom", "name": "apply_patch"})
    assert of_type(got, "custom_tool_call")[0]["input"] == PATCH
    assert "x-aigw-dropped-params" not in a.headers
    sent = vendors.seen[-1].json
    assert sent["tools"][0]["custom"]["format"]["grammar"] == {"syntax": "lark", "definition": GRAMMAR} and sent["tool_choice"]["custom"]["name"] == "apply_patch"
    items += go_on(got, "patched")
    got, _ = responses(gw, key, "gpt-5.1", items, stream, tools=[RESPONSES_TOOL, FUNCTION])
    assert of_type(got, "message")[0]["content"][0]["text"] == "Results: apply_patch=patched" + TAIL
    assert vendors.seen[-1].json["messages"][1]["tool_calls"][0]["custom"]["input"] == PATCH
    got, a = responses(gw, key, "gpt-4o", items[:1], stream, tools=[RESPONSES_TOOL])
    assert of_type(got, "custom_tool_call")[0]["input"] == PATCH and a.headers["x-aigw-dropped-params"] == "tools[].format"


@pairs
def test_no_input(gw, key, model):
    """A model that gives no arguments calls it with nothing; one that is cut short, with what it said."""
    plain = {"type": "custom", "name": "note"}
    for stream in (False, True):
        got, _ = responses(gw, key, model + "--noargs", [{"role": "user", "content": "q"}], stream, tools=[plain])
        assert {c["input"] for c in of_type(got, "custom_tool_call")} == {""}, got["output"]


@streamed
def test_something_else_than_was_asked_for(gw, key, stream):
    items = [{"role": "user", "content": asks_for("apply_patch", patch="x", n=1)}]
    got, _ = responses(gw, key, "llama-3", items, stream, tools=[RESPONSES_TOOL])
    assert json.loads(of_type(got, "custom_tool_call")[0]["input"]) == {"patch": "x", "n": 1}


def test_choice(gw, key, vendors):
    q = [{"role": "user", "content": "q"}]
    got, _ = responses(gw, key, "claude-sonnet-4-5", q, tools=[FUNCTION, RESPONSES_TOOL], tool_choice={"type": "custom", "name": "apply_patch"})
    assert of_type(got, "custom_tool_call")
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    got, _ = responses(gw, key, "gemini-2.5-flash", q, tools=[FUNCTION, RESPONSES_TOOL], tool_choice=allowed)
    assert of_type(got, "custom_tool_call") and not of_type(got, "function_call")
    a = gw.request("POST", "/v1/responses", {"model": "claude-sonnet-4-5", "input": q, "tools": [FUNCTION], "tool_choice": {"type": "custom", "name": "apply_patch"}}, key=key)
    assert a.status == 400 and a.json()["error"]["param"] == "tool_choice"


def test_strict_refuses_a_grammar(gw, key, vendors):
    q = [{"role": "user", "content": "q"}]
    before = vendors.count
    a = gw.request("POST", "/v1/responses", {"model": "strict", "input": q, "tools": [RESPONSES_TOOL]}, key=key)
    assert a.status == 400 and "tools[].format" in a.json()["error"]["message"] and vendors.count == before
    got, a = responses(gw, key, "strict", q, tools=[{k: v for k, v in RESPONSES_TOOL.items() if k != "format"}])
    assert of_type(got, "custom_tool_call") and "x-aigw-dropped-params" not in a.headers


# ---------------------------------------------------------------- Chat Completions

CHAT_TOOL = {"type": "custom", "custom": {"name": "apply_patch", "description": "Edits files.", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}}}}
TRANSLATED = ("claude-sonnet-4-5", "gemini-2.5-flash", "amazon.nova-pro-v1:0", "command-a-03-2025", "mistral-large", "deepseek-reasoner", "llama-3")


def chat(gw, key, model, messages, stream=False, cached=None, **more):
    """The assistant's message, and the answer."""
    a = gw.request("POST", "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream, **more}, key=key, headers=cached or FRESH)
    assert a.status == 200, a.body
    if not stream:
        return a.json()["choices"][0]["message"], a
    message = {"role": "assistant", "content": "", "tool_calls": []}
    assert a.events()[-1] == "[DONE]"
    for choice in (c for e in a.events()[:-1] for c in json.loads(e)["choices"]):
        message["content"] += choice["delta"].get("content") or ""
        for c in choice["delta"].get("tool_calls", []):
            if c["index"] == len(message["tool_calls"]):
                message["tool_calls"].append({"id": c["id"], "type": c["type"], c["type"]: dict(c[c["type"]])})
                continue
            known = message["tool_calls"][c["index"]]
            kind, text = known["type"], {"custom": "input", "function": "arguments"}[known["type"]]
            assert set(c) == {"index", kind} and set(c[kind]) == {text}
            known[kind][text] += c[kind][text]
    return message, a


@streamed
@pytest.mark.parametrize("model", TRANSLATED)
def test_chat(gw, key, model, stream):
    messages = [{"role": "user", "content": asks_for("apply_patch", input=PATCH)}]
    got, a = chat(gw, key, model, messages, stream, tools=[CHAT_TOOL])
    (call,) = got["tool_calls"]
    assert call["type"] == "custom" and call["custom"] == {"name": "apply_patch", "input": PATCH}
    assert a.headers["x-aigw-dropped-params"] == "tools[].custom.format"
    messages += [{k: v for k, v in got.items() if v}, {"role": "tool", "tool_call_id": call["id"], "content": "patched"}]
    got, _ = chat(gw, key, model, messages, stream, tools=[CHAT_TOOL])
    assert got["content"] == "Results: apply_patch=patched" + TAIL


def test_a_cached_answer_has_them(gw, key):
    """Whole and streamed from the same entry of the cache."""
    q = [{"role": "user", "content": asks_for("apply_patch", input=PATCH)}]

    def hit(ask, tool, stream):
        got, a = ask(gw, key, TRANSLATED[0], q, stream, cached=CACHED, tools=[tool])
        return a.headers["x-aigw-cache"] == "hit" and got

    chat(gw, key, TRANSLATED[0], q, True, cached=CACHED, tools=[CHAT_TOOL])
    responses(gw, key, TRANSLATED[0], q, True, cached=CACHED, tools=[RESPONSES_TOOL])
    for stream in (False, True):
        got = wait_until(lambda s=stream: hit(chat, CHAT_TOOL, s))
        assert got["tool_calls"][0]["custom"] == {"name": "apply_patch", "input": PATCH}
        got = wait_until(lambda s=stream: hit(responses, RESPONSES_TOOL, s))
        assert of_type(got, "custom_tool_call")[0]["input"] == PATCH


# ---------------------------------------------------------------- what Codex sends

SPAWN = {"type": "function", "name": "spawn", "description": "Starts one.", "strict": False, "parameters": {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"], "additionalProperties": False}}
AGENTS = {"type": "namespace", "name": "agents", "description": "Helpers.", "tools": [SPAWN]}
PLAIN = {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec", "description": "Runs code.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}]}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"], "additionalProperties": False}}
CODEX = {
    "instructions": "You are a coding agent.",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto", "context": "all_turns"},
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "01a2",
    "text": {"verbosity": "low"},
    "client_metadata": {"session": "s"},
}


@streamed
@pairs
def test_namespaces(gw, key, model, stream):
    """Tools of namespaces, told beside the request's own, or amid its input."""
    items = [{"type": "additional_tools", "role": "developer", "tools": [PLAIN, AGENTS]}, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": asks_for("exec", input="text(1)\n")}]}]
    got, _ = responses(gw, key, model, items, stream, tools=[FUNCTION], **CODEX)
    (call,) = of_type(got, "custom_tool_call")
    assert (call["namespace"], call["name"], call["input"]) == ("functions", "exec", "text(1)\n")
    items += go_on(got, "1") + [{"role": "user", "content": asks_for("agents__spawn", task="t")}]
    got, a = responses(gw, key, model + "--rounds2", items, stream, tools=[FUNCTION], **CODEX)
    (call,) = of_type(got, "function_call")
    assert (call["namespace"], call["name"], json.loads(call["arguments"])) == ("agents", "spawn", {"task": "t"})
    dropped = a.headers["x-aigw-dropped-params"].split(", ")
    assert {"client_metadata", "reasoning.context", "tools[].format"} <= set(dropped) and "include" not in dropped
    got, _ = responses(gw, key, model, items + go_on(got, "started"), stream, tools=[FUNCTION], **CODEX)
    assert of_type(got, "message")[0]["content"][0]["text"] == "Results: agents__spawn=started" + TAIL


@streamed
@pairs
def test_the_callers_search(gw, key, model, stream):
    items = [{"role": "user", "content": asks_for("tool_search", query="agents")}]
    got, _ = responses(gw, key, model, items, stream, tools=[FUNCTION, SEARCH])
    (call,) = of_type(got, "tool_search_call")
    assert call["execution"] == "client" and call["arguments"] == {"query": "agents"} and call["call_id"]
    items += got["output"] + [{"type": "tool_search_output", "call_id": call["call_id"], "execution": "client", "status": "completed", "tools": [AGENTS]}]
    got, a = responses(gw, key, model, items, stream, tools=[FUNCTION, SEARCH])
    assert of_type(got, "message")[0]["content"][0]["text"] == "Results: tool_search=Found, and ready to be called: agents__spawn" + TAIL
    items += got["output"] + [{"role": "user", "content": asks_for("agents__spawn", task="t")}]
    got, _ = responses(gw, key, model + "--rounds2", items, stream, tools=[FUNCTION, SEARCH])
    assert of_type(got, "function_call")[0]["namespace"] == "agents"


def test_hosted_tools(gw, key, vendors):
    """Refused with the way out, or left out where the model's hosted_tools says so."""
    body = {"input": asks_for("apply_patch", input="p"), "tools": [RESPONSES_TOOL, {"type": "web_search", "external_web_access": True}]}
    before = vendors.count
    a = gw.request("POST", "/v1/responses", {"model": "claude-sonnet-4-5", **body}, key=key)
    assert a.status == 400 and a.json()["error"]["param"] == "tools[1].type" and "hosted_tools" in a.json()["error"]["message"] and vendors.count == before
    got, a = responses(gw, key, "codex", body["input"], tools=body["tools"])
    assert of_type(got, "custom_tool_call")[0]["input"] == "p" and "tools.web_search" in a.headers["x-aigw-dropped-params"].split(", ")
    assert [t["type"] for t in got["tools"]] == ["custom"]
    a = gw.request("POST", "/v1/responses", {"model": "codex", **body, "tool_choice": {"type": "web_search"}}, key=key)
    assert a.status == 400 and a.json()["error"]["param"] == "tool_choice"
