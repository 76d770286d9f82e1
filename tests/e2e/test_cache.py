"""The exact response cache."""

import json
import os
import re
import signal

import pytest
from gateway import wait_until


@pytest.fixture
def gw(make_gateway):
    return make_gateway(cache=True)


def text(a):
    if a.headers["content-type"].startswith("text/event-stream"):
        return "".join(c["delta"].get("content") or "" for e in a.events()[:-1] for c in json.loads(e)["choices"])
    return a.json()["choices"][0]["message"]["content"]


def until_hit(ask):
    def hit():
        a = ask()
        return a if a.headers["x-aigw-cache"] == "hit" else None

    return wait_until(hit)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_streamed_and_unstreamed_answer_each_other(gw, upstream, first, second):
    key = gw.make_key()["key"]
    a = gw.chat(key, "m-chunks6", stream=first)
    assert a.status == 200 and a.headers["x-aigw-cache"] == "miss"
    until_hit(lambda: gw.chat(key, "m-chunks6", stream=first))
    b = gw.chat(key, "m-chunks6", stream=second)
    assert b.headers["x-aigw-cache"] == "hit"
    assert text(a) == text(b)
    assert not second or b.events()[-1] == "[DONE]"


def test_the_canonical_request_is_what_counts(gw, upstream):
    key = gw.make_key()["key"]
    gw.request("POST", "/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"A"}],"seed":1}', key=key)
    same = b'{ "seed" : 1, "messages":[{"content":"\\u0041","role":"user"}], "model":"m" }'
    until_hit(lambda: gw.request("POST", "/v1/chat/completions", same, key=key))
    other = b'{"model":"m","messages":[{"role":"user","content":"A"}],"seed":2}'
    assert gw.request("POST", "/v1/chat/completions", other, key=key).headers["x-aigw-cache"] == "miss"


def test_never_across_tenants(gw):
    a, b, c = gw.make_key(team="a")["key"], gw.make_key(team="b")["key"], gw.make_key(team="a")["key"]
    gw.chat(a)
    until_hit(lambda: gw.chat(a))
    assert gw.chat(b).headers["x-aigw-cache"] == "miss"
    assert gw.chat(c).headers["x-aigw-cache"] == "hit"


def test_controls(gw, upstream):
    key = gw.make_key()["key"]
    for _ in range(3):
        assert gw.chat(key, headers={"cache-control": "no-store"}).headers["x-aigw-cache"] == "bypass"
    assert gw.chat(key).headers["x-aigw-cache"] == "miss"
    until_hit(lambda: gw.chat(key))
    n = upstream.requests
    assert gw.chat(key, headers={"cache-control": "no-cache"}).headers["x-aigw-cache"] == "bypass"
    assert upstream.requests == n + 1
    assert gw.chat(key, headers={"x-aigw-cache-ttl": "soon"}).status == 400


def test_ttl(gw):
    key = gw.make_key()["key"]
    gw.chat(key, headers={"x-aigw-cache-ttl": "1"})
    until_hit(lambda: gw.chat(key, headers={"x-aigw-cache-ttl": "1"}))
    wait_until(lambda: gw.chat(key, headers={"x-aigw-cache-ttl": "1"}).headers["x-aigw-cache"] == "miss", 4, 0.2)


@pytest.mark.parametrize("model,stream", [("m-status500", False), ("m-cut2", True), ("m-nodone", True), ("m-midway2", True)])
def test_only_complete_successful_answers_are_stored(gw, upstream, model, stream):
    key = gw.make_key()["key"]
    for _ in range(4):
        assert gw.chat(key, model, stream=stream).headers.get("x-aigw-cache") != "hit"
    assert upstream.requests == 4


def test_a_hit_costs_nothing_and_counts_what_it_saved(gw):
    gw.write_config(prices='', models=', { name = "p"; targets = ( { provider = "mock"; model = "m"; } ); price = { input = "1.0"; output = "2.0"; }; }')
    assert gw.admin("POST", "/v1/reload").status == 200
    made = gw.make_key(tpm=100000)
    wait_until(lambda: gw.chat(made["key"], "p").status == 200)
    hit = until_hit(lambda: gw.chat(made["key"], "p"))
    before = int(hit.headers["x-ratelimit-remaining-tokens"])
    after = int(gw.chat(made["key"], "p").headers["x-ratelimit-remaining-tokens"])
    assert after >= before - 1100, "reserved only; settled to nothing"
    streamed = gw.chat(made["key"], "p", stream=True)
    assert (streamed.headers["x-aigw-cache"], streamed.headers["x-aigw-cost-usd"]) == ("hit", "0")
    assert int(streamed.headers["x-ratelimit-remaining-tokens"]) >= after, "nothing is reserved any more when it is told"
    rows = wait_until(lambda: [r for r in gw.rows() if "cache_hit" in r["flags"]])
    assert float(rows[0]["cost_usd"]) == 0 and float(rows[0]["saved_usd"]) > 0


def test_survives_a_restart(gw):
    key = gw.make_key()["key"]
    gw.chat(key)
    until_hit(lambda: gw.chat(key))
    gw.stop()
    gw.start()
    assert gw.chat(key).headers["x-aigw-cache"] == "hit"


def test_purge(gw):
    key = gw.make_key(team="t")["key"]
    gw.chat(key)
    until_hit(lambda: gw.chat(key))
    a = gw.admin("POST", "/v1/cache/purge", {"scope": "team:t"})
    assert a.status == 200
    assert gw.chat(key).headers["x-aigw-cache"] == "miss"
    assert gw.admin("GET", "/v1/cache/stats").status == 200


# ---------------------------------------------------------------- damaged files


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def zero(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        f.seek(8192)  # behind the two pages that say what is where
        f.write(bytes(size - 8192))


def flip(path):
    """A quote amid each answer's text: what would be read is no JSON."""
    with open(path, "r+b") as f:
        data = f.read()
        for at in range(8192 + 2000, len(data), 4096):
            if data[at - 8 : at + 8].isalpha():
                f.seek(at)
                f.write(b'"')


@pytest.mark.parametrize("damage", (cut, zero, flip))
def test_damaged_files_are_misses(gw, damage):
    """… and nothing else: no error, no other answer, no worker that dies. Then there is a cache again."""
    key = gw.make_key()["key"]
    ask = lambda i: gw.chat(key, f"m-size6000-tag{i}")  # noqa: E731
    before = [ask(i) for i in range(20)]
    for i in range(20):
        until_hit(lambda: ask(i))  # noqa: B023
    damage(os.path.join(gw.folder, "state", "cache", "data.mdb"))
    for _ in range(2):
        for i in range(20):
            a = ask(i)
            assert a.status == 200 and text(a) == text(before[i])
    for i in range(20):
        until_hit(lambda: ask(i))  # noqa: B023
    assert not re.search(r"worker \d+ was killed", gw.log_text())


def test_a_crash_of_the_cache_process_takes_the_files_with_it(gw):
    """They may be what it died of; a kill says nothing of them."""
    key = gw.make_key()["key"]
    gw.chat(key)
    until_hit(lambda: gw.chat(key))
    for sig, kept in (("KILL", True), ("SEGV", False)):
        ((pid, _),) = gw.pids("aigw: cache").items()
        os.kill(pid, getattr(signal, "SIG" + sig))
        wait_until(lambda: gw.pids("aigw: cache") and pid not in gw.pids("aigw: cache"))  # noqa: B023
        wait_until(lambda: gw.admin("GET", "/v1/cache/stats").json()["entries"] == kept)
