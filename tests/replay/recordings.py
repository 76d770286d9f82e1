"""A folder of recorded provider traffic, and which of it is replayed.

Such a folder (environment variable AIGW_RECORDINGS; made.py writes another) holds INDEX.tsv, with a line for each recording (path, provider, endpoint,
streaming, status, model …), and for each a folder with meta.json, the answer's body (response.json, .sse, .ndjson, .bin, .txt)
and often request.json. Recordings that the index leaves out are found by their meta.json where that names a provider.
"""

import csv
import json
import os
import re

# Providers as recordings call them → how the gateway's configuration calls their type.
TYPES = {
    "openai": "openai", "azure": "azure", "anthropic": "anthropic", "gemini": "gemini", "vertex": "vertex", "bedrock": "bedrock",
    "cohere": "cohere", "mistral": "mistral", "ollama": "ollama", "deepseek": "deepseek", "xai": "xai", "groq": "groq",
    "openrouter": "openrouter", "perplexity": "perplexity", "together": "together", "huggingface": "huggingface",
    "cerebras": "cerebras", "moonshotai": "moonshot", "alibaba": "alibaba", "lmstudio": "lmstudio", "openai-compatible": "openai",
    "fireworks": "fireworks", "vllm": "vllm", "nvidia": "nvidia", "sambanova": "sambanova", "deepinfra": "deepinfra", "github": "github",
}

# (wire format, kind) of an endpoint. Formats are what expect.py reads and upstream.py serves; kinds are what callers ask for.
OPENAI_ENDPOINTS = {"chat": ("openai", "chat"), "responses": ("responses", "responses"), "embeddings": ("openai-embeddings", "embeddings")}
GOOGLE_ENDPOINTS = {
    "generateContent": ("google", "chat"), "streamGenerateContent": ("google", "chat"), "countTokens": ("google-count", "count"),
    "batchEmbedContents": ("google-embeddings", "embeddings"), "embedContent": ("google-embeddings", "embeddings"),
    "predict": ("vertex-predict", "embeddings"), "embeddings": ("vertex-predict", "embeddings"),
}
ENDPOINTS = {
    "anthropic": {"messages": ("anthropic", "chat"), "count_tokens": ("anthropic-count", "count")},
    "gemini": GOOGLE_ENDPOINTS,
    "vertex": GOOGLE_ENDPOINTS,
    "bedrock": {"converse": ("bedrock", "chat"), "converse-stream": ("bedrock", "chat"), "count-tokens": ("bedrock-count", "count")},
    "cohere": {"chat-v2": ("cohere", "chat"), "embed-v2": ("cohere-embeddings", "embeddings"), "rerank-v2": ("cohere-rerank", "rerank")},
}
CHAT_ENDPOINT = {"anthropic": "messages", "gemini": "generateContent", "vertex": "generateContent", "bedrock": "converse", "cohere": "chat-v2"}
# Pictures come from that endpoint, too.
NOT_EMBEDDINGS = ("imagen", "veo", "generateimages")

EXTENSIONS = {"json": "application/json", "sse": "text/event-stream", "ndjson": "application/x-ndjson",
              "bin": "application/vnd.amazon.eventstream", "txt": "text/plain"}


# how the last event of an answer begins, and the first
LAST_EVENT = {"anthropic": (rb"event: message_stop", rb"event: message_start"),
              "responses": (rb'data: ?\{"type": ?"response\.(completed|incomplete|failed)"', rb'"response\.created"')}


class Recording:
    """One of them. number: its place in this run, by which the upstream finds it again."""

    def __init__(self, root, path, provider, endpoint, status, model):
        self.root, self.path, self.provider, self.endpoint, self.status, self.model = root, path, provider, endpoint, status, model
        self.number = None
        table = ENDPOINTS.get(provider, OPENAI_ENDPOINTS)
        self.format, self.kind = table.get(endpoint, (None, None))
        self.file = next((f for f in sorted(os.listdir(self.folder)) if f.startswith("response.")), None)
        if self.format == "responses" and not self.is_responses():
            # a chat answer that was filed wrongly, or something beside answers
            self.format, self.kind = ("openai", "chat") if b'"choices"' in self.raw() else (None, None)
        if self.kind == "embeddings" and self.format == "vertex-predict" and any(w in path for w in NOT_EMBEDDINGS):
            self.format = self.kind = None

    def is_responses(self):
        if not self.file or not self.file.endswith(".json") or self.status >= 400:
            return True
        body = json.loads(self.raw())
        return "output" in body

    @property
    def folder(self):
        return os.path.join(self.root, self.path)

    @property
    def type(self):
        return TYPES.get(self.provider)

    def meta(self):
        try:
            with open(os.path.join(self.folder, "meta.json"), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def request(self):
        """The request that was recorded, or None."""
        try:
            with open(os.path.join(self.folder, "request.json"), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return None

    def raw(self):
        with open(os.path.join(self.folder, self.file), "rb") as f:
            return f.read()

    @property
    def streaming(self):
        """The caller asks for a stream."""
        if self.format == "google":
            return self.endpoint == "streamGenerateContent"
        if self.format == "bedrock":
            return self.endpoint == "converse-stream"
        if self.file.endswith((".sse", ".bin", ".ndjson")):
            return True
        return bool(self.meta().get("streaming")) and self.kind in ("chat", "responses")

    def body(self):
        """The bytes to be served: the recorded ones, but what was asked for as JSON (Google's array of chunks, without alt=sse)
        comes as the events that the same server sends when it is asked for those, and of several answers recorded into one
        file only the first comes, as any exchange holds only one."""
        raw = self.raw()
        if self.format == "google" and self.streaming and self.file.endswith(".json"):
            chunks = json.loads(raw)
            if isinstance(chunks, list):
                return b"".join(b"data: " + json.dumps(c, ensure_ascii=False).encode() + b"\r\n\r\n" for c in chunks)
        if self.format in LAST_EVENT and self.file.endswith(".sse"):
            last, first = LAST_EVENT[self.format]
            found = re.search(last, raw)
            if found and re.search(first, raw[found.end() :]):
                end = re.compile(rb"\r?\n\r?\n").search(raw, found.end())
                return raw[: end.end()]
        return raw

    def content_type(self):
        given = (self.meta().get("response_headers") or {}).get("content-type")
        if self.file.endswith(".json") and self.streaming and self.format == "google" and self.status == 200:
            return "text/event-stream"
        return given or EXTENSIONS[self.file.rsplit(".", 1)[1]]

    def headers(self):
        """Of the answer, but for what the transport makes itself."""
        skip = ("content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "date", "keep-alive")
        return {k: v if isinstance(v, str) else ", ".join(map(str, v))
                for k, v in (self.meta().get("response_headers") or {}).items() if k.lower() not in skip}

    def upstream_model(self):
        """As the provider is asked for it: the recorded name, which tells a translation what the model can do, and the number."""
        name = self.model or {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "vertex": "gemini-2.5-flash",
                              "bedrock": "us.amazon.nova-lite-v1:0", "cohere": "command-a-03-2025", "openai": "gpt-4.1"}.get(self.provider, "model")
        name = "".join(c if c.isalnum() or c in "-._:/" else "_" for c in name.removeprefix("models/"))
        if self.format and (self.format.startswith("google") or self.format == "vertex-predict"):
            name = name.replace("/", "-").replace(":", "-")
        return f"{name}.r{self.number:04d}"


def of_index(root):
    with open(os.path.join(root, "INDEX.tsv"), encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["kind"] != "golden" and row["status"].isdigit():
                yield row["path"], row["provider"], row["endpoint"], int(row["status"]), row["model"] or ""


def beside_index(root, known):
    for folder, _, files in sorted(os.walk(root)):
        path = os.path.relpath(folder, root)
        if "meta.json" in files and path not in known and any(f.startswith("response.") for f in files):
            with open(os.path.join(folder, "meta.json"), encoding="utf-8") as f:
                meta = json.load(f)
            # hand-made shapes of errors name their provider only in the folder: reported-errors/PROVIDER-…
            provider = meta.get("provider") or os.path.basename(path).split("-")[0]
            endpoint = meta.get("endpoint") or CHAT_ENDPOINT.get(provider, "chat")
            if str(meta.get("status", "")).isdigit() and meta.get("kind") != "golden":
                yield path, provider, endpoint, int(meta["status"]), meta.get("model") or ""


def load(root, provider=None, endpoint=None, only=None):
    """The recordings that can be replayed, numbered. root: a folder, or several with ':' between. Each filter is a text or a list
    of texts; only: a part of the path."""
    out = []
    for folder in root.split(os.pathsep):
        rows = list(of_index(folder))
        rows += beside_index(folder, {r[0] for r in rows})
        for row in rows:
            r = Recording(folder, *row)
            if r.format and r.type and r.file:
                r.number = len(out)
                out.append(r)

    def wanted(r):
        def among(value, given):
            return not given or value in ([given] if isinstance(given, str) else given)

        return among(r.provider, provider) and among(r.endpoint, endpoint) and (not only or only in r.path)

    return [r for r in out if wanted(r)]
