"""Starting: what stands in the way is refused, with what to do about it, and leaves the gateway that runs alone."""

import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from gateway import BUILD, free_port, wait_until


def starting(gw, fds=(), **kw):
    """The program with its configuration and, as systemd passes them, sockets."""

    def pass_on():
        for i, fd in enumerate([os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]):
            os.dup2(fd, 3 + i)

    env = dict(os.environ, TEST_UPSTREAM_KEY="sk-upstream-secret", **({"LISTEN_FDS": str(len(fds))} if fds else {}))
    command = ["/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$0" "$@"', os.path.join(BUILD, "aigw"), "-c", gw.conf]
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, close_fds=not fds, preexec_fn=pass_on if fds else None, **kw)


def refused(gw, fds=()):
    """Starts it, although it can't: what it says."""
    p = starting(gw, fds, stderr=subprocess.PIPE, text=True)
    said = p.communicate(timeout=20)[1]
    assert p.returncode == 1, said
    assert len(said.splitlines()) == 1, said
    return said


def change(gw, old, new):
    with open(gw.conf) as f:
        text = f.read()
    assert old in text
    with open(gw.conf, "w") as f:
        f.write(text.replace(old, new))


def move_ports(gw):
    change(gw, f"port = {gw.port};", f"port = {free_port()};")
    change(gw, f"port = {gw.admin_port};", f"port = {free_port()};")


def test_a_second_one_in_the_same_folders_is_refused(gw):
    key = gw.make_key()["key"]
    move_ports(gw)
    assert f"{gw.folder}/state: another aigw works with it" in refused(gw)
    assert gw.chat(key).status == 200


def test_a_second_one_with_the_same_run_dir_is_refused(gw):
    key = gw.make_key()["key"]
    move_ports(gw)
    os.mkdir(f"{gw.folder}/state2", 0o700)
    change(gw, f'"{gw.folder}/state"', f'"{gw.folder}/state2"')
    assert "another aigw runs on it" in refused(gw)
    assert gw.chat(key).status == 200


def test_a_second_one_with_the_same_state_dir_is_refused(gw):
    key = gw.make_key()["key"]
    move_ports(gw)
    change(gw, f'"{gw.folder}/run"', f'"{gw.folder}/run2"')
    assert f"{gw.folder}/state: another aigw works with it; stop it" in refused(gw)
    assert gw.chat(key).status == 200


def test_state_is_free_again_at_once(gw):
    gw.proc.kill()
    gw.proc.wait()
    gw.start()
    assert gw.stop() == 0


def test_a_taken_port_is_told(make_gateway):
    gw = make_gateway()
    assert gw.stop() == 0
    with socket.socket() as s:
        s.bind(("127.0.0.1", gw.port))
        s.listen()
        assert f"127.0.0.1, port {gw.port}: can't listen there: Address already in use" in refused(gw)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_folders_of_somebody_else_are_told():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with open(f"{folder}/aigw.conf", "w") as f:
            f.write('run_dir = "/root"; state_dir = "/root";')
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", os.path.join(BUILD, "aigw"), "-c", f.name]
        p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        if "master[" not in p.stderr:
            pytest.skip("nobody may not run programs of this folder")
        assert p.returncode == 1
        assert "/root: this user (65534) can't work in it: Permission denied" in p.stderr


def test_a_passed_socket_is_matched_by_its_address(make_gateway):
    gw = make_gateway()
    assert gw.stop() == 0
    other = free_port()
    gw.write_config(listen=f'listen = ( {{ port = {other}; }}, {{ port = {gw.port}; }} );')
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", gw.port))
        s.listen()
        gw.proc = starting(gw, [s.fileno()], stderr=gw.log)
    wait_until(gw.ready, 20)
    assert gw.request("GET", "/readyz", port=other).status == 200


def test_a_passed_socket_without_a_listener_is_refused(make_gateway):
    gw = make_gateway()
    assert gw.stop() == 0
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        said = refused(gw, fds=[s.fileno()])
        assert f"127.0.0.1:{s.getsockname()[1]} was passed to us" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_key_that_the_admin_program_could_not_read_is_told(tmp_path):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        pem, key = f"{folder}/cert.pem", f"{folder}/key.pem"
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        subprocess.run([*certificate, "-keyout", key, "-out", pem], check=True, capture_output=True)
        with open(f"{folder}/aigw.conf", "w") as f:
            f.write(f'user = "nobody";\nadmin = {{ tls = {{ certificate = "{pem}"; key = "{key}"; }}; }};')
        check = [os.path.join(BUILD, "aigw"), "-t", "-c", f.name]
        os.chmod(key, 0o600)
        p = subprocess.run(check, capture_output=True, text=True)
        assert p.returncode == 1
        assert f'aigw.conf:2: admin.tls.key: the user "nobody" can\'t read {key}; chown it to that user' in p.stderr
        shutil.chown(key, "nobody")
        assert subprocess.run(check, capture_output=True, text=True).returncode == 0
