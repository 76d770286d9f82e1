"""A gateway under test: writes its configuration, starts the real programs, asks them things, stops them."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time

BUILD = os.path.abspath(os.environ.get("AIGW_BUILD") or os.path.join(os.path.dirname(__file__), "..", "..", "build"))


given_ports = set()


def free_port():
    """A port that nobody has. None is given twice, and none is of the range that the kernel gives to others in the meantime."""
    while True:
        port = random.randrange(20000, 32768)
        if port in given_ports:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        given_ports.add(port)
        return port


def wait_until(what, limit=10.0, step=0.01):
    """Polls what() until it is true and returns that value; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {getattr(what, '__name__', what)}")
        time.sleep(step)


class Answer:
    def __init__(self, status, headers, body, cut=False):
        self.status, self.headers, self.body = status, headers, body
        self.cut = cut  # its framing was never ended

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of each SSE event."""
        return [e[6:] for e in self.body.decode().split("\n\n") if e.startswith("data: ")]


class Gateway:
    def __init__(self, folder, upstream_port, workers=(4, 32, 2), cache=False, extra="", listen=None, providers="", models="", http="", env=None, prices=""):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port, self.admin_port = free_port(), free_port()
        self.env = env or {}
        self.upstream_port = upstream_port
        self.parts = dict(workers=workers, cache=cache, extra=extra, listen=listen, providers=providers, models=models, http=http, prices=prices)
        self.conf = os.path.join(self.folder, "aigw.conf")
        self.proc = None
        self.write_config()

    def write_config(self, **changes):
        """Writes the configuration again with some of the constructor's parts changed (for reloads)."""
        self.parts.update(changes)
        p = self.parts
        listen = p["listen"] or f'listen = ( {{ address = "127.0.0.1"; port = {self.port}; }} );'
        mn, mx, spare = p["workers"]
        with open(self.conf, "w") as f:
            f.write(
                f"""{listen}
admin = {{ address = "127.0.0.1"; port = {self.admin_port}; token_file = "{self.folder}/admin.token"; }};
run_dir = "{self.folder}/run"; state_dir = "{self.folder}/state";
workers = {{ min = {mn}; max = {mx}; spare = {spare}; }};
cache = {{ enabled = {"true" if p["cache"] else "false"}; }};
{("http = { " + p["http"] + " };") if p["http"] else ""}
{p["prices"]}
providers = ( {{ name = "mock"; type = "openai"; base_url = "http://127.0.0.1:{self.upstream_port}/v1"; api_key_env = "TEST_UPSTREAM_KEY"; }}
            {p["providers"]} );
models = ( {{ name = "m*"; targets = ( {{ provider = "mock"; model = "*"; }} ); }}
         {p["models"]} );
{p["extra"]}
"""
            )

    # ------------------------------------------------------------ life

    def start(self, wait=True):
        for d in ("run", "state"):
            os.makedirs(os.path.join(self.folder, d), mode=0o700, exist_ok=True)
        env = dict(os.environ, TEST_UPSTREAM_KEY="sk-upstream-secret", **self.env)
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.proc = subprocess.Popen([os.path.join(BUILD, "aigw"), "-c", self.conf], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        if wait:
            wait_until(self.ready, 20)
        return self

    def ready(self):
        assert self.proc.poll() is None, "the gateway ended: " + self.log_text()[-2000:]
        try:
            return self.request("GET", "/readyz", timeout=2).status == 200 and self.admin("GET", "/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self, sig=signal.SIGTERM, limit=15):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(limit)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError("the gateway did not stop: " + self.log_text()[-3000:])
        return self.proc.returncode if self.proc else None

    def clean(self):
        """Removes the segment, which lies in /dev/shm where the folder is on a disk."""
        link = os.path.join(self.folder, "run", "aigw.shm")
        if os.path.islink(link) and os.path.exists(link):
            os.unlink(os.path.realpath(link))

    def log_text(self):
        with open(os.path.join(self.folder, "log"), "rb") as f:
            return f.read().decode("utf-8", "replace")

    # ------------------------------------------------------------ processes

    def lines(self):
        """The scoreboard's lines as aigw-shmdump shows them."""
        out = subprocess.run([os.path.join(BUILD, "aigw-shmdump"), "--json", os.path.join(self.folder, "run", "aigw.shm")], capture_output=True, timeout=20)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def pids(self, role=None):
        """{pid: title} of the gateway's processes whose title holds `role`."""
        out = {}
        for p in os.listdir("/proc"):
            if not p.isdigit():
                continue
            try:
                with open(f"/proc/{p}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) != self.proc.pid:
                        continue
                with open(f"/proc/{p}/cmdline", "rb") as f:
                    title = f.read().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if role is None or role in title:
                out[int(p)] = title
        return out

    # ------------------------------------------------------------ HTTP

    def request(self, method, path, body=None, headers=None, key=None, timeout=20, port=None):
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            h = dict(headers or {})
            if key:
                h["authorization"] = f"Bearer {key}"
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
                h.setdefault("content-type", "application/json")
            c.request(method, path, body=body, headers=h)
            r = c.getresponse()
            h = {k.lower(): v for k, v in r.getheaders()}
            try:
                return Answer(r.status, h, r.read())
            except http.client.IncompleteRead as e:
                return Answer(r.status, h, e.partial, cut=True)
        finally:
            c.close()

    def token(self):
        with open(os.path.join(self.folder, "admin.token")) as f:
            return f.read().strip()

    def admin(self, method, path, body=None, headers=None):
        return self.request(method, path, body, headers, key=self.token() if os.path.exists(os.path.join(self.folder, "admin.token")) else None, port=self.admin_port)

    def make_key(self, **fields):
        fields.setdefault("name", "test")
        a = self.admin("POST", "/v1/keys", fields)
        assert a.status == 201, a.body
        return a.json()

    def chat(self, key, model="m", timeout=20, headers=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.request("POST", "/v1/chat/completions", body, headers, key=key, timeout=timeout)

    def usage(self, query="group_by=key"):
        return self.admin("GET", "/v1/usage?" + query).json()

    def rows(self, **query):
        q = "&".join(f"{k}={v}" for k, v in {"limit": 100000, **query}.items())
        return self.admin("GET", "/v1/usage/rows?" + q).json()["data"]

    def metric(self, name):
        """The value of an unlabelled metric, or the sum over its labels."""
        total = 0.0
        for line in self.admin("GET", "/metrics").body.decode().splitlines():
            if line.split("{")[0].split(" ")[0] == name:
                total += float(line.rsplit(" ", 1)[1])
        return total
