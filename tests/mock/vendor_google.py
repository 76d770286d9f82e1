"""Google's wire: generateContent and its kin, on AI Studio and (below its own paths, with tokens of a service account) on Vertex."""

import base64
import json
import os
import subprocess
import tempfile
import time
import urllib.parse

from vendor_agent import Ask, check_signature, keywords, need, number, only, play, sign, sniffed, text_of, tool_name, unbase64
from vendor_anthropic import AnthropicOnVertex
from vendor_wire import Stream, Vendor, Whole, event, pieces, vector

ALLOWED = set("contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent".split())
CONFIG = set(
    "temperature topP topK candidateCount maxOutputTokens stopSequences seed presencePenalty frequencyPenalty responseMimeType responseSchema responseJsonSchema"
    " responseLogprobs logprobs responseModalities thinkingConfig speechConfig mediaResolution".split()
)
OPENAPI = set("type format title description nullable enum maxItems minItems properties required minProperties maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum".split())
STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
FINISH = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY", "refusal": "PROHIBITED_CONTENT", "broken": "MALFORMED_FUNCTION_CALL"}
PLACEHOLDER = ("skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=")  # SDKs that know bytes encode it


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(w[:1].upper() + w[1:] for w in rest) if rest and head else name


def renamed(v, own=False):
    """Google's servers take snake_case, too; own: names that are the caller's (arguments, schemas)."""
    if isinstance(v, list):
        return [renamed(x, own) for x in v]
    if not isinstance(v, dict) or own:
        return v
    theirs = ("args", "response", "parametersJsonSchema", "responseJsonSchema", "labels")
    return {camel(k): each_renamed(x) if k == "properties" else renamed(x, camel(k) in theirs) for k, x in v.items()}


def each_renamed(named):
    """A schema's properties: what they are called is the caller's, the schemas are Google's."""
    return {name: renamed(x) for name, x in named.items()}


def strict_parts(p, where):
    data = [k for k in p if k not in ("thought", "thoughtSignature")]
    need(len(data) == 1 and data[0] in ("text", "inlineData", "fileData", "functionCall", "functionResponse"), f"{where}: required oneof field 'data' must have one initialized field, got {list(p)}")
    return data[0]


def either_base64(data):
    """Both alphabets are taken, as everywhere in Google's JSON."""
    return data.replace("-", "+").replace("_", "/") if isinstance(data, str) else data


class Gemini(Vendor):
    name = "gemini"
    allowed = ALLOWED
    words = {"toolong": "The input token count (2000001) exceeds the maximum number of tokens allowed (1048576).", "policy": "The prompt goes against our usage policies."}

    def authorized(self, req):
        return req.headers.get("x-goog-api-key") == self.key

    def bad_key(self):
        return self.refusal(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")

    def split(self, req):
        path, _, query = req.path.partition("?")
        path = urllib.parse.unquote(path)
        need(path.startswith("/v1beta/models/"), f"Not found: {path}", status=404)
        model, _, method = path[len("/v1beta/models/") :].rpartition(":")
        return model, method, urllib.parse.parse_qs(query)

    def model(self, req):
        return self.split(req)[0]

    def error(self, status, message, kind=None, param=None):
        e = {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}
        if kind:
            e["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": kind, "domain": "googleapis.com"}]
        return {"error": e}

    def error_headers(self, status):
        return {}  # Google's have no id of the request

    def retry(self, whole, seconds):
        obj = json.loads(whole.body)
        obj["error"]["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}]
        whole.body = json.dumps(obj).encode()
        return whole

    def error_event(self, stream):
        return event(self.error(503, "The model is overloaded. Please try again later."))

    def answer(self, req, do):
        model, method, query = self.split(req)
        if method == "countTokens":
            body = req.json
            only(body, self.counts, "request")
            inner = body.get("generateContentRequest") or body
            if "generateContentRequest" in body:
                need(inner.get("model") == f"models/{model}", "generateContentRequest.model: must be the model of the path")
            self.read({k: v for k, v in inner.items() if k != "model"}, model, do)
            return Whole({"totalTokens": 42})
        if method == "embedContent":
            return self.embed([req.json], model, False)
        if method == "batchEmbedContents":
            only(req.json, {"requests"}, "request")
            for r in req.json["requests"]:
                need(r.get("model") == f"models/{model}", "requests[].model: must be the model of the path")
            return self.embed(req.json["requests"], model, True)
        need(method in ("generateContent", "streamGenerateContent"), f"unknown method {method}", status=404)
        ask = self.read(req.json, model, do)
        ask.stream = method == "streamGenerateContent"
        turn = play(ask, do)
        if not ask.stream:
            return Whole(self.whole(ask, turn, do))
        return self.stream(ask, turn, do, req.random, query.get("alt") == ["sse"])

    counts = {"contents", "generateContentRequest"}

    def embed(self, requests, model, batch):
        out = []
        for r in requests:
            only(r, {"model", "content", "taskType", "title", "outputDimensionality"}, "request")
            text = "".join(text_of(p.get("text"), "content") for p in r["content"]["parts"])
            out.append({"values": vector(text, r.get("outputDimensionality") or 4)})
        return Whole({"embeddings": out} if batch else {"embedding": out[0]})

    # ------------------------------------------------------------ the request

    def read(self, body, model, do):
        body = renamed(body)
        only(body, self.allowed, "Invalid JSON payload received. Unknown name", "lax" in do)
        ask = Ask(model=model)
        system = body.get("systemInstruction")
        if system is not None:
            need(isinstance(system, dict) and system.get("parts"), "systemInstruction: no parts")
            ask.system = "\n".join(text_of(p.get("text"), "systemInstruction") for p in system["parts"])
        self.read_tools(ask, body)
        self.read_config(ask, body.get("generationConfig") or {})
        self.read_contents(ask, body.get("contents"))
        return ask

    def read_tools(self, ask, body):
        for t in body.get("tools") or []:
            only(t, {"functionDeclarations"}, "tools")
            for f in t["functionDeclarations"]:
                only(f, {"name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"}, "functionDeclarations")
                need(not ("parameters" in f and "parametersJsonSchema" in f), "functionDeclarations: both parameters and parametersJsonSchema")
                bad = keywords(f.get("parameters") or {}) - OPENAPI
                need(not bad, f"Invalid JSON payload received. Unknown name {sorted(bad)} at 'tools[0].function_declarations[0].parameters'")
                need(f.get("name") not in ask.tools, "Duplicate function declaration found")
                ask.tools[tool_name(f.get("name"), 128)] = f.get("parametersJsonSchema") or f.get("parameters") or {"type": "object"}
        c = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        only(c, {"mode", "allowedFunctionNames"}, "functionCallingConfig")
        mode, names = c.get("mode", "AUTO"), c.get("allowedFunctionNames") or []
        need(mode in ("AUTO", "ANY", "NONE", "VALIDATED"), f"functionCallingConfig.mode: {mode}")
        need(not names or mode in ("ANY", "VALIDATED"), "allowedFunctionNames should only be set when mode is ANY or VALIDATED")
        need(all(n in ask.tools for n in names) and (not c or ask.tools), "functionCallingConfig: no such function declarations")
        ask.choice = {"AUTO": "auto", "VALIDATED": "auto", "NONE": "none"}.get(mode, "required")
        if len(names) == 1:
            ask.choice = "=" + names[0]

    def read_config(self, ask, g):
        only(g, CONFIG, "Invalid JSON payload received. Unknown name at 'generation_config'")
        number(g, "temperature", 0, 2), number(g, "topP", 0, 1), number(g, "topK", 1, 1000), number(g, "maxOutputTokens", 1, 1e6, True), number(g, "seed", -(2**31), 2**31 - 1, True)
        ask.n = number(g, "candidateCount", 1, 8, True) or 1
        ask.stop = g.get("stopSequences", [])
        need(len(ask.stop) <= 5, "stopSequences: at most 5")
        t = g.get("thinkingConfig") or {}
        only(t, {"includeThoughts", "thinkingBudget", "thinkingLevel"}, "thinkingConfig")
        need(not ("thinkingBudget" in t and "thinkingLevel" in t), "You can only set only one of thinking budget and thinking level.")
        if "thinkingLevel" in t:
            need("gemini-3" in ask.model and t["thinkingLevel"] in ("MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high"), "Thinking level is not supported for this model.")
        budget = number(t, "thinkingBudget", -1, 32768, True)
        need("2.5-pro" not in ask.model or budget != 0, "Budget 0 is invalid. This model only works in thinking mode.")
        ask.thinks = t.get("includeThoughts") is True and budget != 0
        mime = g.get("responseMimeType", "text/plain")
        schemas = [k for k in ("responseSchema", "responseJsonSchema") if k in g]
        need(mime in ("text/plain", "application/json"), f"responseMimeType: {mime}")
        need(len(schemas) < 2 and (not schemas or mime == "application/json"), "response schema: needs application/json, and only one form of it")
        need(not (mime == "application/json" and ask.tools and "gemini-2" in ask.model), "Function calling with a response mime type: 'application/json' is unsupported")
        ask.json = mime == "application/json"
        if schemas:
            ask.schema = g[schemas[0]]
            bad = keywords(ask.schema) - OPENAPI if schemas[0] == "responseSchema" else set()
            need(not bad, f"Invalid JSON payload received. Unknown name {sorted(bad)} at 'generation_config.response_schema'")

    def read_part(self, ask, p, role, where):
        only(p, {"text", "inlineData", "fileData", "functionCall", "functionResponse", "thought", "thoughtSignature"}, where)
        kind = strict_parts(p, where)
        need((role == "model") or kind != "functionCall", f"{where}: functionCall of a user")
        need((role == "user") or kind != "functionResponse", f"{where}: functionResponse of a model")
        if "thoughtSignature" in p:
            what = json.dumps(p["functionCall"].get("args") or {}, sort_keys=True) if kind == "functionCall" else "a text"
            if p["thoughtSignature"] not in PLACEHOLDER:
                check_signature("google", what, p["thoughtSignature"].replace("-", "+").replace("_", "/"))
        if kind == "inlineData":
            only(p[kind], {"mimeType", "data"}, where)
            ask.media.append((p[kind]["mimeType"], sniffed(unbase64(either_base64(p[kind]["data"]), where), p[kind]["mimeType"], where)))
        if kind == "fileData":
            need(str(p[kind].get("fileUri")).startswith(("https://generativelanguage.googleapis.com/", "https://www.youtube.com/", "gs://")), f"{where}: Unsupported file uri {p[kind]}")
            ask.media.append(("url", p[kind]["fileUri"]))
        if kind in ("functionCall", "functionResponse"):
            tool_name(p[kind].get("name"), 128)
            member = "args" if kind == "functionCall" else "response"
            only(p[kind], {"name", member, "id"}, where)
            need(isinstance(p[kind].get(member, {} if member == "args" else None), dict), f"{where}.{member}: must be a Struct, got {json.dumps(p[kind].get(member))}")
        return p.get("text", "") if not p.get("thought") else ""

    def read_contents(self, ask, contents):
        need(isinstance(contents, list) and contents, "GenerateContentRequest.contents: contents is not specified")
        calls, role, contents = [], None, self.merged(contents)
        for i, c in enumerate(contents):
            where = f"contents[{i}]"
            only(c, {"role", "parts"}, where)
            need(c.get("role", "user") in ("user", "model") and c.get("role", "user") != role, f"{where}: please ensure that multiturn requests alternate between user and model (role {c.get('role')})")
            need(i > 0 or c.get("role", "user") == "user", "contents: must begin with the user")
            role = c.get("role", "user")
            need(isinstance(c.get("parts"), list) and c["parts"], f"{where}.parts must not be empty.")
            texts = [self.read_part(ask, p, role, f"{where}.parts[{k}]") for k, p in enumerate(c["parts"])]
            calls = self.read_turn(ask, c["parts"], texts, role, calls, where, i == len(contents) - 1)
        ask.turns = len(contents)
        need(role == "user" and not calls, "Please ensure that function call turn is followed by the function responses")

    @staticmethod
    def merged(contents):
        """Neighbours of the same role are one turn to Google."""
        out = []
        for c in contents:
            if out and isinstance(c.get("parts"), list) and c.get("role", "user") == out[-1].get("role", "user"):
                out[-1] = {**out[-1], "parts": out[-1]["parts"] + c["parts"]}
            else:
                out.append(c)
        return out

    def read_turn(self, ask, parts, texts, role, calls, where, last):
        responses = [p["functionResponse"] for p in parts if "functionResponse" in p]
        if role == "user":
            need(len(responses) == len(calls), f"{where}: Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
            need([r["name"] for r in responses] == [c["name"] for c in calls], f"{where}: function responses are not in the order of their calls")
            need(all(r.get("id") in (None, c.get("id")) for r, c in zip(responses, calls)), f"{where}: functionResponse.id differs from its call's")
            ask.results = [(r["name"], r["response"].get("output") or r["response"].get("result") or r["response"].get("error") or json.dumps(r["response"]), "error" in r["response"]) for r in responses]
            ask.results = [(n, t if isinstance(t, str) else json.dumps(t), e) for n, t, e in ask.results]
            if "".join(texts):
                ask.user = "".join(texts)
            return []
        found = [p for p in parts if "functionCall" in p]
        if found and "gemini-3" in ask.model:
            need("thoughtSignature" in found[0], f"Function call is missing a thought_signature in functionCall parts. ({where})")
        ask.rounds += bool(found)
        return [p["functionCall"] for p in found]

    # ------------------------------------------------------------ the answer

    def usage(self, u):
        return {
            "promptTokenCount": u.input,
            "cachedContentTokenCount": u.cached,
            "candidatesTokenCount": u.output - u.reasoning,
            **({"thoughtsTokenCount": u.reasoning} if u.reasoning else {}),
            "totalTokenCount": u.input + u.output,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": u.input}],
        }

    def answer_of(self, ask, turn, parts, finish=None):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **({"finishReason": finish} if finish else {})}
        return {"candidates": [candidate], "usageMetadata": self.usage(turn.usage), "modelVersion": ask.model, "responseId": "up1", "xNewMember": [1]}

    def parts(self, ask, turn):
        three = "gemini-3" in ask.model
        out = [{"text": turn.thinking, "thought": True}] if turn.thinking else []
        out += [{"text": turn.text}] if turn.text else []
        for i, (name, args) in enumerate(turn.calls):
            call = {"name": name, "args": args, **({"id": f"fc{ask.rounds}{i}"} if three else {})}
            out.append({"functionCall": call, **({"thoughtSignature": sign("google", json.dumps(args, sort_keys=True))} if (three or turn.thinking) and i == 0 else {})})
        return out

    def whole(self, ask, turn, do):
        if "blocked" in do:
            return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": turn.usage.input, "totalTokenCount": turn.usage.input}, "modelVersion": ask.model}
        out = self.answer_of(ask, turn, self.parts(ask, turn), FINISH[turn.finish])
        out["candidates"] = [{**out["candidates"][0], "index": i} for i in range(ask.n)]
        return out

    def stream(self, ask, turn, do, rnd, sse):
        chunks = []
        for p in self.parts(ask, turn):
            chunks += [[{**p, "text": t}] for t in pieces(p["text"], rnd)] if "text" in p else [[p]]
        chunks.append([{"text": "", "thoughtSignature": sign("google", "a text")}] if "gemini-3" in ask.model and turn.finish == "stop" else [{"text": ""}])
        objs = [self.answer_of(ask, turn, c) for c in chunks[:-1]] + [self.answer_of(ask, turn, chunks[-1], FINISH[turn.finish])]
        if sse:
            return Stream([event(o, crlf=rnd.random() < 0.7) for o in objs], last=1)
        return Stream([json.dumps(o, indent=2, ensure_ascii=False).encode() for o in objs], last=1, content_type="application/json", joint=(b"[", b",\r\n", b"]"))


class Vertex(Gemini):
    """Tokens are got at /token with a service account's JWT."""

    name = "vertex"
    allowed = ALLOWED | {"labels"}
    counts = {"contents", "systemInstruction", "tools", "generationConfig", "model", "instances"}
    token = "ya29.vertex-secret-token"

    def __init__(self):
        self.tokens_given = 0
        self.claude = AnthropicOnVertex()

    def make_account(self, folder, port):
        """A service account's key file; its token_uri is this mock."""
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], capture_output=True, check=True).stdout
        self.public = subprocess.run(["openssl", "pkey", "-pubout"], input=key, capture_output=True, check=True).stdout
        account = {"type": "service_account", "project_id": "test-project", "private_key_id": "kid1", "private_key": key.decode(), "client_email": "gw@test-project.iam.gserviceaccount.com", "token_uri": f"http://127.0.0.1:{port}/token"}
        path = f"{folder}/vertex.json"
        with open(path, "w") as f:
            json.dump(account, f)
        os.chmod(path, 0o600)
        return path

    def credential(self, req):
        return self.token

    def authorized(self, req):
        return req.path == "/token" or req.headers.get("authorization") == f"Bearer {self.token}"

    def model(self, req):
        return "" if req.path == "/token" else self.split(req)[0]

    def bad_key(self):
        return self.refusal(401, "Request had invalid authentication credentials.")

    def split(self, req):
        path, _, query = req.path.partition("?")
        path = urllib.parse.unquote(path)
        prefix = "/v1/projects/test-project/locations/europe-west4/publishers/"
        need(path.startswith(prefix), f"Not found: {path}", status=404)
        self.publisher, _, rest = path[len(prefix) :].partition("/models/")
        model, _, method = rest.rpartition(":")
        return model, method, urllib.parse.parse_qs(query)

    def answer(self, req, do):
        if req.path == "/token":
            return self.give_token(req)
        model, method, _ = self.split(req)
        if (self.publisher, model) == ("anthropic", "count-tokens"):
            need("anthropic-beta" not in req.headers, f"Unexpected value(s) `{req.headers.get('anthropic-beta')}` for the `anthropic-beta` header.")
            return self.claude.count(req, do)
        if self.publisher == "anthropic":
            need(method in ("rawPredict", "streamRawPredict"), f"unknown method {method}", status=404)
            need((method == "streamRawPredict") == (req.json.get("stream") is True), "stream does not fit the method")
            return self.claude.raw_predict(req, do, model)
        need(self.publisher == "google", "publisher", status=404)
        if method == "predict":
            values = [{"embeddings": {"values": vector(i["content"], (req.json.get("parameters") or {}).get("outputDimensionality") or 4), "statistics": {"token_count": 8}}} for i in req.json["instances"]]
            return Whole({"predictions": values})
        return super().answer(req, do)

    def error_event(self, stream):
        return self.claude.error_event(stream) if b"message_start" in stream.events[0] else super().error_event(stream)

    def give_token(self, req):
        form = urllib.parse.parse_qs(req.body.decode())
        need(form.get("grant_type") == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "grant_type")
        signed, _, signature = form["assertion"][0].rpartition(".")
        head, claims = (json.loads(base64.urlsafe_b64decode(p + "==")) for p in signed.split("."))
        need(head["alg"] == "RS256" and claims["iss"].startswith("gw@") and claims["aud"].endswith("/token"), f"claims: {claims}")
        need(claims["scope"] == "https://www.googleapis.com/auth/cloud-platform" and claims["exp"] - claims["iat"] <= 3600 and abs(claims["iat"] - time.time()) < 60, f"claims: {claims}")
        with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as sig:
            key.write(self.public), key.flush(), sig.write(base64.urlsafe_b64decode(signature + "==")), sig.flush()
            ok = subprocess.run(["openssl", "dgst", "-sha256", "-verify", key.name, "-signature", sig.name], input=signed.encode(), capture_output=True).returncode == 0
        need(ok, "Invalid JWT Signature.")
        self.tokens_given += 1
        return Whole({"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"})
