"""What tests share: one AWS stand-in and one running service, both real and over sockets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.aws import start_moto
from tests.support.service import Service, run_service

# All tests come from one address; those about the limits run services of their own.
UNLIMITED = {
    "LIMIT_REGISTER": "1000000 per minute",
    "LIMIT_LOGIN": "1000000 per minute",
    "LIMIT_DECRYPT": "1000000 per minute",
}


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of an AWS stand-in."""
    with start_moto() as url:
        yield url


@pytest.fixture(scope="session")
def service(moto: str) -> Iterator[Service]:
    """The running service, with cheap hashes."""
    with run_service(moto, **UNLIMITED) as running:
        yield running


_serial = itertools.count()


@pytest.fixture
def new_account(service: Service) -> Callable[..., dict[str, Any]]:
    """Make an account with an address nobody has; give it `password=` for another than the usual one."""

    def make(**how: Any) -> dict[str, Any]:
        return service.register(f"person-{next(_serial)}@example.com", **how)

    return make


@pytest.fixture
def account(new_account: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A fresh account, as register returned it."""
    return new_account()
