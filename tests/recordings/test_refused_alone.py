"""One write that is refused whatever happens takes along none of those that waited beside it."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from panzoto.errors import Unavailable
from panzoto.models import AudioFile, Claim, User
from panzoto.models.connection import Transaction
from panzoto.recordings import ledger
from panzoto.recordings.edits import Edit
from tests.support.recordings import store
from tests.support.service import Service
from tests.support.waiting import eventually

WAIT_SECONDS = 60
OTHERS = 6


@pytest.mark.usefixtures("bound_here")
def test_the_others_are_written(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # A test need not be patient.
    monkeypatch.setattr(ledger, "PATIENCE_SECONDS", 1.0)
    account = service.register(f"{uuid.uuid4()}@example.com")
    user_id = account["user_id"]
    first, refused, *others = (
        store(service, account, f"users/{user_id}/{uuid.uuid4()}", b"sound") for _ in range(2 + OTHERS)
    )
    may_go_on = threading.Event()

    def wait(_: AudioFile, __: User) -> Edit:
        assert may_go_on.wait(WAIT_SECONDS)
        return Edit([AudioFile.duration_ms.set(1)])

    def impossible(transaction: Transaction) -> None:
        claim = Claim(claim=f"nobody's {uuid.uuid4()}", user_id=user_id)
        transaction.save(claim, condition=Claim.claim.exists())

    def fail(_: AudioFile, __: User) -> Edit:
        return Edit([AudioFile.duration_ms.set(2)], also=impossible)

    def describe(_: AudioFile, __: User) -> Edit:
        return Edit([AudioFile.duration_ms.set(3)])

    with ThreadPoolExecutor(2 + OTHERS) as pool:
        leading = pool.submit(ledger.edit, first, user_id, wait)
        eventually(lambda: user_id in ledger._turns._lines, "the first has its turn")
        failing = pool.submit(ledger.edit, refused, user_id, fail)
        eventually(lambda: len(ledger._turns._lines[user_id].waiting) == 1, "the second waits")
        written = [pool.submit(ledger.edit, one, user_id, describe) for one in others]
        eventually(lambda: len(ledger._turns._lines[user_id].waiting) == 1 + OTHERS, "all wait")
        may_go_on.set()
        assert leading.result().duration_ms == 1
        with pytest.raises(Unavailable):
            failing.result()
        assert [one.result().duration_ms for one in written] == [3] * OTHERS
