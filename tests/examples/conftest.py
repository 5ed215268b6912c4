"""What tests of the example clients share: a service whose hashes they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import UNLIMITED
from tests.support.service import CHEAP_HASHES, Service, run_service


@pytest.fixture(scope="package")
def service(moto: str) -> Iterator[Service]:
    """The running service. Started as by their users, the clients take nothing below OWASP's minima."""
    with run_service(moto, **UNLIMITED, **CHEAP_HASHES) as running:
        yield running
