"""Processes: what each has, what happens when one ends, and how connections travel between them."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import pytest
from gateway import BUILD, free_port, wait_until

CHAT = '{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


def request_bytes(key, body=CHAT, extra=""):
    return (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{extra}" f"content-length: {len(body)}\r\n\r\n{body}").encode()


class Raw:
    """A client's socket, read message by message."""

    def __init__(self, port, timeout=10):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buf = b""

    def send(self, data):
        self.s.sendall(data)
        return self

    def _more(self):
        got = self.s.recv(65536)
        if not got:
            raise EOFError(self.buf)
        self.buf += got

    def answer(self):
        while b"\r\n\r\n" not in self.buf:
            self._more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        n = int(headers.get("content-length", 0))
        while len(self.buf) < n:
            self._more()
        body, self.buf = self.buf[:n], self.buf[n:]
        return int(lines[0].split(" ")[1]), headers, body

    def at_end(self):
        """Whether the gateway closes the connection (waits for it)."""
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def is_closed(self):
        """Whether it has been closed already."""
        if not select.select([self.s], [], [], 0)[0]:
            return False
        try:
            return self.s.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True

    def close(self):
        self.s.close()


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in f)}


# ---------------------------------------------------------------- what each process has


def test_titles_and_closed_in(make_gateway):
    gw = make_gateway(cache=True)
    titles = set(gw.pids().values())
    for role in ("acceptor", "worker", "ledger", "cache"):
        assert any(t == f"aigw: {role}" for t in titles), titles
    for pid, title in gw.pids().items():
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1", title
        if "admin" not in title:
            assert status["Seccomp"] == "2", title
            assert os.path.exists(f"/proc/{pid}/fd")


def test_no_secret_in_any_environment(gw):
    for pid in [gw.proc.pid, *gw.pids()]:
        for file in ("environ", "cmdline"):
            with open(f"/proc/{pid}/{file}", "rb") as f:
                assert b"sk-upstream-secret" not in f.read(), (pid, file)


def test_workers_have_few_descriptors(gw):
    wait_until(lambda: all(len(os.listdir(f"/proc/{p}/fd")) < 20 for p in gw.pids("worker")))


# ---------------------------------------------------------------- how connections travel


def test_pipelined_and_split_requests(gw):
    key = gw.make_key()["key"]
    r = request_bytes(key)
    c = Raw(gw.port).send(r * 5)
    assert [c.answer()[0] for _ in range(5)] == [200] * 5
    for i in range(0, len(r), 7):  # many small packets
        c.send(r[i : i + 7])
    assert c.answer()[0] == 200
    c.send(r + r[:30])  # the next one's head is incomplete behind a whole one
    assert c.answer()[0] == 200
    time.sleep(0.3)  # longer than a worker waits
    c.send(r[30:])
    assert c.answer()[0] == 200
    c.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_large_body_is_spooled(gw, chunked):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 400_000}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    pieces = [body[i : i + 50_000] for i in range(0, len(body), 50_000)]
    if chunked:
        head += "transfer-encoding: chunked\r\n\r\n"
        pieces = [b"%x\r\n%s\r\n" % (len(p), p) for p in pieces] + [b"0\r\n\r\n"]
    else:
        head += f"content-length: {len(body)}\r\n\r\n"
    c = Raw(gw.port).send(head.encode())
    for p in pieces[:-1]:
        c.send(p)
        time.sleep(0.15)
    c.send(pieces[-1] + request_bytes(key))  # and a pipelined request behind it
    assert c.answer()[0] == 200
    assert c.answer()[0] == 200
    c.close()
    assert gw.metric("aigw_spooled_total") >= 1
    wait_until(lambda: not [f for p in gw.pids("acceptor") for f in os.listdir(f"/proc/{p}/fd") if "spool" in os.readlink(f"/proc/{p}/fd/{f}")])


def test_expect_100_continue(gw):
    key = gw.make_key()["key"]
    head, body = request_bytes(key, extra="expect: 100-continue\r\n").split(b"\r\n\r\n")
    c = Raw(gw.port).send(head + b"\r\n\r\n")
    assert c.answer()[0] == 100
    c.send(body)
    assert c.answer()[0] == 200
    c.close()


def test_keep_alive_over_the_acceptor(gw):
    """A connection that is quiet for longer than a worker lingers is as good as new."""
    key = gw.make_key()["key"]
    c = Raw(gw.port)
    for n in range(1, 4):
        assert c.send(request_bytes(key)).answer()[0] == 200
        wait_until(lambda: gw.metric("aigw_handbacks_total") >= n)
    assert c.send(request_bytes(key)).answer()[0] == 200
    c.close()


def test_full_house(make_gateway):
    gw = make_gateway(http="max_connections = 40;")
    key = gw.make_key()["key"]
    idle = []
    for _ in range(60):  # the longest idle ones make room
        c = Raw(gw.port)
        assert c.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").answer()[0] == 200
        idle.append(c)
    assert gw.chat(key).status == 200
    wait_until(lambda: sum(c.is_closed() for c in idle) >= 60 - 40)
    for c in idle:
        c.close()
    busy = [Raw(gw.port).send(b"POST /v1/chat/completions HTTP/1.1\r\n") for _ in range(60)]  # nobody idle among these
    time.sleep(0.2)
    c = Raw(gw.port)
    status, headers, _ = c.answer()
    assert status == 503 and headers["connection"] == "close" and "retry-after" in headers
    for b in busy:
        b.close()
    wait_until(lambda: gw.chat(key).status == 200)


# ---------------------------------------------------------------- deaths


def test_requests_survive_the_acceptor(gw):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-chunks20-gap50", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    clients = [Raw(gw.port).send(request_bytes(key, body)) for _ in range(8)]
    for c in clients:
        while b"data: " not in c.buf:
            c._more()
    for p in gw.pids("acceptor"):
        os.kill(p, signal.SIGKILL)
    for c in clients:
        while b"[DONE]" not in c.buf:
            c._more()

    def served():
        try:
            return gw.chat(key).status == 200
        except OSError:
            return False

    wait_until(served)
    r = request_bytes(key)  # the old connections came home to the new acceptor
    for c in clients:
        while not c.buf.endswith(b"0\r\n\r\n"):
            c._more()
        c.buf = b""
        assert c.send(r).answer()[0] == 200
        c.close()


def test_a_storm_of_kills(make_gateway):
    gw = make_gateway(workers=(8, 32, 4))
    key = gw.make_key()["key"]
    stop, done = threading.Event(), []

    def client():
        while not stop.is_set():
            try:
                done.append(gw.chat(key, timeout=10).status)
            except OSError:
                done.append(0)
            except Exception:
                done.append(0)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    killed, end = 0, time.monotonic() + 5
    while time.monotonic() < end:
        workers = list(gw.pids("worker"))
        if workers:
            os.kill(workers[killed * 7 % len(workers)], signal.SIGKILL)
            killed += 1
        time.sleep(0.1)
    stop.set()
    for t in threads:
        t.join()
    failed = sum(s != 200 for s in done)
    assert failed <= killed and len(done) > 300, (failed, killed, len(done))
    wait_until(lambda: len(gw.pids("worker")) >= 8)
    assert gw.chat(key).status == 200
    assert gw.metric("aigw_children_died_total") >= killed


def test_a_child_that_dies_at_birth_is_started_slowly(gw, tmp_path):
    """The admin program goes missing: its replacement is tried ever more slowly, and the data plane does not care."""
    key = gw.make_key()["key"]
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "aigw"
    subprocess.run(["cp", os.path.join(BUILD, "aigw"), program], check=True)
    (folder / "aigw-admin").write_text("#!/bin/sh\nexit 3\n")
    (folder / "aigw-admin").chmod(0o755)
    gw.stop()
    log = open(tmp_path / "log", "wb")
    gw.proc = subprocess.Popen([program, "-c", gw.conf], stdout=log, stderr=log, env=dict(os.environ, TEST_UPSTREAM_KEY="sk-upstream-secret"))

    def served():
        try:
            return gw.chat(key).status == 200
        except OSError:
            return False

    wait_until(served)
    wait_until(lambda: b"dies as soon as it starts" in (tmp_path / "log").read_bytes())
    time.sleep(1)
    assert (tmp_path / "log").read_bytes().count(b"ended with status 3") < 12
    assert gw.chat(key).status == 200


# ---------------------------------------------------------------- starting, reloading, stopping


def test_stop_closes_idle_connections_at_once(gw):
    key = gw.make_key()["key"]
    c = Raw(gw.port).send(request_bytes(key))
    assert c.answer()[0] == 200
    time.sleep(0.3)
    started = time.monotonic()
    gw.proc.send_signal(signal.SIGTERM)
    assert c.at_end()
    assert gw.proc.wait(5) == 0
    assert time.monotonic() - started < 2


def test_stop_asks_busy_clients_to_leave(gw):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-delay500", "messages": [{"role": "user", "content": "hi"}]})
    c = Raw(gw.port).send(request_bytes(key, body))
    time.sleep(0.2)
    gw.proc.send_signal(signal.SIGTERM)
    status, headers, _ = c.answer()
    assert status == 200 and headers.get("connection") == "close"
    assert gw.proc.wait(5) == 0


def test_a_second_sigterm_cuts(gw, upstream):
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-hang", "messages": [{"role": "user", "content": "hi"}]})
    c = Raw(gw.port).send(request_bytes(key, body))
    wait_until(lambda: upstream.in_flight == 1)
    gw.proc.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        gw.proc.wait(0.7)
    gw.proc.send_signal(signal.SIGTERM)
    assert gw.proc.wait(5) == 0
    assert c.at_end()


def test_the_drain_deadline(make_gateway, upstream):
    gw = make_gateway(extra="drain_timeout_ms = 500;")
    key = gw.make_key()["key"]
    c = Raw(gw.port).send(request_bytes(key, json.dumps({"model": "m-hang", "messages": [{"role": "user", "content": "hi"}]})))
    wait_until(lambda: upstream.in_flight == 1)
    gw.proc.send_signal(signal.SIGTERM)
    assert gw.proc.wait(5) == 0
    assert c.at_end()
    gw.start()
    wait_until(lambda: "killed" in str(gw.rows()))


@pytest.mark.parametrize("setting", ["run_dir", "state_dir"])
def test_what_a_reload_cannot_change(gw, setting):
    text = open(gw.conf).read()
    name = setting.split("_")[0]
    with open(gw.conf, "w") as f:
        f.write(text.replace(f'{setting} = "{gw.folder}/{name}"', f'{setting} = "{gw.folder}/{name}2"'))
    line = next(i for i, x in enumerate(open(gw.conf), 1) if setting in x)
    a = gw.admin("POST", "/v1/reload")
    assert a.status == 400
    message = a.json()["error"]["message"]
    assert f"aigw.conf:{line}: {setting}" in message and "restart" in message


def test_a_taken_port_is_refused(gw):
    key = gw.make_key()["key"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listen = f'listen = ( {{ address = "127.0.0.1"; port = {gw.port}; }}, {{ address = "127.0.0.1"; port = {port}; }} );'
        gw.write_config(listen=listen)
        a = gw.admin("POST", "/v1/reload")
        assert a.status == 400 and str(port) in a.json()["error"]["message"]
    assert gw.chat(key).status == 200
    assert gw.admin("POST", "/v1/reload").status == 200  # it is free now
    assert gw.request("GET", "/healthz", port=port).status == 200
    gw.write_config(listen=f'listen = ( {{ address = "127.0.0.1"; port = {gw.port}; }} );')
    assert gw.admin("POST", "/v1/reload").status == 200

    def closed():
        try:
            gw.request("GET", "/healthz", port=port, timeout=1)
            return False
        except OSError:
            return True

    wait_until(closed)
    assert gw.chat(key).status == 200


def test_the_admin_moves(gw):
    new = free_port()
    text = open(gw.conf).read()
    with open(gw.conf, "w") as f:
        f.write(text.replace(f"port = {gw.admin_port}", f"port = {new}"))
    assert gw.admin("POST", "/v1/reload").status == 200
    gw.admin_port = new

    def there():
        try:
            return gw.admin("GET", "/healthz").status == 200
        except OSError:
            return False

    wait_until(there)
    wait_until(lambda: len(gw.pids("aigw-admin")) == 1)


def test_systemd_protocols(make_gateway, tmp_path):
    """Sockets that were opened for us are used, and readiness is told."""
    gw = make_gateway()
    key = gw.make_key()["key"]
    gw.stop()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(10)
    sockets = []
    for port in (gw.port, gw.admin_port):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(16)
        sockets.append(s)
    early = Raw(gw.port).send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")  # waits in the backlog
    env = dict(os.environ, TEST_UPSTREAM_KEY="sk-upstream-secret", NOTIFY_SOCKET=str(tmp_path / "notify"), LISTEN_FDS="2")
    spare = [os.dup(s.fileno()) for s in sockets]

    def pass_on():
        for i, fd in enumerate([os.dup2(fd, 100 + i) for i, fd in enumerate(spare)]):
            os.dup2(fd, 3 + i)
        os.environ["LISTEN_PID"] = str(os.getpid())

    starter = 'export LISTEN_PID=$$; exec "$0" "$@"'
    gw.proc = subprocess.Popen(["/bin/sh", "-c", starter, os.path.join(BUILD, "aigw"), "-c", gw.conf], env=env, preexec_fn=pass_on, close_fds=False, stderr=subprocess.DEVNULL)
    for s in sockets:
        s.close()
    for fd in spare:
        os.close(fd)
    assert notify.recv(500).startswith(b"READY=1")
    assert early.answer()[0] == 200
    assert gw.chat(key).status == 200
    gw.proc.send_signal(signal.SIGHUP)
    assert notify.recv(500).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert notify.recv(500) == b"READY=1"
    gw.proc.send_signal(signal.SIGTERM)
    assert notify.recv(500).startswith(b"STOPPING=1")
    assert gw.proc.wait(5) == 0


def test_whoever_waits_at_the_door_is_served_before_it_closes(gw):
    key = gw.make_key()["key"]
    (acceptor,) = gw.pids("acceptor")
    os.kill(acceptor, signal.SIGSTOP)
    clients = [Raw(gw.port).send(request_bytes(key)) for _ in range(300)]
    gw.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in gw.log_text())
    os.kill(acceptor, signal.SIGCONT)
    assert [c.answer()[0] for c in clients] == [200] * 300
    for c in clients:
        c.s.close()
    assert gw.proc.wait(10) == 0


def test_a_connection_that_no_descriptor_is_left_for_costs_no_worker(make_gateway, upstream):
    gw = make_gateway(workers=(1, 1, 1))
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-delay300", "messages": [{"role": "user", "content": "hi"}]})
    client = Raw(gw.port).send(request_bytes(key, body))
    wait_until(lambda: upstream.in_flight == 1)
    (acceptor,) = gw.pids("acceptor")
    soft, hard = resource.prlimit(acceptor, resource.RLIMIT_NOFILE)
    resource.prlimit(acceptor, resource.RLIMIT_NOFILE, (3, hard))
    assert client.answer()[0] == 200
    assert client.s.recv(1) == b""  # handed back, and lost for want of a descriptor
    resource.prlimit(acceptor, resource.RLIMIT_NOFILE, (soft, hard))
    assert gw.chat(key, timeout=5).status == 200
    client.s.close()


def test_the_pool_grows_before_it_is_exhausted(make_gateway):
    gw = make_gateway(workers=(4, 64, 4))
    key = gw.make_key()["key"]
    body = json.dumps({"model": "m-delay1000", "messages": [{"role": "user", "content": "hi"}]})
    clients = [Raw(gw.port).send(request_bytes(key, body)) for _ in range(40)]
    started = time.monotonic()
    assert [c.answer()[0] for c in clients] == [200] * 40
    assert time.monotonic() - started < 2  # all at once, not one pool after the other
    for c in clients:
        c.close()
    assert 40 <= len(gw.pids("worker")) <= 64


@pytest.mark.parametrize("args,status,text", [(["--version"], 0, "aigw "), (["--help"], 0, "usage"), ([], 2, "usage"), (["-c", "/nonexistent"], 1, "No such file")])
def test_options(args, status, text):
    out = subprocess.run([os.path.join(BUILD, "aigw"), *args], capture_output=True, text=True, timeout=10)
    assert out.returncode == status and text in out.stdout + out.stderr


def test_check_only(gw):
    env = dict(os.environ, TEST_UPSTREAM_KEY="x")
    out = subprocess.run([os.path.join(BUILD, "aigw"), "-c", gw.conf, "-t"], capture_output=True, text=True, env=env, timeout=10)
    assert out.returncode == 0, out.stderr
    gw.write_config(extra="nonsense = 1;")
    out = subprocess.run([os.path.join(BUILD, "aigw"), "-c", gw.conf, "-t"], capture_output=True, text=True, env=env, timeout=10)
    assert out.returncode == 1 and "nonsense" in out.stderr and "aigw.conf:" in out.stderr
    gw.write_config(extra='nonsense = 1;\nlog = { level = "loud"; };')
    out = subprocess.run([os.path.join(BUILD, "aigw"), "-c", gw.conf, "-t"], capture_output=True, text=True, env=env, timeout=10)
    lines = out.stderr.splitlines()
    assert out.returncode == 1 and len(lines) == 2 and " nonsense: " in lines[0] and " log.level: " in lines[1], out.stderr
    a = gw.admin("POST", "/v1/reload")
    assert a.status == 400 and b"nonsense" in a.body and b"and 1 more" in a.body, a.body
