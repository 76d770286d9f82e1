"""OpenAI dialect to an OpenAI-compatible provider: what an application sees."""

import json
import socket
import time

import pytest
from gateway import wait_until


def test_chat(gw, upstream):
    key = gw.make_key()["key"]
    a = gw.chat(key, temperature=0.5, some_new_field={"a": [1]})
    assert a.status == 200
    assert a.json()["choices"][0]["message"]["content"] == "w" * 40
    assert a.json()["x_new_field"] == 1, "unknown fields of an answer survive"
    assert a.headers["x-aigw-provider"] == "mock"
    assert a.headers["x-request-id"]
    method, path, headers, body = upstream.seen[-1]
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert headers["authorization"] == "Bearer sk-upstream-secret"
    assert json.loads(body)["some_new_field"] == {"a": [1]}, "unknown fields of a request survive"
    assert key not in repr(upstream.seen), "the gateway's key never goes upstream"


def test_client_request_id_is_kept(gw):
    key = gw.make_key()["key"]
    assert gw.chat(key, headers={"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"


def test_stream(gw, upstream):
    key = gw.make_key()["key"]
    a = gw.chat(key, "m-chunks7", stream=True)
    assert a.status == 200
    assert a.headers["content-type"].startswith("text/event-stream")
    events = a.events()
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e) for e in events[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert text == "".join(f"{i}wwwww" for i in range(7))
    assert all(c["choices"] for c in chunks), "the usage chunk that we asked for is kept from the client"
    assert all("usage" not in c for c in chunks)
    assert json.loads(upstream.seen[-1][3])["stream_options"]["include_usage"] is True
    row = wait_until(lambda: gw.rows())[0]
    assert row["tokens"]["output"] == 7


@pytest.mark.parametrize("how", ["untyped", "mistyped"])
def test_a_stream_is_known_by_its_beginning(gw, how):
    a = gw.chat(gw.make_key()["key"], f"m-chunks4-{how}", stream=True)
    assert a.status == 200 and a.headers["content-type"].startswith("text/event-stream")
    assert a.events()[-1] == "[DONE]" and len(a.events()) == 6
    assert wait_until(gw.rows)[0]["tokens"]["output"] == 4


def test_stream_with_usage_asked_for(gw):
    key = gw.make_key()["key"]
    a = gw.chat(key, "m-chunks3", stream=True, stream_options={"include_usage": True})
    last = json.loads(a.events()[-2])
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 3


def test_streamed_bytes_arrive_as_they_come(gw):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-chunks5-gap300", "stream": True, "messages": [{"role": "user", "content": "x"}]})
    s = socket.create_connection(("127.0.0.1", gw.port))
    s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    start, times, got = time.monotonic(), [], b""
    while b"[DONE]" not in got:
        piece = s.recv(65536)
        assert piece
        got += piece
        if b"content" in piece:
            times.append(time.monotonic() - start)
    assert times[0] < 0.25, f"first chunk after {times[0]:.3f} s"
    assert times[-1] > 1.0


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_other_endpoints(gw, path):
    key = gw.make_key()["key"]
    a = gw.request("POST", path, {"model": "m", "prompt": "a", "input": ["a", "b"]}, key=key)
    assert a.status == 200
    assert wait_until(gw.rows)[0]["tokens"]["input"] > 0


def test_completions_stream(gw):
    key = gw.make_key()["key"]
    a = gw.request("POST", "/v1/completions", {"model": "m-chunks4", "prompt": "a", "stream": True}, key=key)
    assert a.events()[-1] == "[DONE]" and len(a.events()) == 6


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/responses", "/v1/rerank", "/v1/images/generations"])
def test_passed_through(gw, upstream, path):
    key = gw.make_key()["key"]
    a = gw.request("POST", path, {"model": "m", "input": "a", "n_new": 7}, key=key)
    assert a.status == 200 and a.json()["path"] == path and a.json()["echo"]["n_new"] == 7


def test_multipart_is_passed_through(gw, upstream):
    key = gw.make_key()["key"]
    data = b'--B\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--B\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\0\1\2\r\n--B--\r\n'
    a = gw.request("POST", "/v1/audio/transcriptions", data, {"content-type": "multipart/form-data; boundary=B"}, key=key)
    assert a.status == 200, a.body
    assert a.json()["content_type"] == "multipart/form-data; boundary=B" and upstream.seen[-1][3] == data


def test_files_and_native(gw, upstream):
    key = gw.make_key()["key"]
    assert gw.request("GET", "/v1/files", key=key).json() == {"object": "list", "data": []}
    a = gw.request("POST", "/mock/custom/thing?x=1", {"a": 1}, key=key)
    assert a.status == 200 and a.json()["path"] == "/custom/thing"
    assert upstream.seen[-1][1] == "/custom/thing?x=1"


def test_models(gw):
    key = gw.make_key()["key"]
    a = gw.request("GET", "/v1/models", key=key)
    assert a.status == 200 and [m["id"] for m in a.json()["data"]] == ["m*"]


def test_model_restriction(gw):
    key = gw.make_key(models=["m-a*"])["key"]
    assert gw.chat(key, "m-a1").status == 200
    assert gw.chat(key, "m-b").status == 403


def error_of(a):
    return a.json()["error"]


def test_errors_of_ours(gw):
    key = gw.make_key()["key"]
    assert gw.chat(None).status == 401
    a = gw.chat("sk-wrong-wrong-wrong-wrong")
    assert a.status == 401 and error_of(a)["code"] == "invalid_api_key"
    a = gw.chat(key, "unknown-model")
    assert a.status == 404 and error_of(a)["code"] == "model_not_found"
    a = gw.request("POST", "/v1/chat/completions", b'{"model": "m", ', key=key)
    assert a.status == 400 and error_of(a)["type"] == "invalid_request_error"
    a = gw.request("POST", "/v1/chat/completions", b'{"model": "m", "model": "m2", "messages": []}', key=key)
    assert a.status == 400
    assert gw.request("GET", "/v1/chat/completions", key=key).status == 405
    assert gw.request("GET", "/nothing/here", key=key).status == 404


@pytest.mark.parametrize("status", [400, 404, 408, 409, 413, 422, 429, 500, 503])
def test_errors_of_the_provider(gw, status):
    key = gw.make_key()["key"]
    a = gw.chat(key, f"m-status{status}")
    assert a.status == status
    assert f"made to fail with {status}" in error_of(a)["message"]
    if status in (429, 503):
        assert a.headers["retry-after"] == "7"
    assert "sk-upstream-secret" not in str(a.headers) + a.body.decode()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_provider_credential_is_told_as_it_is(gw, status):
    key = gw.make_key()["key"]
    a = gw.chat(key, f"m-status{status}")
    assert a.status == status and f"made to fail with {status}" in error_of(a)["message"]
    assert a.headers["x-aigw-provider"] == "mock", "this is how it is told from a refusal of the gateway's own"


def test_a_provider_key_never_echoes(make_gateway, upstream):
    gw = make_gateway()
    upstream.key = "another"  # the provider refuses and, as some do, echoes what it was given
    a = gw.chat(gw.make_key()["key"])
    assert a.status == 401 and b"sk-upstream" not in a.body


@pytest.mark.parametrize("model", ["m-cut2", "m-html", "m-gzip", "m-status204"])
def test_broken_answers_are_not_passed_off(gw, model):
    a = gw.chat(gw.make_key()["key"], model)
    assert a.status == 502 and "error" in a.json()


@pytest.mark.parametrize("how", ["cut2", "nodone", "gap30-midway2"])
def test_cut_streams_never_look_complete(gw, how):
    key = gw.make_key()["key"]
    a = gw.chat(key, f"m-chunks5-{how}", stream=True, timeout=5)
    assert "[DONE]" not in a.events() and a.cut
    assert "error" in json.loads(a.events()[-1])
    row = wait_until(gw.rows)[0]
    assert "cut" in row["flags"]
    assert row["tokens"]["output"] > 0


def test_unreachable_provider(make_gateway):
    gw = make_gateway(
        providers=', { name = "dead"; type = "openai"; base_url = "http://127.0.0.1:9/v1"; }', models=', { name = "d"; targets = ( { provider = "dead"; model = "x"; } ); }'
    )
    a = gw.chat(gw.make_key()["key"], "d")
    assert a.status == 502 and "dead" in error_of(a)["message"]


def test_timeouts_each_have_their_error(make_gateway):
    gw = make_gateway(extra="timeouts = { connect_ms = 1000; first_byte_ms = 300; idle_ms = 400; total_ms = 1500; };")
    key = gw.make_key()["key"]
    a = gw.chat(key, "m-hang")
    assert a.status == 504 and error_of(a)["code"] == "upstream_first_byte_timeout"
    a = gw.chat(key, "m-stall2", stream=True)
    assert json.loads(a.events()[-1])["error"]["code"] == "upstream_idle_timeout"
    a = gw.chat(key, "m-chunks100-gap100", stream=True)
    assert json.loads(a.events()[-1])["error"]["code"] == "upstream_total_timeout"
    a = gw.chat(key, "m-delay250", headers={"x-aigw-timeout-ms": "100"})
    assert a.status == 504 and error_of(a)["code"] == "upstream_total_timeout"


def test_a_client_that_leaves_cancels_the_call(gw, upstream):
    key = gw.make_key()["key"]
    for model, stream in (("m-hang", False), ("m-chunks1000-gap20", True)):
        body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "x"}]})
        s = socket.create_connection(("127.0.0.1", gw.port))
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        before = upstream.aborted
        wait_until(lambda: upstream.in_flight == 1)
        if stream:
            s.recv(100)
        s.close()
        start = time.monotonic()
        wait_until(lambda: upstream.aborted == before + 1, 2, 0.002)
        assert time.monotonic() - start < 0.3
    rows = wait_until(lambda: len(gw.rows()) == 2 and gw.rows())
    assert all("client_gone" in r["flags"] for r in rows)
    assert rows[1]["tokens"]["output"] > 0, "what was generated is metered"
