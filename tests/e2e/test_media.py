"""Pictures that a request names by URL, to a provider that takes only their bytes."""

import base64
import http.server
import json
import socket
import threading

import pytest
from gateway import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "a pear"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 300, "candidatesTokenCount": 2, "totalTokenCount": 302},
}


class World:
    """Somebody's pictures, and Google: on one port, told apart by the path."""

    def __init__(self):
        self.pictures, self.asked = [], []  # heads of GETs, bodies of POSTs
        self.gone = threading.Event()
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                world.pictures.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                if self.path == "/slow.png":
                    self.rfile.read(1)  # until the other side has had enough
                    world.gone.set()
                    self.close_connection = True
                    return
                self.say(404 if self.path.startswith("/gone.png") else 200, PNG, "image/png")

            def do_POST(self):
                world.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.say(200, json.dumps(ANSWER).encode(), "application/json")

            def say(self, status, body, content_type):
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def world():
    w = World()
    yield w
    w.stop()


@pytest.fixture
def gateway_to(world, make_gateway):
    def make(media):
        return make_gateway(
            providers=f', {{ name = "google"; type = "gemini"; base_url = "{world.url("/v1beta")}"; api_key_env = "TEST_UPSTREAM_KEY"; }}',
            models=', { name = "pear"; targets = ( { provider = "google"; model = "gemini-2.5-flash"; } ); }',
            extra=f"media = {{ {media} }};",
        )

    return make


def question(*urls):
    parts = [{"type": "image_url", "image_url": {"url": u}} for u in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}]


def test_fetched(gateway_to, world):
    gw = gateway_to("allow_private = true;")
    key = gw.make_key()["key"]
    a = gw.chat(key, "pear", messages=question(world.url("/a.png?x=1"), world.url("/a.png?x=1"), world.url("/b.png")))
    assert a.status == 200, a.body
    assert a.json()["choices"][0]["message"]["content"] == "a pear"
    parts = world.asked[-1]["contents"][0]["parts"]
    data = base64.b64encode(PNG).decode()
    assert [p.get("inlineData") for p in parts[1:]] == [{"mimeType": "image/png", "data": data}] * 3
    assert [path for path, _ in world.pictures] == ["/a.png?x=1", "/b.png"], "one URL is fetched once"
    for _, headers in world.pictures:
        assert set(headers) <= {"host", "user-agent", "accept"}, "nothing of ours goes along"
    assert gw.metric("aigw_media_fetched_total") == 2


def test_not_to_be_had(gateway_to, world):
    gw = gateway_to("allow_private = true; max_bytes = 1024; timeout_ms = 300;")
    key = gw.make_key()["key"]
    for path, words in (("/gone.png?token=hidden", "status 404"), ("/slow.png", "did not come in time")):
        a = gw.chat(key, "pear", messages=question(world.url(path)))
        assert a.status == 400 and a.json()["error"]["code"] == "invalid_image_url"
        assert words in a.json()["error"]["message"] and "hidden" not in a.json()["error"]["message"]
    assert not world.asked, "the provider was not asked without the picture"


def test_only_from_the_public_internet(gateway_to, world):
    gw = gateway_to("fetch = true;")
    key = gw.make_key()["key"]
    for url in (world.url("/a.png"), "http://localhost:8080/a.png", "http://169.254.169.254/latest/meta-data/", "http://[::1]/a.png"):
        a = gw.chat(key, "pear", messages=question(url))
        assert a.status == 400 and a.json()["error"]["code"] == "invalid_image_url", url
    assert not world.pictures and not world.asked


def test_not_at_all(gateway_to, world):
    gw = gateway_to("fetch = false; allow_private = true;")
    a = gw.chat(gw.make_key()["key"], "pear", messages=question(world.url("/a.png")))
    assert a.status == 400 and "base64" in a.json()["error"]["message"]
    assert not world.pictures


def test_a_client_that_leaves_ends_the_fetch(gateway_to, world):
    gw = gateway_to("allow_private = true; timeout_ms = 60000;")
    key = gw.make_key()["key"]
    body = json.dumps({"model": "pear", "messages": question(world.url("/slow.png"))})
    with socket.create_connection(("127.0.0.1", gw.port)) as s:
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: world.pictures)
    assert world.gone.wait(5)
    wait_until(lambda: not [x for x in gw.lines()["lines"] if x["role"] == "worker" and x["state"] == "busy"])
