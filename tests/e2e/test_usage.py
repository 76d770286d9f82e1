"""The usage ledger: four token classes, cost, groups, formats."""

import csv
import io

from gateway import wait_until

PRICED = ', { name = "priced"; targets = ( { provider = "mock"; model = "m-chunks10"; } ); price = { input = "2.5"; cached_input = "1.25"; output = "10"; }; }'


def test_rows_and_cost(make_gateway):
    gw = make_gateway(models=PRICED)
    made = gw.make_key(team="t", department="d")
    gw.chat(made["key"], "priced")
    row = wait_until(gw.rows)[0]
    t = row["tokens"]
    assert t["output"] == 10 and t["reasoning"] == 5 and t["cached"] == t["input"] // 2
    want = (t["input"] - t["cached"]) * 2.5 + t["cached"] * 1.25 + t["output"] * 10
    assert abs(float(row["cost_usd"]) - want / 1e6) < 1e-12
    assert row["team"] == "t" and row["department"] == "d" and row["key_id"] == made["id"]
    assert row["provider"] == "mock" and row["model"] == "priced" and row["status"] == 200
    assert row["latency_us"] > 0 and row["ttft_us"] > 0 and row["endpoint"] == "chat"


def test_an_unknown_price_is_unknown(gw):
    key = gw.make_key()["key"]
    gw.chat(key)
    row = wait_until(gw.rows)[0]
    assert row["cost_usd"] is None and "cost_unknown" in row["flags"]


def test_rows_name_their_endpoint(gw):
    key = gw.make_key()["key"]
    for path in ("/v1/embeddings", "/v1/moderations", "/mock/custom/thing"):
        assert gw.request("POST", path, {"model": "m", "input": "x"}, key=key).status == 200
    assert gw.request("GET", "/v1/models", key=key).status == 200  # no provider was asked: no row
    rows = wait_until(lambda: len(gw.rows()) >= 3 and gw.rows())
    assert [r["endpoint"] for r in rows] == ["embeddings", "moderations", "native"]


def test_groups(make_gateway):
    gw = make_gateway(models=PRICED)
    for team, n in (("a", 2), ("b", 3)):
        key = gw.make_key(team=team, department="d-" + team)["key"]
        for i in range(n):
            gw.chat(key, "priced" if i else "m")
    wait_until(lambda: len(gw.rows()) == 5)
    got = {g["team"]: g["requests"] for g in gw.usage("group_by=team")["data"]}
    assert got == {"a": 2, "b": 3}
    got = {(g["department"], g["model"]): g["requests"] for g in gw.usage("group_by=department,model")["data"]}
    assert got == {("d-a", "m"): 1, ("d-a", "priced"): 1, ("d-b", "m"): 1, ("d-b", "priced"): 2}
    a = gw.admin("GET", "/v1/usage?group_by=day,provider&format=csv")
    assert a.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(a.body.decode())))
    assert len(rows) == 1 and rows[0]["provider"] == "mock" and rows[0]["requests"] == "5"
    assert gw.admin("GET", "/v1/usage?group_by=colour").status == 400


def test_restart_keeps_it(gw):
    key = gw.make_key()["key"]
    gw.chat(key)
    wait_until(gw.rows)
    gw.stop()
    gw.start()
    gw.chat(key)
    wait_until(lambda: len(gw.rows()) == 2)


def test_the_last_row_before_a_stop_is_there(gw):
    key = gw.make_key()["key"]
    for _ in range(5):
        gw.chat(key)
    gw.stop()
    gw.start()
    assert len(gw.rows()) == 5
