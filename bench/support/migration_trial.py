"""The whole evening with every kind of untidiness: killed, resumed, verified, copied again, and listened to.

`python -m bench.migration trial` runs it.
"""

from __future__ import annotations

import random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher

from bench.support.migration_command import Command, Ran, legacy_database
from bench.support.report import Target, print_table, print_targets
from bench.support.stand_in import client, stand_in
from panzoto.models import Claim
from tests.support.dynamodb_fake import Fake, running_fake
from tests.support.legacy import Legacy, file_id, key_salt, user_id
from tests.support.postgres import Database
from tests.support.recordings import hear, single_shot
from tests.support.service import PASSWORD, Service, run_service

COPY = ("copy", "--on-collision=oldest")
PLAIN = b"#!AMR\n" + bytes(range(256)) * 200
LISTENER = 10**9
LISTENER_KEY = "users/listener/audio-1.3gp"
# Kills are spread over this share of all rows, so that the last one still meets a running copy.
SHARE_KILLED = 0.95
# Some of them come while the next run still starts or looks at accounts.
MOST_SECONDS_MORE = 1.5
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Trial:
    """How large, how often killed, and which kills: the same seed draws the same points."""

    legacy: Legacy
    kills: int
    seed: int


def run(trial: Trial, kind: str) -> bool:
    """Copy into the fake, and let the service work on what came of one account; whether all is met.

    The fake takes half a million rows, and the service would miss operations in it; so the account's items
    are carried over to the whole stand-in `kind`, attribute by attribute as the migration wrote them.
    """
    with (
        legacy_database(trial.legacy) as database,
        tempfile.TemporaryDirectory() as folder,
        running_fake() as fake,
    ):
        add_listener(database)
        targets = _evening(Command(fake.url, database, Path(folder)), trial, fake)
        with stand_in(kind) as url, run_service(url) as service:
            carry_over(fake.url, url)
            service.put_object(LISTENER_KEY, single_shot(PASSWORD, key_salt(LISTENER).hex(), PLAIN))
            heard = _listens(service)
        targets.append(Target("an old recording heard", int(heard), 1, at_most=False))
        return print_targets(targets)


def add_listener(database: Database) -> None:
    """Add an account with a real password and one recording, whose object the caller puts there."""
    hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
    database.execute(
        "INSERT INTO users VALUES (%s, 'Listener@example.com', %s, %s, now())",
        [user_id(LISTENER), hashed, key_salt(LISTENER)],
    )
    database.execute(
        "INSERT INTO audio_files VALUES (%s, %s, %s, %s, now())",
        [file_id(LISTENER), user_id(LISTENER), LISTENER_KEY, len(PLAIN)],
    )


def carry_over(source: str, target: str) -> None:
    """Put what the migration wrote about the listener, rows and claims, from one DynamoDB into another."""
    old, new = client("dynamodb", source), client("dynamodb", target)
    for table, key, value in (
        ("panzoto-users", "user_id", user_id(LISTENER)),
        ("panzoto-audio-files", "file_id", file_id(LISTENER)),
        ("panzoto-claims", "claim", Claim.name_of_email("listener@example.com")),
        ("panzoto-claims", "claim", Claim.name_of_s3_key(LISTENER_KEY)),
    ):
        item = old.get_item(TableName=table, Key={key: {"S": value}})["Item"]
        new.put_item(TableName=table, Item=item)


def _evening(command: Command, trial: Trial, fake: Fake) -> list[Target]:
    killed = _killed(command, trial)
    rest = command.must(*COPY)
    written = fake.counts()["writes"]
    verified = command.must("verify")
    found = command.report()
    again = command.must(*COPY)
    second = command.report()
    print_table(
        "Commands",
        ("command", "seconds", "MiB"),
        [_line("rest of the copy", rest), _line("verify", verified), _line("second copy", again)],
    )
    print_table(
        "What the second copy saw",
        ("table", "read", "unchanged", "rejected"),
        [
            (name, *(str(table[what]) for what in ("read", "unchanged", "rejected")))
            for name, table in second["tables"].items()
        ],
    )
    written_again = sum(table["written"] + table["replaced"] for table in second["tables"].values())
    taken = sum(table["unchanged"] for table in second["tables"].values())
    without_claim = sum(entry["rows"] for entry in second["problems"] if entry["code"] == "s3_key_duplicate")
    return [
        Target("killed", killed, trial.kills, at_most=False),
        Target("differences", found["differences"], 0),
        # A row and its claim are two items; a recording that shares its key has no claim of its own.
        Target("items written more than once", written - (2 * taken - without_claim), 0),
        Target("rows written by the second copy", written_again, 0),
        Target("write units of the second copy", second["write_units"], 0),
        Target("items written by the second copy", fake.counts()["writes"] - written, 0),
    ]


def _killed(command: Command, trial: Trial) -> int:
    """Start a copy again and again, each time killing it somewhat later; return how often that was."""
    chance = random.Random(trial.seed)
    points = sorted(chance.uniform(0, SHARE_KILLED) for _ in range(trial.kills))
    killed = 0
    places: list[tuple[str, str, str]] = []
    for number, point in enumerate(points, 1):
        process = command.start(*COPY)
        while process.poll() is None and _progress(command, trial.legacy) < point:
            time.sleep(POLL_SECONDS)
        time.sleep(chance.uniform(0, MOST_SECONDS_MORE))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        table, share = command.checkpoint()
        places.append((str(number), table or "before the first row", f"{share:.1%}"))
    print_table("Killed", ("time", "at table", "checkpoint"), places)
    return killed


def _progress(command: Command, legacy: Legacy) -> float:
    """The share of all rows that lies behind the checkpoint; recordings come first."""
    table, share = command.checkpoint()
    before, rows = (legacy.files, legacy.users) if table == "users" else (0, legacy.files)
    return (before + share * rows) / (legacy.users + legacy.files)


def _line(name: str, ran: Ran) -> tuple[str, str, str]:
    return name, f"{ran.seconds:.1f}", f"{ran.peak_mib:.0f}"


def _listens(service: Service) -> bool:
    """Sign in with the old password, list, and hear the old recording."""
    answer = service.call("POST", "/api/login", json={"email": "listener@example.com", "password": PASSWORD})
    token = answer.json()["token"]
    listed = service.call("GET", "/api/user/audio-files", token).json()["audio_files"]
    found = [row["file_id"] for row in listed] == [file_id(LISTENER)]
    return found and hear(service, token, file_id(LISTENER), PASSWORD) == PLAIN
