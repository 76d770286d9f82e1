"""What the vendors' mocks (vendors.py) share: requests, answers and streams, and how a model's name tells them to behave.

Behind "--" in a model's name stand words, "-" between them:

    status429    answer with this status, in the vendor's own words; retry7: and say when to come back
    toolong, policy   the vendor's own 400 for a prompt that is too long, or not wanted
    leak         answer 401 with a message that quotes the credential; leak400: with that status
    disguise     200 whose body is the vendor's error
    html         502 with an HTML page
    wait50       wait 50 ms before the answer's head; silent50: before its first event; pause50: in the middle of a stream
    stall2       stop after 2 events, keep the connection; hang: never answer
    cut2         close the connection after 2 events, at most before those that end the stream (not streamed: in the middle of the body)
    midway2      the vendor's own error after 2 events
    noend        end a stream without its terminal event
    seed5        seed of how a stream is made and split
    whole        no stream, though one was asked for
    damage       Bedrock: a bit of a message is wrong; other: its model has a language of its own; metricless: no metrics of AWS's

and what the agent does (vendor_agent.play): think, text, quiet, noargs, rounds2, length, filter, refuse, broken (an end that
is none: paused, malformed), empty. "lax" lets unknown
members be.
"""

import hashlib
import json
import random
import re

from vendor_agent import Refused


def behaviour(model):
    out = {}
    for word in str(model).partition("--")[2].split("-"):
        m = re.fullmatch(r"([a-z]+)(\d*)", word)
        if m:
            out[m[1]] = int(m[2]) if m[2] else 1
    return out


class Request:
    def __init__(self, method, path, headers, body, seed):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.random = random.Random(seed)
        self.sent = bytearray()  # the answer's body, as it was sent
        self.status = None
        self._json = None

    @property
    def json(self):
        if self._json is None:
            try:
                self._json = json.loads(self.body)
            except ValueError:
                self._json = False
            if not isinstance(self._json, dict):
                raise Refused("We could not parse the JSON body of your request.")
        return self._json


class Whole:
    def __init__(self, obj, status=200, headers=None, raw=None, content_type="application/json"):
        self.status, self.headers, self.content_type = status, headers or {}, content_type
        self.body = raw if raw is not None else json.dumps(obj, ensure_ascii=False, indent=1).encode()


class Stream:
    def __init__(self, events, last=1, content_type="text/event-stream", joint=None):
        self.events, self.last, self.content_type = events, last, content_type
        self.joint = joint  # (begin, between, end) of a stream that is one JSON array


def event(obj, name=None, crlf=False):
    nl = "\r\n" if crlf else "\n"
    return ((f"event: {name}{nl}" if name else "") + f"data: {json.dumps(obj, ensure_ascii=False)}{nl}{nl}").encode()


def pieces(text, rnd):
    """The text in two to six pieces."""
    cuts = sorted(rnd.randint(0, len(text)) for _ in range(rnd.randint(1, 5)))
    out = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    return [p for p in out if p]


def vector(text, n):
    """Numbers that every format of floats holds exactly."""
    digest = hashlib.sha256(text.encode()).digest() * (n // 32 + 1)
    return [b / 128 - 1 for b in digest[:n]]


class Vendor:
    """One vendor's servers. What a subclass has: authorized, model, answer, error, error_headers, error_event, words, kinds."""

    name = None
    key = None
    words = {"toolong": "The prompt is too long.", "policy": "It is against our usage policies."}
    kinds = {}

    def credential(self, req):
        return self.key

    def bad_key(self):
        return self.refusal(401, "Incorrect API key provided.")

    def refusal(self, status, message, kind=None, param=None, headers=None):
        return Whole(self.error(status, message, kind, param), status, {**self.error_headers(status), **(headers or {})})

    def retry(self, whole, seconds):
        whole.headers["retry-after"] = str(seconds)
        return whole

    def made_to_fail(self, req, do):
        for word, message in self.words.items():
            if word in do:
                return self.refusal(400, message, self.kinds.get(word))
        if "html" in do:
            return Whole(None, 502, raw=b"<html><body>502 Bad Gateway</body></html>", content_type="text/html")
        if "disguise" in do:
            whole = self.refusal(500, "made to fail in disguise")
            return Whole(None, 200, raw=whole.body)
        if "leak" in do:
            status = do["leak"] if do["leak"] > 1 else 401
            return self.refusal(status, f"Wrong key: {self.credential(req)}. Get another one.")
        if "status" in do:
            whole = self.refusal(do["status"], f"made to fail with {do['status']}")
            return self.retry(whole, do["retry"]) if "retry" in do else whole
        return None

    def handle(self, req):
        """(the answer, how to behave)."""
        do = {}
        try:
            do = behaviour(self.model(req))
            if "seed" in do:
                req.random.seed(do["seed"])
            if not self.authorized(req):
                return self.bad_key(), {}
            return self.made_to_fail(req, do) or self.answer(req, do), do
        except Refused as e:
            return self.refusal(e.status, str(e), e.kind, e.param), {}
