"""Keys act on the very next request, in every worker."""

import http.client
import json
import threading

import pytest

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


def test_life_of_a_key(gw):
    made = gw.make_key(name="n", team="t", department="d", tags={"a": "b"})
    kid, key = made["id"], made["key"]
    assert gw.chat(key).status == 200
    assert "key" not in gw.admin("GET", f"/v1/keys/{kid}").json()
    gw.admin("POST", f"/v1/keys/{kid}/block")
    assert gw.chat(key).status == 401
    gw.admin("POST", f"/v1/keys/{kid}/unblock")
    assert gw.chat(key).status == 200
    new = gw.admin("POST", f"/v1/keys/{kid}/rotate").json()["key"]
    assert gw.chat(key).status == 401 and gw.chat(new).status == 200
    assert gw.admin("PATCH", f"/v1/keys/{kid}", {"expires_at": 1000}).status == 200
    assert gw.chat(new).status == 401
    assert gw.admin("PATCH", f"/v1/keys/{kid}", {"expires_at": None}).status == 200
    assert gw.admin("PATCH", f"/v1/keys/{kid}", {"allow_cidrs": ["10.0.0.0/8"]}).status == 200
    assert gw.chat(new).status == 403
    assert gw.admin("DELETE", f"/v1/keys/{kid}").status in (200, 204)
    assert gw.chat(new).status == 401


def test_a_key_taken_over(gw):
    assert gw.make_key(key="sk-from-another-gateway-0001")["key"] == "sk-from-another-gateway-0001"
    assert gw.chat("sk-from-another-gateway-0001").status == 200
    assert gw.admin("POST", "/v1/keys", {"name": "x", "key": "short"}).status == 400
    assert gw.admin("POST", "/v1/keys", {"name": "x", "key": "sk-from-another-gateway-0001"}).status in (400, 409)


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-goog-api-key"])
def test_every_header_an_sdk_uses(gw, header):
    key = gw.make_key()["key"]
    assert gw.chat(None, headers={header: key}).status == 200


def test_no_data_key_administers(gw):
    key = gw.make_key()["key"]
    assert gw.request("GET", "/v1/keys", key=key, port=gw.admin_port).status == 401
    assert gw.request("GET", "/v1/keys", port=gw.admin_port).status == 401


def test_a_revoked_key_fails_on_the_next_request(make_gateway):
    """1,000 revocations over 64 kept-alive connections."""
    gw = make_gateway(workers=(8, 80, 4))
    conns = [http.client.HTTPConnection("127.0.0.1", gw.port, timeout=20) for _ in range(64)]
    admin = http.client.HTTPConnection("127.0.0.1", gw.admin_port, timeout=20)
    token = {"authorization": f"Bearer {gw.token()}", "content-type": "application/json"}

    def call(c, method, path, body=None, headers=None):
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, r.read()

    def ask(c, key):
        return call(c, "POST", "/v1/chat/completions", BODY, {"authorization": f"Bearer {key}"})[0]

    kid, key = (lambda m: (m["id"], m["key"]))(gw.make_key())
    wrong = 0
    for i in range(1000):
        before, after = conns[i % 64], conns[(i * 7 + 3) % 64]
        assert ask(before, key) == 200
        verb = ("block", "rotate")[i % 2]
        status, body = call(admin, "POST", f"/v1/keys/{kid}/{verb}", headers=token)
        assert status == 200
        wrong += ask(after, key) != 401
        if verb == "block":
            assert call(admin, "POST", f"/v1/keys/{kid}/unblock", headers=token)[0] == 200
        else:
            key = json.loads(body)["key"]
    assert wrong == 0


def test_connections_in_parallel_see_it_too(make_gateway):
    gw = make_gateway(workers=(8, 80, 4))
    made = gw.make_key()
    revoked, late = threading.Event(), []

    def client():
        c = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=20)
        while True:
            after = revoked.is_set()
            c.request("POST", "/v1/chat/completions", BODY, {"authorization": f"Bearer {made['key']}"})
            r = c.getresponse()
            r.read()
            if r.status == 401:
                return
            late.append(after)

    threads = [threading.Thread(target=client) for _ in range(16)]
    for t in threads:
        t.start()
    gw.admin("DELETE", f"/v1/keys/{made['id']}")
    revoked.set()
    for t in threads:
        t.join(20)
    assert not any(late), "a request that began after the deletion was answered"
