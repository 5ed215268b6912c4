"""What tests of the deployment share: the service, started as operators start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import UNLIMITED
from tests.support.service import Service, run_service


@pytest.fixture(scope="session")
def service(moto: str) -> Iterator[Service]:
    """The running service, with cheap hashes."""
    with run_service(moto, anew=True, **UNLIMITED) as running:
        yield running
