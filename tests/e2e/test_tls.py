"""TLS on a listener, certificate reload, client certificates, PROXY protocol."""

import http.client
import json
import os
import socket
import ssl
import struct
import subprocess

import pytest
from gateway import free_port, wait_until

BODY = json.dumps({"model": "m-chunks4", "stream": True, "messages": [{"role": "user", "content": "hi"}]})


def certificate(folder, name, ca=None):
    """A key and certificate pair in PEM files; signed by `ca` (a pair's name) or by itself."""
    key, pem = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    cmd = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key, "-out", pem,
           "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    if ca:
        cmd += ["-CA", os.path.join(folder, ca + ".pem"), "-CAkey", os.path.join(folder, ca + ".key")]
    subprocess.run(cmd, check=True, capture_output=True)
    return key, pem


@pytest.fixture
def tls(make_gateway, tmp_path):
    folder = str(tmp_path)
    certificate(folder, "server")
    return folder, free_port(), make_gateway


def start(tls, more=""):
    folder, port, make_gateway = tls
    from gateway import Gateway

    listen = f"""listen = ( {{ address = "127.0.0.1"; port = PLAIN; }},
  {{ address = "127.0.0.1"; port = {port}; tls = {{ certificate = "{folder}/server.pem"; key = "{folder}/server.key"; {more} }}; }} );"""
    real = Gateway.write_config

    def write(self, **changes):
        changes.setdefault("listen", listen.replace("PLAIN", str(self.port)))
        real(self, **changes)

    Gateway.write_config = write
    try:
        return make_gateway(), port, folder
    finally:
        Gateway.write_config = real


def ask(port, folder, key, cert=None, version=None):
    ctx = ssl.create_default_context(cafile=os.path.join(folder, "server.pem"))
    if cert:
        ctx.load_cert_chain(os.path.join(folder, cert + ".pem"), os.path.join(folder, cert + ".key"))
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    c = http.client.HTTPSConnection("127.0.0.1", port, context=ctx, timeout=10)
    out = []
    for _ in range(2):
        c.request("POST", "/v1/chat/completions", BODY, {"authorization": f"Bearer {key}"})
        r = c.getresponse()
        out.append((r.status, b"[DONE]" in r.read()))
    c.close()
    return out


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(tls, version):
    gw, port, folder = start(tls)
    assert ask(port, folder, gw.make_key()["key"], version=version) == [(200, True), (200, True)]


def test_old_tls_is_refused(tls):
    gw, port, folder = start(tls)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ctx.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def test_plain_http_is_told_what_to_change(tls):
    _, port, _ = start(tls)
    for more in ("", "content-length: 3000\r\n\r\n" + "x" * 3000):
        s = socket.create_connection(("127.0.0.1", port), timeout=10)
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode())
        got = b"".join(iter(lambda: s.recv(4096), b""))
        assert got.startswith(b"HTTP/1.1 400 ") and "https://" in json.loads(got.split(b"\r\n\r\n", 1)[1])["error"]["message"]


def test_certificate_reload(tls):
    gw, port, folder = start(tls)
    key = gw.make_key()["key"]
    ask(port, folder, key)
    certificate(folder, "server")  # a new pair under the same names
    assert gw.admin("POST", "/v1/reload").status == 200

    def fresh():
        try:
            return ask(port, folder, key) == [(200, True)] * 2
        except ssl.SSLError:
            return False

    wait_until(fresh)


def test_client_certificates(tls):
    folder = tls[0]
    certificate(folder, "ca")
    certificate(folder, "alice", "ca")
    certificate(folder, "mallory")
    gw, port, folder = start(tls, f'client_ca = "{folder}/ca.pem"; client_cert = "required";')
    key = gw.make_key()["key"]
    assert ask(port, folder, key, "alice") == [(200, True)] * 2
    for cert in (None, "mallory"):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(port, folder, key, cert)


def test_slow_tls_clients_cost_no_worker(tls):
    gw, port, folder = start(tls)
    key = gw.make_key()["key"]
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for s in silent:
        s.sendall(b"\x16\x03\x01")
    assert ask(port, folder, key) == [(200, True)] * 2
    for s in silent:
        s.close()


def proxy_v2(src, dst, sport, dport):
    body = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", sport, dport)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack("!H", len(body)) + body


def test_proxy_protocol(tls, make_gateway):
    from gateway import Gateway

    real = Gateway.write_config

    def write(self, **changes):
        changes.setdefault("listen", f'listen = ( {{ address = "127.0.0.1"; port = {self.port}; }}, {{ address = "127.0.0.1"; port = {tls[1]}; proxy_protocol_from = ["127.0.0.1/32"]; }} );')
        real(self, **changes)

    Gateway.write_config = write
    try:
        gw = make_gateway()
    finally:
        Gateway.write_config = real
    key = gw.make_key(allow_cidrs=["203.0.113.0/24"])["key"]
    body = '{"model":"m","messages":[{"role":"user","content":"x"}]}'
    req = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    for src, status in (("203.0.113.9", b"200"), ("198.51.100.1", b"403")):
        s = socket.create_connection(("127.0.0.1", tls[1]), timeout=5)
        s.sendall(proxy_v2(src, "127.0.0.1", 4000, 443) + req)
        assert s.recv(65536).split(b" ")[1] == status
        s.close()
    s = socket.create_connection(("127.0.0.1", tls[1]), timeout=5)
    s.sendall(req)  # a listed balancer must send the header
    assert b" 200 " not in s.recv(65536)
