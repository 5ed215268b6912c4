"""`resources optimize` and `recordings recount` over whole tables: killed, throttled, two at once."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import UNLIMITED
from tests.support.aws import acting_as, start_moto
from tests.support.earlier_rows import EarlierRows, contents
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Action, Answer, Before, Control, Delay, Fault, LoseReply, Request
from tests.support.fewer_shards import FEW_SEGMENTS, FEWER_SEGMENTS
from tests.support.forked_commands import Command, forked
from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import Service, empty_tables, run_service
from tests.support.waiting import eventually

# Of either table more than fit into one segment, and more claims than two tables have segments.
ROWS = EarlierRows(20, 120, others=84)
# More accounts than fit into one segment, whose recordings do.
FEW_RECORDINGS = EarlierRows(20, 45, others=84)
# What one segment holds, for what is the same however many there are.
ONE_SEGMENT = EarlierRows(20, 30)
# Of either table more than fit into one segment, and all accounts are to be counted.
ALL_TO_BE_COUNTED = EarlierRows(104, 120)
# What one segment holds, with accounts among it that are left alone.
SOME_LEFT_ALONE = EarlierRows(20, 30, others=20)
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}
OPTIMIZE = ("resources", "optimize")
RECOUNT = ("recordings", "recount")
KILLS = 5


class TooBusy(Action):
    """Answer a BatchGetItem with nothing but keys that are to be asked for again."""

    def before_forwarding(self, request: Request, control: Control) -> Answer:  # noqa: ARG002
        body = {"Responses": {}, "UnprocessedKeys": request.json()["RequestItems"]}
        return Answer(200, json.dumps(body).encode(), "application/x-amz-json-1.0")


@pytest.fixture(scope="module")
def house() -> Iterator[Service]:
    with start_moto() as url, run_service(url, **UNLIMITED, **FEWER_SEGMENTS) as service:
        yield service


@pytest.fixture
def earlier(house: Service) -> Iterator[EarlierRows]:
    """Tables with rows that have no claims."""
    with written(ROWS, house):
        yield ROWS


@pytest.fixture
def few(house: Service) -> Iterator[EarlierRows]:
    """Tables with rows that have no claims, and fewer recordings."""
    with written(FEW_RECORDINGS, house):
        yield FEW_RECORDINGS


@pytest.fixture
def fewest(house: Service) -> Iterator[EarlierRows]:
    """Tables with rows that have no claims, and no more of them than fit into one segment."""
    with written(ONE_SEGMENT, house):
        yield ONE_SEGMENT


@pytest.fixture
def accounts(house: Service) -> Iterator[EarlierRows]:
    """Tables with rows that have no claims, and all of whose accounts are to be counted."""
    with written(ALL_TO_BE_COUNTED, house):
        yield ALL_TO_BE_COUNTED


@contextmanager
def written(rows: EarlierRows, house: Service) -> Iterator[None]:
    empty_tables(house.aws_url)
    rows.write(house)
    yield
    empty_tables(house.aws_url)


@pytest.fixture
def way(house: Service) -> Iterator[FaultProxy]:
    with FaultProxy(house.aws_url) as proxy:
        yield proxy


def begun(house: Service, way: FaultProxy, folder: Path, *words: str) -> Command:
    role = "deploy" if words[:2] == OPTIMIZE else "sweep"
    more = {"AWS_ENDPOINT_URL": way.url, "PANZOTO_DATA_DIR": str(folder)}
    return forked().start(acting_as(role, house.environment | more), *words)


def ended(command: Command, status: int = 0) -> str:
    printed, _ = command.communicate()
    assert command.wait() == status, printed
    return printed


def optimized(house: Service, way: FaultProxy, folder: Path, *words: str, status: int = 0) -> str:
    return ended(begun(house, way, folder, *OPTIMIZE, *words), status)


def writes(way: FaultProxy) -> list[str]:
    return [one.operation for one in way.requests if one.operation in WRITES]


def through(rows: EarlierRows, written: int | None = None) -> str:
    written = rows.users + rows.files - rows.shared if written is None else written
    return f"claims: {rows.seen} rows seen, {written} written, {rows.shared} conflicts"


def a_fifth_of_them() -> Callable[[Request], bool]:
    """Return what chooses some of an operation's requests at random, and each time the same."""
    chance = random.Random(3)
    return lambda _: chance.random() < 0.2


class TestOptimize:
    def test_many_threads_leave_what_one_leaves(
        self, house: Service, earlier: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        printed = optimized(house, way, tmp_path, "--at-once", "8")
        assert through(earlier) in printed
        assert f"{earlier.users} accounts numbered and counted" in printed
        earlier.check(house)
        many = contents(house)
        empty_tables(house.aws_url)
        earlier.write(house)
        assert through(earlier) in optimized(house, way, tmp_path, "--at-once", "1")
        one = contents(house)
        assert {table: many[table] for table in (USERS_TABLE, FILES_TABLE)} == {
            table: one[table] for table in (USERS_TABLE, FILES_TABLE)
        }
        assert [claim["claim"] for claim in many["panzoto-claims"]] == [
            claim["claim"] for claim in one["panzoto-claims"]
        ]

    def test_claims_go_by_the_hundred_and_a_second_run_only_looks(
        self, house: Service, earlier: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        optimized(house, way, tmp_path)
        way.forget()
        printed = optimized(house, way, tmp_path)
        assert "There was nothing to do" in printed
        assert through(earlier, 0) in printed
        assert writes(way) == []
        counts = Counter(one.operation for one in way.requests)
        # At most one for each segment of either table.
        assert counts["BatchGetItem"] <= 2 * FEW_SEGMENTS
        assert counts["GetItem"] == counts["Query"] == 0
        assert list(tmp_path.glob("missing-claims*")) == []

    def test_killed_at_random_moments_it_goes_on(
        self, house: Service, accounts: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        chance = random.Random(7)
        done = []
        for _ in range(KILLS):
            way.forget()
            # Each after it has asked for some rows, and all together before it is through with them.
            enough = chance.randrange(80, 260)
            command = begun(house, way, tmp_path, *OPTIMIZE)
            eventually(
                lambda: len(way.requests) >= enough or command.poll() is not None,  # noqa: B023
                "it does nothing",
            )
            command.kill()
            command.wait()
            done.append(command.returncode)
        assert -signal.SIGKILL in done
        printed = optimized(house, way, tmp_path)
        # Each row was counted once, whoever was killed beside it.
        if done.count(0) == 0:
            assert f"claims: {accounts.seen} rows seen" in printed
            assert f"{accounts.shared} conflicts" in printed
        accounts.check(house)

    def test_what_was_done_before_a_kill_is_not_done_again(
        self, house: Service, accounts: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        is_killed = threading.Event()
        # It would be through before anybody can kill it.
        way.add(Fault(Before(is_killed.wait), operation="Query", skip=8))
        command = begun(house, way, tmp_path, *OPTIMIZE)
        try:
            # The last way through the tables has begun: what asks an index is taking up.
            eventually(lambda: "Query" in {one.operation for one in way.requests}, "it does nothing")
        finally:
            command.kill()
            is_killed.set()
        command.wait()
        way.clear()
        way.forget()
        printed = optimized(house, way, tmp_path)
        assert f"claims: {accounts.seen} rows seen" in printed
        scanned = Counter(one.operation for one in way.requests)["Scan"]
        # Neither way through claims begins again.
        assert scanned <= FEW_SEGMENTS
        accounts.check(house)

    def test_killed_twice_in_a_page_it_has_seen_each_row_once(
        self, house: Service, way: FaultProxy, tmp_path: Path
    ) -> None:
        with written(SOME_LEFT_ALONE, house):
            for _ in range(2):
                is_killed = threading.Event()
                way.add(Fault(Before(is_killed.wait), operation="Query", skip=4))
                way.forget()
                command = begun(house, way, tmp_path, *OPTIMIZE, "--at-once", "1")
                try:
                    eventually(partial(has_asked_often, way), "it does nothing")
                finally:
                    command.kill()
                    is_killed.set()
                command.wait()
                way.clear()
            printed = optimized(house, way, tmp_path)
            assert f"claims: {SOME_LEFT_ALONE.seen} rows seen" in printed
            assert f"{SOME_LEFT_ALONE.users} accounts numbered and counted" in printed
            SOME_LEFT_ALONE.check(house)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stopped_it_says_how_to_go_on(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path, number: int
    ) -> None:
        way.add(Fault(Delay(0.02), operation="Scan"))
        was_told = threading.Event()
        way.add(Fault(Before(was_told.wait), operation="BatchGetItem"))
        command = begun(house, way, tmp_path, *OPTIMIZE)
        try:
            eventually(lambda: "BatchGetItem" in {one.operation for one in way.requests}, "it does nothing")
            command.send_signal(number)
        finally:
            was_told.set()
        assert "run the same command again to go on" in ended(command, 128 + number)
        way.clear()
        assert through(few) in optimized(house, way, tmp_path)
        few.check(house)

    def test_throttled_it_slows_down_and_loses_nothing(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        faults = [
            way.add(Fault(answer, operation=operation, where=a_fifth_of_them()))
            for operation, answer in (
                ("Scan", Answer.dynamodb("ProvisionedThroughputExceededException")),
                ("BatchGetItem", Answer.dynamodb("ThrottlingException")),
                ("TransactWriteItems", Answer.dynamodb("ThrottlingException")),
                ("UpdateItem", Answer.dynamodb("InternalServerError")),
                ("Query", Answer.dynamodb("ThrottlingException")),
            )
        ]
        faults.append(way.add(Fault(TooBusy(), operation="BatchGetItem", times=3)))
        way.add(Fault(LoseReply(), operation="TransactWriteItems", times=3))
        printed = optimized(house, way, tmp_path)
        assert all(fault.applied for fault in faults)
        # How many were written is told by answers: a stand-in that knows no tokens refuses what was lost.
        assert f"claims: {few.seen} rows seen" in printed
        assert f"{few.shared} conflicts" in printed
        few.check(house)

    def test_items_of_a_transaction_that_are_throttled_are_sent_in_smaller_ones(
        self, house: Service, fewest: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        throttled = Answer.transaction_canceled("ThrottlingError", "None")
        fault = way.add(
            Fault(
                throttled,
                operation="TransactWriteItems",
                where=lambda request: len(request.json()["TransactItems"]) > 2,
            )
        )
        # The models' own transactions cannot be made smaller, so only the claims are written here.
        command = begun(house, way, tmp_path, *OPTIMIZE)
        eventually(lambda: "Query" in {one.operation for one in way.requests}, "the claims were not written")
        command.kill()
        command.wait()
        assert fault.applied
        way.clear()
        assert f"{fewest.shared} conflicts" in optimized(house, way, tmp_path)
        fewest.check(house)

    @pytest.mark.parametrize("operation", ["BatchGetItem", "Query"])
    def test_what_is_not_allowed_ends_it_at_once(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path, operation: str
    ) -> None:
        """Be it asked for by the commands themselves or by the models."""
        way.add(Fault(Answer.dynamodb("AccessDeniedException"), operation=operation))
        printed = optimized(house, way, tmp_path, status=1)
        told = (
            f"DynamoDB refused {operation}: AccessDeniedException; the AWS credentials lack the right to it"
        )
        assert printed.count(told) == 1
        way.clear()
        assert through(few) in optimized(house, way, tmp_path)

    def test_two_at_once_from_different_folders_share_the_work(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        both = [begun(house, way, tmp_path / name, *OPTIMIZE) for name in ("one", "other")]
        printed = [ended(command) for command in both]
        written = [int(one.partition(" rows seen, ")[2].partition(" ")[0]) for one in printed]
        assert sum(written) == few.users + few.files - few.shared
        assert all(f"{few.shared} conflicts" in one for one in printed)
        few.check(house)

    def test_a_second_one_in_the_same_folder_is_told_of_the_first(
        self, house: Service, fewest: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        both_were_started = threading.Event()
        way.add(Fault(Before(both_were_started.wait), operation="BatchGetItem"))
        first = begun(house, way, tmp_path, *OPTIMIZE)
        try:
            eventually(lambda: "BatchGetItem" in {one.operation for one in way.requests}, "it does nothing")
            assert "Another run of this command is at work here" in optimized(house, way, tmp_path, status=1)
        finally:
            both_were_started.set()
        assert through(fewest) in ended(first)

    def test_what_the_release_before_kept_counts_for_nothing(
        self, house: Service, fewest: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        (tmp_path / "missing-claims.json").write_text('{"stage": "settled", "key": null}')
        (tmp_path / "missing-claims.sqlite3").write_bytes(b"not a database, for a disk was full" * 200)
        assert through(fewest) in optimized(house, way, tmp_path)
        fewest.check(house)
        assert list(tmp_path.glob("missing-claims*")) == []


def has_asked_often(way: FaultProxy) -> bool:
    return [one.operation for one in way.requests].count("Query") > 4


def is_far_or_over(way: FaultProxy, command: Command) -> bool:
    return len(way.requests) >= 50 or command.poll() is not None


class TestRecount:
    @pytest.fixture
    def drifted(self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path) -> list[str]:
        """The accounts whose counters have drifted, of those that are counted."""
        optimized(house, way, tmp_path)
        drifted = [user["user_id"]["S"] for user in few.items[USERS_TABLE][::7]]
        for user_id in drifted:
            house.dynamodb().update_item(
                TableName=USERS_TABLE,
                Key={"user_id": {"S": user_id}},
                UpdateExpression="ADD used_recordings :some, used_bytes :some",
                ExpressionAttributeValues={":some": {"N": "5"}},
            )
        way.forget()
        return drifted

    def test_drifts_are_told_and_repaired_and_a_second_run_writes_nothing(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path, drifted: list[str]
    ) -> None:
        printed = ended(begun(house, way, tmp_path, *RECOUNT))
        told = {line.partition(": counted")[0] for line in printed.splitlines() if ": counted" in line}
        assert told == set(drifted)
        assert f"{len(drifted)} accounts had drifted, of {few.users} that were counted" in printed
        assert Counter(writes(way)) == {"UpdateItem": len(drifted)}
        few.check(house)
        way.forget()
        assert f"0 accounts had drifted, of {few.users}" in ended(begun(house, way, tmp_path, *RECOUNT))
        assert writes(way) == []
        assert list(tmp_path.glob("recount*")) == []

    @pytest.mark.usefixtures("drifted")
    def test_killed_and_throttled_it_counts_each_account_once(
        self, house: Service, few: EarlierRows, way: FaultProxy, tmp_path: Path
    ) -> None:
        chance = random.Random(5)
        throttled = Answer.dynamodb("ProvisionedThroughputExceededException")
        way.add(Fault(throttled, operation="Query", where=lambda _: chance.random() < 0.15))
        for _ in range(3):
            way.forget()
            command = begun(house, way, tmp_path, *RECOUNT)
            # It may be through before that, where those that were killed got far.
            eventually(partial(is_far_or_over, way, command), "it does nothing")
            command.kill()
            command.wait()
        printed = ended(begun(house, way, tmp_path, *RECOUNT))
        assert f"of {few.users} that were counted" in printed
        few.check(house)
