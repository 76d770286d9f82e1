"""`make install`: what lies where, that it stays what it was the second time, and that systemd is content with its units."""

import os
import shutil
import subprocess

import pytest

from gateway import BUILD

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNITS = "/lib/systemd/system"


@pytest.fixture
def root(tmp_path):
    install(tmp_path / "root")
    return tmp_path / "root"


def install(root):
    return subprocess.run([os.path.join(TOP, "conf", "install"), BUILD, str(root), "/usr"], check=True, capture_output=True, text=True).stdout


def test_what_lies_where(root):
    for program in ("aigw", "aigw-admin", "aigw-shmdump"):
        assert os.access(root / "usr/bin" / program, os.X_OK)
    for page in ("man8/aigw.8", "man5/aigw.conf.5", "man1/aigw-shmdump.1", "man8/aigw-admin.8"):
        assert (root / "usr/share/man" / page).is_file()
    assert (root / "usr/share/aigw/prices").is_file()
    check = subprocess.run([root / "usr/bin/aigw", "-t", "-c", root / "etc/aigw/aigw.conf"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_a_configuration_is_kept(root):
    conf = root / "etc/aigw/aigw.conf"
    conf.write_text("# mine\n")
    assert "is kept" in install(root)
    assert conf.read_text() == "# mine\n"
    assert (root / "etc/aigw/aigw.conf.new").is_file()


@pytest.mark.skipif(not shutil.which("systemd-analyze") or not os.path.isdir(UNITS), reason="no systemd here")
def test_systemd_is_content(root):
    for unit in os.listdir(UNITS):  # what ours refer to
        source, copy = os.path.join(UNITS, unit), root / "lib/systemd/system" / unit
        if os.path.isfile(source) and not copy.exists():
            shutil.copy(source, copy)
    p = subprocess.run(["systemd-analyze", "verify", f"--root={root}", "--man=no", "aigw.service", "aigw.socket"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    assert "aigw" not in p.stdout + p.stderr, p.stderr
