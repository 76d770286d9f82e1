"""`make run`: what it prints works as it stands, and it leaves nothing behind."""

import glob
import os
import re
import signal
import socket
import subprocess
import tempfile

from gateway import BUILD, free_port

RUN = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "run-demo")


def shell(command):
    return subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def start(tmp_path, port):
    env = dict(os.environ, AIGW_DEMO_PORT=str(port), TMPDIR=str(tmp_path))
    demo = subprocess.Popen([RUN, BUILD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    text = ""
    for line in demo.stdout:
        text += line
        if line.startswith("Ctrl-C"):
            break
    return demo, text


def stop(demo):
    demo.send_signal(signal.SIGTERM)
    rest = demo.stdout.read()
    return demo.wait(20), rest


def test_what_it_prints_works(tmp_path):
    port = free_port()
    demo, text = start(tmp_path, port)
    try:
        assert demo.poll() is None, text
        curl = next(line for line in text.splitlines() if line.startswith("curl "))
        assert '"object":"chat.completion"' in shell(curl).stdout.replace(" ", ""), text
        usage = next(line for line in text.splitlines() if line.startswith("What it cost:")).split(": ", 1)[1]
        assert "demo" in shell(usage).stdout
        dashboard = re.search(r"Dashboard: +(\S+)", text)[1]
        assert "<html" in shell(f"curl -s {dashboard}").stdout.lower()
        gateway = children(demo.pid)
        assert gateway
    finally:
        status, rest = stop(demo)
    assert status == 0, rest
    assert not any(os.path.exists(f"/proc/{p}") for p in gateway)
    assert glob.glob(str(tmp_path / "aigw-demo.*")) == []


def test_a_taken_port_is_passed_over(tmp_path, gw):
    demo, text = start(tmp_path, gw.port)
    try:
        assert f"port {gw.port} is taken" in text
        assert demo.poll() is None, text
        key = re.search(r"Bearer (sk-\S+?)'", text)[1]
        assert gw.chat(key).status == 401  # it is not the demo's key that is wrong, but the gateway that is another
        assert "chat.completion" in shell(next(line for line in text.splitlines() if line.startswith("curl "))).stdout
    finally:
        status, rest = stop(demo)
    assert status == 0, rest


def test_a_bound_port_is_passed_over(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # and never listens: nobody answers there, yet it can't be had
        port = s.getsockname()[1]
        demo, text = start(tmp_path, port)
        try:
            assert demo.poll() is None, text
            assert f"port {port} is taken" in text
        finally:
            status, rest = stop(demo)
    assert status == 0, rest


def test_a_gateway_that_does_not_start_is_told(tmp_path):
    with tempfile.TemporaryDirectory() as build:
        p = subprocess.run([RUN, build], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env=dict(os.environ, TMPDIR=str(tmp_path)))
    assert p.returncode == 1
    assert "run-demo: the gateway ended before it was ready" in p.stderr
    assert glob.glob(str(tmp_path / "aigw-demo.*")) == []


def test_a_port_that_is_none_is_told(tmp_path):
    p = subprocess.run([RUN, BUILD], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env=dict(os.environ, TMPDIR=str(tmp_path), AIGW_DEMO_PORT="http"))
    assert p.returncode == 1
    assert 'run-demo: AIGW_DEMO_PORT is to be a port\'s number, not "http"' in p.stderr
    assert glob.glob(str(tmp_path / "aigw-demo.*")) == []
