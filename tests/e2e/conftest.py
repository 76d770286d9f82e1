"""Fixtures: a real gateway and a mock upstream on loopback sockets, in a folder of their own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "mock"))
sys.path.insert(0, os.path.dirname(__file__))

from gateway import Gateway  # noqa: E402
from upstream import Upstream  # noqa: E402


@pytest.fixture
def upstream():
    u = Upstream(key="sk-upstream-secret").start()
    yield u
    u.stop()


@pytest.fixture
def make_gateway(tmp_path, upstream):
    """make_gateway(workers=…, extra=…, …) starts a gateway whose provider "mock" is the upstream."""
    made = []

    def make(**kw):
        g = Gateway(tmp_path / f"gw{len(made)}", upstream_port=upstream.port, **kw)
        made.append(g)
        return g.start()

    yield make
    for g in made:
        try:
            g.stop()
        finally:
            g.clean()
        shm = os.path.join(g.folder, "run", "aigw.shm")
        if os.path.islink(shm) and os.path.exists(shm):  # what outlives a gateway in /dev/shm would fill it, test by test
            os.unlink(os.path.realpath(shm))


@pytest.fixture
def gw(make_gateway):
    return make_gateway()
