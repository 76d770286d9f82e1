"""Fixtures: a real gateway and a mock upstream on loopback sockets, in a folder of their own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "mock"))
sys.path.insert(0, os.path.dirname(__file__))

from gateway import Gateway  # noqa: E402
from upstream import Upstream  # noqa: E402
from vendors import Vendors  # noqa: E402


def end(gateway):
    try:
        gateway.stop()
    finally:
        gateway.clean()


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
        end(g)
        shm = os.path.join(g.folder, "run", "aigw.shm")
        if os.path.islink(shm) and os.path.exists(shm):  # what outlives a gateway in /dev/shm would fill it, test by test
            os.unlink(os.path.realpath(shm))


@pytest.fixture
def gw(make_gateway):
    return make_gateway()


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    """The mocks of all vendors, one for all tests of a file."""
    with Vendors(tmp_path_factory.mktemp("vendors")) as v:
        yield v


@pytest.fixture(scope="module")
def vendors_gateway(vendors, tmp_path_factory):
    """vendors_gateway(providers=…, models=…, …) starts a gateway in front of all vendors; providers and models are further ones."""
    made = []

    def make(providers="", models="", **kw):
        parts = vendors.parts()
        g = Gateway(tmp_path_factory.mktemp("gw"), upstream_port=9, providers=parts["providers"] + providers, models=parts["models"] + models, env=vendors.env(), **kw)
        made.append(g)
        return g.start()

    yield make
    for g in made:
        end(g)
