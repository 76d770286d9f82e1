"""Streams that are cut, through a real gateway: each recorded (and made) stream of AIGW_RECORDINGS, at many places, to callers whom it
passes and to callers for whom it is translated.

    cut.py [RECORDINGS] [--places 40]

The provider ends its answer early, by turns with a proper end of the message and by closing the connection. What the caller gets must
not look whole unless all that says so had come, must hold the error in the caller's own dialect, and its row of the ledger must be
marked "cut". The last line is "N passed, N failed, N skipped".
"""

import argparse
import concurrent.futures
import http.server
import json
import os
import re
import sys
import tempfile
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

import made  # noqa: E402
import recordings  # noqa: E402
from gateway import Gateway, wait_until  # noqa: E402

# what says that a stream is whole, by the provider's format
WHOLE = {"openai": rb"\[DONE\]|\"finish_reason\": ?\"", "responses": rb"response\.(completed|incomplete|failed)", "anthropic": rb"message_stop",
         "google": rb"finishReason|blockReason", "bedrock": rb"messageStop", "cohere": rb"message-end"}
# path and body of a caller, and what only a whole answer of his has
MESSAGES = [{"role": "user", "content": "hi"}]
CALLERS = {
    "chat": (lambda m: "/v1/chat/completions", lambda m: {"model": m, "messages": MESSAGES, "stream": True}, rb"data: \[DONE\]"),
    "responses": (lambda m: "/v1/responses", lambda m: {"model": m, "input": "hi", "stream": True}, rb'"response\.(completed|incomplete)"'),
    "messages": (lambda m: "/v1/messages", lambda m: {"model": m, "messages": MESSAGES, "max_tokens": 100, "stream": True}, rb"event: ?message_stop"),
    "google": (lambda m: f"/v1beta/models/{urllib.parse.quote(m)}:streamGenerateContent?alt=sse", lambda m: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, None),
}
ERROR = re.compile(rb'"error": ?\{|event: ?error|"response\.failed"')
TYPES = ("openai", "anthropic", "gemini", "bedrock", "cohere", "mistral", "groq", "deepseek", "openrouter", "xai", "perplexity", "ollama")


class Upstream(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256

    def __init__(self, chosen):
        self.chosen = {r.number: (r, r.body()) for r in chosen}
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = urllib.parse.unquote(self.path).encode() + self.rfile.read(int(self.headers["content-length"]))
        number, cut = map(int, re.search(rb"r(\d+)c(\d+)", asked).groups())
        r, raw = self.server.chosen[number]
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream" if r.format == "bedrock" else "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for i in range(0, cut, 997):
            piece = raw[i : min(i + 997, cut)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if cut % 2:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def log_message(self, *args):
        pass


def look(gw, key, r, cut, dialect):
    """(request's id, what is wrong)"""
    path, body, good = CALLERS[dialect]
    model = f"{r.type}--r{r.number}c{cut}"
    a = gw.request("POST", path(model), body(model), key=key, timeout=30)
    may_be_whole = bool(re.search(WHOLE[r.format], r.body()[:cut]))
    error = ERROR.search(a.body) or b"error" in r.body()[:cut]
    looks_whole = a.status == 200 and not a.cut and not ERROR.search(a.body) and (good is None or re.search(good, a.body))
    if a.status == 400:
        return None, [a.body[:200].decode("utf-8", "replace")]
    wrong = []
    if looks_whole and not may_be_whole:
        wrong.append(f"looks whole: …{a.body[-150:]!r}")
    if not looks_whole and not error:
        wrong.append(f"no error in it (status {a.status}): …{a.body[-150:]!r}")
    if good and ERROR.search(a.body) and not error:
        wrong.append("an error and a proper end")
    told = rb"malformed_" in r.body()[:cut] and may_be_whole  # the provider's own word for a failure, at a proper end
    return (None if looks_whole or told else a.headers["x-request-id"]), wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument("recordings", nargs="?", default=os.environ.get("AIGW_RECORDINGS"))
    p.add_argument("--places", type=int, default=40)
    args = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="aigw-cut-") as folder:
        os.mkdir(os.path.join(folder, "made"))
        roots = made.write(os.path.join(folder, "made")) + (os.pathsep + args.recordings if args.recordings else "")
        chosen = [r for r in recordings.load(roots) if r.streaming and r.kind in ("chat", "responses") and r.status == 200 and r.type in TYPES]
        up = Upstream(chosen)
        url = f"http://127.0.0.1:{up.server_port}"
        providers = "".join(f', {{ name = "{t}"; type = "{t}"; base_url = "{url}{"/v1" if t not in ("anthropic", "gemini", "bedrock", "cohere") else ""}"; api_key_env = "CUT_KEY"; '
                            f'max_in_flight = 16; {"region = " + chr(34) + "eu-west-1" + chr(34) + ";" if t == "bedrock" else ""} }}' for t in TYPES)
        models = "".join(f', {{ name = "{t}--*"; targets = ( {{ provider = "{t}"; model = "*"; }} ); }}' for t in TYPES)
        gw = Gateway(os.path.join(folder, "gw"), up.server_port, workers=(8, 32, 4), providers=providers, models=models, env={"CUT_KEY": "sk-cut-upstream-key"})
        gw.start()
        try:
            sys.exit(run(gw, chosen, args.places))
        finally:
            gw.stop()
            gw.clean()


def run(gw, chosen, places):
    key, cases, failed, unfinished = gw.make_key(name="cut")["key"], [], 0, {}
    for r in chosen:
        n = len(r.body())
        dialects = ("responses",) if r.format == "responses" else tuple(CALLERS)
        cases += [(r, cut, d) for cut in sorted({n * i // places for i in range(places)}) for d in dialects]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for (r, cut, d), (request, wrong) in zip(cases, pool.map(lambda c: look(gw, key, *c), cases)):
            if request:
                unfinished[request] = (r, cut, d)
            if wrong:
                failed += 1
                if failed <= 20:
                    print(f"not ok {d} {r.path} at {cut}: {'; '.join(wrong)}")
    rows = wait_until(lambda: (found := {x["request_id"]: x for x in gw.rows()}) and set(unfinished) <= set(found) and found, 30)
    for request, (r, cut, d) in unfinished.items():
        if "cut" not in rows[request]["flags"]:
            failed += 1
            if failed <= 40:
                print(f"not ok {d} {r.path} at {cut}: its row is not marked: {rows[request]['flags']} status {rows[request]['status']}")
    print(f"{len(cases) + len(unfinished) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


main()
