"""The vendors' official Python packages as callers.

A job is {"dialect", "kind", "stream", "model", "base", "key", "tools": [names], "n", "inputs": [texts]}. What comes back is what the
package made of the answer, as a JSON value: {"answer": its final object, "problems": [what it could not read]}, or {"error":
{"class", "status", "message"}} for what it raised, with "answer" where a stream had already brought something.
"""

import threading

import anthropic
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from openai.lib.streaming.chat import ChatCompletionStreamState

QUESTION = "What is the answer?"
SCHEMA = {"type": "object", "properties": {"value": {"type": "string"}}}

clients, lock = {}, threading.Lock()


def client(job):
    key = (job["dialect"], job["base"], job["key"])
    with lock:
        if key not in clients:
            if job["dialect"] in ("chat", "responses"):
                clients[key] = openai.OpenAI(base_url=job["base"] + job.get("openai_path", "/v1"), api_key=job["key"], max_retries=0, timeout=30)
            elif job["dialect"] == "messages":
                clients[key] = anthropic.Anthropic(base_url=job["base"], api_key=job["key"], max_retries=0, timeout=30)
            else:
                options = genai_types.HttpOptions(base_url=job["base"], timeout=30000, retry_options=genai_types.HttpRetryOptions(attempts=1))
                clients[key] = genai.Client(api_key=job["key"], http_options=options)
        return clients[key]


def plain(thing):
    return thing.model_dump(mode="json", warnings=False) if hasattr(thing, "model_dump") else thing


# ---------------------------------------------------------------- OpenAI


def chat(job, out):
    body = {"model": job["model"], "messages": [{"role": "user", "content": QUESTION}]}
    if job["tools"]:
        body["tools"] = [{"type": "function", "function": {"name": t, "description": "a tool", "parameters": SCHEMA}} for t in job["tools"]]
    if job["n"] > 1:
        body["n"] = job["n"]
    c = client(job)
    if not job["stream"]:
        out["answer"] = plain(c.chat.completions.create(**body))
        return
    state, told = ChatCompletionStreamState(), None
    with c.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}) as stream:
        for chunk in stream:
            if not out["problems"]:
                try:
                    for _ in state.handle_chunk(chunk):
                        pass
                except Exception as e:  # whatever the package's helper trips over
                    out["problems"].append(f"stream helper: {type(e).__name__}: {e}"[:300])
            told = plain(chunk.usage) or told
    if not out["problems"]:
        # not its final completion, which raises where the answer ended for length
        out["answer"] = plain(state.current_completion_snapshot)
        # each chunk without usage takes from the snapshot what an earlier one told
        out["answer"]["usage"] = out["answer"].get("usage") or told


def responses(job, out):
    body = {"model": job["model"], "input": QUESTION}
    if job["tools"]:
        body["tools"] = [{"type": "function", "name": t, "description": "a tool", "parameters": SCHEMA, "strict": False} for t in job["tools"]]
    c = client(job)
    if not job["stream"]:
        out["answer"] = plain(c.responses.create(**body))
        return
    kinds, numbers = [], []
    with c.responses.stream(**body) as stream:
        for event in stream:
            kinds.append(event.type)
            number = getattr(event, "sequence_number", None)
            if number is not None:
                numbers.append(number)
            if event.type == "error":
                raise openai.APIError(event.message, stream._raw_stream.response.request, body=plain(event))
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                out["answer"] = plain(event.response)
            if event.type == "response.failed":
                error = event.response.error
                raise openai.APIError(error.message if error else "failed", stream._raw_stream.response.request, body=None)
        if job.get("translated"):
            if numbers != list(range(len(numbers))):
                out["problems"].append(f"sequence numbers: {numbers[:20]}")
            if kinds[:2] != ["response.created", "response.in_progress"]:
                out["problems"].append(f"the first events: {kinds[:2]}")
        if "response.incomplete" not in kinds:
            out["answer"] = plain(stream.get_final_response())


def embeddings(job, out):
    body = {"model": job["model"], "input": job["inputs"]}
    if job["encoding"]:
        body["encoding_format"] = job["encoding"]
    out["answer"] = plain(client(job).embeddings.create(**body))


def rerank(job, out):
    body = {"model": job["model"], "query": QUESTION, "documents": job["inputs"]}
    out["answer"] = client(job).post("/rerank", body=body, cast_to=object)


# ---------------------------------------------------------------- Anthropic


def messages(job, out):
    body = {"model": job["model"], "max_tokens": 1024, "messages": [{"role": "user", "content": QUESTION}]}
    if job["tools"]:
        body["tools"] = [{"name": t, "description": "a tool", "input_schema": SCHEMA} for t in job["tools"]]
    c = client(job)
    if not job["stream"]:
        out["answer"] = plain(c.messages.create(**body))
        return
    with c.messages.stream(**body) as stream:
        try:
            for _ in stream:
                pass
        finally:
            try:
                out["answer"] = plain(stream.current_message_snapshot)
            except AssertionError:
                pass
        out["answer"] = plain(stream.get_final_message())


def count_tokens(job, out):
    out["answer"] = plain(client(job).messages.count_tokens(model=job["model"], messages=[{"role": "user", "content": QUESTION}]))


# ---------------------------------------------------------------- Google


def google_plain(thing):
    return thing.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)


def google(job, out):
    config = {}
    if job["tools"]:
        declarations = [{"name": t, "description": "a tool", "parameters_json_schema": SCHEMA} for t in job["tools"]]
        config["tools"] = [genai_types.Tool(function_declarations=declarations)]
        config["automatic_function_calling"] = {"disable": True}
    if job["n"] > 1:
        config["candidate_count"] = job["n"]
    c = client(job)
    if not job["stream"]:
        out["answer"] = [google_plain(c.models.generate_content(model=job["model"], contents=QUESTION, config=config))]
        return
    out["answer"] = []
    for chunk in c.models.generate_content_stream(model=job["model"], contents=QUESTION, config=config):
        out["answer"].append(google_plain(chunk))


def google_embeddings(job, out):
    out["answer"] = google_plain(client(job).models.embed_content(model=job["model"], contents=job["inputs"]))


def google_count(job, out):
    out["answer"] = google_plain(client(job).models.count_tokens(model=job["model"], contents=QUESTION))


CALLS = {
    ("chat", "chat"): chat, ("responses", "chat"): responses, ("responses", "responses"): responses, ("messages", "chat"): messages,
    ("google", "chat"): google, ("chat", "embeddings"): embeddings, ("google", "embeddings"): google_embeddings,
    ("messages", "count"): count_tokens, ("google", "count"): google_count, ("chat", "rerank"): rerank,
}


def call(job):
    out = {"answer": None, "problems": [], "error": None}
    try:
        CALLS[job["dialect"], job["kind"]](job, out)
    except (openai.APIError, anthropic.APIError) as e:
        out["error"] = {"class": type(e).__name__, "status": getattr(e, "status_code", None), "message": f"{e.message} {getattr(e, 'body', '')}"}
    except genai_errors.APIError as e:
        out["error"] = {"class": type(e).__name__, "status": e.code, "message": f"{e.message} {e}"}
    except Exception as e:  # the package could not read what came
        out["error"] = {"class": type(e).__name__, "status": None, "message": str(e)[:500], "unreadable": True}
    return out
