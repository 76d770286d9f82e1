"""The client's side of HTTP/1.1: strict where two parsers could differ, complete where clients need it."""

import gzip
import json
import socket

import pytest
from gateway import wait_until

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


def raw(gw, data, read_all=True, timeout=5):
    """Sends bytes; returns (statuses of the answers, whether the gateway closed)."""
    s = socket.create_connection(("127.0.0.1", gw.port), timeout=timeout)
    s.sendall(data.encode("latin-1") if isinstance(data, str) else data)
    got, closed = b"", False
    s.settimeout(1.0)
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                closed = True
                break
            got += piece
    except socket.timeout:
        pass
    except ConnectionError:
        closed = True
    s.close()
    statuses = [int(x[:3]) for x in got.decode("latin-1").split("HTTP/1.1 ")[1:]]
    return statuses, closed, got


def post(key, body=BODY, extra="", length=None, path="/v1/chat/completions"):
    n = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{extra}content-length: {n}\r\n\r\n{body}"


AMBIGUOUS = [
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nabcde",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 5\r\n\r\nabcde",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\nhost: x\n\n",
    "POST /v1/chat/completions HTTP/1.1\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
    "GET  /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /health z HTTP/1.1\r\nhost: x\r\n\r\n",
    "\x16\x03\x01\x02\0\x01\0",
]


@pytest.mark.parametrize("i", range(len(AMBIGUOUS)))
def test_ambiguous_messages_are_refused_and_closed(gw, i):
    statuses, closed, _ = raw(gw, AMBIGUOUS[i] + ("\r\n\r\n" if i == len(AMBIGUOUS) - 1 else ""))
    assert statuses in ([400], [501]) and closed


def test_keep_alive_and_pipelining(gw):
    key = gw.make_key()["key"]
    statuses, closed, _ = raw(gw, post(key) * 5 + "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert statuses == [200] * 6 and not closed


def test_chunked_request_body(gw, upstream):
    key = gw.make_key()["key"]
    chunks = "".join(f"{len(BODY[i:i + 7]):x}\r\n{BODY[i:i + 7]}\r\n" for i in range(0, len(BODY), 7)) + "0\r\n\r\n"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\n"
    statuses, closed, _ = raw(gw, (head + chunks) * 2)
    assert statuses == [200, 200] and not closed
    assert upstream.seen[-1][3].decode() == BODY


def test_bad_chunks(gw):
    key = gw.make_key()["key"]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\n"
    for bad in ("5\nabcde\r\n0\r\n\r\n", "-5\r\nabcde\r\n", "5;a=\n\r\nabcde\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "5\r\nabcdeX\r\n0\r\n\r\n"):
        statuses, closed, _ = raw(gw, head + bad)
        assert statuses == [400] and closed, bad


def test_expect_100_continue(gw):
    key = gw.make_key()["key"]
    s = socket.create_connection(("127.0.0.1", gw.port), timeout=5)
    s.sendall(post(key, "", "expect: 100-continue\r\n", len(BODY)).encode())
    assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
    s.sendall(BODY.encode())
    assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_expect_is_not_answered_to_a_stranger(gw):
    statuses, closed, got = raw(gw, post("sk-nobody", "", "expect: 100-continue\r\n", 1000))
    assert statuses == [401] and closed


def test_limits_on_size(gw):
    key = gw.make_key()["key"]
    assert raw(gw, "GET /" + "a" * 20000 + " HTTP/1.1\r\nhost: x\r\n\r\n")[0] == [414]
    for lines, status in ((99, 200), (100, 431), (200, 431)):  # http.max_headers is 100, and Host is one
        assert raw(gw, "GET /healthz HTTP/1.1\r\nhost: x\r\n" + "x: y\r\n" * lines + "\r\n")[0] == [status], lines
    assert raw(gw, "GET /healthz HTTP/1.1\r\nhost: x\r\nx: " + "y" * 60000 + "\r\n\r\n")[0] == [431]
    statuses, closed, _ = raw(gw, post(key, "", length=1 << 40))
    assert statuses == [413] and closed


def test_a_chunked_body_that_grows_too_large(make_gateway):
    gw = make_gateway(http="max_body = 200000;", extra="log = { access = true; };")
    key = gw.make_key()["key"]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\n"
    statuses, closed, _ = raw(gw, head + ("1000\r\n" + "x" * 4096 + "\r\n") * 60 + "0\r\n\r\n")
    assert statuses == [413] and closed
    wait_until(lambda: " POST /v1/chat/completions status=413" in gw.log_text())  # the head's bytes have moved meanwhile


def test_closes_after_an_answer_without_the_body(gw):
    statuses, closed, _ = raw(gw, post("sk-nobody", length=100000) + "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert statuses == [401] and closed


def test_http_1_0_and_connection_close(gw):
    _, closed, got = raw(gw, "GET /healthz HTTP/1.0\r\n\r\n")
    assert b" 200 " in got and closed
    statuses, closed, _ = raw(gw, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert statuses == [200] and closed


def test_large_body(gw, upstream):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 3_000_000}]})
    assert gw.request("POST", "/v1/chat/completions", body.encode(), key=key).status == 200
    assert len(upstream.seen[-1][3]) == len(body)


def test_split_anywhere(gw):
    key = gw.make_key()["key"]
    data = post(key).encode()
    for cut in range(1, len(data), 17):
        s = socket.create_connection(("127.0.0.1", gw.port), timeout=5)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(data[:cut])
        s.sendall(data[cut:])
        assert s.recv(65536).startswith(b"HTTP/1.1 200 "), cut
        s.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/v1/chat/completions", "//v1/chat/completions", "/v1//chat/completions", "/chat/completions", "/v1beta/openai/chat/completions", "/openai/deployments/m/chat/completions?api-version=2024-10-21"])
def test_base_urls_with_a_version_or_without(gw, path):
    a = gw.request("POST", path, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, key=gw.make_key()["key"])
    assert a.status == 200 and a.json()["choices"], a.body


OWN = {"openai": "authorization: Bearer {}\r\n", "anthropic": "anthropic-version: 2023-06-01\r\nx-api-key: {}\r\n", "google": "x-goog-api-key: {}\r\n"}
POST_TO = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "google": "/v1beta/models/m:generateContent"}


def vendor_of(answer):
    """Whose error it is, by its form."""
    e = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    if e.get("type") == "error":
        return "anthropic"
    return "google" if "status" in e["error"] else "openai" if "param" in e["error"] else None


@pytest.mark.parametrize("vendor", OWN)
@pytest.mark.parametrize("request_line", ["POST /v1/nothing", "GET /v1/models/nobody-has-it", "DELETE /v1/models", "GET /nowhere/at/all"])
def test_what_is_nowhere_is_told_in_the_callers_dialect(gw, vendor, request_line):
    statuses, closed, got = raw(gw, f"{request_line} HTTP/1.1\r\nhost: x\r\n{OWN[vendor].format(gw.make_key()['key'])}content-length: 0\r\n\r\n")
    assert statuses[0] in (404, 405) and vendor_of(got) == vendor and not closed


@pytest.mark.parametrize("vendor", OWN)
def test_a_head_that_is_refused_is_told_in_the_callers_dialect(gw, vendor):
    for bad in ("x-long: " + "a" * 60000, "content-length: 1\r\ncontent-length: 2", "content-length: x"):
        statuses, closed, got = raw(gw, f"POST {POST_TO[vendor]} HTTP/1.1\r\nhost: x\r\n{OWN[vendor].format('k')}{bad}\r\n\r\n")
        assert statuses[0] in (400, 431) and vendor_of(got) == vendor and closed, bad[:20]


@pytest.mark.parametrize("vendor", OWN)
def test_a_packed_body(gw, upstream, vendor):
    """Nothing unpacks it on its way, so it must not be taken for the text that it is not."""
    key, before = gw.make_key()["key"], upstream.requests
    body = gzip.compress(BODY.encode())
    head = f"POST {POST_TO[vendor]} HTTP/1.1\r\nhost: x\r\n{OWN[vendor].format(key)}content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    statuses, closed, got = raw(gw, head.encode() + body)
    assert statuses == [415] and vendor_of(got) == vendor and b"gzip" in got and b"accept-encoding: identity" in got and not closed
    statuses, closed, _ = raw(gw, head.encode().replace(POST_TO[vendor].encode(), b"/mock/v1/anything") + body)
    assert statuses == [415] and upstream.requests == before
    assert raw(gw, post(key, extra="content-encoding: identity\r\n"))[0] == [200]


def test_what_is_no_json_is_named(gw):
    key = gw.make_key()["key"]
    for body, extra, word in (
        ("model=m", "content-type: application/x-www-form-urlencoded\r\n", b"x-www-form-urlencoded"),
        ("--b\r\n", "content-type: multipart/form-data; boundary=b\r\n", b"multipart/form-data"),
        ("\xef\xbb\xbf" + BODY, "", b"byte order mark"),
        ("[]", "", b"object"),
        ("", "", b"empty"),
    ):
        statuses, closed, got = raw(gw, post(key, body, extra))
        assert statuses == [400] and word in got and not closed, body
    assert raw(gw, post(key, extra="content-type: application/x-www-form-urlencoded\r\n"))[0] == [200]  # what curl -d says


def test_no_key_is_told_with_the_vendors_own_header(gw):
    for vendor, name in (("openai", b"Authorization"), ("anthropic", b"x-api-key"), ("google", b"x-goog-api-key")):
        statuses, _, got = raw(gw, f"POST {POST_TO[vendor]} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert statuses in ([401], [400]) and name in got and vendor_of(got) == vendor


def test_other_vendors_files_do_not_go_to_openai(gw, upstream):
    key, before = gw.make_key()["key"], upstream.requests
    for vendor in ("anthropic", "google"):
        for path in ("/v1/files", "/v1/files/file-1", "/v1/batches"):
            statuses, _, got = raw(gw, f"GET {path} HTTP/1.1\r\nhost: x\r\n{OWN[vendor].format(key)}\r\n")
            assert statuses == [404] and vendor_of(got) == vendor and f"/PROVIDER{path}".encode() in got
    assert upstream.requests == before


def test_head_of_what_can_be_got(gw):
    key = gw.make_key()["key"]
    whole = gw.request("GET", "/v1/models", key=key)
    head = gw.request("HEAD", "/v1/models", key=key)
    assert (head.status, head.headers["content-length"], head.body) == (200, whole.headers["content-length"], b"")
    assert gw.request("HEAD", "/v1/models").status == 401


@pytest.mark.parametrize("path", ["/v1/../v1/models", "/v1/files//x", "/v1///models", "/mock/%2e%2e/x", "/mock/a/../../b", "/v1/files/%2f%2f", "/v1/models/a%00b"])
def test_paths_that_mean_two_things(gw, upstream, path):
    key = gw.make_key()["key"]
    before = upstream.requests
    statuses, _, _ = raw(gw, f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n")
    assert statuses[0] in (400, 404) and upstream.requests == before
