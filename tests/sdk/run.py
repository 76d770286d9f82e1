"""Runs the vendors' official SDKs, unmodified, against a gateway in front of the mock upstream.

    run.py            installs the packages into tests/sdk/.cache (PyPI, npm), runs every suite

A suite prints "ok NAME" or "not ok NAME: why" for each case. Where a registry does not answer (or node is missing) its suite
counts as skipped. The last line is "N passed, N failed, N skipped".
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(HERE, ".cache")
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "mock")]

from gateway import Gateway  # noqa: E402
from upstream import Upstream  # noqa: E402

PYTHON_PACKAGES = ["openai>=1.50"]
NODE_PACKAGES = ["openai@latest"]


def quiet(cmd, limit=240, **kw):
    try:
        return subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit, **kw).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def python_with_packages():
    """A Python's command line that can import the packages; None: PyPI does not answer."""
    target = os.path.join(CACHE, "python")
    for python in (sys.executable, shutil.which("python3")):
        env = dict(os.environ, PYTHONPATH=target)
        if python and quiet([python, "-c", "import openai"], env=env):
            return python, env
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", target, *PYTHON_PACKAGES]
        if python and quiet(install) and quiet([python, "-c", "import openai"], env=env):
            return python, env
    return None


def node_with_packages():
    target = os.path.join(CACHE, "node")
    os.makedirs(target, exist_ok=True)
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    have = os.path.exists(os.path.join(target, "node_modules", "openai", "package.json"))
    if not have and not quiet(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", target, *NODE_PACKAGES], cwd=target):
        return None
    # modules are found from the importing file upwards: the suites are copied beside node_modules
    for f in glob.glob(os.path.join(HERE, "*.mjs")):
        shutil.copy(f, target)
    return target


def main():
    results = {"passed": 0, "failed": 0, "skipped": 0}
    python, node = python_with_packages(), node_with_packages()
    folder = tempfile.mkdtemp(prefix="aigw-sdk-")
    upstream = Upstream(key="sk-upstream-secret").start()
    gw = Gateway(os.path.join(folder, "gw"), upstream.port, extra="timeouts = { first_byte_ms = 5000; };").start()
    try:
        env = {
            "AIGW_URL": f"http://127.0.0.1:{gw.port}/v1",
            "AIGW_KEY": gw.make_key(name="sdk")["key"],
            "AIGW_LIMITED_KEY": gw.make_key(name="limited", rpm=1)["key"],
            "AIGW_UPSTREAM": f"http://127.0.0.1:{upstream.port}/stats",
        }
        suites = []
        for f in sorted(glob.glob(os.path.join(HERE, "*_python.py"))):
            suites.append((f, [python[0], f] if python else None, python[1] if python else {}))
        for f in sorted(glob.glob(os.path.join(HERE, "*_node.mjs"))):
            suites.append((f, ["node", os.path.join(node, os.path.basename(f))] if node else None, os.environ))
        for name, cmd, base in suites:
            if not cmd:
                print(f"skipped {os.path.basename(name)}: its registry does not answer, or its language is not installed")
                results["skipped"] += 1
                continue
            p = subprocess.run(cmd, env={**base, **env}, capture_output=True, text=True, timeout=300)
            lines = p.stdout.splitlines()
            passed, failed = sum(x.startswith("ok ") for x in lines), sum(x.startswith("not ok ") for x in lines)
            if p.returncode != 0 and not failed:
                failed = 1
            print(f"{os.path.basename(name)}:\n  " + "\n  ".join(lines) + ("\n" + p.stderr if failed else ""))
            results["passed"] += passed
            results["failed"] += failed
    finally:
        gw.stop()
        gw.clean()
        upstream.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**results))
    return 1 if results["failed"] else 0


sys.exit(main())
