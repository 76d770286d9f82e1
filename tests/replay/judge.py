"""Compares what a caller's SDK read with what the recording says.

The words for how an answer ends are the tables of each dialect, written out; everything else must be equal.
"""

import expect

# neutral word → what the caller's dialect may call it
GOOGLE_FILTERED = (*expect.GOOGLE_FILTERS, "blocked")
FINISHES = {
    "chat": {
        "stop": ("stop",), "stop_sequence": ("stop",), "length": ("length",), "tool_calls": ("tool_calls",), "content_filter": ("content_filter",),
        "refusal": ("content_filter",), "pause": ("stop",), "error": ("stop", "tool_calls", "content_filter"), "unsaid": (None, "stop", "tool_calls"),
    },
    "messages": {
        "stop": ("end_turn",), "stop_sequence": ("stop_sequence",), "length": ("max_tokens",), "tool_calls": ("tool_use",), "content_filter": ("refusal",),
        "refusal": ("refusal",), "pause": ("pause_turn", "end_turn"), "error": ("end_turn", "tool_use", "refusal"),
        "unsaid": ("end_turn", "tool_use"),
    },
    "google": {
        "stop": ("STOP",), "stop_sequence": ("STOP",), "length": ("MAX_TOKENS",), "tool_calls": ("STOP",), "content_filter": GOOGLE_FILTERED,
        "refusal": GOOGLE_FILTERED, "pause": ("STOP",), "error": (*expect.GOOGLE_ERRORS, "STOP"), "unsaid": ("STOP",),
    },
    "responses": {
        "stop": ("completed",), "stop_sequence": ("completed",), "length": ("incomplete: max_output_tokens",), "tool_calls": ("completed",),
        "content_filter": ("incomplete: content_filter",), "refusal": ("incomplete: content_filter", "completed, refused"), "pause": ("completed",),
        "error": ("completed", "failed", "incomplete: content_filter"), "unsaid": ("completed",),
    },
}

# What the official packages raise for a status (anything else of 500 and above is an InternalServerError).
CLASSES = {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 409: "ConflictError",
           422: "UnprocessableEntityError", 429: "RateLimitError"}
ANTHROPIC_CLASSES = {**CLASSES, 408: "RequestTimeoutError", 413: "ContentTooLargeError", 503: "ServiceUnavailableError", 504: "GatewayTimeoutError",
                     529: "OverloadedError"}

# The provider's status → the caller's, where it is not the same (several: any of them). A provider's words may say more than its
# status; what the table does not hold stays as it is.
STATUSES = {
    "chat": {422: (400, 422), 424: (502,), 529: (503,)},
    "responses": {422: (400, 422), 424: (502,), 529: (503,)},
    "messages": {422: (400, 422), 424: (500, 502), 502: (500, 502), 503: (503, 529)},
    # Google's own servers tell a bad key with 400
    "google": {401: (400, 401), 422: (400, 422), 424: (500, 502), 529: (503,)},
}

NATIVE = {"openai": "chat", "responses": "responses", "anthropic": "messages", "google": "google"}


def passes(recording, dialect):
    """The caller speaks the provider's own dialect."""
    return NATIVE.get(recording.format) == dialect


# ---------------------------------------------------------------- what the caller's SDK shows, in the neutral form


def read_chat(answer):
    out = expect.openai_answer(answer)
    out["usage"] = out["wire_usage"]
    for c, given in zip(out["choices"], answer["choices"]):
        if not isinstance((given.get("message") or {}).get("content"), (str, type(None))):
            raise ValueError("content is neither a text nor null")
    return out


def read_messages(answer):
    return expect.anthropic_answer(answer)


def read_google(answer):
    out = expect.google_chunks(answer, 200, False)
    if not out["choices"]:
        out["choices"] = [expect.choice()]
    if any((c.get("promptFeedback") or {}).get("blockReason") for c in answer):
        for c in out["choices"]:
            c["native"] = c["native"] or "blocked"
    return out


def read_responses(answer):
    out = expect.responses_answer(answer)
    for c in out["choices"]:
        reason = (answer.get("incomplete_details") or {}).get("reason")
        c["native"] = f"{c['native']}: {reason}" if reason else f"{c['native']}, refused" if c["refusal"] else c["native"]
    return out


READ = {"chat": read_chat, "messages": read_messages, "google": read_google, "responses": read_responses}


# ---------------------------------------------------------------- comparing


def short(value):
    text = repr(value)
    return text if len(text) <= 300 else text[:140] + " … " + text[-140:]


def differ(what, wanted, got):
    return f"{what}: wanted {short(wanted)}, got {short(got)}"


def same_arguments(wanted, got):
    if isinstance(wanted, dict) and "!text" in wanted:
        # what was no JSON can't be one in a dialect that demands it
        return got == wanted or got in ({}, {"_raw": wanted["!text"]})
    return got == wanted


def compare_tools(wanted, got, where):
    if [t["name"] for t in wanted] != [t["name"] for t in got]:
        yield differ(f"{where}tools", [t["name"] for t in wanted], [t["name"] for t in got])
        return
    for w, g in zip(wanted, got):
        if not same_arguments(w["args"], g["args"]):
            yield differ(f"{where}arguments of {w['name']}", w["args"], g["args"])
        if w["id"] and g["id"] and w["id"] != g["id"]:
            yield differ(f"{where}tool id", w["id"], g["id"])


def compare_ids(dialect, got, where):
    """Every call can be answered."""
    ids = [t["id"] for t in got]
    if dialect != "google" and (not all(ids) or len(set(ids)) != len(ids)):
        yield f"{where}tool ids: {ids}"


def compare_choice(dialect, wanted, got, explanation, native, where=""):
    if native:
        for part in ("text", "refusal", "reasoning"):
            if wanted[part] != got[part]:
                yield differ(where + part, wanted[part], got[part])
    else:
        # a refusal's words are its text where the dialect has no place of their own for them
        words = wanted["text"] + wanted["refusal"]
        allowed = (words, words + (explanation or ""))
        if got["text"] + got["refusal"] not in allowed:
            yield differ(where + "text", words, got["text"] + got["refusal"])
        elif wanted["text"] and not got["text"].startswith(wanted["text"]):
            yield differ(where + "text", wanted["text"], got["text"])
        if wanted["reasoning"] != got["reasoning"]:
            yield differ(where + "reasoning", wanted["reasoning"], got["reasoning"])
    yield from compare_tools(wanted["tools"], got["tools"], where)
    if not native:
        yield from compare_ids(dialect, got["tools"], where)
    words = FINISHES[dialect].get(wanted["finish"], ())
    if native and wanted["native"]:
        words = (*words, wanted["native"])
    if native and wanted["refusal"] and dialect == "chat":
        words = ("stop",)
    if got["native"] not in words:
        yield differ(where + "finish", words, got["native"])
    if dialect == "messages" and wanted["stop_sequence"] and got["stop_sequence"] != wanted["stop_sequence"]:
        yield differ(where + "stop_sequence", wanted["stop_sequence"], got["stop_sequence"])


# where the sum of all tokens stands
TOTALS = {
    "chat": lambda a: (a.get("usage") or {}).get("total_tokens"),
    "responses": lambda a: (a.get("usage") or {}).get("total_tokens"),
    "google": lambda a: next((c["usageMetadata"].get("totalTokenCount") for c in reversed(a) if c.get("usageMetadata")), None),
    "messages": lambda a: None,
}


def compare_total(dialect, wanted, answer):
    told = wanted["usage"]
    if not told or told["output"] is None:
        return
    inputs = {told["input"], told.get("also_input", told["input"])}
    if dialect != "messages" and TOTALS[dialect](answer) not in {i + told["output"] for i in inputs}:
        yield differ("usage total", told["input"] + told["output"], TOTALS[dialect](answer))


# numbers that a dialect has no place for
NO_PLACE = {"google": ("written",)}


def compare_usage(dialect, recording, wanted, got, native):
    told = wanted["usage"]
    if told is None:
        return
    if got is None:
        yield differ("usage", told, None)
        return
    for name in ("input", "cached", "written", "output", "reasoning"):
        if name in NO_PLACE.get(dialect, ()):
            continue
        allowed = {told[name] or 0}
        if native and wanted.get("wire_usage"):
            allowed = {told[name] or 0, wanted["wire_usage"][name] or 0}
        if name == "input" and told.get("also_input"):
            allowed.add(told["also_input"])
        if (got[name] or 0) not in allowed:
            yield differ(f"usage {name}", sorted(allowed), got[name])


def compare_row(recording, wanted, row):
    """The ledger's row of an exchange."""
    tokens, told = row["tokens"], wanted.get("usage")
    if wanted["error"]:
        # what ended badly is marked, with its status or as cut
        if row["status"] < 400 and "cut" not in row["flags"]:
            yield f"a failed exchange is not marked: status {row['status']}, {row['flags']}"
    elif "client_gone" in row["flags"]:
        pass  # an SDK stumbled over what it does not know
    elif told and row["status"] < 400:
        for name, ours in (("input", "input"), ("cached", "cached"), ("written", "cache_write"), ("output", "output"), ("reasoning", "reasoning")):
            allowed = {told[name] or 0, told.get(f"also_{name}", told[name]) or 0}
            if tokens[ours] not in allowed:
                yield differ(f"ledger {ours}", sorted(allowed), tokens[ours])
        if "estimated" in row["flags"]:
            yield "the ledger estimated what was told"
    elif wanted["kind"] == "embeddings" and wanted["tokens"] is not None and tokens["input"] != wanted["tokens"]:
        yield differ("ledger input", wanted["tokens"], tokens["input"])


def compare_error(dialect, recording, wanted, result, secrets):
    error, told = result["error"], wanted["error"]
    if not error:
        yield f"no error was raised; wanted {told['status']} {short(told['message'])}"
        return
    if error.get("unreadable"):
        yield f"not an error of the SDK's: {error['class']}: {error['message']}"
        return
    if told["message"] and told["message"] not in error["message"].replace("\\\\n", "\n").replace('\\"', '"') and told["message"] not in error["message"]:
        yield differ("the provider's words", told["message"], error["message"])
    if any(s in error["message"] for s in secrets):
        yield "a credential is in the message"
    if told["midstream"]:
        return
    allowed = STATUSES[dialect].get(told["status"], (told["status"],))
    if error["status"] not in allowed:
        yield differ("status", allowed, error["status"])
    elif dialect != "google":
        table = ANTHROPIC_CLASSES if dialect == "messages" else CLASSES
        general = ("InternalServerError",) if error["status"] >= 500 else ("APIStatusError", "APIError")
        names = (table[error["status"]], *(general if error["status"] >= 500 else ())) if error["status"] in table else general
        if error["class"] not in names:
            yield differ("exception", names, error["class"])


def close(wanted, got):
    def same(a, b):
        if b is None or a != a or abs(a) > 1e30:  # JSON has no word for some; integers read as floats are any
            return True
        return a == b or abs(a - b) <= 1e-5 * max(1.0, abs(a))

    return len(wanted) == len(got) and all(map(same, wanted, got))


def compare_vectors(dialect, wanted, answer):
    got = [expect.floats(d["embedding"]) for d in answer["data"]] if dialect == "chat" else [e["values"] for e in answer.get("embeddings") or []]
    if len(got) != len(wanted["vectors"]):
        yield differ("vectors", len(wanted["vectors"]), len(got))
    for i, (w, g) in enumerate(zip(wanted["vectors"], got)):
        w = expect.floats(w)
        if not close(w, g):
            yield differ(f"vector {i}", w[:4], g[:4])
    if dialect == "chat" and wanted["tokens"] is not None and answer["usage"]["prompt_tokens"] != wanted["tokens"]:
        yield differ("usage input", wanted["tokens"], answer["usage"]["prompt_tokens"])


def compare(dialect, recording, wanted, result, secrets=()):
    """What is wrong, as a list of texts; none: it is right."""
    native, out = passes(recording, dialect), []
    if wanted["error"]:
        out += compare_error(dialect, recording, wanted, result, secrets)
        return out
    finishes = [c["finish"] for c in wanted.get("choices") or []]
    if result["error"]:
        e = result["error"]
        lenient = ("error" in finishes and not e.get("unreadable")) or "unsaid" in finishes
        return [] if lenient else [f"{e['class']} {e['status']}: {short(e['message'])}"]
    out += result["problems"]
    answer = result["answer"]
    if answer is None:
        return out or ["no answer"]
    if wanted["kind"] == "embeddings":
        return out + list(compare_vectors(dialect, wanted, answer))
    if wanted["kind"] == "count":
        got = answer.get("input_tokens") if dialect == "messages" else answer.get("totalTokens")
        return out + ([differ("tokens", wanted["tokens"], got)] if got != wanted["tokens"] else [])
    if wanted["kind"] == "rerank":
        got = [(r["index"], r["relevance_score"]) for r in answer["results"]]
        return out + ([differ("results", wanted["results"], got)] if got != wanted["results"] else [])
    try:
        got = READ[dialect](answer)
    except (KeyError, ValueError, TypeError, AttributeError) as e:
        return out + [f"the answer has not its dialect's form: {type(e).__name__} {e}: {short(answer)}"]
    if len(got["choices"]) != len(wanted["choices"]) and wanted["choices"]:
        if dialect in ("chat", "google"):
            out.append(differ("choices", len(wanted["choices"]), len(got["choices"])))
    for i, (w, g) in enumerate(zip(wanted["choices"], got["choices"])):
        out += compare_choice(dialect, w, g, wanted.get("explanation"), native, f"choice {i} " if len(wanted["choices"]) > 1 else "")
    out += compare_usage(dialect, recording, wanted, got["usage"], native)
    out += [] if native else compare_total(dialect, wanted, answer)
    return out
