"""A move never calls complete what it could not see whole, nor removes a row because it was invisible."""

from __future__ import annotations

import io

import pytest

from migrations_from_rds.errors import Status
from tests.migrations_from_rds.filling import add_user, fill
from tests.support.dynamodb_fake import Fake
from tests.support.legacy import Legacy, file_id, user_id
from tests.support.migration import Migration
from tests.support.postgres import Database

# One percent of each is a whole number.
USERS, FILES = 300, 900
# Enough that each policy shows some rows of each table, and hides some.
SOME_USERS, SOME_FILES = 30, 90
BOTH = ("users", "audio_files")
ON = "ALTER TABLE {} ENABLE ROW LEVEL SECURITY;"
SOME = ON + "CREATE POLICY partly ON {} USING (get_byte(uuid_send({}), 0) < 170);"
FOR_ROLE = ON + "CREATE POLICY theirs ON {} FOR SELECT TO mover USING (get_byte(uuid_send({}), 0) < 60);"
FORCED = "ALTER TABLE {} OWNER TO mover;" + ON + "ALTER TABLE {} FORCE ROW LEVEL SECURITY;"
KEYS = {"users": "user_id", "audio_files": "file_id"}
# How row level security may hide rows, and on which tables.
MANNERS = {
    "none visible": (ON, BOTH),
    "some rows": (SOME, BOTH),
    "by role": (FOR_ROLE, BOTH),
    "forced": (FORCED, BOTH),
    "on accounts only": (ON, ("users",)),
    "on recordings only": (SOME, ("audio_files",)),
}


@pytest.fixture
def mover(database: Database) -> str:
    """The address of a user who may read both tables, and nothing else."""
    database.execute(
        "DO $$ BEGIN CREATE ROLE mover LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "ALTER ROLE mover NOBYPASSRLS; GRANT USAGE ON SCHEMA public TO mover;"
        "GRANT SELECT ON users, audio_files TO mover"
    )
    fill(database, Legacy(SOME_USERS, SOME_FILES, untidy=False))
    return database.url.replace("postgres:@", "mover:@")


def hide(database: Database, statement: str, tables: tuple[str, ...]) -> None:
    for table in tables:
        blanks = statement.count("{}")
        names = [table] * (blanks - 1) + [KEYS[table]] if "uuid_send" in statement else [table] * blanks
        database.execute(statement.format(*names))


class TestRowLevelSecurity:
    @pytest.mark.parametrize("manner", MANNERS)
    def test_every_command_refuses_by_name_and_changes_nothing(
        self, migration: Migration, database: Database, mover: str, fake: Fake, manner: str
    ) -> None:
        hide(database, *MANNERS[manner])
        environment = {"DATABASE_URL": mover}
        for command in ("plan", "copy", "verify"):
            self.check_refused(migration.run(command, environment=environment))
        assert fake.counts()["writes"] == 0

        migration.done("copy")
        before = (migration.users(), migration.recordings(), migration.claims(), migration.changes())
        assert len(before[0]) == SOME_USERS
        for arguments in (["plan"], ["copy", "--since-last"], ["verify"], ["copy"]):
            self.check_refused(migration.run(*arguments, environment=environment))
        now = (migration.users(), migration.recordings(), migration.claims(), migration.changes())
        assert now == before

    def check_refused(self, outcome: object) -> None:
        status, err = outcome.status, outcome.err  # type: ignore[attr-defined]
        assert status == Status.REFUSED
        assert "Row level security on" in err
        assert "nothing was written" in err
        # Nothing else is told but of the sweeps' hold, which comes before the database is asked.
        assert len([line for line in err.splitlines() if not line.startswith("The sweeps ")]) == 1

    def test_who_is_not_bound_by_it_goes_on(
        self, migration: Migration, database: Database, mover: str
    ) -> None:
        hide(database, SOME, BOTH)
        database.execute("ALTER ROLE mover BYPASSRLS")
        migration.run("copy", environment={"DATABASE_URL": mover})
        assert len(migration.users()) == SOME_USERS
        database.execute("ALTER ROLE mover NOBYPASSRLS")
        for table in BOTH:
            database.execute(f"ALTER TABLE {table} OWNER TO mover")
        assert migration.run("verify", environment={"DATABASE_URL": mover}).status == Status.DONE

    def test_a_right_that_is_missing_on_one_table_is_named(
        self, migration: Migration, database: Database, mover: str
    ) -> None:
        database.execute("REVOKE SELECT ON audio_files FROM mover")
        outcome = migration.run("copy", environment={"DATABASE_URL": mover})
        assert outcome.status == Status.REFUSED
        assert "The user mover may not read the whole of audio_files: GRANT SELECT" in outcome.err


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


class TestRemovals:
    """What a delta removes is shown before, and beyond 1 % of a table it takes a word."""

    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        fill(database, Legacy(USERS, FILES, untidy=False))
        migration.done("copy")

    def delete(self, database: Database, table: str, count: int) -> None:
        key = KEYS[table]
        database.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY 1 LIMIT {count})"
        )

    def test_one_percent_of_a_table_goes_unasked_and_is_shown(
        self, migration: Migration, database: Database
    ) -> None:
        self.delete(database, "users", 3)
        database.execute("DELETE FROM audio_files WHERE user_id NOT IN (SELECT user_id FROM users)")
        outcome = migration.done("copy", "--since-last")
        assert "No longer in the database: 3 of 300 users that were copied (1.0 %)" in outcome.out
        assert "No longer in the database: 9 of 900 audio_files that were copied (1.0 %)" in outcome.out
        assert migration.report()["removed"] == {"users": 3, "audio_files": 9}
        assert len(migration.users()) == USERS - 3
        migration.done("verify")

    def test_more_than_that_takes_a_word(self, migration: Migration, database: Database) -> None:
        self.delete(database, "audio_files", 10)
        before = migration.recordings()
        outcome = migration.run("copy", "--since-last")
        assert outcome.status == Status.REFUSED
        assert "10 of 900 audio_files" in outcome.err
        assert "nothing was removed, and nothing written" in outcome.err
        assert migration.recordings() == before
        assert migration.run("copy", "--since-last", "--remove-at-most", "9").status == Status.REFUSED
        assert migration.recordings() == before
        migration.done("copy", "--since-last", "--remove-at-most", "10")
        assert len(migration.recordings()) == FILES - 10
        assert migration.report()["gone"]["audio_files"]["gone"] == 10
        migration.done("verify")

    @pytest.mark.parametrize(("typed", "left"), [("remove", FILES - 10), ("yes", FILES)])
    def test_at_a_terminal_the_word_is_typed(
        self,
        migration: Migration,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
        typed: str,
        left: int,
    ) -> None:
        self.delete(database, "audio_files", 10)
        monkeypatch.setattr("sys.stdin", Terminal(typed + "\n"))
        outcome = migration.run("copy", "--since-last")
        assert outcome.status == (Status.DONE if typed == "remove" else Status.REFUSED), outcome
        assert "This removes 10 of 900 audio_files from DynamoDB. Type remove" in outcome.out
        assert len(migration.recordings()) == left

    def test_each_table_has_its_own_percent(self, migration: Migration, database: Database) -> None:
        # Four accounts without recordings are more than 1 % of 300, though less than that of all rows.
        database.execute("DELETE FROM audio_files WHERE file_id = %s", [file_id(0)])
        migration.done("copy", "--since-last")
        for number in range(5000, 5004):
            add_user(database, number)
        migration.done("copy", "--since-last")
        for number in range(5000, 5004):
            database.execute("DELETE FROM users WHERE user_id = %s", [user_id(number)])
        assert migration.run("copy", "--since-last").status == Status.REFUSED
        assert user_id(5000) in migration.users()

    def test_the_rest_of_a_refused_delta_is_not_done_either(
        self, migration: Migration, database: Database
    ) -> None:
        self.delete(database, "audio_files", 10)
        add_user(database, 6000)
        assert migration.run("copy", "--since-last").status == Status.REFUSED
        assert user_id(6000) not in migration.users()

    def test_a_database_of_an_earlier_moment_is_refused(self, migration: Migration) -> None:
        """As a replica that lags, or a restored one, which does not hold yet what was copied."""
        migration.rewrite_fact("latest", 2**40)
        for command in (["plan"], ["copy", "--since-last"], ["copy"], ["verify"]):
            outcome = migration.run(*command)
            assert outcome.status == Status.REFUSED
            assert "behind what was copied" in outcome.err
