"""The admin API: by itself (the program started by hand), and beside a running gateway."""

import base64
import csv
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.parse

import pytest
from gateway import BUILD, Answer, free_port, wait_until


class Admin:
    """aigw-admin started by hand in a folder of its own, beside no gateway."""

    def __init__(self, folder, listen="127.0.0.1:0", tls=""):
        self.folder, self.listen, self.tls_context = str(folder), listen, None
        for d in ("run", "state"):
            os.makedirs(os.path.join(self.folder, d), mode=0o700, exist_ok=True)
        self.conf, self.log = os.path.join(self.folder, "aigw.conf"), os.path.join(self.folder, "log")
        self.token_file = os.path.join(self.folder, "admin.token")
        with open(self.conf, "w") as f:
            f.write(
                f"""listen = ( {{ address = "127.0.0.1"; port = 8080; }} );
admin = {{ address = "127.0.0.1"; port = 8081; token_file = "{self.token_file}"; {tls} }};
run_dir = "{self.folder}/run"; state_dir = "{self.folder}/state";
providers = ( {{ name = "demo"; type = "virtual"; }} );
models = ( {{ name = "m*"; targets = ( {{ provider = "demo"; model = "*"; }} ); price = {{ input = "2.5"; output = "10"; }}; }} );
"""
            )

    def start(self, wait=True):
        self.starts = getattr(self, "starts", 0) + 1
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen([os.path.join(BUILD, "aigw-admin"), "-c", self.conf, "--listen", self.listen], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.port = int(wait_until(self.bound))
        return self

    def bound(self):
        assert self.proc.poll() is None, self.log_text()
        found = re.findall(r"listens on \S*?:(\d+)", self.log_text())
        return len(found) == self.starts and found[-1]

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        return self.proc.wait(10)

    def token(self):
        with open(self.token_file) as f:
            return f.read().strip()

    def connect(self, timeout=10):
        if self.tls_context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls_context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, token=True, connection=None):
        c = connection or self.connect()
        h = dict(headers or {})
        if token:
            h["authorization"] = "Bearer " + (self.token() if token is True else token)
        c.request(method, path, body=json.dumps(body) if isinstance(body, (dict, list)) else body, headers=h)
        r = c.getresponse()
        answer = Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        if not connection:
            c.close()
        return answer

    def make_key(self, **fields):
        a = self.ask("POST", "/v1/keys", fields)
        assert a.status == 201, a.body
        return a.json()


@pytest.fixture
def admin(tmp_path):
    a = Admin(tmp_path / "admin").start()
    yield a
    a.stop()


def error_of(answer):
    e = answer.json()["error"]
    assert set(e) == {"message", "type", "param", "code"} and e["message"]
    return answer.status, e["code"], e["param"]


# ---------------------------------------------------------------- token


def test_first_start_makes_a_token(admin):
    st = os.stat(admin.token_file)
    assert stat.S_IMODE(st.st_mode) == 0o600 and len(admin.token()) == 43
    assert f"admin token: {admin.token_file}" in admin.log_text() and admin.token() not in admin.log_text()
    assert admin.ask("GET", "/healthz", token=False).json() == {"status": "ok"}
    assert admin.ask("GET", "/v1/keys").status == 200


def test_a_restart_keeps_token_and_keys(admin):
    token, key = admin.token(), admin.make_key(name="n")
    assert admin.stop() == 0
    admin.start()
    assert admin.token() == token
    assert admin.ask("GET", "/v1/keys/" + key["id"]).json()["name"] == "n"


@pytest.mark.parametrize("path", ["/metrics", "/v1/stats", "/v1/keys", "/openapi.json", "/v1/usage", "/nowhere", "/v1/audit"])
def test_nothing_without_the_token(admin, path):
    key = admin.make_key(name="n")["key"]
    for token in (False, key, admin.token()[:-1], admin.token() + "x"):
        a = admin.ask("GET", path, token=token)
        assert error_of(a) == (401, "invalid_token", None)
        assert a.headers["www-authenticate"].startswith("Bearer")


def test_a_body_is_not_read_without_the_token(admin):
    with socket.create_connection(("127.0.0.1", admin.port), timeout=5) as s:
        s.sendall(b"POST /v1/keys HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("mode, content", [(0o640, "x" * 43), (0o604, "x" * 43), (0o600, ""), (0o600, "short")])
def test_refuses_a_bad_token_file(tmp_path, mode, content):
    a = Admin(tmp_path / "admin")
    with open(a.token_file, "w") as f:
        f.write(content)
    os.chmod(a.token_file, mode)
    a.start(wait=False)
    assert a.proc.wait(10) == 1
    assert a.token_file in a.log_text()


def test_refuses_the_world_without_tls(tmp_path):
    a = Admin(tmp_path / "admin", listen="0.0.0.0:0").start(wait=False)
    assert a.proc.wait(10) == 1
    assert "loopback" in a.log_text()


def test_a_foreign_host_name_is_refused(admin):
    assert admin.ask("GET", "/v1/keys", headers={"host": "evil.example"}).status == 403
    for host in ("localhost", "127.0.0.1", f"localhost:{admin.port}", f"[::1]:{admin.port}"):
        assert admin.ask("GET", "/v1/keys", headers={"host": host}).status == 200


# ---------------------------------------------------------------- keys and teams


def test_key_fields(admin):
    made = admin.make_key(
        name="n", team="t", department="d", owner="o", models=["gpt*"], rpm=1, tpm=2, rpd=3, max_parallel=4, rpm_burst=5, tpm_burst=6, rpd_burst=7, expires_at="2030-01-01T01:00:00+01:00", tags={"a": "ü"}, allow_cidrs=["10.0.0.0/8", "::1"]
    )
    assert made["key"].startswith("sk-aigw-") and made["key"].endswith(made["hint"][-4:])
    got = admin.ask("GET", "/v1/keys/" + made["id"]).json()
    assert "key" not in got
    want = dict(name="n", team="t", department="d", owner="o", models=["gpt*"], rpm=1, tpm=2, rpd=3, max_parallel=4, rpm_burst=5, tpm_burst=6, rpd_burst=7, expires_at="2030-01-01T00:00:00Z", tags={"a": "ü"}, allow_cidrs=["10.0.0.0/8", "::1/128"], blocked=False)
    assert {k: got[k] for k in want} == want
    changed = admin.ask("PATCH", "/v1/keys/" + made["id"], {"rpm": None, "rpm_burst": None, "models": None, "tags": {}, "name": "m"}).json()
    assert changed["rpm"] is None and changed["models"] == [] and changed["tags"] == {} and changed["name"] == "m" and changed["tpm"] == 2
    assert changed["version"] > got["version"]
    # a change that would leave a burst without its limit is no change at all
    assert error_of(admin.ask("PATCH", "/v1/keys/" + made["id"], {"owner": "p", "tpm": None})) == (400, "invalid_value", "tpm_burst")
    assert admin.ask("GET", "/v1/keys/" + made["id"]).json() == changed


@pytest.mark.parametrize(
    "body, code, param",
    [
        ('{"nme":1}', "unknown_field", "nme"),
        ('{"rpm":"1"}', "invalid_type", "rpm"),
        ('{"rpm":1,"rpm":2}', "invalid_json", None),
        ('{"budget_usd":1}', "not_in_this_version", "budget_usd"),
        ('{"tier":"x"}', "not_in_this_version", "tier"),
        ('{"key":"short"}', "invalid_value", "key"),
        ('{"name":"\ud800"}'.encode("utf-8", "surrogatepass"), "invalid_json", None),
        ("[]", "invalid_json", None),
        ("", "invalid_json", None),
        ('{"name":"x"} ,', "invalid_json", None),
    ],
)
def test_bodies_that_are_refused(admin, body, code, param):
    assert error_of(admin.ask("POST", "/v1/keys", body)) == (400, code, param)
    assert admin.ask("GET", "/v1/keys").json()["data"] == []


def test_unknown_keys(admin):
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/block"), ("POST", "/unblock")):
        for kid in ("key_0", "x" * 500, "%00", "a%2fb"):
            assert admin.ask(method, f"/v1/keys/{kid}{path}", {} if method == "PATCH" else None).status == (400 if kid == "%00" else 404)


def test_a_given_key_is_taken_once(admin):
    assert admin.make_key(key="sk-from-another-gateway-0001")["key"] == "sk-from-another-gateway-0001"
    assert error_of(admin.ask("POST", "/v1/keys", {"key": "sk-from-another-gateway-0001"})) == (409, "key_exists", "key")


def test_listing_keys_in_pages(admin):
    ids = sorted(admin.make_key(name=str(i), team="a" if i % 2 else "b")["id"] for i in range(7))
    seen, after = [], ""
    while True:
        page = admin.ask("GET", f"/v1/keys?limit=3&after={after}").json()
        seen += [k["id"] for k in page["data"]]
        assert len(page["data"]) <= 3
        if not page["has_more"]:
            assert page["next_after"] is None
            break
        after = page["next_after"]
    assert seen == ids
    assert {k["name"] for k in admin.ask("GET", "/v1/keys?team=a").json()["data"]} == {"1", "3", "5"}
    assert error_of(admin.ask("GET", "/v1/keys?limit=x")) == (400, "invalid_value", "limit")
    assert error_of(admin.ask("GET", "/v1/keys?lim=1")) == (400, "unknown_parameter", "lim")
    assert error_of(admin.ask("GET", "/v1/keys?team=a&team=b")) == (400, "repeated_parameter", "team")


@pytest.mark.parametrize("name", ["blue", "ü /%+&?", '"</script>\\', "x" * 47])
def test_teams(admin, name):
    path = "/v1/teams/" + urllib.parse.quote(name, safe="")
    assert admin.ask("GET", path).status == 404
    assert admin.ask("PUT", path, {"department": "d", "rpm": 3}).json()["name"] == name
    assert admin.ask("PUT", path, {"tpm": 9}).status == 200
    got = admin.ask("GET", path).json()
    assert got["rpm"] is None and got["tpm"] == 9 and got["department"] == ""
    assert [t["name"] for t in admin.ask("GET", "/v1/teams").json()["data"]] == [name]


@pytest.mark.parametrize("name", ["x" * 48, "%0a", "%ff", "%c3%28"])
def test_team_names_that_are_refused(admin, name):
    assert error_of(admin.ask("PUT", "/v1/teams/" + name, {})) == (400, "invalid_value", "name")


def test_every_change_is_in_the_audit_log(admin):
    made = admin.make_key(name="n", rpm=5, key="sk-from-another-gateway-0001")
    kid = made["id"]
    admin.ask("PATCH", f"/v1/keys/{kid}", {"rpm": 6})
    secret = admin.ask("POST", f"/v1/keys/{kid}/rotate").json()["key"]
    admin.ask("POST", f"/v1/keys/{kid}/block")
    admin.ask("POST", f"/v1/keys/{kid}/unblock")
    admin.ask("PUT", "/v1/teams/t", {"rpm": 1})
    admin.ask("DELETE", f"/v1/keys/{kid}")
    admin.ask("PATCH", f"/v1/keys/{kid}", {"rpm": 6})  # no change, no line
    admin.ask("PUT", "/v1/teams/u", '{"\\u0072pm":1}')
    other = admin.ask("POST", "/v1/keys", '{"\\u006bey":"sk-from-another-gateway-0002"}').json()["id"]
    log = admin.ask("GET", "/v1/audit")
    events = [e["event"] for e in log.json()["data"]]
    assert [(e["action"], e["object"]) for e in reversed(events)] == [
        ("key.create", kid),
        ("key.change", kid),
        ("key.rotate", kid),
        ("key.block", kid),
        ("key.unblock", kid),
        ("team.put", "t"),
        ("key.delete", kid),
        ("team.put", "u"),
        ("key.create", other),
    ]
    assert events[0]["fields"] == {"key": "(given)"} and events[1]["fields"] == {"rpm": 1}
    assert events[-1]["fields"] == {"name": "n", "rpm": 5, "key": "(given)"} and events[-2]["fields"] == {"rpm": 6}
    assert all(e["from"].startswith("127.0.0.1:") and e["who"] for e in events)
    times = [e["time"] for e in log.json()["data"]]
    assert times == sorted(times, reverse=True)
    assert len(admin.ask("GET", "/v1/audit?limit=2").json()["data"]) == 2
    # neither the log nor any file beside the token's has a secret in it
    admin.stop()
    for folder, _, files in os.walk(admin.folder):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            assert secret.encode() not in data and b"sk-from-another-gateway" not in data
            assert name == "admin.token" or admin.token().encode() not in data


# ---------------------------------------------------------------- the HTTP server


def test_methods(admin):
    a = admin.ask("DELETE", "/v1/keys")
    assert error_of(a)[:2] == (405, "method_not_allowed") and a.headers["allow"] == "GET, HEAD, POST"
    assert admin.ask("PATCH", "/v1/models/m", {}).status == 404
    assert admin.ask("GET", "/v1/keys/").status == 404
    a, b = admin.ask("GET", "/v1/keys"), admin.ask("HEAD", "/v1/keys")
    assert b.status == 200 and b.body == b"" and b.headers["content-length"] == str(len(a.body))


def test_many_requests_on_one_connection(admin):
    c = admin.connect()
    for i in range(50):
        assert admin.ask("POST", "/v1/keys", {"name": "n" * (i % 60)}, connection=c).status == 201
    assert len(admin.ask("GET", "/v1/keys?limit=1000", connection=c).json()["data"]) == 50


def test_slow_clients_do_not_keep_others_waiting(admin):
    slow = []
    for i in range(300):  # more than there are places
        s = socket.create_connection(("127.0.0.1", admin.port), timeout=5)
        s.sendall((b"", b"GET / HT", b"POST /v1/keys HTTP/1.1\r\nhost: localhost\r\n")[i % 3])
        slow.append(s)
    worst = 0.0
    for _ in range(50):
        begin = time.monotonic()
        assert admin.ask("GET", "/v1/keys").status == 200
        worst = max(worst, time.monotonic() - begin)
    assert worst < 0.5
    for s in slow:
        s.close()


def test_a_reader_that_does_not_read(admin):
    for i in range(60):
        admin.make_key(name=str(i), models=["m" * 63] * 32)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.connect(("127.0.0.1", admin.port))
    request = f"GET /v1/keys?limit=1000 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {admin.token()}\r\n\r\n".encode()
    for _ in range(20):
        lazy.sendall(request)
    for _ in range(20):
        begin = time.monotonic()
        assert admin.ask("GET", "/healthz").status == 200
        assert time.monotonic() - begin < 0.5
    lazy.close()


def test_stop_finishes_what_has_begun(admin):
    idle = socket.create_connection(("127.0.0.1", admin.port), timeout=5)
    half = socket.create_connection(("127.0.0.1", admin.port), timeout=5)
    half.sendall(f"POST /v1/keys HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {admin.token()}\r\ncontent-length: 2\r\n\r\n{{".encode())
    assert admin.ask("GET", "/healthz").status == 200  # the others have been read by now
    admin.proc.terminate()
    assert idle.recv(100) == b""
    half.sendall(b"}")
    assert half.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert admin.proc.wait(3) == 0


def test_stop_does_not_wait_for_ever(admin):
    half = socket.create_connection(("127.0.0.1", admin.port), timeout=5)
    half.sendall(b"GET / HTTP")
    assert admin.ask("GET", "/healthz").status == 200
    admin.proc.terminate()
    assert admin.proc.wait(4) == 0
    half.close()


def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "admin.sock")
    a = Admin(tmp_path / "admin")
    with open(a.conf) as f:
        text = f.read()
    with open(a.conf, "w") as f:
        f.write(text.replace('admin = { address = "127.0.0.1"; port = 8081;', f'admin = {{ address = "unix:{path}";'))
    with open(a.log, "ab") as log:
        proc = subprocess.Popen([os.path.join(BUILD, "aigw-admin"), "-c", a.conf], stdout=log, stderr=log)
    try:
        wait_until(lambda: os.path.exists(path) and os.path.exists(a.token_file))
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            wait_until(lambda: s.connect_ex(path) == 0)
            s.sendall(f"GET /v1/keys HTTP/1.1\r\nhost: anything\r\nauthorization: Bearer {a.token()}\r\n\r\n".encode())
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        proc.terminate()
        assert proc.wait(5) == 0


def test_tls(tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    a = Admin(tmp_path / "admin", tls=f'tls = {{ certificate = "{cert}"; key = "{key}"; }};').start()
    try:
        a.tls_context = ssl.create_default_context(cafile=cert)
        silent = socket.create_connection(("127.0.0.1", a.port))  # no handshake
        c = a.connect()
        for i in range(20):
            assert a.ask("POST", "/v1/keys", {"name": "n", "models": ["m" * 63] * 32}, connection=c).status == 201
        body = a.ask("GET", "/v1/keys", connection=c)
        assert len(body.json()["data"]) == 20 and len(body.body) > 40000
        big = json.dumps({"name": "x", "tags": {}}) + " " * 900000
        assert a.ask("POST", "/v1/keys", big, connection=c).status == 201
        # pipelined within one TLS record
        with a.tls_context.wrap_socket(socket.create_connection(("127.0.0.1", a.port), timeout=5), server_hostname="127.0.0.1") as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3)
            got = b""
            while got.count(b'{"status":"ok"}') < 3:
                got += s.recv(4096)
        silent.close()
    finally:
        assert a.stop() == 0


def test_the_page_runs_its_own_script_only(admin):
    a = admin.ask("GET", "/", token=False)
    assert a.status == 200 and a.headers["content-type"].startswith("text/html")
    policy = a.headers["content-security-policy"]
    for tag in ("script", "style"):
        inside = re.search(rb"<%s>(.*?)</%s>" % (tag.encode(), tag.encode()), a.body, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(inside).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert admin.token().encode() not in a.body


def test_openapi_names_the_answers_members(admin):
    """What the API answers has the members that its description promises, and no others."""
    doc = admin.ask("GET", "/openapi.json").json()
    schemas = doc["components"]["schemas"]

    def check(value, schema, where):
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        if isinstance(value, dict) and "properties" in schema:
            assert set(value) <= set(schema["properties"]), where
            assert set(schema.get("required", [])) <= set(value), where
            for k, v in value.items():
                check(v, schema["properties"][k], f"{where}.{k}")
        if isinstance(value, list) and "items" in schema:
            for v in value:
                check(v, schema["items"], where + "[]")
        if value is None and "type" in schema:
            assert "null" in schema["type"], where

    kid = admin.make_key(name="n", tags={"a": "b"})["id"]
    admin.ask("PUT", "/v1/teams/t", {"rpm": 1})
    for path, schema in (("/v1/keys", "KeyList"), (f"/v1/keys/{kid}", "Key"), ("/v1/teams", "TeamList"), ("/v1/usage", "Usage"), ("/v1/usage/rows", "UsageRows"), ("/v1/models", "ModelList"), ("/v1/providers", "ProviderList"), ("/v1/cache/stats", "CacheStats"), ("/v1/audit", "AuditList")):
        a = admin.ask("GET", path)
        assert a.status == 200
        check(a.json(), schemas[schema], schema)


def test_models_and_their_prices(admin):
    (m,) = admin.ask("GET", "/v1/models").json()["data"]
    assert m["name"] == "m*" and m["targets"][0]["provider"] == "demo"
    assert m["targets"][0]["price_known"] and m["targets"][0]["usd_per_million_tokens"]["input"] == 2.5


def test_no_usage_yet(admin):
    u = admin.ask("GET", "/v1/usage?group_by=team").json()
    assert u["data"] == [] and u["total"]["requests"] == 0
    assert admin.ask("GET", "/v1/usage/rows").json() == {"data": [], "has_more": False}
    for query, param in (("group_by=colour", "group_by"), ("group_by=tag:x", "group_by"), ("group_by=team,team", "group_by"), ("from=yesterday", "from"), ("to=2026-02-30", "to"), ("from=2026-03-02&to=2026-03-01", "to"), ("format=xml", "format")):
        assert error_of(admin.ask("GET", "/v1/usage?" + query))[::2] == (400, param)


def test_beside_no_gateway(admin):
    assert error_of(admin.ask("GET", "/metrics"))[:2] == (503, "no_gateway")
    assert error_of(admin.ask("GET", "/v1/stats"))[:2] == (503, "no_gateway")
    assert error_of(admin.ask("POST", "/v1/reload"))[:2] == (503, "no_master")
    assert error_of(admin.ask("POST", "/v1/cache/purge", {"scope": "all"}))[:2] == (503, "no_cache")
    for scope in ("", "team:", "everything", 5):
        assert admin.ask("POST", "/v1/cache/purge", {"scope": scope}).status == 400
    assert admin.ask("POST", "/v1/cache/purge", {}).status == 400


# ---------------------------------------------------------------- beside a gateway


def admin_pid(gw):
    return wait_until(lambda: list(gw.pids("aigw-admin")))[0]


def test_metrics_pass_promtool(gw):
    key = gw.make_key(team='t"\\')["key"]
    for _ in range(3):
        assert gw.chat(key).status == 200
    assert gw.chat("sk-wrong-key-wrong-key-wrong").status == 401
    wait_until(lambda: len(gw.rows()) == 3)
    assert gw.metric("aigw_requests_total") >= 4
    assert gw.metric("aigw_auth_failed_total") >= 1
    assert gw.metric("aigw_model_requests_total") == 3
    assert gw.metric("aigw_request_duration_seconds_count") >= 4
    assert gw.metric("aigw_provider_in_flight") == 0
    assert gw.metric("aigw_ledger_rows_total") == 3
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    r = subprocess.run(["promtool", "check", "metrics"], input=gw.admin("GET", "/metrics").body, capture_output=True, timeout=20)
    assert r.returncode == 0 and r.stdout + r.stderr == b"", r.stdout + r.stderr


def test_stats(gw):
    key = gw.make_key()["key"]
    gw.chat(key)
    s = gw.admin("GET", "/v1/stats").json()
    assert s["generation"] >= 1 and s["counters"]["requests_total"] >= 1 and s["duration"]["count"] >= 1
    assert {"master", "acceptor", "worker", "ledger", "admin"} <= {p["role"] for p in s["processes"]}


def test_a_spreadsheet_is_safe(gw):
    key = gw.make_key(team='=HYPERLINK("x")', department="a,b")["key"]
    gw.chat(key)
    wait_until(gw.rows)
    text = gw.admin("GET", "/v1/usage?group_by=team,department&format=csv").body.decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["team"] == "'=HYPERLINK(\"x\")" and row["department"] == "a,b"
    assert row["cost_usd"] == "unknown" and row["cost_unknown"] == "1"
    total = gw.usage("group_by=team")["total"]
    assert total["cost_usd"] is None and total["cost_unknown"] == 1 and total["requests"] == 1


def test_no_provider_credential_reaches_it(gw):
    pid = admin_pid(gw)
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as f:
            assert b"sk-upstream-secret" not in f.read()
    with open(f"/proc/{pid}/status") as f:
        status = f.read()
    assert re.search(r"NoNewPrivs:\s*1", status)
    if subprocess.run(["nm", "-D", os.path.join(BUILD, "aigw-admin")], capture_output=True).stdout.find(b"__asan_init") < 0:
        assert re.search(r"Seccomp:\s*2", status)
    found = False
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            area, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            a, b = (int(x, 16) for x in area.split("-"))
            if b - a > 64 << 20:
                continue
            try:
                mem.seek(a)
                found = found or b"sk-upstream-secret" in mem.read(b - a)
            except OSError:
                pass
    assert not found


def test_it_is_replaced_and_ends_with_the_master(gw):
    first = admin_pid(gw)
    os.kill(first, signal.SIGKILL)

    def again():
        try:
            return gw.admin("GET", "/v1/stats").status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(again)
    second = admin_pid(gw)
    assert second != first
    gw.proc.kill()
    gw.proc.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{second}") or open(f"/proc/{second}/stat").read().rsplit(")", 1)[1].split()[0] == "Z")


def test_reload_answers(gw):
    a = gw.admin("POST", "/v1/reload")
    assert a.status == 200 and a.json()["reloaded"] is True
    generation = a.json()["generation"]
    assert gw.admin("POST", "/v1/reload").json()["generation"] == generation + 1
    gw.write_config(models=', { name = "later"; targets = ( { provider = "mock"; model = "m"; } ); }')
    gw.admin("POST", "/v1/reload")
    assert "later" in [m["name"] for m in gw.admin("GET", "/v1/models").json()["data"]]


def test_its_address_can_change_by_a_reload(gw):
    old, new = gw.admin_port, free_port()
    key = gw.make_key()["key"]
    gw.admin_port = new
    gw.write_config()
    a = gw.request("POST", "/v1/reload", key=gw.token(), port=old)
    assert a.status == 200, a.body

    def moved():
        try:
            return gw.admin("GET", "/v1/keys").status == 200
        except OSError:
            return False

    wait_until(moved)
    with pytest.raises(OSError):
        gw.request("GET", "/healthz", port=old)
    assert gw.chat(key).status == 200
