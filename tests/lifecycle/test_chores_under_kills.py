"""Workers on chores are killed at their calls to the storage: nothing is lost, and all is done in the end.

`bench/chores.py kills` does the same two hundred times.
"""

from __future__ import annotations

from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.chore_states import SETTINGS
from tests.support.killed_chores import AFTER, BEFORE, live_under_kills
from tests.support.service import run_service

# Each kills another kind of call: all kinds have a turn before one has another.
KILLS = 16


def test_nothing_is_lost_and_everything_is_done_once_at_least() -> None:
    # What lies in the bucket looks old enough for a plan to go.
    with start_moto(object_age_days=2) as aws, run_service(aws, **UNLIMITED, **SETTINGS) as service:
        lives = live_under_kills(service, KILLS)
    # Each account has six recordings, and two objects more, that chores have to do something with.
    assert lives.wrong_before >= 16
    assert lives.wrong == []
    assert lives.kills.total() == KILLS
    assert {moment for _, moment in lives.kills} == {BEFORE, AFTER}
    assert len({kind for kind, _ in lives.kills}) > KILLS / 2
    assert lives.done
