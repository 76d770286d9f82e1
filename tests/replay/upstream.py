"""All providers at once, recorded: answers each request with the recording that its model's name tells, over real HTTP.

    upstream.py RECORDINGS SEED    prints its port; ends when its standard input does

The model's name ends in .rNNNN, the recording's number (recordings.py). It is found in the body, or in the path where a vendor
has it there. Each provider has a prefix of the path for itself: /TYPE/…; below /plain/ nothing is checked. The answer's bytes
are cut at places, and sent with pauses, that the seed, the recording and how often it was asked for decide; so a run can be had again.

What a request must have is looked at, and told as a 400 with the words "the upstream's check": its path, its credential, valid
JSON, the members that the vendor demands, Bedrock's signature, Vertex's token. GET /seen/NNNN tells the last request for a
recording; POST /token is what a service account's token_uri names.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import re
import subprocess
import sys
import tempfile
import urllib.parse

import recordings

KEY = "sk-replay-upstream-key"
ACCESS, SECRET, REGION = "AKIDREPLAYEXAMPLE", "replay/secret/key/EXAMPLE", "eu-central-1"
PROJECT, LOCATION = "replay-project", "europe-west4"
TOKEN = "ya29.replay-token"
SERVICE_ACCOUNT = "replay@replay-project.iam.gserviceaccount.com"

OPENAI_PATHS = {"openai": "/chat/completions", "responses": "/responses", "openai-embeddings": "/embeddings"}


class Refused(Exception):
    """The request is not what the vendor takes."""


def check(ok, what):
    if not ok:
        raise Refused(what)


# ---------------------------------------------------------------- credentials


def sign(request):
    """The Authorization header that AWS would compute for this request (Signature Version 4)."""
    given = request["headers"].get("authorization", "")
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", given)
    check(m, f"no AWS signature: {given[:40]!r}")
    access, date, region, signed, signature = m.groups()
    check(access == ACCESS and region == REGION, "wrong access key or region")
    names = signed.split(";")
    check("host" in names and "x-amz-date" in names, f"host and x-amz-date must be signed: {signed}")
    path, _, query = request["path"].partition("?")
    canonical = "\n".join([
        request["method"], urllib.parse.quote(path, safe="/-_.~"), query,
        *(f"{n}:{' '.join(request['headers'][n].split())}" for n in names), "", signed, hashlib.sha256(request["body"]).hexdigest(),
    ])
    stamp = request["headers"]["x-amz-date"]
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{date}/{region}/bedrock/aws4_request", hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for piece in (date, region, "bedrock", "aws4_request"):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    check(hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == signature, "the signature does not match")


def check_credential(kind, headers, request):
    if kind == "anthropic":
        check(headers.get("x-api-key") == KEY or headers.get("authorization") == f"Bearer {KEY}", "x-api-key")
        check(headers.get("anthropic-version"), "anthropic-version is missing")
    elif kind == "gemini":
        check(headers.get("x-goog-api-key") == KEY, "x-goog-api-key")
    elif kind == "azure":
        check(headers.get("api-key") == KEY or headers.get("authorization") == f"Bearer {KEY}", "api-key")
    elif kind == "vertex":
        check(headers.get("authorization") == f"Bearer {TOKEN}", "the token")
    elif kind == "bedrock":
        sign(request)
    else:
        check(headers.get("authorization") == f"Bearer {KEY}", "authorization")


class Tokens:
    """A service account's key, and the endpoint that gives tokens for what it signs."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="aigw-replay-")
        self.private, self.public = f"{self.folder.name}/key.pem", f"{self.folder.name}/public.pem"
        run = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.private], **run)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public], **run)

    def account(self, port):
        with open(self.private, encoding="ascii") as f:
            key = f.read()
        return {"type": "service_account", "project_id": PROJECT, "private_key_id": "0123456789abcdef", "private_key": key,
                "client_email": SERVICE_ACCOUNT, "client_id": "1", "token_uri": f"http://127.0.0.1:{port}/token"}

    def give(self, request):
        form = urllib.parse.parse_qs(request["body"].decode())
        check(form.get("grant_type") == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "grant_type")
        head, claims, signature = form["assertion"][0].split(".")

        def part(text):
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

        check(json.loads(part(head))["alg"] == "RS256", "alg")
        said = json.loads(part(claims))
        check(said["iss"] == SERVICE_ACCOUNT and said["aud"].endswith("/token") and "cloud-platform" in said["scope"], "claims")
        check(0 < said["exp"] - said["iat"] <= 3600, "exp")
        with tempfile.NamedTemporaryFile(dir=self.folder.name) as s:
            s.write(part(signature))
            s.flush()
            ok = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", s.name], input=f"{head}.{claims}".encode(),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        check(ok.returncode == 0, "the assertion's signature")
        return json.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}).encode()


# ---------------------------------------------------------------- requests


def check_shape(r, path, query, body):
    """Path and members that the vendor of recording r demands."""
    has = body.__contains__
    if r.format in OPENAI_PATHS:
        check(path.endswith(OPENAI_PATHS[r.format]), f"path {path}")
        if r.type == "azure" and "/deployments/" in path:
            check(query.get("api-version"), "api-version")
    if r.format == "openai":
        check(has("messages") and body["messages"], "messages")
        check(bool(body.get("stream")) == r.streaming, "stream")
        if r.type == "mistral":
            for m in body["messages"]:
                for t in m.get("tool_calls") or []:
                    check(re.fullmatch("[A-Za-z0-9]{9}", t["id"]), "tool call id")
    elif r.format == "responses":
        check(has("input"), "input")
        check(bool(body.get("stream")) == r.streaming, "stream")
    elif r.format == "anthropic":
        check(path.endswith("/v1/messages"), f"path {path}")
        check(isinstance(body.get("max_tokens"), int) and body.get("messages"), "max_tokens, messages")
        check(body["messages"][0]["role"] == "user", "the first role")
        check(bool(body.get("stream")) == r.streaming, "stream")
        for t in body.get("tools") or []:
            own = t.get("type") not in (None, "custom")
            check(own or (isinstance(t.get("input_schema"), dict) and t["input_schema"].get("type") == "object"), "input_schema")
    elif r.format == "anthropic-count":
        check(path.endswith("/v1/messages/count_tokens") and body.get("messages") and not has("max_tokens") and not has("stream"), "count_tokens")
    elif r.format == "google":
        method = "streamGenerateContent" if r.streaming else "generateContent"
        check(path.endswith(":" + method), f"path {path}")
        check(not r.streaming or query.get("alt") == ["sse"], "alt=sse")
        check(body.get("contents") and body["contents"][0].get("role", "user") == "user", "contents")
        check(not has("model") and not has("stream"), "members that it does not know")
    elif r.format == "bedrock":
        check(path.endswith("/converse-stream" if r.streaming else "/converse"), f"path {path}")
        check(body.get("messages") and body["messages"][0]["role"] == "user", "messages")
        check(not has("model") and not has("stream"), "members that it does not know")
        for t in (body.get("toolConfig") or {}).get("tools") or []:
            check("toolSpec" not in t or isinstance(t["toolSpec"]["inputSchema"]["json"], dict), "inputSchema")
    elif r.format == "cohere":
        check(path.endswith("/v2/chat") and body.get("messages"), "messages")
        check(bool(body.get("stream")) == r.streaming, "stream")
    elif r.format == "cohere-embeddings":
        check(path.endswith("/v2/embed") and body.get("input_type") and (body.get("texts") or body.get("inputs")), "input_type, texts")
    elif r.format == "cohere-rerank":
        check(path.endswith("/v2/rerank") and body.get("documents") and body.get("query"), "documents, query")
    if r.type == "vertex":
        check(f"/projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/" in path, f"path {path}")


# ---------------------------------------------------------------- the server


class Upstream:
    def __init__(self, root, seed):
        self.recordings = {r.number: r for r in recordings.load(root)}
        self.seed, self.served, self.seen, self.tokens, self.port = seed, {}, {}, Tokens(), 0

    def answer(self, request):
        """(status, headers, body, how it is cut: a random.Random, or None)"""
        path, _, query = request["path"].partition("?")
        if path == "/account":
            return 200, {"content-type": "application/json"}, json.dumps(self.tokens.account(self.port)).encode(), None
        if path == "/token":
            return 200, {"content-type": "application/json"}, self.tokens.give(request), None
        if path.startswith("/seen/"):
            return 200, {"content-type": "application/json"}, json.dumps(self.seen.get(int(path[6:]))).encode(), None
        try:
            body = json.loads(request["body"])
        except ValueError as e:
            raise Refused(f"the body is no JSON: {e}") from e
        model = urllib.parse.unquote(path) if not isinstance(body.get("model"), str) else body["model"] + " " + urllib.parse.unquote(path)
        found = re.search(r"\.r(\d{4})(?!\d)", model)
        check(found, f"no recording is named: {model[:100]}")
        r = self.recordings[int(found.group(1))]
        self.seen[r.number] = {"method": request["method"], "path": request["path"], "headers": request["headers"], "body": body}
        if path.startswith("/plain/"):  # a caller's SDK itself, without a gateway
            return r.status, {"content-type": r.content_type(), **r.headers()}, r.body(), random.Random(f"{self.seed}:{r.number}:plain")
        kind = path.split("/")[1].split("-")[0]
        check(kind == r.type, f"{r.path} is not of {kind}")
        check_credential(kind, request["headers"], request)
        check_shape(r, path, urllib.parse.parse_qs(query), body)
        nth = self.served[r.number] = self.served.get(r.number, 0) + 1
        return r.status, {"content-type": r.content_type(), **r.headers()}, r.body(), random.Random(f"{self.seed}:{r.number}:{nth}")

    async def send(self, writer, status, headers, body, rng):
        chunked = rng is not None and (rng.random() < 0.5 or "event" in headers["content-type"])
        length = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
        lines = [f"HTTP/1.1 {status} Recorded", *(f"{k}: {v}" for k, v in headers.items()), length]
        writer.write("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n")
        cuts = sorted(rng.randrange(1, len(body)) for _ in range(rng.choice((0, 3, 12, 40, 40, 200)))) if rng and len(body) > 1 else []
        for start, end in zip([0, *cuts], [*cuts, len(body)]):
            piece = body[start:end]
            if piece:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
            if rng and rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.003)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def request(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return {"method": method, "path": path, "headers": headers, "body": body}

    async def serve(self, reader, writer):
        try:
            while True:
                request = await self.request(reader)
                try:
                    answer = self.answer(request)
                except (Refused, KeyError, ValueError, TypeError, AttributeError) as e:
                    text = f"the upstream's check: {type(e).__name__} {e} ({request['method']} {request['path']})"
                    answer = 400, {"content-type": "application/json"}, json.dumps({"message": text, "error": {"message": text, "code": 400}}).encode(), None
                await self.send(writer, *answer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=64 << 20, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        print(self.port, flush=True)
        # whoever started us closes our standard input when it ends
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.close()


def main():
    asyncio.run(Upstream(sys.argv[1], sys.argv[2]).run())


if __name__ == "__main__":
    main()
