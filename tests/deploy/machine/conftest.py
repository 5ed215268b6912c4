"""What the tests of the machine's scripts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine, machine_of
from tests.support.service import Service


@pytest.fixture
def machine(service: Service, tmp_path: Path) -> Iterator[Machine]:
    with machine_of(service, tmp_path) as made:
        yield made
