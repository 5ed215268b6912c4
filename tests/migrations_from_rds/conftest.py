"""One real PostgreSQL for all tests of the migration, and a fast DynamoDB for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dynamodb_fake import Fake, running_fake
from tests.support.migration import Migration
from tests.support.postgres import LOOSE, Database, Server, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def prepared(postgres: Server) -> Iterator[Database]:
    """A database for one test after the other; making one takes longer than most of them."""
    with postgres.database(LOOSE) as database:
        yield database


@pytest.fixture
def database(prepared: Database) -> Database:
    """A database with the legacy tables, empty, and without what would keep untidy rows out."""
    prepared.make_anew(LOOSE)
    return prepared


@pytest.fixture(scope="session")
def running() -> Iterator[Fake]:
    """A DynamoDB that runs."""
    with running_fake() as fake:
        yield fake


@pytest.fixture
def fake(running: Fake) -> Fake:
    """A DynamoDB with empty tables, in which nothing goes wrong; `reset` changes that."""
    running.reset()
    return running


@pytest.fixture
def migration(
    fake: Fake, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Migration:
    """A migration from `database` into `fake`."""
    return Migration(fake.url, database.url, tmp_path, capsys)
