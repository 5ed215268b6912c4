"""Of two jobs that are asked for at once, the second sees the first, and does not go with it.

One that was written, and of which nobody heard, is no second.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from panzoto.errors import TranscriptionRunning
from panzoto.models import AudioFile, Transcription, User
from panzoto.models.connection import ConditionFailed
from panzoto.recordings import edits, ledger
from panzoto.recordings.edits import Edit
from panzoto.transcripts.jobs import Engine, Jobs, Wish
from tests.support.recordings import store
from tests.support.service import Service
from tests.support.waiting import eventually

WAIT_SECONDS = 60


def begun(user_id: str, wanted: list[str]) -> Transcription:
    """Write a job in this process."""
    nothing: Any = None
    jobs = Jobs(Engine("an engine", "a model", is_local=True), nothing, nothing, nothing, nothing)
    user = User.find(user_id)
    assert user is not None
    return jobs._begun(user, Wish(wanted), bytes(32))


@pytest.mark.usefixtures("bound_here")
def test_one_that_shares_what_the_others_first_transaction_does_not_write(service: Service) -> None:
    account = service.register(f"{uuid.uuid4()}@example.com")
    user_id = account["user_id"]
    first, *file_ids = (
        store(service, account, f"users/{user_id}/{uuid.uuid4()}", b"sound")
        for _ in range(ledger.CHANGED_PER_TRANSACTION + 2)
    )
    may_go_on = threading.Event()

    def wait(_: AudioFile, __: User) -> Edit:
        assert may_go_on.wait(WAIT_SECONDS)
        return Edit([AudioFile.duration_ms.set(1)])

    def ask(wanted: list[str]) -> Transcription:
        return begun(user_id, wanted)

    def waiting() -> int:
        line = ledger._turns._lines.get(user_id)
        return -1 if line is None else len(line.waiting)

    with ThreadPoolExecutor(3) as pool:
        leading = pool.submit(ledger.edit, first, user_id, wait)
        eventually(lambda: waiting() == 0, "the first has its turn")
        long = pool.submit(ask, file_ids)
        eventually(lambda: waiting() == 1, "the second waits")
        short = pool.submit(ask, file_ids[-1:])
        eventually(lambda: waiting() == 2, "both wait")
        may_go_on.set()
        leading.result()
        failures = [one.exception() for one in (long, short)]
    assert [type(error) for error in failures if error is not None] == [TranscriptionRunning]
    assert len(list(Transcription.active_of(user_id))) == 1


@pytest.mark.usefixtures("bound_here")
def test_one_that_was_written_unheard_is_not_taken_for_somebody_elses(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would send its message."""
    account = service.register(f"{uuid.uuid4()}@example.com")
    user_id = account["user_id"]
    file_id = store(service, account, f"users/{user_id}/{uuid.uuid4()}", b"sound")
    transact = edits.transact

    def unheard(*how: Any) -> None:
        monkeypatch.setattr(edits, "transact", transact)
        transact(*how)
        body = {"duration_ms": 1234}
        answer = service.call("PATCH", f"/api/audio-file/{file_id}", account["token"], json=body)
        assert answer.status_code == 200, answer.text
        raise ConditionFailed

    monkeypatch.setattr(edits, "transact", unheard)
    job = begun(user_id, [file_id])
    assert [one.transcription_id for one in Transcription.active_of(user_id)] == [job.transcription_id]
