"""The little agent behind the vendors' mocks (vendors.py): what a request asks for, whatever its wire, and what is answered.

Asked with tools and no results yet, it calls one or two of them (where the user says `call NAME with JSON`, that one so); with their results it tells a text that holds them; asked for a
schema, JSON that fits; else it tells what it was sent, so that a test sees what arrived. The same request always gets the same answer.
"""

import base64
import dataclasses
import hashlib
import json
import re

THOUGHT = "Let me see – which of them? Voilà: 東京, 🚀."
TAIL = " – ça va? 日本 🚀"


class Refused(Exception):
    """The vendor's 400 (or another status), for what its API would not take."""

    def __init__(self, message, status=400, kind=None, param=None):
        super().__init__(message)
        self.status, self.kind, self.param = status, kind, param


def need(ok, message, **kw):
    if not ok:
        raise Refused(message, **kw)


@dataclasses.dataclass
class Ask:
    """A request in no vendor's terms. A reader of a vendor's wire fills it."""

    model: str = ""
    stream: bool = False
    system: str = ""
    user: str = ""  # the last user turn's text
    turns: int = 0
    media: list = dataclasses.field(default_factory=list)  # (mime, bytes or URL) in the order they stand
    tools: dict = dataclasses.field(default_factory=dict)  # name → JSON schema
    choice: str = "auto"  # none, auto, required, or a tool's name behind "="
    parallel: bool = True
    results: list = dataclasses.field(default_factory=list)  # (tool's name, text, is_error) that end the conversation
    rounds: int = 0  # assistant turns with tool calls so far
    schema: dict = None
    json: bool = False
    thinks: bool = False
    stop: list = dataclasses.field(default_factory=list)
    n: int = 1


@dataclasses.dataclass
class Usage:
    """All of the prompt, of which cached and written; all of the completion, of which reasoning."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def fresh(self):
        return self.input - self.cached - self.written


@dataclasses.dataclass
class Turn:
    text: str = ""
    thinking: str = ""
    calls: list = dataclasses.field(default_factory=list)  # (name, arguments)
    finish: str = "stop"  # stop, tools, length, filter, refusal
    usage: Usage = None


def sample(schema, i=0, root=None, depth=0):
    """A value that fits the schema. i: the how-manieth call it is for."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > 12:
        return {}
    if "$ref" in schema:
        at = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            at = at[part]
        return sample(at, i, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][i % len(schema["enum"])]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            options = [s for s in schema[word] if s.get("type") != "null"] or schema[word]
            return sample(options[0], i, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    kind = (kind or ("object" if "properties" in schema else "string")).lower()
    if kind == "object":
        return {k: sample(v, i, root, depth + 1) for k, v in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [sample(schema.get("items") or {}, k, root, depth + 1) for k in range(max(2, schema.get("minItems", 0)))]
    return {"string": ("Paris", "Zürich")[i % 2], "integer": 3 + i, "number": 1.5 + i, "boolean": True, "null": None}[kind]


def fits(value, schema, root=None):
    """As much of JSON schema as the tests use."""
    root = schema if root is None else root
    if "$ref" in schema:
        at = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            at = at[part]
        return fits(value, at, root)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return any(fits(value, s, root) for s in schema[word])
    kinds = schema.get("type", "object" if "properties" in schema else None)
    kinds = [k.lower() for k in ([kinds] if isinstance(kinds, str) else kinds or [])]
    python = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    if kinds and not any(isinstance(value, python[k]) for k in kinds):
        return False
    if isinstance(value, dict):
        props = schema.get("properties") or {}
        return all(k in value for k in schema.get("required") or []) and all(fits(v, props[k], root) for k, v in value.items() if k in props)
    if isinstance(value, list):
        return all(fits(v, schema.get("items") or {}, root) for v in value)
    return not schema.get("enum") or value in schema["enum"]


def media_text(media):
    return "; ".join(f"{mime} {hashlib.sha256(data).hexdigest()[:8] if isinstance(data, bytes) else data}" for mime, data in media)


def picked(ask):
    """The tools that are called."""
    names = list(ask.tools)
    if ask.choice.startswith("="):
        return [ask.choice[1:]]
    if len(names) == 1 and ask.choice == "auto":
        names = names * 2
    return names[:2] if ask.parallel else names[:1]


def calls_of(ask, do):
    said = re.search(r"\bcall (\S+) with (\{.*\})", ask.user, re.S)
    if said:
        need(said[1] in ask.tools, f"there is no tool {said[1]}, but {list(ask.tools)}")
        return [(said[1], json.loads(said[2]))]
    return [(name, {} if "noargs" in do else sample(ask.tools[name], ask.rounds * 2 + i)) for i, name in enumerate(picked(ask))]


def play(ask, do):
    """The answer. do: behaviour words of the model's name."""
    turn = Turn(thinking=THOUGHT if ask.thinks or "think" in do else "")
    wants = ask.tools and ask.choice != "none" and "text" not in do
    if "broken" in do:
        turn.text, turn.finish = "I began, but", "broken"
    elif "filter" in do or "refuse" in do:
        turn.text, turn.finish = ("I began, but" if "filter" in do else "I'm sorry, I can't help with that."), ("filter" if "filter" in do else "refusal")
    elif wants and (ask.rounds < do.get("rounds", 1) or (ask.choice not in ("auto", "none") and not ask.results)):
        turn.text = "I'll look that up." if "quiet" not in do and ask.choice == "auto" else ""
        turn.calls = calls_of(ask, do)
        turn.finish = "tools"
    elif ask.schema is not None:
        turn.text = json.dumps(sample(ask.schema), ensure_ascii=False)
    elif ask.json and "JSON schema" in ask.system:  # where an API has no schemas, in words
        turn.text = json.dumps(sample(json.JSONDecoder().raw_decode(ask.system[ask.system.index("{") :])[0]), ensure_ascii=False)
    elif ask.json:
        turn.text = json.dumps({"city": "Zürich", "n": 3}, ensure_ascii=False)
    elif ask.results:
        turn.text = "Results: " + ", ".join(f"{name}={'error: ' if bad else ''}{text}" for name, text, bad in ask.results) + TAIL
    else:
        seen = [f"{k}={v}" for k, v in (("system", ask.system), ("media", media_text(ask.media))) if v]
        turn.text = f"You said: {ask.user}" + (f" [{', '.join(seen)}]" if seen else "") + f" (turn {ask.turns})" + TAIL
    if "length" in do:
        turn.finish = "length"
    if "empty" in do:
        turn.text = ""
    turn.usage = Usage(input=120, cached=40, written=20, output=30, reasoning=10 if turn.thinking else 0)
    return turn


# ---------------------------------------------------------------- signatures

def sign(vendor, text):
    """What the vendor signs its thinking with: long, as the real ones are."""
    return base64.b64encode(hashlib.sha512(f"{vendor}'s secret:{text}".encode()).digest() * 2).decode()


def check_signature(vendor, text, signature):
    need(signature == sign(vendor, text), f"Invalid `signature` in `thinking` block: {str(signature)[:40]}")


# ---------------------------------------------------------------- checks that several vendors share

def only(obj, allowed, where, lax=False):
    need(isinstance(obj, dict), f"{where}: is no object")
    extra = [k for k in obj if k not in allowed]
    need(lax or not extra, f"{where}: unknown member {extra[:3]}", param=extra[0] if extra else None)


def number(obj, name, low, high, whole=False):
    v = obj.get(name)
    if name not in obj:
        return None
    need(isinstance(v, (int, float)) and not isinstance(v, bool) and low <= v <= high, f"{name}: {v!r} is not within {low}..{high}", param=name)
    need(not whole or v == int(v), f"{name}: {v!r} is no integer", param=name)
    return v


def text_of(v, where, empty=False):
    need(isinstance(v, str), f"{where}: is no string")
    need(empty or v.strip(), f"{where}: text content must be non-empty")
    return v


def unbase64(data, where):
    try:
        need(isinstance(data, str) and data, f"{where}: no data")
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise Refused(f"{where}: is no base64") from None


MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp", b"%PDF": "application/pdf"}


def sniffed(data, mime, where):
    """The bytes are what the type says."""
    for magic, is_mime in MAGIC.items():
        if data.startswith(magic):
            need(mime == is_mime, f"{where}: the bytes are {is_mime}, but {mime} was said")
            return data
    need(mime.startswith(("text/", "audio/")), f"{where}: the bytes are no {mime}")
    return data


def tool_name(name, most=64):
    need(isinstance(name, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,%d}" % most, name), f"tool name {name!r} does not match the pattern")
    return name


def schema_object(schema, where):
    need(isinstance(schema, dict) and schema.get("type") == "object", f"{where}: schema must be a JSON schema of type object, got {json.dumps(schema)[:80]}")
    return schema


def closed(schema, where, required):
    """Every object is closed (and all its members required)."""
    if isinstance(schema, list):
        for s in schema:
            closed(s, where, required)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        need(schema.get("additionalProperties") is False, f"{where}: 'additionalProperties' is required to be supplied and to be false")
        need(not required or sorted(schema.get("required") or []) == sorted(schema.get("properties") or {}), f"{where}: 'required' must name every key in properties")
    for k, v in schema.items():
        if k in ("properties", "$defs", "definitions"):
            for s in v.values():
                closed(s, where, required)
        elif k in ("items", "anyOf", "oneOf", "allOf"):
            closed(v, where, required)


def keywords(schema, names=False):
    """All keywords in use."""
    out = set()
    if isinstance(schema, list):
        for s in schema:
            out |= keywords(s)
    elif isinstance(schema, dict):
        for k, v in schema.items():
            if not names:
                out.add(k)
            out |= keywords(v, names=not names and k in ("properties", "$defs", "definitions")) if not (k in ("enum", "const", "default", "required") and not names) else set()
    return out
