"""After a copy nothing is left to do: no call of a migrated account, and no sweep, settles anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from panzoto.config import Settings
from panzoto.models import bind_models
from panzoto.operations.going_through import going_through
from panzoto.operations.missing_claims import MissingClaims
from tests.migrations_from_rds.filling import add_file, add_user
from tests.migrations_from_rds.test_copying import check_books
from tests.migrations_from_rds.test_moving_in import OLD_HASH
from tests.support.aws import aws_environment
from tests.support.legacy import file_id, user_id
from tests.support.migration import Migration
from tests.support.postgres import SCHEMA, Server
from tests.support.service import PASSWORD, Service

RECORDINGS = 30


def test_the_first_look_at_everything_settles_nothing(
    service: Service,
    postgres: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No other test has left anything in the service's tables."""
    with postgres.database(SCHEMA) as database:
        add_user(database, 1, "anna@example.com", password_hash=OLD_HASH)
        add_user(database, 2, "bert@example.com", password_hash=OLD_HASH)
        for number in range(RECORDINGS):
            add_file(
                database, number, 1, f"users/{user_id(1)}/{number}.3gp", f"2020-01-01 10:{number:02d}:00"
            )
        migration = Migration(service.aws_url, database.url, tmp_path, capsys)
        migration.done("copy")
        migration.done("verify", "--strict")
        check_books(migration)
        before = (migration.users(), migration.recordings(), migration.claims(), migration.changes())

        for name, value in aws_environment(service.aws_url).items():
            monkeypatch.setenv(name, value)
        settings = Settings.from_environment()
        bind_models(settings)
        with going_through(settings, 2) as run:
            tally = MissingClaims(run).write(tmp_path / "checkpoints")
        assert (tally.written, tally.conflicts) == (0, 0)
        assert (migration.users(), migration.recordings(), migration.claims(), migration.changes()) == before

        account = service.call(
            "POST", "/api/login", json={"email": "anna@example.com", "password": PASSWORD}
        ).json()
        token = account["token"]
        seen: list[str] = []
        cursor = ""
        while True:
            page = service.call("GET", f"/api/user/changes?limit=7{cursor}", token).json()
            seen += [change["file_id"] for change in page["changes"]]
            cursor = f"&since={page['next']}"
            if not page["more"]:
                break
        assert sorted(seen) == sorted(file_id(number) for number in range(RECORDINGS))
        assert service.call("GET", "/api/user/timeline", token).status_code == 200
        usage = service.call("GET", "/api/user", token).json()["usage"]
        assert (usage["recordings"], usage["bytes"]) == (RECORDINGS, 10 * RECORDINGS)
        assert (migration.recordings(), migration.changes()) == (before[1], before[3])

        again = service.call("POST", "/api/audio-file", token, json={"s3_key": f"users/{user_id(1)}/new.3gp"})
        assert again.status_code == 201, again.text
        late = service.call("GET", f"/api/user/changes?limit=7{cursor}", token).json()["changes"]
        assert [change["file_id"] for change in late] == [again.json()["audio_file"]["file_id"]]
        # What was written was the one recording, with its entry.
        assert len(migration.changes()) == RECORDINGS + 1
