"""Vertex AI with a service account: one token for all workers, fetched ahead of its end, and what is seen when the token endpoint or
the provider refuses. A fake of both: the token endpoint checks the signature of what it is sent, the provider takes only tokens that
are good at that moment."""

import base64
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest
from gateway import wait_until

GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "from gemini"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9},
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "from claude"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 2},
}
CLAUDE_EVENTS = [
    {"type": "message_start", "message": {**CLAUDE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "from "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "claude"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


class Cloud:
    """The token endpoint and the provider, on one port."""

    def __init__(self, folder):
        self.key = os.path.join(folder, "account.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-out", self.key + ".pub"], check=True, capture_output=True)
        self.lock = threading.Lock()
        self.tokens = {}  # token: good until
        self.asked = 0
        self.life, self.delay, self.status = 3600, 0.0, 200
        self.seen = []  # (path, headers, body) at the provider
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path == "/token":
                    cloud.give_token(self, body)
                else:
                    cloud.serve(self, body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.file = os.path.join(folder, "account.json")
        with open(self.key) as f:
            pem = f.read()
        with open(self.file, "w") as f:
            json.dump(
                {
                    "type": "service_account",
                    "project_id": "orchard-7",
                    "private_key_id": "kid-1",
                    "private_key": pem,
                    "client_email": "gw@orchard-7.example",
                    "token_uri": f"http://127.0.0.1:{self.port}/token",
                },
                f,
            )
        os.chmod(self.file, 0o600)
        self.secrets = [pem.splitlines()[3]]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def say(h, status, body, content_type="application/json"):
        h.send_response(status)
        h.send_header("content-type", content_type)
        h.send_header("content-length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def check_assertion(self, form):
        fields = urllib.parse.parse_qs(form.decode())
        assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        signed, signature = fields["assertion"][0].rsplit(".", 1)
        decode = lambda s: base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))  # noqa: E731
        claims = json.loads(decode(signed.split(".")[1]))
        assert claims["aud"] == f"http://127.0.0.1:{self.port}/token" and claims["iss"] == "gw@orchard-7.example"
        with open(self.key + ".sig", "wb") as f:
            f.write(decode(signature))
        subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.key + ".pub", "-signature", self.key + ".sig"], input=signed.encode(), check=True, capture_output=True)

    def give_token(self, h, form):
        with self.lock:
            self.asked += 1
            n = self.asked
            self.check_assertion(form)
        time.sleep(self.delay)
        if self.status != 200:
            return self.say(h, self.status, json.dumps({"error": "unavailable", "error_description": "Come again."}).encode())
        token = f"ya29.secret-{n}"
        with self.lock:
            self.tokens[token] = time.time() + self.life
            self.secrets.append(token)
        self.say(h, 200, json.dumps({"access_token": token, "expires_in": self.life, "token_type": "Bearer"}).encode())

    def serve(self, h, body):
        token = h.headers.get("authorization", "").removeprefix("Bearer ")
        with self.lock:
            good = self.tokens.get(token, 0) > time.time() or h.headers.get("x-goog-api-key") == "AIza-express"
            self.seen.append((h.path, {k.lower(): v for k, v in h.headers.items()}, json.loads(body)))
        if not good:
            error = {"error": {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}}
            return self.say(h, 401, json.dumps(error).encode())
        if "streamRawPredict" in h.path:
            events = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in CLAUDE_EVENTS)
            return self.say(h, 200, events.encode(), "text/event-stream")
        if "streamGenerateContent" in h.path:
            return self.say(h, 200, f"data: {json.dumps(GEMINI)}\r\n\r\n".encode(), "text/event-stream")
        if "count-tokens" in h.path:
            return self.say(h, 200, b'{"input_tokens": 41}')
        self.say(h, 200, json.dumps(CLAUDE if "anthropic" in h.path else GEMINI).encode())


@pytest.fixture
def cloud(tmp_path):
    c = Cloud(str(tmp_path))
    yield c
    c.stop()


@pytest.fixture
def vertex(cloud, make_gateway):
    def make(credential=None, **kw):
        credential = credential or f'credentials_file = "{cloud.file}";'
        return make_gateway(
            providers=f', {{ name = "google"; type = "vertex"; base_url = "http://127.0.0.1:{cloud.port}"; max_in_flight = 64; {credential} }}',
            models="""
            , { name = "pear"; targets = ( { provider = "google"; model = "gemini-2.5-pro"; } ); }
            , { name = "plum"; targets = ( { provider = "google"; model = "claude-sonnet-4-5"; } ); }""",
            **kw,
        )

    return make


def together(n, what):
    """Calls what() n times at once and returns what came."""
    out, threads = [], []
    for _ in range(n):
        threads.append(threading.Thread(target=lambda: out.append(what())))
        threads[-1].start()
    for t in threads:
        t.join()
    return out


def assert_nothing_leaked(gw, cloud, answers=()):
    texts = [gw.log_text()] + [repr(a.headers) + a.body.decode("utf-8", "replace") for a in answers]
    for secret in cloud.secrets:
        assert all(secret not in t for t in texts)


def test_one_token_for_all_workers(vertex, cloud):
    gw = vertex(workers=(8, 16, 2))
    cloud.delay = 0.3
    key = gw.make_key()["key"]
    answers = together(8, lambda: gw.chat(key, "pear"))
    answers += together(16, lambda: gw.chat(key, "pear"))
    assert [a.status for a in answers] == [200] * 24
    assert {a.json()["choices"][0]["message"]["content"] for a in answers} == {"from gemini"}
    assert answers[0].json()["usage"]["total_tokens"] == 9
    assert cloud.asked == 1
    path, headers, body = cloud.seen[0]
    assert path == "/v1/projects/orchard-7/locations/global/publishers/google/models/gemini-2.5-pro:generateContent"
    assert headers["authorization"] == "Bearer ya29.secret-1"
    assert_nothing_leaked(gw, cloud, answers)


def test_refreshed_ahead(vertex, cloud):
    """Tokens live for 3 s here; nobody ever meets one that is over, and one process fetches at a time."""
    gw = vertex()
    cloud.life, cloud.delay = 3, 0.05
    key = gw.make_key()["key"]
    end = time.monotonic() + 7
    while time.monotonic() < end:
        for a in together(3, lambda: gw.chat(key, "pear")):
            assert a.status == 200, a.body
        time.sleep(0.02)
    assert 3 <= cloud.asked <= 5


def test_endpoint_down(vertex, cloud):
    gw = vertex()
    cloud.status = 503
    key = gw.make_key()["key"]
    begin = time.monotonic()
    answers = [gw.chat(key, "pear") for _ in range(20)]
    assert time.monotonic() - begin < 2, "a failure is remembered"
    assert {a.status for a in answers} <= {502, 503}
    assert cloud.asked <= 2
    assert not cloud.seen, "nothing was sent without a token"
    assert "answered with status 503: unavailable: Come again." in gw.log_text()
    cloud.status = 200
    wait_until(lambda: gw.chat(key, "pear").status == 200, 10, 0.2)
    assert_nothing_leaked(gw, cloud, answers)


def test_endpoint_dies_while_the_token_is_good(vertex, cloud):
    gw = vertex()
    cloud.life = 6
    key = gw.make_key()["key"]
    assert gw.chat(key, "pear").status == 200
    cloud.status = 500
    wait_until(lambda: gw.chat(key, "pear").status == 200 and cloud.asked > 1, 8, 0.02)
    assert gw.chat(key, "pear").status == 200, "the old one goes on"


def test_token_refused(vertex, cloud):
    gw = vertex()
    key = gw.make_key()["key"]
    assert gw.chat(key, "pear").status == 200
    cloud.tokens.clear()  # revoked at the provider
    renewed = gw.chat(key, "pear")
    assert renewed.status == 200 and renewed.headers["x-aigw-attempts"] == "2"
    assert cloud.asked == 2
    assert_nothing_leaked(gw, cloud, [renewed])


def worker_at(gw, port):
    """The worker that has a connection to that port of this machine."""
    inodes = set()
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            fields = line.split()
            if int(fields[2].split(":")[1], 16) == port and fields[3] == "01":
                inodes.add(f"socket:[{fields[9]}]")
    for pid in gw.pids("worker"):
        try:
            links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        except OSError:
            continue
        if links & inodes:
            return pid
    return None


def ask_and_hold(gw, key):
    """A connection that has asked for an answer and does not wait for it."""
    body = json.dumps({"model": "pear", "messages": [{"role": "user", "content": "x"}]})
    s = socket.create_connection(("127.0.0.1", gw.port))
    s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    return s


def test_clients_that_leave_while_a_token_is_fetched(vertex, cloud):
    """Both the worker that fetches and the one that waits for it are free soon, and the next caller is not told of a failure."""
    gw = vertex()
    cloud.delay = 9
    key = gw.make_key()["key"]

    def busy():
        return sum(x["role"] == "worker" and x["state"] == "busy" for x in gw.lines()["lines"])

    fetches = ask_and_hold(gw, key)
    wait_until(lambda: cloud.asked == 1, 10)
    waits = ask_and_hold(gw, key)
    wait_until(lambda: busy() == 2)
    for n, s in ((1, waits), (0, fetches)):
        begin = time.monotonic()
        s.close()
        wait_until(lambda n=n: busy() == n, 5, 0.005)
        assert time.monotonic() - begin < 1
    cloud.delay = 0
    assert gw.chat(key, "pear").status == 200
    assert cloud.asked == 2
    rows = wait_until(gw.rows)
    assert len(rows) == 1, "nothing had been sent for the others"


def test_killed_while_it_fetches(vertex, cloud):
    """The others take over at once, not when some time is over."""
    gw = vertex()
    cloud.delay = 8
    key = gw.make_key()["key"]

    def lost():
        try:
            gw.chat(key, "pear", timeout=30)
        except OSError:
            pass

    first = threading.Thread(target=lost)
    first.start()
    pid = wait_until(lambda: cloud.asked and worker_at(gw, cloud.port), 10)
    answers = []
    waiting = [threading.Thread(target=lambda: answers.append(gw.chat(key, "pear"))) for _ in range(2)]
    for t in waiting:
        t.start()
    wait_until(lambda: sum(x["role"] == "worker" and x["state"] == "busy" for x in gw.lines()["lines"]) == 3)
    cloud.delay = 0
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for t in waiting + [first]:
        t.join()
    assert [a.status for a in answers] == [200, 200]
    assert time.monotonic() - begin < 5
    assert cloud.asked == 2


def test_reload_with_another_account(vertex, cloud, tmp_path):
    gw = vertex()
    key = gw.make_key()["key"]
    assert gw.chat(key, "pear").status == 200
    with open(cloud.file) as f:
        account = json.load(f)
    account["project_id"], account["private_key_id"] = "orchard-8", "kid-2"
    with open(cloud.file, "w") as f:
        json.dump(account, f)
    gw.proc.send_signal(signal.SIGHUP)
    wait_until(lambda: gw.chat(key, "pear").status == 200 and "/orchard-8/" in cloud.seen[-1][0], 10, 0.1)
    assert cloud.asked == 2, "another account has a token of its own"


def test_claude(vertex, cloud):
    gw = vertex()
    key = gw.make_key()["key"]
    turn = {"max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
    a = gw.request("POST", "/v1/messages", {"model": "plum", "some_new_field": [1], **turn}, key=key)
    assert a.status == 200 and a.json()["content"][0]["text"] == "from claude"
    path, headers, body = cloud.seen[-1]
    assert path.endswith("/publishers/anthropic/models/claude-sonnet-4-5:rawPredict")
    assert body == {"anthropic_version": "vertex-2023-10-16", "some_new_field": [1], **turn}
    a = gw.request("POST", "/v1/messages", {"model": "plum", "stream": True, **turn}, key=key)
    assert a.status == 200 and a.body.decode().count("event: ") == len(CLAUDE_EVENTS)
    assert cloud.seen[-1][0].endswith(":streamRawPredict")
    a = gw.request("POST", "/v1/messages/count_tokens", {"model": "plum", "messages": turn["messages"]}, key=key)
    assert a.status == 200 and a.json()["input_tokens"] == 41
    a = gw.chat(key, "plum")
    assert a.json()["choices"][0]["message"]["content"] == "from claude" and a.json()["usage"]["prompt_tokens"] == 7
    assert "model" not in cloud.seen[-1][2] and cloud.seen[-1][2]["anthropic_version"] == "vertex-2023-10-16"
    a = gw.chat(key, "plum", stream=True)
    assert a.events()[-1] == "[DONE]"
    assert "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in a.events()[:-1] if json.loads(e)["choices"]) == "from claude"
    rows = wait_until(lambda: (r := gw.rows()) and len(r) == 5 and r)
    assert sorted(r["tokens"]["output"] for r in rows) == [0, 2, 2, 2, 2]


def test_google_callers_pass(vertex, cloud):
    gw = vertex()
    key = gw.make_key()["key"]
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "newThing": {"a": 1}}
    a = gw.request("POST", "/v1beta/models/pear:generateContent", body, {"x-goog-api-key": key})
    assert a.status == 200 and a.json() == GEMINI
    assert cloud.seen[-1][2] == body and "x-goog-api-key" not in cloud.seen[-1][1]
    a = gw.request("POST", "/v1beta/models/pear:streamGenerateContent?alt=sse", body, {"x-goog-api-key": key})
    assert a.status == 200 and json.loads(a.events()[0]) == GEMINI
    assert cloud.seen[-1][0].endswith("/models/gemini-2.5-pro:streamGenerateContent?alt=sse")


def test_express(vertex, cloud):
    gw = vertex(credential='api_key_env = "TEST_EXPRESS_KEY";', env={"TEST_EXPRESS_KEY": "AIza-express"})
    key = gw.make_key()["key"]
    assert gw.chat(key, "pear").status == 200
    path, headers, _ = cloud.seen[-1]
    assert path == "/v1/publishers/google/models/gemini-2.5-pro:generateContent"
    assert headers["x-goog-api-key"] == "AIza-express" and "authorization" not in headers
    assert cloud.asked == 0
