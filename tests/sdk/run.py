"""Runs the vendors' official SDKs, unmodified, against a gateway in front of the mock upstream, and agents' frameworks against one
in front of the vendors' mocks.

    run.py [WORD…]    installs the packages into tests/sdk/.cache (PyPI, npm), runs every suite (whose name holds a word)

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
from vendors import Vendors  # noqa: E402

# suite → folder in .cache, packages, what can be imported then (node: which folders are there)
PYTHON = {
    "openai_python.py": ("python", ["openai>=1.50"], "openai"),
    "agents_python.py": (
        "agents",
        ["openai", "anthropic", "google-genai", "langchain-openai", "langchain-anthropic", "langchain-google-genai", "openai-agents"],
        "openai, anthropic, google.genai, langchain_openai, langchain_anthropic, langchain_google_genai, agents",
    ),
    "cache_python.py": ("agents", ["openai", "anthropic", "google-genai"], "openai, anthropic, google.genai"),
}
NODE = {
    "openai_node.mjs": ["openai"],
    "cache_node.mjs": ["openai", "@anthropic-ai/sdk", "@google/genai"],
    "coders_node.mjs": ["@anthropic-ai/claude-code", "@google/gemini-cli"],
    "agents_node.mjs": ["ai", "zod", "@ai-sdk/openai", "@ai-sdk/anthropic", "@ai-sdk/google", "@anthropic-ai/sdk", "@google/genai"],
}


def quiet(cmd, limit=240, **kw):
    try:
        return subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit, **kw).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def python_with(suite):
    """A Python's command line that can import the suite's packages; None: PyPI does not answer."""
    folder, packages, imports = PYTHON[suite]
    target = os.path.join(CACHE, folder)
    for python in (sys.executable, shutil.which("python3")):
        env = dict(os.environ, PYTHONPATH=target)
        if python and quiet([python, "-c", f"import {imports}"], env=env):
            return [python], env
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", target, *packages]
        if python and quiet(install) and quiet([python, "-c", f"import {imports}"], env=env):
            return [python], env
    return None


def node_with(suite):
    target = os.path.join(CACHE, "node")
    os.makedirs(target, exist_ok=True)
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    have = all(os.path.exists(os.path.join(target, "node_modules", *p.split("/"), "package.json")) for p in NODE[suite])
    latest = [p + "@latest" for p in NODE[suite]]
    if not have and not quiet(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", target, *latest], cwd=target):
        return None
    # modules are found from the importing file upwards: the suites are copied beside node_modules
    shutil.copy(os.path.join(HERE, suite), target)
    return ["node"], os.environ


def run(suite, env, results):
    found = python_with(suite) if suite in PYTHON else node_with(suite)
    if not found:
        print(f"skipped {suite}: its registry does not answer, or its language is not installed")
        results["skipped"] += 1
        return
    cmd, base = found
    p = subprocess.run([*cmd, os.path.join(HERE if suite in PYTHON else os.path.join(CACHE, "node"), suite)], env={**base, **env}, capture_output=True, text=True, timeout=600)
    lines = p.stdout.splitlines()
    passed, failed = sum(x.startswith("ok ") for x in lines), sum(x.startswith("not ok ") for x in lines)
    if (p.returncode != 0 or not passed) and not failed:
        failed = 1
    told = lines if len(lines) < 60 else [x for x in lines if not x.startswith("ok ")] + [f"{passed} ok"]
    print(f"{suite}:\n  " + "\n  ".join(told) + ("\n" + p.stderr if failed else ""), flush=True)
    results["passed"] += passed
    results["failed"] += failed


def main(words):
    assert {*PYTHON, *NODE} == {os.path.basename(f) for f in glob.glob(os.path.join(HERE, "*_python.py")) + glob.glob(os.path.join(HERE, "*_node.mjs"))}
    results = {"passed": 0, "failed": 0, "skipped": 0}
    folder = tempfile.mkdtemp(prefix="aigw-sdk-")
    upstream = Upstream(key="sk-upstream-secret").start()
    with Vendors(os.path.join(folder, "vendors")) as vendors:
        plain = Gateway(os.path.join(folder, "gw"), upstream.port, extra="timeouts = { first_byte_ms = 5000; };").start()
        many = Gateway(os.path.join(folder, "many"), upstream.port, env=vendors.env(), **vendors.parts()).start()
        caches = Gateway(os.path.join(folder, "caches"), upstream.port, cache=True, env=vendors.env(), **vendors.parts()).start()
        try:
            env = {
                "AIGW_URL": f"http://127.0.0.1:{plain.port}/v1",
                "AIGW_KEY": plain.make_key(name="sdk")["key"],
                "AIGW_UPSTREAM": f"http://127.0.0.1:{upstream.port}/stats",
            }
            agents = {"AIGW_ROOT": f"http://127.0.0.1:{many.port}", "AIGW_KEY": many.make_key(name="agents")["key"]}
            with open(os.path.join(caches.folder, "admin.token")) as f:
                token = f.read().strip()
            cached = {
                "AIGW_ROOT": f"http://127.0.0.1:{caches.port}",
                "AIGW_KEY": caches.make_key(name="cache")["key"],
                "AIGW_ADMIN": f"http://127.0.0.1:{caches.admin_port}",
                "AIGW_ADMIN_TOKEN": token,
            }
            kinds = {"agents": agents, "coders": agents, "cache": cached}
            for suite in sorted([*PYTHON, *NODE]):
                if not words or any(w in suite for w in words):
                    limited = {"AIGW_LIMITED_KEY": plain.make_key(name="limited", rpm=1)["key"]}
                    run(suite, kinds.get(suite.partition("_")[0]) or {**env, **limited}, results)
        finally:
            for gw in (plain, many, caches):
                gw.stop()
                gw.clean()
            upstream.stop()
            shutil.rmtree(folder, ignore_errors=True)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**results))
    return 1 if results["failed"] else 0


sys.exit(main(sys.argv[1:]))
