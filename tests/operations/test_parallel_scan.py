"""What going through whole tables rests on: back-pressure, checkpoints, and the figure of what is left."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from panzoto.errors import Unavailable
from panzoto.models.bulk import AwsRefused, Throttled
from panzoto.operations.back_pressure import ATTEMPTS_AT_FIRST, ATTEMPTS_WITHOUT_CAUSE, BackPressure, Stopped
from panzoto.operations.checkpoint import Checkpoint, CheckpointError
from panzoto.operations.going_through import line_of
from panzoto.operations.parallel_scan import HowFar

KEY = {"user_id": {"S": "somebody"}}


class Answers:
    """Gives one prepared answer after the other, then `done`."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self._failures:
            failure = self._failures.pop(0)
            raise failure from failure.__cause__
        return "done"


class Gauge:
    """Notes how many are inside at a time."""

    def __init__(self) -> None:
        self.went = self.most = self._inside = 0

    def __call__(self) -> None:
        self._inside += 1
        self.went += 1
        self.most = max(self.most, self._inside)
        # Whoever else may come in does so now.
        time.sleep(0.01)
        self._inside -= 1


def of_the_way(error: Unavailable) -> Unavailable:
    """Make it a failure of the way to DynamoDB and not of our own."""
    error.__cause__ = OSError("reset")
    return error


class TestBackPressure:
    def test_what_else_took_its_time_takes_no_patience(self) -> None:
        pressure, answers = BackPressure(2, patience=0.5), iter([Throttled(), None])

        def send() -> str:
            for refusal in answers:
                if refusal is not None:
                    raise refusal
            return "done"

        assert pressure.patiently(lambda: "done") == "done"
        # As long as it takes to compare what was read, with nothing to be asked for.
        time.sleep(0.6)
        assert pressure.patiently(send) == "done"

    def test_what_is_refused_for_the_moment_is_sent_again(self) -> None:
        answers = Answers(Throttled(), of_the_way(Unavailable()), Throttled(items=True))
        assert BackPressure(4).patiently(answers) == "done"
        assert answers.asked == 4

    def test_throttling_halves_and_success_adds(self) -> None:
        pressure = BackPressure(8)
        pressure.note_throttled()
        # Of those that were sent together each is told of.
        pressure.note_throttled()
        assert (pressure.allowed, pressure.throttled) == (4, 2)
        for _ in range(5):
            pressure.patiently(Answers())
        assert pressure.allowed == 5
        for _ in range(100):
            pressure.patiently(Answers())
        assert pressure.allowed == 8

    def test_no_more_than_are_allowed_go_on(self) -> None:
        pressure = BackPressure(2)
        pressure.note_throttled()
        both, gauge = threading.Barrier(3), Gauge()

        def ask() -> None:
            both.wait(30)
            pressure.patiently(gauge)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        both.wait(30)
        for thread in threads:
            thread.join(30)
        # The second one has waited until the first had succeeded.
        assert (gauge.went, gauge.most) == (2, 1)

    def test_a_refusal_ends_it_at_once(self) -> None:
        answers = Answers(AwsRefused("no"))
        with pytest.raises(AwsRefused):
            BackPressure(4).patiently(answers)
        assert answers.asked == 1

    def test_patience_ends_when_nothing_succeeds(self) -> None:
        with pytest.raises(Unavailable, match="what is done is kept: run the same command again"):
            BackPressure(4, patience=0).patiently(Answers(*[Throttled()] * 9))

    def test_one_that_never_answers_is_not_waited_for(self) -> None:
        away = [of_the_way(Unavailable("not there")) for _ in range(20)]
        answers = Answers(*away)
        pressure = BackPressure(4)
        with pytest.raises(Unavailable, match="not there"):
            pressure.patiently(answers)
        assert answers.asked == ATTEMPTS_AT_FIRST
        pressure.patiently(Answers())
        answers = Answers(*away[: ATTEMPTS_AT_FIRST + 1])
        assert pressure.patiently(answers) == "done"

    def test_what_is_not_dynamodbs_doing_is_tried_some_times(self) -> None:
        answers = Answers(*[Unavailable()] * 99)
        with pytest.raises(Unavailable):
            BackPressure(4).patiently(answers)
        assert answers.asked == ATTEMPTS_WITHOUT_CAUSE

    def test_nobody_is_let_in_after_the_end(self) -> None:
        pressure, answers = BackPressure(4), Answers()
        pressure.stop()
        with pytest.raises(Stopped):
            pressure.patiently(answers)
        with pytest.raises(Stopped):
            pressure.wait(60)
        assert answers.asked == 0


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Checkpoint]:
    return lambda run: Checkpoint(tmp_path / "kept" / "file", run)


@contextmanager
def stage_of(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """Begin a stage of three segments, of which one is done and another is on its way."""
    with checkpoint:
        checkpoint.begin("stage", 3)
        checkpoint.advance("stage", 1, None, {"rows": 5, "none": 0})
        checkpoint.advance("stage", 2, KEY, {"rows": 7})
        yield checkpoint


class TestCheckpoint:
    def test_goes_on_where_it_was(self, opened: Callable[[str], Checkpoint]) -> None:
        with stage_of(opened("run")):
            pass
        with opened("run") as again:
            assert again.left("stage") == [0, 2]
            assert [again.place("stage", segment) for segment in range(3)] == [None, None, KEY]
            assert again.counts("stage") == {"rows": 12}
            assert again.was_of_another == {}

    def test_of_other_tables_it_counts_for_nothing(self, opened: Callable[[str], Checkpoint]) -> None:
        with stage_of(opened("run")) as first:
            first.note("copy", "a table")
        with opened("another run") as again:
            assert again.segments("stage") == 0
            assert again.counts("stage") == {}
            assert again.was_of_another == {"run": "run", "copy": "a table"}
        with opened("another run") as again:
            assert again.was_of_another == {}

    def test_a_kill_while_it_begins_anew_leaves_nothing_for_done(
        self, opened: Callable[[str], Checkpoint], tmp_path: Path
    ) -> None:
        with stage_of(opened("run")) as first:
            first.execute(
                "CREATE TRIGGER killed BEFORE DELETE ON segments BEGIN SELECT RAISE(ABORT, 'killed'); END"
            )
        with suppress(sqlite3.IntegrityError):
            opened("another run")
        # The connection goes as a killed process's would.
        gc.collect()
        database = sqlite3.connect(tmp_path / "kept" / "file")
        database.execute("DROP TRIGGER killed")
        database.close()
        with opened("another run") as again:
            assert again.was_of_another == {"run": "run"}
            assert again.segments("stage") == 0

    def test_a_step_that_fails_is_not_taken(self, opened: Callable[[str], Checkpoint]) -> None:
        def fail(_: object) -> None:
            raise RuntimeError

        with stage_of(opened("run")) as checkpoint:
            with pytest.raises(RuntimeError):
                checkpoint.advance("stage", 0, None, {"rows": 100}, fail)
            assert checkpoint.left("stage") == [0, 2]
            assert checkpoint.counts("stage") == {"rows": 12}

    def test_a_second_process_is_told(self, opened: Callable[[str], Checkpoint]) -> None:
        with stage_of(opened("run")), pytest.raises(CheckpointError, match="Another run of this command"):
            opened("run")

    def test_forgotten_it_leaves_nothing(self, opened: Callable[[str], Checkpoint], tmp_path: Path) -> None:
        with stage_of(opened("run")) as checkpoint:
            checkpoint.forget()
        assert list((tmp_path / "kept").iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CheckpointError, match="cannot be written"):
            Checkpoint(tmp_path / "file" / "checkpoint", "run")


@pytest.mark.parametrize(
    ("far", "seconds", "line"),
    [
        (HowFar("claims", 500, 0, 0, 0, 8), 1, "claims: 500 rows"),
        (
            HowFar("claims", 1_500_000, 500_000, 18_000_000, 0, 8),
            1000,
            "claims: 1,500,000 of about 18,000,000 rows, 1,000 a second, about 4 h 35 min left",
        ),
        (
            HowFar("claims", 90, 0, 100, 3, 4),
            180,
            "claims: 90 of about 100 rows, 30.0 a minute, about 20 s left, throttled 3 times, 4 at a time",
        ),
        # DynamoDB's estimate is older than the last rows.
        (HowFar("claims", 110, 0, 100, 0, 8), 11, "claims: 110 of about 100 rows, 10 a second"),
    ],
)
def test_what_is_left_is_told(far: HowFar, seconds: float, line: str) -> None:
    assert line_of(far, seconds) == line
