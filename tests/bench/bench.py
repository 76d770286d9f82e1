"""This gateway beside nginx, and translated requests beside passed ones, side by side in one run: CPU per request, throughput,
latency, memory.

    make bench                         # needs wrk and nginx (Debian: wrk, nginx-light); says so when they are missing
    ROUNDS=5 SECONDS=5 make bench

The upstream is an nginx of its own that answers at once with 1 KB of JSON. The nginx that is compared checks a key, swaps it,
limits per key and keeps its upstream connections; the gateway does all of its work (key look-up, limits, metering, metrics)
with the cache off. What is compared runs on CPU 1, load and upstream on CPU 0. Each round runs both in turn. The figure to read is CPU per request and its ratio: it moves least on
a shared machine.
"""

import asyncio
import json
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e")]

from gateway import Gateway, free_port, wait_until  # noqa: E402

ROUNDS, SECONDS = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("SECONDS", 5))
KEY, UPSTREAM_KEY = "sk-bench-client-0123456789", "sk-upstream-secret"
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m",
          "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 160}, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 250, "completion_tokens": 160, "total_tokens": 410}}


def on_cpu(n):
    """What is started from now on runs there."""
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {n})


def tree(root):
    kids = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                kids.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(p))
        except OSError:
            pass
    out, todo = [], [root]
    while todo:
        out.append(todo.pop())
        todo += kids.get(out[-1], [])
    return out


def cpu_s(root):
    """Of the processes that are, and of those that were: workers come and go."""
    total = 0
    for p in tree(root):
        try:
            with open(f"/proc/{p}/schedstat") as f, open(f"/proc/{p}/stat") as g:
                total += int(f.read().split()[0]) / 1e9
                total += sum(map(int, g.read().rsplit(")", 1)[1].split()[13:15])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            pass
    return total


def pss_mb(root):
    total = 0
    for p in tree(root):
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += next(int(x.split()[1]) for x in f if x.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


class Nginx:
    def __init__(self, folder, body):
        os.makedirs(folder + "/tmp")
        self.folder, self.port = folder, free_port()
        with open(folder + "/nginx.conf", "w") as f:
            f.write(f"""worker_processes 1; pid {folder}/pid; error_log {folder}/log warn; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp;
fastcgi_temp_path {folder}/tmp; uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
{body.replace("PORT", str(self.port))} }}""")
        self.proc = subprocess.Popen(["nginx", "-p", folder, "-e", folder + "/log", "-c", folder + "/nginx.conf", "-g", "daemon off;"])
        wait_until(lambda: os.path.exists(folder + "/pid") and os.path.getsize(folder + "/pid"))

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


def wrk(url, key, folder, **body):
    script = os.path.join(folder, "post.lua")
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 950}]} | body)
    with open(script, "w") as f:
        f.write(f"wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['content-type'] = 'application/json'\nwrk.headers['authorization'] = 'Bearer {key}'\n")
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{SECONDS}s", "--latency", "-s", script, url], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return requests, float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), re.search(r"^ +99% +(\S+)", out, re.M)[1], int(bad[1]) if bad else 0


CHUNKS = 50


def sse(*events):
    return "".join((f"event: {e['type']}\n" if "type" in e else "") + f"data: {json.dumps(e)}\n\n" for e in events)


def openai_stream():
    def chunk(delta, finish=None):
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m", "usage": None,
                "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
    last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m", "choices": [], "usage": ANSWER["usage"]}
    return sse(chunk({"role": "assistant", "content": ""}), *[chunk({"content": "some text "})] * CHUNKS, chunk({}, "stop"), last) + "data: [DONE]\n\n"


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "word " * 160}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 250, "output_tokens": 160}}


def anthropic_stream():
    return sse({"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
               {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
               *[{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "some text "}}] * CHUNKS,
               {"type": "content_block_stop", "index": 0},
               {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 160}},
               {"type": "message_stop"})


class Vendors(Nginx):
    """Static answers of both vendors; a POST to a static file is a 405, which error_page makes an answer."""

    def __init__(self, folder):
        answers = {"json/v1/chat/completions": json.dumps(ANSWER), "json/v1/messages": json.dumps(MESSAGE),
                   "sse/v1/chat/completions": openai_stream(), "sse/v1/messages": anthropic_stream()}
        for path, text in answers.items():
            os.makedirs(os.path.dirname(f"{folder}/www/{path}"), exist_ok=True)
            with open(f"{folder}/www/{path}", "w") as f:
                f.write(text)
        super().__init__(folder, f"""server {{ listen 127.0.0.1:PORT; root {folder}/www;
location /json/ {{ default_type application/json; error_page 405 =200 $uri; }}
location /sse/ {{ default_type text/event-stream; error_page 405 =200 $uri; }} }}""")


class Trickle:
    """Both vendors' streams, an event every 20 ms."""

    def __init__(self):
        self.port = free_port()
        self.proc = multiprocessing.Process(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.proc.start()

    async def serve(self):
        async with await asyncio.start_server(self.connection, "127.0.0.1", self.port, backlog=512) as server:
            await server.serve_forever()

    async def connection(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
                text = anthropic_stream() if "/messages" in head.split("\r\n")[0] else openai_stream()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                for event in re.findall(r".*?\n\n", text, re.S):
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event.encode()))
                    await writer.drain()
                    await asyncio.sleep(0.02)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def stop(self):
        self.proc.terminate()
        self.proc.join()


# what is asked, the model's ending for it, whether it is a stream
KINDS = [("whole", "", False), (f"stream of {CHUNKS} at once", "-sse", True), (f"stream of {CHUNKS}, 20 ms apart", "-slow", True)]
WAYS = [("passed", "chat/completions", "openai"), ("messages to openai", "messages", "openai"), ("chat to anthropic", "chat/completions", "anthropic")]


def translated(folder):
    """What a translation costs: a passed and a translated request of about the same size, in turn."""
    on_cpu(0)
    up, slow = Vendors(folder + "/vendors"), Trickle()
    on_cpu(1)
    bases = {"": f"{up.port}/json", "-sse": f"{up.port}/sse", "-slow": f"{slow.port}"}
    providers = "".join(f', {{ name = "{n}{s}"; type = "{n}"; base_url = "http://127.0.0.1:{base}{v}"; api_key_env = "TEST_UPSTREAM_KEY"; max_in_flight = 90; }}'
                        for n, v in (("openai", "/v1"), ("anthropic", "")) for s, base in bases.items())
    models = "".join(f', {{ name = "{n}{s}"; targets = ( {{ provider = "{n}{s}"; }} ); }}' for n in ("openai", "anthropic") for s in bases)
    gw = Gateway(folder + "/gw2", up.port, workers=(8, 96, 8), providers=providers, models=models)
    gw.start()
    on_cpu(0)
    gw.make_key(key=KEY, rpm=600000000, tpm=20000000000, max_parallel=20000)
    rows = {}
    try:
        for _ in range(ROUNDS):
            for what, ending, stream in KINDS:
                for how, path, model in WAYS:
                    before = cpu_s(gw.proc.pid)
                    n, rate, p99, bad = wrk(f"http://127.0.0.1:{gw.port}/v1/{path}", KEY, folder, model=model + ending, max_tokens=100, **({"stream": True} if stream else {}))
                    rows.setdefault((what, how), []).append((cpu_s(gw.proc.pid) - before) * 1e6 / n)
                    print(f"{what:28} {how:20} {rate:10.0f} requests/s   p99 {p99:>8}   {rows[what, how][-1]:7.1f} µs CPU a request   {bad} errors")
        for (what, how), mine in rows.items():
            ratios = [a / b for a, b in zip(mine, rows[what, "passed"])]
            if how != "passed":
                print(f"{what}, {how} / passed: median {statistics.median(ratios):.2f} of {['%.2f' % r for r in ratios]}")
    finally:
        gw.stop()
        gw.clean()
        up.stop()
        slow.stop()


def beside_nginx(folder):
    on_cpu(0)
    up = Nginx(folder + "/up", f"server {{ listen 127.0.0.1:PORT; location / {{ default_type application/json; return 200 '{json.dumps(ANSWER)}'; }} }}")
    on_cpu(1)
    proxy = Nginx(folder + "/proxy", f"""map $http_authorization $up {{ default ""; "Bearer {KEY}" "Bearer {UPSTREAM_KEY}"; }}
limit_req_zone $http_authorization zone=k:10m rate=1000000r/s; upstream u {{ server 127.0.0.1:{up.port}; keepalive 256; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:PORT backlog=4096; location / {{ if ($up = "") {{ return 401; }} limit_req zone=k burst=100000 nodelay; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_set_header Authorization $up; proxy_buffering off; proxy_pass http://u; }} }}""")
    gw = Gateway(folder + "/gw", up.port, workers=(8, 96, 8))
    start = time.monotonic()
    gw.start()
    start = time.monotonic() - start
    on_cpu(0)
    gw.make_key(key=KEY, rpm=600000000, tpm=2000000000, max_parallel=20000)
    peers = {"nginx": (proxy.proc.pid, proxy.port), "aigw": (gw.proc.pid, gw.port)}
    rows = {name: [] for name in peers}
    try:
        for _ in range(ROUNDS):
            for name, (pid, port) in peers.items():
                before = cpu_s(pid)
                n, rate, p99, bad = wrk(f"http://127.0.0.1:{port}/v1/chat/completions", KEY, folder)
                us = (cpu_s(pid) - before) * 1e6 / n
                rows[name].append(us)
                print(f"{name:6} {rate:10.0f} requests/s   p99 {p99:>8}   {us:6.1f} µs CPU a request   {bad} errors")
        ratios = [a / b for a, b in zip(rows["aigw"], rows["nginx"])]
        print(f"CPU per request, aigw / nginx: median {statistics.median(ratios):.2f} of {['%.2f' % r for r in ratios]}")
        print(f"memory after the load (PSS): nginx {pss_mb(proxy.proc.pid):.1f} MB, aigw {pss_mb(gw.proc.pid):.1f} MB in {len(tree(gw.proc.pid))} processes")
    finally:
        gw.stop()
        gw.clean()
        proxy.stop()
        up.stop()


if __name__ == "__main__":
    missing = [p for p in ("wrk", "nginx") if not shutil.which(p)]
    if missing:
        sys.exit(f"bench: {' and '.join(missing)} missing (apt-get install wrk nginx-light)")
    with tempfile.TemporaryDirectory(prefix="aigw-bench-") as folder:
        os.chmod(folder, 0o755)  # nginx reads as somebody else
        beside_nginx(folder)
        translated(folder)
