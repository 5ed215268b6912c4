"""A bucket of a thousand objects in every situation, swept every night as the timer does: who loses what?

    .venv/bin/python -m bench.nights

libfaketime (Debian's `faketime`) moves the clock of the command and of ministack,
by a day a night. Every night the whole bucket is listed and compared with what somebody may still claim.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.support.report import Target, print_table, print_targets
from bench.support.stand_in import ministack
from panzoto import object_keys
from tests.support import rows
from tests.support.aws import acting_as
from tests.support.forked_commands import ForkedCommands
from tests.support.service import BUCKET, PASSWORD, Service, run_service

NIGHTS = 132
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
A_NIGHT = 100
# Nights of the story.
FIRST_ACCOUNTS, PLANNED, COPIED, ROLLED_BACK, COPIED_AGAIN, DONE, MENDED = 6, 8, 10, 12, 15, 20, 62
RECORDED_ON = (21, 23, 40, 70, 125)
PUT_AGAIN_ON = 40


@dataclass
class Situation:
    """Objects of one kind, and whether somebody may claim them; `gone_by` is when the others must be gone."""

    name: str
    claimed: bool
    keys: list[str] = field(default_factory=list)
    # While nobody can claim them yet, they may lie aside.
    may_lie_aside: bool = False


class Clock:
    """The clock of the command and the stand-in, so many days ahead."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.set(0)

    def set(self, days: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"+{days}d\n")
        draft.replace(self._file)

    def environment(self) -> dict[str, str]:
        """Return what moves a process's clock, its monotonic one too: with that one left, ministack hangs."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }


class Story:
    """What happens to the bucket from night to night."""

    def __init__(self, service: Service, commands: ForkedCommands, moved: dict[str, str]) -> None:
        self.service = service
        self._commands = commands
        self._environment = acting_as("sweep", service.environment | moved)
        self._s3 = service.s3()
        self.situations: dict[str, Situation] = {}
        self._serial = 0
        self.old_accounts = [str(uuid.uuid4()) for _ in range(6)]
        self.rejected = [str(uuid.uuid4()) for _ in range(8)]
        self.accounts: list[dict[str, Any]] = []
        self.late: list[tuple[dict[str, Any], str]] = []

    def put(self, situation: str, claimed: bool, key: str, body: bytes | None = None, **more: Any) -> str:
        found = self.situations.setdefault(situation, Situation(situation, claimed, **more))
        self.write(key, body or f"sound of {key}".encode())
        found.keys.append(key)
        return key

    def write(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def fresh(self, folder: str) -> str:
        self._serial += 1
        return f"{folder}audio-{self._serial}.3gp"

    def before(self) -> None:
        """A bucket of the earlier service, before anybody is in the tables."""
        self._recordings_of_before()
        self._what_is_nobodys()
        self._what_is_not_to_be_touched()

    def _recordings_of_before(self) -> None:
        for number, user_id in enumerate(self.old_accounts):
            folder = "users" if number % 2 else "audio_upload"
            for _ in range(40):
                self.put("of accounts that are moved", True, self.fresh(f"{folder}/{user_id}/"))
        for number, user_id in enumerate(self.rejected):
            mended = number < 4
            kind = "of rows that are rejected, mended later" if mended else "of rows that stay rejected"
            for _ in range(15):
                self.put(kind, mended, self.fresh(f"users/{user_id}/"), may_lie_aside=mended)

    def _what_is_nobodys(self) -> None:
        for number in range(200):
            key = self.put("of nobody", False, self.fresh(f"users/{'gone' if number % 2 else uuid.uuid4()}/"))
            if number < 30:
                self.write(key, b"another version")
            elif number < 40:
                self._s3.delete_object(Bucket=BUCKET, Key=key)
        for _ in range(30):
            self.put("of nobody", False, self.fresh("audio_upload/"))
        for _ in range(20):
            self._s3.create_multipart_upload(Bucket=BUCKET, Key=self.fresh("users/gone/"))

    def _what_is_not_to_be_touched(self) -> None:
        for key in ("backups/dump", "dump.sql", "Users/x/1", "sittings-old/1", "aside.txt"):
            self.put("in folders that are not named", True, key)
        for number in range(60):
            self.put("in folders that are not named", True, f"transcripts/{uuid.uuid4()}/{number}")
            self.put("in folders that are not named", True, f"backups/{number}")
        for number in range(10):
            self.put("no plans among the plans", True, f"sittings/notes/{number}")
            self.put("no plans among the plans", True, f"sittings/{uuid.uuid4()}/{uuid.uuid4()}")

    def night(self, night: int) -> None:
        """Do what happens on the day before this night's sweep."""
        happenings: dict[int, Callable[[], None]] = {
            FIRST_ACCOUNTS: self._first_accounts,
            PLANNED: lambda: self._command("sweeps", "hold", "migration", "--reason", "moving"),
            COPIED: self._copy,
            ROLLED_BACK: self._roll_back,
            COPIED_AGAIN: self._copy,
            DONE: lambda: self._command("sweeps", "release", "migration"),
            MENDED: self._mend,
            PUT_AGAIN_ON: self._put_again,
        }
        if night in happenings:
            happenings[night]()
        if PLANNED <= night < COPIED_AGAIN:
            # The earlier service goes on meanwhile.
            for _ in range(5):
                folder = f"users/{self.old_accounts[night % len(self.old_accounts)]}/"
                self.put("put between copy and delta", True, self.fresh(folder))
        if night in RECORDED_ON:
            self._record_late(night)

    def _first_accounts(self) -> None:
        for number in range(4):
            account = self.service.register(f"nights-{number}@example.com")
            account |= {"email": f"nights-{number}@example.com"}
            self.accounts.append(account)
            folder = f"users/{account['user_id']}/"
            for _ in range(40):
                key = self.put("recorded", True, self.fresh(folder))
                self._record(account, key)
            for _ in range(15):
                self.put("of phones that never recorded", True, self.fresh(folder))
            for _ in range(5):
                key = self.put("of phones that record much later", True, self.fresh(folder))
                self.late.append((account, key))
            for _ in range(5):
                key = self.put("in the trash for thirty days", False, self.fresh(folder))
                file_id = self._record(account, key)
                self.service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        for account in self.accounts:
            for _ in range(5):
                plan = object_keys.plan_key(account["user_id"], str(uuid.uuid4()))
                self.put("plans of sittings", False, plan, b"PNZ2" + bytes(200))

    def _record(self, account: dict[str, Any], key: str) -> str:
        body = {"s3_key": key, "file_size": 10}
        answer = self.service.call("POST", "/api/audio-file", account["token"], json=body)
        assert answer.status_code == 201, answer.text
        file_id: str = answer.json()["audio_file"]["file_id"]
        return file_id

    def _record_late(self, night: int) -> None:
        some = self.late[RECORDED_ON.index(night) :: len(RECORDED_ON)]
        for account, key in some:
            how = {"email": account["email"], "password": PASSWORD}
            token = self.service.call("POST", "/api/login", json=how).json()["token"]
            self._record(account | {"token": token}, key)

    def _moved(self) -> list[tuple[str, str]]:
        keys = self.situations["of accounts that are moved"].keys
        between = self.situations.get("put between copy and delta")
        return [(key.split("/")[1], key) for key in keys + (between.keys if between else [])]

    def _copy(self) -> None:
        """The rows as the move writes them, of all that the earlier service knows by now."""
        for number, user_id in enumerate(self.old_accounts):
            rows.put_user(self.service, f"old-{number}@example.com", PASSWORD, b"s" * 32, user_id=user_id)
        for user_id, key in self._moved():
            rows.put_file(self.service, user_id, key)

    def _roll_back(self) -> None:
        dynamodb = self.service.dynamodb()
        for user_id in self.old_accounts:
            dynamodb.delete_item(TableName=rows.USERS_TABLE, Key={"user_id": {"S": user_id}})
        for page in dynamodb.get_paginator("scan").paginate(TableName=rows.FILES_TABLE):
            for item in page["Items"]:
                if item["user_id"]["S"] in self.old_accounts:
                    dynamodb.delete_item(TableName=rows.FILES_TABLE, Key={"file_id": item["file_id"]})

    def _mend(self) -> None:
        for number, user_id in enumerate(self.rejected[:4]):
            rows.put_user(self.service, f"mended-{number}@example.com", PASSWORD, b"s" * 32, user_id=user_id)
        mended = self.situations["of rows that are rejected, mended later"]
        mended.may_lie_aside = False
        for key in mended.keys[::2]:
            rows.put_file(self.service, key.split("/")[1], key)

    def _put_again(self) -> None:
        for key in self.situations["of nobody"].keys[60:70]:
            self.write(key, b"put again")

    def _command(self, *words: str) -> str:
        """Run a command with the rights of the sweep and return what it printed."""
        status, printed = self._commands.run(self._environment, *words)
        assert status == 0, printed
        return printed

    def sweep(self) -> dict[str, Any]:
        """Run what the timer runs and return the sweep's log line."""
        lines = self._command("recordings", "sweep", "--apply").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return next(line for line in told if line["event"] == "sweep_finished")

    def contents(self) -> tuple[dict[str, int], set[str], int]:
        """Return bytes by key, the keys that lie aside, and how much there is of versions and uploads."""
        s3 = self._s3
        current: dict[str, int] = {}
        aside: set[str] = set()
        count = 0
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            count += len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
            for version in page.get("Versions", []):
                original = object_keys.original_key(version["Key"])
                if original is not None:
                    aside.add(original)
                elif version["IsLatest"]:
                    current[version["Key"]] = version["Size"]
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET):
            count += len(page.get("Uploads", []))
        return current, aside, count


def main() -> None:
    arguments = _arguments()
    if not LIBRARY.exists():
        sys.exit("libfaketime is not there: apt-get install faketime")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="panzoto-nights-") as folder:
        clock = Clock(Path(folder))
        moved = clock.environment()
        with ministack(**moved) as aws, run_service(aws) as service:
            commands = ForkedCommands(moved)
            targets = list(trial(Story(service, commands, moved), clock, arguments.nights))
            commands.end()
    print(f"\n{time.monotonic() - began:.0f} s")
    sys.exit(0 if print_targets(targets) else 1)


def trial(story: Story, clock: Clock, nights: int) -> Iterator[Target]:
    """Sweep night after night; the figures are of the whole time."""
    story.before()
    lost: set[str] = set()
    most_in_a_night = changed_while_held = held_otherwise = 0
    line: dict[str, Any] = {}
    totals: defaultdict[str, int] = defaultdict(int)
    for night in range(nights):
        clock.set(night)
        story.night(night)
        held = night < FIRST_ACCOUNTS or PLANNED <= night < DONE
        before = story.contents() if held else None
        line = story.sweep()
        after = current, aside, _ = story.contents()
        most_in_a_night = max(most_in_a_night, line["removed"])
        totals["removed"] += line["removed"]
        held_otherwise += held != bool(line["held"])
        changed_while_held += before is not None and before != after
        for situation in story.situations.values():
            if situation.claimed:
                lost |= {
                    key
                    for key in situation.keys
                    if key not in current and not (situation.may_lie_aside and key in aside)
                }
        if line["removed"] or line["held"] or night % 10 == 0:
            print(
                f"night {night:3}: {len(current)} in place, {len(aside)} aside, {line['removed']} removed,"
                f" {line['waiting']} waiting, {line['first_seen']} new, held by {line['held']}",
                flush=True,
            )
    current, aside, _ = story.contents()
    table = []
    left = 0
    for situation in story.situations.values():
        there = sum(key in current for key in situation.keys)
        lying = sum(key in aside for key in situation.keys)
        table.append(
            (
                situation.name,
                "yes" if situation.claimed else "no",
                *map(str, (len(situation.keys), there, lying)),
            )
        )
        left += 0 if situation.claimed else there + lying
    print_table(f"After {nights} nights", ("situation", "claimed", "objects", "in place", "aside"), table)
    uploads = sum(
        len(page.get("Uploads", []))
        for page in story.service.s3().get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET)
    )
    yield Target("objects lost that somebody could claim", len(lost), 0)
    yield Target(
        "objects in the bucket", sum(len(one.keys) for one in story.situations.values()), 1000, at_most=False
    )
    yield Target("most removed in one night", most_in_a_night, A_NIGHT)
    yield Target("nights that changed anything while held back", changed_while_held, 0)
    yield Target("nights held back, or not, otherwise than they should", held_otherwise, 0)
    yield Target("objects of nobody that are left at the end", left, 0)
    yield Target("unfinished uploads of nobody that are left", uploads, 0)
    yield Target("moved aside, or gone", totals["removed"], 1, at_most=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=NIGHTS, help="how many (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
