"""Reading the legacy database: exact, of one moment, and without a word about its password."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from migrations_from_rds.errors import MigrationError, Refused, SourceBroken, Status
from migrations_from_rds.rows import EPOCH, LATEST
from migrations_from_rds.source import Since, snapshot
from migrations_from_rds.source_failures import connection_failure
from migrations_from_rds.source_queries import coarse_email
from migrations_from_rds.transform import normalise
from tests.migrations_from_rds.filling import add_file, add_user
from tests.support.contents import contents
from tests.support.legacy import HASH, file_id, key_salt, user_id
from tests.support.migration import Migration
from tests.support.postgres import SCHEMA, Database, Server

EVERYTHING = Since()


class TestSchema:
    def test_the_contracts_own_is_accepted(self, postgres: Server) -> None:
        with postgres.database(SCHEMA) as database, snapshot(database.url) as source:
            source.check_schema()

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                "DROP TABLE audio_files",
                (
                    "there is no table audio_files (--schema, --table audio_files=… and the database's name "
                    "say where it is)"
                ),
            ),
            (
                "ALTER TABLE users DROP COLUMN key_salt",
                "users has no column key_salt (--column users.key_salt=… says what it is called)",
            ),
            (
                "ALTER TABLE users ALTER COLUMN key_salt TYPE text USING key_salt::text",
                (
                    "users.key_salt is text instead of bytea "
                    "(in a copy: ALTER TABLE … ALTER COLUMN key_salt TYPE bytea USING decode(…, 'hex'))"
                ),
            ),
            (
                "ALTER TABLE audio_files ALTER COLUMN file_size TYPE double precision",
                (
                    "audio_files.file_size is double precision instead of integer "
                    "(in a copy: ALTER TABLE … ALTER COLUMN file_size TYPE bigint USING round(…)::bigint)"
                ),
            ),
            ("ALTER TABLE users DROP CONSTRAINT users_pkey", "users.user_id is not its primary key"),
            (
                "ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people",
                (
                    "users is not a table but a view, which cannot tell what changed (name the table behind "
                    "it by --schema, --table users=… and --column, or read a copy: CREATE TABLE … AS SELECT "
                    "… and ALTER TABLE … ADD PRIMARY KEY)"
                ),
            ),
        ],
    )
    def test_what_differs_is_said(self, database: Database, change: str, sentence: str) -> None:
        database.execute(change)
        with snapshot(database.url) as source, pytest.raises(Refused) as caught:
            source.check_schema()
        assert str(caught.value) == f"The database is not as expected: {sentence}."

    def test_everything_that_differs_is_said_at_once(self, database: Database) -> None:
        database.execute("ALTER TABLE users DROP COLUMN email, DROP COLUMN created_at")
        with (
            snapshot(database.url) as source,
            pytest.raises(Refused, match=r"users has no column email .*; users has no column created_at"),
        ):
            source.check_schema()

    def test_more_columns_and_wider_ones_are_nobodys_business(self, database: Database) -> None:
        database.execute("ALTER TABLE users ADD COLUMN nickname text, ALTER COLUMN email TYPE text")
        database.execute("ALTER TABLE audio_files ALTER COLUMN file_size TYPE bigint")
        with snapshot(database.url) as source:
            source.check_schema()

    def test_a_command_says_it_and_writes_nothing(self, migration: Migration, database: Database) -> None:
        database.execute("ALTER TABLE users DROP COLUMN key_salt")
        for command in ("plan", "copy", "verify"):
            outcome = migration.run(command)
            assert outcome.status == Status.REFUSED
            assert "users has no column key_salt" in outcome.err


class TestRows:
    @pytest.mark.parametrize(
        "written",
        [
            "2021-03-01 08:00:00.000001",
            "2021-03-01 08:00:00.999999",
            "1969-12-31 23:59:59.25",
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59.999999",
        ],
    )
    def test_times_are_utc_to_the_microsecond(self, database: Database, written: str) -> None:
        add_user(database, 1, created_at=written)
        expected = datetime.fromisoformat(written).replace(tzinfo=UTC)
        with snapshot(database.url) as source:
            ((row,),) = source.users(EVERYTHING, 10)
        assert row.created_at is not None
        assert EPOCH + timedelta(microseconds=row.created_at) == expected

    @pytest.mark.parametrize("written", ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC"])
    def test_times_beyond_the_calendar_are_told_apart_from_others(
        self, database: Database, written: str
    ) -> None:
        add_user(database, 1, created_at=written)
        with snapshot(database.url) as source:
            ((row,),) = source.users(EVERYTHING, 10)
        assert row.created_at is not None
        assert abs(row.created_at) > LATEST // 2

    def test_bytes_and_texts_come_as_they_are(self, database: Database) -> None:
        add_user(database, 1, email=" Grüße@Example.com\t")
        add_file(database, 1, 1, "録音/🎙\n")
        with snapshot(database.url) as source:
            ((user,),) = source.users(EVERYTHING, 10)
            ((file,),) = source.files(EVERYTHING, 10)
        assert (user.user_id, user.email, user.key_salt) == (user_id(1), " Grüße@Example.com\t", key_salt(1))
        assert (file.s3_key, file.uploaded_at, file.owner_found) == ("録音/🎙\n", None, True)

    def test_pages_are_in_the_order_of_ids_and_can_be_taken_up_anywhere(self, database: Database) -> None:
        for number in range(7):
            add_user(database, number)
        with snapshot(database.url) as source:
            pages = list(source.users(EVERYTHING, 3))
            ids = [row.user_id for page in pages for row in page]
            assert [len(page) for page in pages] == [3, 3, 1]
            assert ids == sorted(user_id(number) for number in range(7))
            (rest,) = source.users(Since(after=ids[4]), 10)
            assert [row.user_id for row in rest] == ids[5:]
            assert source.count("users", Since(after=ids[4])) == 2

    def test_an_owner_is_looked_for(self, database: Database) -> None:
        add_user(database, 1)
        add_file(database, 1, 1, "a")
        add_file(database, 2, 2, "b")
        add_file(database, 3, None, "c")
        with snapshot(database.url) as source:
            (files,) = source.files(EVERYTHING, 10)
        assert {row.file_id: row.owner_found for row in files} == {
            file_id(1): True,
            file_id(2): False,
            file_id(3): False,
        }

    def test_a_snapshot_is_of_one_moment(self, database: Database) -> None:
        add_user(database, 1)
        with snapshot(database.url) as source:
            add_user(database, 2)
            database.execute("UPDATE users SET email = 'later@example.com'")
            (users,) = source.users(EVERYTHING, 10)
            assert [row.email for row in users] == ["p1@example.com"]
            assert list(source.ids("users", 10)) == [[user_id(1)]]

    def test_nothing_can_be_written(self, database: Database) -> None:
        with pytest.raises(SourceBroken, match="25006"), snapshot(database.url) as source:
            source._connection.execute("DELETE FROM users")


class TestChanges:
    def test_what_changed_since_a_snapshot_is_found(self, database: Database) -> None:
        for number in range(4):
            add_user(database, number)
        with snapshot(database.url) as source:
            base = source.oldest_transaction
        database.execute("UPDATE users SET email = 'new@example.com' WHERE user_id = %s", [user_id(2)])
        add_user(database, 9)
        with snapshot(database.url) as source:
            source.check_reaches_back(base)
            (changed,) = source.users(Since(base=base, only_changed=True), 10)
            assert {row.user_id for row in changed} == {user_id(2), user_id(9)}
            also = Since(base=base, only_changed=True, also=[user_id(0)])
            assert source.count("users", also) == 3

    def test_what_was_under_way_during_a_snapshot_counts_as_changed(self, database: Database) -> None:
        with psycopg.connect(database.url) as slow:
            slow.execute(
                "INSERT INTO users VALUES (%s, 'slow@example.com', %s, %s)", [user_id(1), HASH, key_salt(1)]
            )
            with snapshot(database.url) as source:
                base = source.oldest_transaction
                assert list(source.users(EVERYTHING, 10)) == []
            slow.commit()
        with snapshot(database.url) as source:
            (changed,) = source.users(Since(base=base, only_changed=True), 10)
        assert [row.user_id for row in changed] == [user_id(1)]

    def test_changes_behind_a_checkpoint_are_read_again(self, database: Database) -> None:
        for number in range(4):
            add_user(database, number)
        with snapshot(database.url) as source:
            base = source.oldest_transaction
            ids = [row.user_id for page in source.users(EVERYTHING, 10) for row in page]
        database.execute("UPDATE users SET email = 'new@example.com' WHERE user_id = %s", [ids[0]])
        with snapshot(database.url) as source:
            (rest,) = source.users(Since(after=ids[2], base=base), 10)
        assert [row.user_id for row in rest] == [ids[0], ids[3]]

    @pytest.mark.parametrize("base", [-(2**31), 10**15])
    def test_a_database_that_was_restored_is_not_asked_for_changes(
        self, database: Database, base: int
    ) -> None:
        with snapshot(database.url) as source, pytest.raises(Refused, match="without --since-last"):
            source.check_reaches_back(base)


class TestGroups:
    def test_whatever_python_makes_one_the_database_finds(self, database: Database) -> None:
        """The candidates are coarser than the comparison: no letter may escape."""
        letters = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
        pairs = [(f"x{c}y", f"x{c}y".lower()) for c in letters if c.lower() != c]
        pairs += [(f"{c}xy", "xy") for c in letters if c.isspace()]
        assert len(pairs) > 1000
        query = psycopg.sql.SQL("SELECT {} FROM unnest(%s::text[]) WITH ORDINALITY AS t(email, n) ORDER BY n")
        with psycopg.connect(database.url) as connection:
            sides = [
                connection.execute(
                    query.format(coarse_email(psycopg.sql.Identifier("email"))),
                    [[pair[side] for pair in pairs]],
                ).fetchall()
                for side in (0, 1)
            ]
        assert [pair for pair, one, other in zip(pairs, *sides, strict=True) if one != other] == []
        assert all(normalise(one) == normalise(other) for one, other in pairs)

    def test_collisions_are_compared_exactly(self, database: Database) -> None:
        for number, email in enumerate(["anna@x.de", " ANNA@x.de", "änna@x.de", "önna@x.de", "bert@x.de"]):
            add_user(database, number, email)
        with snapshot(database.url) as source:
            (group,) = source.collisions()
        assert {one.row.user_id for one in group} == {user_id(0), user_id(1)}

    def test_shared_keys_come_with_the_best_right_first(self, database: Database) -> None:
        for number in (1, 2):
            add_user(database, number)
        folder = f"users/{user_id(2)}/a"
        add_file(database, 1, 1, folder, "2020-01-01")
        add_file(database, 2, 2, folder, "2021-01-01")
        add_file(database, 3, 1, "plain", "2021-01-01")
        add_file(database, 4, 2, "plain", "2020-01-01")
        add_file(database, 5, 2, "plain", None)
        add_file(database, 6, 2, "Plain", None)
        with snapshot(database.url) as source:
            order = [(row.s3_key, row.file_id) for row in source.shared_keys()]
        assert order == [
            ("plain", file_id(4)),
            ("plain", file_id(3)),
            ("plain", file_id(5)),
            (folder, file_id(2)),
            (folder, file_id(1)),
        ]

    def test_keys_come_in_the_order_of_their_bytes(self, database: Database) -> None:
        keys = ["Z", "a", "ä", "z", "\uffee", "🎙", "a b", "a-b", "A"]
        for number, s3_key in enumerate(keys):
            add_file(database, number, None, s3_key)
        with snapshot(database.url) as source:
            assert [s3_key for s3_key, _ in source.keys_in_order()] == sorted(keys, key=str.encode)


SECRET = "s3cr-et"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answering(server: socket.socket, answer: bytes) -> None:
    """Give the same answer to whoever connects, as often as somebody does."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)


class TestSecrets:
    @pytest.mark.parametrize(
        "address",
        [
            "postgresql://u:{s}@127.0.0.1:{p}/db",
            "postgresql://u:x@{s}@127.0.0.1:{p}/db",
            "postgresql://u:%zz{s}@127.0.0.1/db",
            "postgresql://u:{s}@127.0.0.1:notaport/db",
            "postgresql://u:{s}@127.0.0.1:{p}/db?nonsense={s}",
            "u:{s}@127.0.0.1/db",
            "host=127.0.0.1 port={p} user=u password={s}",
            "host=127.0.0.1 port={p} password='{s}",
            "postgresql://u:{s}@no.such.host.invalid/db",
        ],
    )
    def test_no_password_is_in_what_is_raised(self, address: str) -> None:
        with (
            pytest.raises(MigrationError, match="database") as caught,
            snapshot(address.format(s=SECRET, p=closed_port())),
        ):
            pass
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in f"{error!r} {error.args}"
            error = error.__cause__ or error.__context__

    @pytest.mark.parametrize("way", ["option", "variable"])
    def test_nor_in_what_a_command_leaves(self, migration: Migration, way: str) -> None:
        url = f"postgresql://u:{SECRET}%@127.0.0.1/db"
        arguments = ["--database-url", url] if way == "option" else []
        environment = {"DATABASE_URL": url} if way == "variable" else {}
        outcome = migration.run("copy", *arguments, environment=environment)
        assert outcome.status == Status.REFUSED
        assert "percent-encoded" in outcome.err
        assert SECRET not in outcome.out + outcome.err
        assert [path for path, held in contents(migration.state).items() if SECRET.encode() in held] == []

    def test_not_in_the_options_of_a_run(self, migration: Migration, database: Database) -> None:
        outcome = migration.run("plan", "--database-url", database.url.replace(":@", f":{SECRET}@"))
        assert outcome.status == Status.DONE
        assert SECRET not in outcome.out + outcome.err + (migration.state / "report.json").read_text("utf-8")


class TestAddresses:
    def test_a_driver_in_the_scheme_is_left_out(self, database: Database) -> None:
        with snapshot(database.url.replace("postgresql://", "postgresql+psycopg2://")) as source:
            assert source.count("users", EVERYTHING) == 0

    def test_the_variables_of_libpq_count_when_nothing_else_is_given(
        self, migration: Migration, database: Database
    ) -> None:
        where = psycopg.conninfo.conninfo_to_dict(database.url)
        variables = {"PGHOST": str(where["host"]), "PGUSER": "postgres", "PGDATABASE": str(where["dbname"])}
        assert migration.run("plan", environment={"DATABASE_URL": "", **variables}).status == Status.DONE

    def test_what_waiting_does_not_mend_is_refused(self, database: Database) -> None:
        where = database.url.replace("/legacy_", "/not_legacy_")
        with pytest.raises(Refused, match="no database of this name"), snapshot(where):
            pass

    @pytest.mark.parametrize(
        ("message", "said"),
        [
            (
                'root certificate file "/root/.postgresql/root.crt" does not exist',
                "name it by sslrootcert",
            ),
            ('role "mover" is not permitted to log in', "ALTER ROLE … LOGIN"),
            ('database "x" is not currently accepting connections', "ALLOW_CONNECTIONS true"),
            ('permission denied for database "x"', "GRANT CONNECT"),
            ('role "mover" does not exist', "there is no user of this name"),
            ('database "x" does not exist', "there is no database of this name"),
            ("received invalid response to SSL negotiation: H", "is no PostgreSQL"),
            ("expected authentication request from server, but received H", "is no PostgreSQL"),
            ("server does not support SSL, but SSL was required", "change sslmode"),
            ("SSL error: certificate verify failed", "sslrootcert names"),
            ('server certificate for "a" does not match host name "b"', "another host name"),
            ("Peer authentication failed for user", "pg_hba.conf"),
            ("remaining connection slots are reserved for roles", "too many connections"),
        ],
    )
    def test_each_failure_is_told_with_its_remedy(self, message: str, said: str) -> None:
        sentence = str(connection_failure(f"connection failed: FATAL:  {message}", named=True))
        assert said in sentence
        assert sentence.count(". ") == 0

    def test_what_the_server_says_itself(self, postgres: Server, database: Database) -> None:
        name = database.url.split("/")[3].split("?")[0]
        roles = "DROP ROLE IF EXISTS idle; CREATE ROLE idle NOLOGIN"
        database.execute(roles)
        as_idle = database.url.replace("postgres:@", "idle:@")
        with pytest.raises(Refused, match="no right to log in"), snapshot(as_idle):
            pass
        database.execute("ALTER ROLE idle LOGIN; REVOKE CONNECT ON DATABASE " + name + " FROM PUBLIC")
        with pytest.raises(Refused, match="GRANT CONNECT"), snapshot(as_idle):
            pass
        database.execute("GRANT CONNECT ON DATABASE " + name + " TO PUBLIC")
        with postgres.database(SCHEMA) as closed:
            other = closed.url.split("/")[3].split("?")[0]
            database.execute(f"ALTER DATABASE {other} ALLOW_CONNECTIONS false")
            with pytest.raises(Refused, match="takes no connections"), snapshot(closed.url):
                pass

    def test_a_certificate_that_is_to_be_checked_needs_its_authority(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=answering, args=(server, b"S"), daemon=True).start()
            where = f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/x"
            where += "?sslmode=verify-full&sslrootcert=/no/such/file"
            with pytest.raises(Refused, match="name it by sslrootcert"), snapshot(where):
                pass

    def test_what_is_no_postgresql_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            http = b"HTTP/1.1 400 Bad Request\r\n\r\n"
            threading.Thread(target=answering, args=(server, http), daemon=True).start()
            where = f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/x?sslmode=prefer"
            with pytest.raises(Refused, match="is no PostgreSQL"), snapshot(where):
                pass

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("GRANT SELECT ON users TO reader", "may not read the whole of audio_files: GRANT SELECT"),
            ("GRANT SELECT (email) ON users TO reader", "may not read the whole of users and audio_files"),
            ("REVOKE USAGE ON SCHEMA public FROM reader, PUBLIC", "GRANT USAGE ON SCHEMA public TO reader"),
        ],
    )
    def test_a_right_that_is_missing_is_named(
        self, migration: Migration, database: Database, change: str, said: str
    ) -> None:
        database.execute(
            "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            "GRANT USAGE ON SCHEMA public TO reader; " + change
        )
        where = {"DATABASE_URL": database.url.replace("postgres:@", "reader:@")}
        for command in ("plan", "copy", "verify"):
            outcome = migration.run(command, environment=where)
            assert outcome.status == Status.REFUSED
            assert said in outcome.err
            # There is nothing else but the note about the sweeps, which `verify` does not make.
            told = [line for line in outcome.err.splitlines() if not line.startswith("The sweeps ")]
            assert len(told) == 1

    def test_time_limits_of_the_server_are_lifted(self, database: Database) -> None:
        name = database.url.split("/")[3].split("?")[0]
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            database.execute(f"ALTER DATABASE {name} SET {limit} = '100s'")
        try:
            with snapshot(database.url) as source:
                # transaction_timeout is there from PostgreSQL 17 on.
                query = "SELECT name, setting FROM pg_settings WHERE name LIKE '%\\_timeout'"
                settings = dict(source._connection.execute(query).fetchall())
            lifted = {"statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"}
            assert {settings[limit] for limit in lifted & settings.keys()} == {"0"}
        finally:
            database.execute(f"ALTER DATABASE {name} RESET ALL")

    def test_one_that_is_not_named_is_asked_for(self, migration: Migration) -> None:
        outcome = migration.run("plan", environment={"DATABASE_URL": "", "PGHOST": "/no/such/folder"})
        assert outcome.status == Status.STOPPED
        assert "name the database by DATABASE_URL, --database-url or the PG* variables" in outcome.err

    def test_a_database_that_ends_in_the_middle_is_told(self, database: Database) -> None:
        add_user(database, 1)

        def read() -> None:
            with snapshot(database.url) as source:
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'migrations_from_rds' AND datname = current_database()"
                )
                list(source.users(EVERYTHING, 10))

        with pytest.raises(SourceBroken, match="again to go on"):
            read()
