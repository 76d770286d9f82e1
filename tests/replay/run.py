"""Replays recorded provider traffic through a real gateway, to the vendors' official SDKs.

    run.py [RECORDINGS] [--only PATH] [--provider P,…] [--endpoint E,…] [--dialect D,…] [--language python,node]
           [--seed N] [--verbose] [--direct] [--report FILE] [--list]

Each recording (those that made.py makes, and those in the folder RECORDINGS or AIGW_RECORDINGS) is served by upstream.py over HTTP and
asked for through the gateway by each caller whose dialect can express it. What the SDK reads must equal what the recording says
(expect.py, judge.py). --direct leaves the gateway out, and lets the vendor's own SDK read the recording itself: that is a test of
the judge. The last line is "N passed, N failed, N skipped".
"""

import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(HERE, ".cache")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

import expect  # noqa: E402
import gateway  # noqa: E402
import judge  # noqa: E402
import made  # noqa: E402
import recordings  # noqa: E402
import upstream  # noqa: E402

PYTHON_PACKAGES = ["openai", "anthropic", "google-genai"]
NODE_PACKAGES = ["openai@latest", "@anthropic-ai/sdk@latest", "@google/genai@latest"]
DIALECTS = ("chat", "responses", "messages", "google")
COLUMNS = (*DIALECTS, "ledger")
# which callers ask for which kind of recording
CALLERS = {"chat": DIALECTS, "responses": ("responses",), "embeddings": ("chat", "google"), "count": ("messages", "google"), "rerank": ("chat",)}
SHOWN = 20  # failures
MOST_MODELS = 600  # in one configuration
# how the gateway says that it has no such pair
NOT_OFFERED = ("can't serve this endpoint", "This provider has no such endpoint")


def quiet(cmd, limit=400, **kw):
    try:
        return subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit, **kw).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def have_python():
    """The packages can be imported from here on."""
    target = os.path.join(CACHE, "python")
    probe = [sys.executable, "-c", "import openai, anthropic, google.genai"]
    env = dict(os.environ, PYTHONPATH=target)
    if not quiet(probe, env=env):
        quiet([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", target, *PYTHON_PACKAGES])
        if not quiet(probe, env=env):
            return False
    sys.path.append(target)
    return True


def have_node():
    target = os.path.join(CACHE, "node")
    os.makedirs(target, exist_ok=True)
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    packages = [p.rpartition("@")[0] for p in NODE_PACKAGES]
    if not all(os.path.exists(os.path.join(target, "node_modules", *p.split("/"), "package.json")) for p in packages):
        if not quiet(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", target, *NODE_PACKAGES], cwd=target):
            return False
    # modules are found from the importing file upwards
    shutil.copy(os.path.join(HERE, "callers_node.mjs"), target)
    return True


class Node:
    """One long-lived process, which takes jobs of any thread."""

    def __init__(self):
        self.process = subprocess.Popen(["node", os.path.join(CACHE, "node", "callers_node.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8", bufsize=1)
        self.waiting, self.ids, self.lock = {}, itertools.count(), threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            out = json.loads(line)
            self.waiting.pop(out["id"]).set_result(out)
        for future in list(self.waiting.values()):
            future.set_exception(RuntimeError("node ended"))

    def call(self, job):
        future = concurrent.futures.Future()
        with self.lock:
            number = next(self.ids)
            self.waiting[number] = future
            self.process.stdin.write(json.dumps({**job, "id": number}) + "\n")
            self.process.stdin.flush()
        return future.result(60)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Upstream:
    def __init__(self, root, seed):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "upstream.py"), root, str(seed)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request("GET", path)
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


# ---------------------------------------------------------------- the gateway


def provider_name(r):
    """One entry for each type, and for OpenAI's relatives another with their Responses endpoint."""
    return f"{r.type}-responses" if r.format == "responses" else r.type


def provider_entry(name, port, account):
    kind = name.removesuffix("-responses")
    parts = [f'name = "{name}"', f'type = "{kind}"']
    base = f"http://127.0.0.1:{port}/{name}"
    if kind in ("azure", "anthropic", "cohere", "bedrock", "vertex", "gemini"):
        base += {"gemini": "/v1beta"}.get(kind, "")
    else:
        base += "/v1"
    parts.append(f'base_url = "{base}"')
    if kind == "vertex":
        parts += [f'project = "{upstream.PROJECT}"', f'location = "{upstream.LOCATION}"', f'credentials_file = "{account}"']
    elif kind == "bedrock":
        parts += [f'region = "{upstream.REGION}"', 'access_key_env = "REPLAY_ACCESS"', 'secret_key_env = "REPLAY_SECRET"']
    else:
        parts.append('api_key_env = "REPLAY_KEY"')
    if kind == "azure":
        parts.append('api_version = "2024-10-21"')
    if kind not in ("anthropic", "gemini", "vertex", "bedrock", "cohere"):
        parts.append(f'responses = "{"true" if name.endswith("-responses") else "false"}"')
    return "{ " + "; ".join(parts) + "; }"


def start_gateway(folder, up, chosen):
    account = os.path.join(folder, "account.json")
    with open(os.open(account, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        json.dump(up.get("/account"), f)
    names = sorted({provider_name(r) for r in chosen})
    providers = "".join(", " + provider_entry(n, up.port, account) for n in names)
    models = "".join(f', {{ name = "r{r.number:04d}"; targets = ( {{ provider = "{provider_name(r)}"; model = "{r.upstream_model()}"; }} ); }}' for r in chosen)
    env = {"REPLAY_KEY": upstream.KEY, "REPLAY_ACCESS": upstream.ACCESS, "REPLAY_SECRET": upstream.SECRET}
    gw = gateway.Gateway(os.path.join(folder, "gw"), up.port, workers=(8, 32, 4), providers=providers, models=models, env=env)
    return gw.start()


# ---------------------------------------------------------------- cases


class Run:
    def __init__(self, args, callers):
        self.args, self.callers = args, callers
        self.lock, self.table, self.failures = threading.Lock(), collections.defaultdict(lambda: [0, 0, 0]), []
        self.asked = collections.Counter()
        self.up = self.gateway = None
        self.key = upstream.KEY

    def dialects(self, r, wanted):
        for dialect in CALLERS[r.kind]:
            if self.args.dialect and dialect not in self.args.dialect:
                continue
            if self.args.direct and not judge.passes(r, dialect):
                continue
            # several choices can only be asked for in two of them
            if len(wanted.get("choices") or []) > 1 and dialect not in ("chat", "google"):
                continue
            yield dialect

    def job(self, r, wanted, dialect):
        tools = sorted({t["name"] for c in wanted.get("choices") or [] for t in c["tools"]})
        n = len(wanted.get("vectors") or wanted.get("results") or [0])
        job = {"dialect": dialect, "kind": r.kind, "stream": r.streaming, "tools": tools, "n": len(wanted.get("choices") or [0]) or 1,
               # what is recorded as numbers was not asked for in base64, as the packages do by themselves
               "encoding": "float" if r.format == "openai-embeddings" and wanted["kind"] == "embeddings" and wanted["plain"] else None,
               "inputs": [f"text number {i}" for i in range(n)], "model": f"r{r.number:04d}", "key": self.key, "translated": not judge.passes(r, dialect)}
        if self.args.direct:
            return {**job, **self.straight(r)}
        return {**job, "base": f"http://127.0.0.1:{self.gateway.port}"}

    def one(self, r):
        """All callers of a recording, one after the other."""
        try:
            wanted = expect.expectation(r)
        except Exception as e:  # a recording that is not what its index says
            with self.lock:
                self.failures.append({"path": r.path, "dialect": "-", "language": "-", "provider": r.provider, "wrong": [f"expectation: {type(e).__name__} {e}"]})
            return
        for dialect in self.dialects(r, wanted):
            job = self.job(r, wanted, dialect)
            for language, call in self.callers.items():
                result = call(job)
                wrong, offered = self.verdict(dialect, r, wanted, result, job, call)
                with self.lock:
                    self.asked[job["model"]] += offered
                    cell = self.table[dialect, r.provider]
                    cell[0] += 1
                    cell[1] += bool(wrong) and offered
                    cell[2] += not offered
                    if wrong and offered:
                        self.failures.append({"path": r.path, "number": r.number, "dialect": dialect, "language": language, "provider": r.provider,
                                              "endpoint": r.endpoint, "stream": r.streaming, "wrong": wrong})
                        if self.args.verbose:
                            print(f"not ok {dialect} {language} {r.path}\n    " + "\n    ".join(wrong), flush=True)

    def straight(self, r):
        """What a job is without the gateway."""
        return {"base": f"http://127.0.0.1:{self.up.port}/plain/{r.type}", "openai_path": "/v1", "model": r.upstream_model(), "key": upstream.KEY}

    def verdict(self, dialect, r, wanted, result, job, call):
        """(what is wrong, whether the gateway offers the pair)"""
        try:
            wrong = judge.compare(dialect, r, wanted, result, (upstream.KEY, upstream.SECRET, upstream.TOKEN))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as e:
            wrong = [f"the answer has not its dialect's form: {type(e).__name__} {e}: {judge.short(result['answer'])}"]
        if wrong and not self.args.direct and dialect != "chat" and judge.passes(r, dialect):
            # what passes can't be read better than at the vendor's own
            direct = judge.compare(dialect, r, wanted, call({**job, **self.straight(r)}))
            if [w[:60] for w in direct] == [w[:60] for w in wrong]:
                return [], True
        error = result["error"] or {}
        offered = not (wrong and any(words in (error.get("message") or "") for words in NOT_OFFERED))
        if wrong and r.kind == "count" and not judge.passes(r, dialect) and not self.up.get(f"/seen/{r.number}"):
            return [], True  # counted by the gateway itself: an estimate
        return wrong, offered

    def ledger(self, by_model):
        """A row for each exchange, with the tokens that the recording tells."""
        asked, self.asked = self.asked, collections.Counter()
        rows = []

        def all_there():
            rows[:] = self.gateway.rows()
            return len(rows) >= sum(asked.values())

        try:
            gateway.wait_until(all_there, 15, 0.3)
        except AssertionError:
            self.wrong_row("-", f"the ledger has {len(rows)} rows of {sum(asked.values())}")
        for model, n in (collections.Counter(row["model"] for row in rows) - asked).items():
            self.wrong_row(model, f"{n} rows too many")
        for row in rows:
            r = by_model[row["model"]]
            wrong = list(judge.compare_row(r, expect.expectation(r), row)) if r.kind in ("chat", "responses", "embeddings") else []
            cell = self.table["ledger", r.provider]
            cell[0] += 1
            cell[1] += bool(wrong)
            if wrong:
                self.wrong_row(r.path, *wrong, f"(endpoint {row['endpoint']})", provider=r.provider)
        if " was killed by signal " in self.gateway.log_text():
            self.wrong_row("-", "a process of the gateway died: " + self.gateway.log_text()[-2000:])

    def wrong_row(self, path, *wrong, provider="-"):
        self.failures.append({"path": path, "dialect": "ledger", "language": "-", "provider": provider, "wrong": list(wrong)})

    def batch(self, folder, chosen):
        """What one gateway's configuration can hold."""
        try:
            if not self.args.direct:
                os.mkdir(folder)
                self.gateway = start_gateway(folder, self.up, chosen)
                self.key = self.gateway.make_key(name="replay")["key"]
            with concurrent.futures.ThreadPoolExecutor(self.args.threads) as pool:
                for future in [pool.submit(self.one, r) for r in chosen]:
                    future.result()
            if self.gateway:
                self.ledger({f"r{r.number:04d}": r for r in chosen})
        finally:
            if self.gateway:
                self.gateway.stop()
                self.gateway.clean()


def show(run):
    providers = sorted({p for _, p in run.table})
    print("cases, wrong, not offered (dialect in × provider out)")
    print(f"{'':20}" + "".join(f"{d:>18}" for d in COLUMNS))
    for p in providers:
        cells = [run.table.get((d, p)) for d in COLUMNS]
        print(f"{p:20}" + "".join(f"{'' if c is None else f'{c[0]} {c[1]} {c[2]}':>18}" for c in cells))


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("recordings", nargs="?", default=os.environ.get("AIGW_RECORDINGS"))
    p.add_argument("--only")
    for name in ("--provider", "--endpoint", "--dialect", "--language"):
        p.add_argument(name, type=lambda text: text.split(","))
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    p.add_argument("--threads", type=int, default=4)
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--direct", action="store_true")
    p.add_argument("--list", action="store_true")
    p.add_argument("--report")
    return p.parse_args()


def main():
    # the packages tell, at length, of each answer that is not as their types say; what matters of it is compared
    warnings.simplefilter("ignore", UserWarning)
    args = arguments()
    folder = tempfile.mkdtemp(prefix="aigw-replay-")
    try:
        return replay(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replay(args, folder):
    os.mkdir(os.path.join(folder, "made"))
    roots, callers, skipped = made.write(os.path.join(folder, "made")), {}, 0
    if args.recordings and os.path.exists(os.path.join(args.recordings, "INDEX.tsv")):
        roots += os.pathsep + args.recordings
    else:
        print("skipped recorded traffic: AIGW_RECORDINGS names no folder of it")
        skipped = 1
    chosen = recordings.load(roots, args.provider, args.endpoint, args.only)
    if args.list:
        for r in chosen:
            print(r.number, r.path, r.format, r.kind, "stream" if r.streaming else "whole", r.status, r.upstream_model())
        return 0
    for language, have in (("python", have_python), ("node", have_node)):
        if args.language and language not in args.language:
            continue
        if not have():
            print(f"skipped {language}: its registry does not answer, or the language is not installed")
            skipped += 1
        elif language == "python":
            import callers_python

            callers[language] = callers_python.call
        else:
            node = Node()
            callers[language] = node.call
    print(f"seed {args.seed}, {len(chosen)} recordings", flush=True)
    run = Run(args, callers)
    try:
        run.up = Upstream(roots, args.seed)
        random.Random(args.seed).shuffle(chosen)
        for start in range(0, len(chosen), MOST_MODELS):
            run.batch(os.path.join(folder, str(start)), chosen[start : start + MOST_MODELS])
    finally:
        if run.up:
            run.up.stop()
        if "node" in callers:
            node.stop()
    for f in [] if args.verbose else run.failures[:SHOWN]:
        print(f"not ok {f['dialect']} {f['language']} {f['path']}\n    " + "\n    ".join(f["wrong"]))
    if len(run.failures) > SHOWN and not args.verbose:
        print(f"… and {len(run.failures) - SHOWN} more (--verbose shows all)")
    show(run)
    if args.report:
        with open(args.report, "w", encoding="utf-8") as f:
            json.dump(run.failures, f, indent=1, ensure_ascii=False)
    total, failed, none = (sum(c[i] for c in run.table.values()) for i in range(3))
    failed += sum(f["path"] == "-" or f["dialect"] == "-" for f in run.failures)
    print(f"{total - failed - none} passed, {failed} failed, {skipped + none} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
