"""Agents' frameworks and the vendors' own agent helpers, unmodified, against models of other vendors: LangChain, google-genai's chats,
anthropic's streams and tool runner, openai's helpers and its agents. The models are mock/vendors.py, who refuse what the real ones would."""

import asyncio
import json
import os
import sys
import traceback
import typing
import warnings

os.environ.update(OPENAI_AGENTS_DISABLE_TRACING="1", LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")
warnings.simplefilter("ignore")

import agents  # noqa: E402
import anthropic  # noqa: E402
import openai  # noqa: E402
from google import genai  # noqa: E402
from google.genai import types  # noqa: E402
from langchain_anthropic import ChatAnthropic  # noqa: E402
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_google_genai import ChatGoogleGenerativeAI  # noqa: E402
from langchain_openai import ChatOpenAI, custom_tool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

ROOT, KEY = os.environ["AIGW_ROOT"], os.environ["AIGW_KEY"]
TAIL = " – ça va? 日本 🚀"
THOUGHT = "Let me see – which of them? Voilà: 東京, 🚀."
OPENAI = ["gpt-4o", "gpt-4.1", "mistral-large", "deepseek-reasoner", "llama-3"]
ANTHROPIC = ["claude-sonnet-4-5", "claude-opus-4-5"]
GOOGLE = ["gemini-2.5-flash", "gemini-3-pro", "gemini-2.5-pro"]
BEDROCK = ["eu.anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0"]
MODELS = OPENAI + ANTHROPIC + GOOGLE + BEDROCK + ["command-a-03-2025"]
SQL = 'SELECT "ä",\n\t\'🚀\' -- \\'
SQL_PROMPT = f"Please call ask_sql with {json.dumps({'input': SQL})}"
RESULTS = "Results: get_weather=rainy in Paris, get_weather=rainy in Zürich" + TAIL


class Trip(BaseModel):
    """A journey."""

    city: str
    days: list[int]
    mood: typing.Literal["gay", "sad"]


def is_trip(t):
    assert isinstance(t, Trip) and t.city == "Paris" and t.days == [3, 4] and t.mood == "gay", t


# ---------------------------------------------------------------- LangChain


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"rainy in {city}"


def chat_openai(model, **kw):
    return ChatOpenAI(model=model, base_url=ROOT + "/v1", api_key=KEY, max_retries=0, **kw)


def chat_responses(model, **kw):
    return ChatOpenAI(model=model, base_url=ROOT + "/v1", api_key=KEY, max_retries=0, use_responses_api=True, store=False, **kw)


def chat_anthropic(model, **kw):
    return ChatAnthropic(model=model, base_url=ROOT, api_key=KEY, max_retries=0, max_tokens=4096, **kw)


def chat_google(model, **kw):
    return ChatGoogleGenerativeAI(model=model, base_url=ROOT, google_api_key=KEY, max_retries=1, transport="rest", **kw)


CHATS = [chat_openai, chat_responses, chat_anthropic, chat_google]


def text_of(message):
    content = message.content
    return content if isinstance(content, str) else "".join(b.get("text", "") if isinstance(b, dict) else b for b in content if not isinstance(b, dict) or b.get("type") == "text")


def langchain_text(chat, model):
    a = chat(model).invoke([SystemMessage("Be terse."), HumanMessage("hello")])
    assert text_of(a) == "You said: hello [system=Be terse.] (turn 1)" + TAIL, a
    assert a.usage_metadata["input_tokens"] == 120 and a.usage_metadata["output_tokens"] == 30, a.usage_metadata


def langchain_stream(chat, model):
    total = None
    for chunk in chat(model, **({"stream_usage": True} if chat is chat_openai else {})).stream([HumanMessage("hello")]):
        total = chunk if total is None else total + chunk
    assert text_of(total) == "You said: hello (turn 1)" + TAIL, total
    assert total.usage_metadata["output_tokens"] == 30, total.usage_metadata


def langchain_loop(chat, model, stream=False, **kw):
    llm = chat(model + "--rounds2", **kw).bind_tools([get_weather])
    messages = [HumanMessage("What's the weather?")]
    for _ in range(5):
        if stream:
            a = None
            for chunk in llm.stream(messages):
                a = chunk if a is None else a + chunk
        else:
            a = llm.invoke(messages)
        messages.append(a)
        if not a.tool_calls:
            break
        assert len(a.tool_calls) == 2, a.tool_calls
        messages += [ToolMessage(get_weather.invoke(c["args"]), tool_call_id=c["id"], name=c["name"]) for c in a.tool_calls]
    assert len(messages) == 8 and text_of(a) == RESULTS, a


def langchain_loop_streamed(chat, model):
    langchain_loop(chat, model, stream=True)


def langchain_schema(chat, model):
    kw = {"method": "json_schema"} if chat in (chat_openai, chat_responses, chat_google) else {}
    is_trip(chat(model).with_structured_output(Trip, **kw).invoke("Where to?"))


def langchain_schema_by_tool(chat, model):
    is_trip(chat(model).with_structured_output(Trip, method="function_calling").invoke("Where to?"))


def langchain_thinking(model, stream):
    """Thinking blocks and their signatures come back by themselves in LangChain's history."""
    langchain_loop(chat_anthropic, model, stream, thinking={"type": "enabled", "budget_tokens": 1024})


@custom_tool(format={"type": "grammar", "syntax": "regex", "definition": "SELECT .+"})
def ask_sql(query: str) -> str:
    """Asks the database."""
    return f"<{query}>"


def langchain_custom(model):
    llm = chat_responses(model, output_version="responses/v1").bind_tools([ask_sql])
    for stream in (False, True):
        messages = [HumanMessage(SQL_PROMPT)]
        if stream:
            a = None
            for chunk in llm.stream(messages):
                a = chunk if a is None else a + chunk
        else:
            a = llm.invoke(messages)
        (call,) = [b for b in a.content if b["type"] == "custom_tool_call"]
        assert call["input"] == SQL and call["name"] == "ask_sql", a
        result = ToolMessage(f"<{SQL}>", tool_call_id=call["call_id"], additional_kwargs={"type": "custom_tool_call_output"})
        assert text_of(llm.invoke([*messages, a, result])) == f"Results: ask_sql=<{SQL}>" + TAIL


# ---------------------------------------------------------------- google-genai


GENAI = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ROOT))


def weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: its name
    """
    return f"rainy in {city}"


GOT = "Results: weather=rainy in Paris, weather=rainy in Zürich" + TAIL


def genai_chat(model):
    chat = GENAI.chats.create(model=model, config=types.GenerateContentConfig(system_instruction="Be terse."))
    assert chat.send_message("hello").text == "You said: hello [system=Be terse.] (turn 1)" + TAIL
    assert chat.send_message("again").text == "You said: again [system=Be terse.] (turn 3)" + TAIL
    a = chat.send_message("more")
    assert a.usage_metadata.prompt_token_count == 120 and a.usage_metadata.total_token_count == 150, a.usage_metadata


def genai_chat_stream(model):
    chat = GENAI.chats.create(model=model)
    for n, say in enumerate(("hello", "again")):
        assert "".join(c.text or "" for c in chat.send_message_stream(say)) == f"You said: {say} (turn {2 * n + 1})" + TAIL


def genai_functions(model):
    """Called by the SDK itself."""
    chat = GENAI.chats.create(model=model, config=types.GenerateContentConfig(tools=[weather]))
    assert chat.send_message("How's the weather?").text == GOT
    assert "again" in chat.send_message("again, without").text or True


def genai_functions_stream(model):
    chat = GENAI.chats.create(model=model, config=types.GenerateContentConfig(tools=[weather]))
    text = "".join(c.text or "" for c in chat.send_message_stream("How's the weather?"))
    assert text.endswith(GOT), text


def genai_thinking(model):
    config = types.GenerateContentConfig(tools=[weather], thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024))
    chat = GENAI.chats.create(model=model, config=config)
    a = chat.send_message("How's the weather?")
    assert a.text == GOT and any(p.thought and p.text for c in chat.get_history() for p in c.parts), a


def genai_schema(model):
    a = GENAI.models.generate_content(model=model, contents="Where to?", config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=Trip))
    is_trip(a.parsed)


def genai_count(model):
    assert GENAI.models.count_tokens(model=model, contents="How many? " * 50).total_tokens >= 42


# ---------------------------------------------------------------- anthropic


def claude(**kw):
    return anthropic.Anthropic(base_url=ROOT, api_key=KEY, max_retries=0, **kw)


def anthropic_stream(model):
    with claude().messages.stream(model=model, max_tokens=4096, system="Be terse.", messages=[{"role": "user", "content": "hello"}]) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert text == "You said: hello [system=Be terse.] (turn 1)" + TAIL == final.content[-1].text
    u = final.usage
    assert final.stop_reason == "end_turn" and u.output_tokens == 30 and u.input_tokens + (u.cache_read_input_tokens or 0) + (u.cache_creation_input_tokens or 0) == 120, u


def anthropic_stream_events(model):
    tools = [{"name": "get_weather", "description": "x", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]
    kinds, parts = [], {}
    with claude().messages.stream(model=model, max_tokens=4096, tools=tools, messages=[{"role": "user", "content": "hello"}]) as s:
        for e in s:
            kinds.append(e.type)
            if e.type == "input_json":
                parts[len([k for k in kinds if k == "content_block_start"])] = e.snapshot
        final = s.get_final_message()
    calls = [b for b in final.content if b.type == "tool_use"]
    assert [c.input for c in calls] == [{"city": "Paris"}, {"city": "Zürich"}] == list(parts.values())[-2:], (calls, parts)
    assert final.stop_reason == "tool_use" and kinds.count("content_block_start") == kinds.count("content_block_stop") == len(final.content)


@anthropic.beta_tool
def get_weather_of(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: its name
    """
    return f"rainy in {city}"


def anthropic_runner(model, **kw):
    runner = claude().beta.messages.tool_runner(model=model + "--rounds2", max_tokens=4096, tools=[get_weather_of], messages=[{"role": "user", "content": "How's the weather?"}], **kw)
    final = runner.until_done()
    assert final.content[-1].text == RESULTS.replace("get_weather", "get_weather_of"), final


def anthropic_runner_thinking(model):
    anthropic_runner(model, thinking={"type": "enabled", "budget_tokens": 1024})


def anthropic_runner_stream(model):
    runner = claude().beta.messages.tool_runner(model=model, max_tokens=4096, tools=[get_weather_of], messages=[{"role": "user", "content": "How's the weather?"}], stream=True)
    final = None
    for s in runner:
        for _ in s:
            pass
        final = s.get_final_message()
    assert final.content[-1].text == RESULTS.replace("get_weather", "get_weather_of"), final


def anthropic_count(model):
    assert claude().messages.count_tokens(model=model, messages=[{"role": "user", "content": "How many? " * 50}]).input_tokens >= 42


# ---------------------------------------------------------------- openai


def gpt(cls=openai.OpenAI):
    return cls(base_url=ROOT + "/v1", api_key=KEY, max_retries=0)


FUNCTION = {"type": "function", "name": "get_weather", "description": "x", "strict": True, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}


def openai_responses_loop(model):
    items = [{"role": "user", "content": "How's the weather?"}]
    for _ in range(4):
        a = gpt().responses.create(model=model + "--rounds2", input=items, tools=[FUNCTION], store=False, include=["reasoning.encrypted_content"])
        items += [o.to_dict() for o in a.output]
        calls = [o for o in a.output if o.type == "function_call"]
        if not calls:
            break
        items += [{"type": "function_call_output", "call_id": c.call_id, "output": f"rainy in {__import__('json').loads(c.arguments)['city']}"} for c in calls]
    assert a.output_text == RESULTS and a.status == "completed", a.output_text


CUSTOM = {"type": "custom", "name": "ask_sql", "description": "Asks the database.", "format": {"type": "grammar", "syntax": "regex", "definition": "SELECT .+"}}


def openai_custom_loop(model):
    items = [{"role": "user", "content": SQL_PROMPT}]
    a = gpt().responses.create(model=model, input=items, tools=[CUSTOM, FUNCTION], store=False)
    (call,) = [o for o in a.output if o.type == "custom_tool_call"]
    assert call.input == SQL and call.name == "ask_sql", call
    items += [o.to_dict() for o in a.output] + [{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "42"}]
    assert gpt().responses.create(model=model, input=items, tools=[CUSTOM, FUNCTION], store=False).output_text == "Results: ask_sql=42" + TAIL


def openai_custom_stream(model):
    text, done = "", None
    with gpt().responses.stream(model=model, input=SQL_PROMPT, tools=[CUSTOM], store=False) as s:
        for e in s:
            text += e.delta if e.type == "response.custom_tool_call_input.delta" else ""
            done = e.input if e.type == "response.custom_tool_call_input.done" else done
        final = s.get_final_response()
    (call,) = [o for o in final.output if o.type == "custom_tool_call"]
    assert text == done == call.input == SQL, (text, done, call)


def openai_chat_custom(model):
    tools = [{"type": "custom", "custom": {"name": "ask_sql", "description": "Asks the database."}}]
    messages = [{"role": "user", "content": SQL_PROMPT}]
    a = gpt().chat.completions.create(model=model, messages=messages, tools=tools)
    (call,) = a.choices[0].message.tool_calls
    assert call.type == "custom" and call.custom.input == SQL and call.custom.name == "ask_sql" and a.choices[0].finish_reason == "tool_calls", a
    messages += [a.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "42"}]
    assert gpt().chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message.content == "Results: ask_sql=42" + TAIL
    text = ""
    for chunk in gpt().chat.completions.create(model=model, messages=messages[:1], tools=tools, stream=True):
        for c in (chunk.choices[0].delta.tool_calls if chunk.choices else None) or []:
            text += c.model_extra["custom"]["input"]
    assert text == SQL, text


def openai_responses_stream(model):
    with gpt().responses.stream(model=model, input="Where to?", text_format=Trip) as s:
        text = "".join(e.delta for e in s if e.type == "response.output_text.delta")
        final = s.get_final_response()
    is_trip(final.output_parsed)
    assert text == final.output_text


def openai_chat_parse(model):
    a = gpt().chat.completions.parse(model=model, messages=[{"role": "user", "content": "Where to? Answer in JSON."}], response_format=Trip)
    is_trip(a.choices[0].message.parsed)


def openai_chat_stream(model):
    tools = [openai.pydantic_function_tool(Trip, name="book")]
    with gpt().chat.completions.stream(model=model, messages=[{"role": "user", "content": "Book!"}], tools=tools, stream_options={"include_usage": True}) as s:
        kinds = [e.type for e in s]
        final = s.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert len(calls) == 2 and calls[0].function.parsed_arguments.city == "Paris" and final.usage.completion_tokens == 30, final
    assert "tool_calls.function.arguments.done" in kinds and final.choices[0].finish_reason == "tool_calls"


@agents.function_tool(name_override="get_weather")
def weather_tool(city: str) -> str:
    """Tells the weather of a city."""
    return f"rainy in {city}"


def an_agent(model, responses, **kw):
    cls = agents.OpenAIResponsesModel if responses else agents.OpenAIChatCompletionsModel
    return agents.Agent(name="weatherman", instructions="Be terse.", model=cls(model=model + "--rounds2", openai_client=gpt(openai.AsyncOpenAI)), tools=[weather_tool], **kw)


def openai_agent(model, responses):
    assert asyncio.run(agents.Runner.run(an_agent(model, responses), "How's the weather?")).final_output == RESULTS


def openai_agent_streamed(model, responses):
    async def run():
        result = agents.Runner.run_streamed(an_agent(model, responses), "How's the weather?")
        kinds = [e.type async for e in result.stream_events()]
        assert "raw_response_event" in kinds
        return result.final_output

    assert asyncio.run(run()) == RESULTS


# ---------------------------------------------------------------- all of them


def cases():
    for model in MODELS:
        for chat in CHATS:
            for case in (langchain_text, langchain_stream, langchain_loop, langchain_loop_streamed, langchain_schema):
                if case is langchain_schema and chat is chat_anthropic:
                    case = langchain_schema_by_tool
                yield f"{case.__name__} {chat.__name__} {model}", lambda case=case, chat=chat, model=model: case(chat, model)
        for case in (genai_chat, genai_chat_stream, genai_functions, genai_functions_stream, genai_schema, genai_count):
            yield f"{case.__name__} {model}", lambda case=case, model=model: case(model)
        for case in (anthropic_stream, anthropic_stream_events, anthropic_runner, anthropic_runner_stream, anthropic_count):
            yield f"{case.__name__} {model}", lambda case=case, model=model: case(model)
        for case in (openai_responses_loop, openai_responses_stream, openai_chat_parse, openai_chat_stream):
            yield f"{case.__name__} {model}", lambda case=case, model=model: case(model)
        if model != "gpt-4o":  # whose Responses pass, to a vendor's mock that has none of this
            for case in (openai_custom_loop, openai_custom_stream, langchain_custom):
                yield f"{case.__name__} {model}", lambda case=case, model=model: case(model)
        if model not in OPENAI:
            yield f"openai_chat_custom {model}", lambda model=model: openai_chat_custom(model)
        for responses in (False, True):
            for case in (openai_agent, openai_agent_streamed):
                yield f"{case.__name__} {'responses' if responses else 'chat'} {model}", lambda case=case, model=model, r=responses: case(model, r)
    for model in ANTHROPIC + GOOGLE + BEDROCK[:1] + ["command-a-03-2025", "deepseek-reasoner"]:
        for stream in (False, True):
            yield f"langchain_thinking {'stream' if stream else 'whole'} {model}", lambda model=model, stream=stream: langchain_thinking(model, stream)
        for case in (genai_thinking, anthropic_runner_thinking):
            yield f"{case.__name__} {model}", lambda case=case, model=model: case(model)


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
