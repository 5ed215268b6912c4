"""Jobs that make transcripts: what was asked for, how far it is, and who works on it.

No key and no word of what was said is ever in a row; the keys of the recordings travel sealed in the queue's
message alone. A worker holds a job for a while at a time: whoever finds one that nobody holds any more may
take it up, and one that lost it finds so at its next step.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.models.attributes import EPOCH, EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures, transact
from panzoto.models.damage import remove_all_of, some
from panzoto.models.event import Event

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELED = "queued", "running", "succeeded", "failed", "canceled"
ACTIVE = (QUEUED, RUNNING)
STATUSES = (*ACTIVE, SUCCEEDED, FAILED, CANCELED)
# A job that is older and not over never ends well.
LONGEST = timedelta(hours=24)
KEPT = timedelta(days=90)


class Transcription(StoredModel):
    """One job over one recording, or over several of one conversation. `transcription_id` sorts by time."""

    class Meta(BaseMeta):
        table_name = "panzoto-transcriptions"

    user_id = UnicodeAttribute(hash_key=True)
    transcription_id = UnicodeAttribute(range_key=True)
    file_ids = JSONAttribute()
    status = UnicodeAttribute()
    progress = NumberAttribute()
    attempts = NumberAttribute()
    language = UnicodeAttribute(null=True)
    engine = UnicodeAttribute(null=True)
    model = UnicodeAttribute(null=True)
    created_at = EpochAttribute()
    started_at = EpochAttribute(null=True)
    finished_at = EpochAttribute(null=True)
    error = JSONAttribute(null=True)
    # What the transcripts are sealed to, base64: the account's public key when it was asked.
    public_key = UnicodeAttribute()
    # Who works on it, until when at least, and whether transcripts are being written.
    holder = UnicodeAttribute(null=True)
    held_until = EpochAttribute(null=True)
    writing = BooleanAttribute(null=True)
    # Whether the queue has its message, and how often the engine has failed it.
    is_sent = BooleanAttribute(null=True)
    failures = NumberAttribute(null=True)
    expires_at = TTLAttribute()

    @classmethod
    def new(cls, user_id: str, file_ids: list[str], public_key: str, **more: Any) -> Transcription:
        """Return a job that was asked for just now, not yet written."""
        created = now()
        return cls(
            user_id=user_id,
            transcription_id=f"{_place(created)}-{secrets.token_hex(6)}",
            file_ids=file_ids,
            status=QUEUED,
            progress=0,
            attempts=0,
            public_key=public_key,
            created_at=created,
            expires_at=created + LONGEST + KEPT,
            **more,
        )

    @classmethod
    def of(cls, user_id: str, transcription_id: str) -> Transcription | None:
        """Return the job, strongly consistent."""
        if not 0 < len(transcription_id) <= 64:
            return None
        with storage_failures():
            try:
                return cls.get(user_id, transcription_id, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def page(cls, user_id: str, limit: int, before: str | None, status: str | None) -> list[Transcription]:
        """Return up to `limit` jobs, newest first, older than `before`, of this status if one is named.

        What should be over by now counts as failed, which it is as soon as somebody ends it.
        """
        older = None if before is None else cls.transcription_id < before
        wanted = None if status is None else _is_or_will_be(status)
        with storage_failures():
            found = cls.query(
                user_id, older, wanted, page_size=limit, scan_index_forward=False, consistent_read=True
            )
            return some(found, limit)

    @classmethod
    def active_of(cls, user_id: str) -> list[Transcription]:
        """Return the jobs of an account that are not over and may still come to their end."""
        since = _place(now() - LONGEST)
        with storage_failures():
            return list(
                cls.query(
                    user_id,
                    cls.transcription_id > since,
                    cls.status.is_in(*ACTIVE),
                    consistent_read=True,
                )
            )

    @classmethod
    def all_of_status(cls, status: str | None) -> Iterator[Transcription]:
        """Yield every job of anybody, of one status if one is named; reads the whole table, for operators."""
        with storage_failures():
            yield from cls.scan(None if status is None else cls.status == status)

    @classmethod
    def of_anybody(cls, transcription_id: str) -> Transcription | None:
        """Return the job of this id, whoever asked for it; reads the whole table, for operators."""
        jobs = cls.all_of_status(None)
        return next((job for job in jobs if job.transcription_id == transcription_id), None)

    @classmethod
    def remove_all(cls, user_id: str) -> None:
        """Remove every job of an account that is deleted."""
        remove_all_of(cls, user_id)

    def add_to(self, transaction: Transaction) -> None:
        """Write the new job as part of `transaction`."""
        transaction.save(self)

    @property
    def is_active(self) -> bool:
        """Whether the job is waiting or running."""
        return self.status in ACTIVE

    @property
    def is_too_old(self) -> bool:
        """Whether the job should be over by now and is not."""
        return self.is_active and now() - self.created_at >= LONGEST

    @property
    def sent(self) -> bool:
        """Whether the queue has had its message."""
        return bool(self.value("is_sent"))

    def note_sent(self, event: Event) -> None:
        """Remember that the queue has its message, and write the event with it; once, whoever has sent it.

        A job that is gone needs neither.
        """

        def fill(transaction: Transaction) -> None:
            transaction.update(
                Transcription(self.user_id, self.transcription_id),
                actions=[Transcription.is_sent.set(True)],
                condition=Transcription.status.exists() & Transcription.is_sent.does_not_exist(),
            )
            event.add_to(transaction)

        with suppress(ConditionFailed):
            transact(fill, Transcription)

    def seconds_left(self) -> float:
        """Return for how long the job may still go on."""
        return (self.created_at + LONGEST - now()).total_seconds()

    @property
    def is_held(self) -> bool:
        """Whether a worker is working on it, as far as that can be known."""
        until = self.value("held_until")
        return self.status == RUNNING and until is not None and until > now()

    def take(self, holder: str, seconds: float) -> bool:
        """Begin, or take up what nobody holds any more; False when somebody else was faster or it is over."""
        moment = now()
        free: Condition = (Transcription.status == QUEUED) | (
            (Transcription.status == RUNNING) & (Transcription.held_until < moment)
        )
        actions: list[Action] = [
            Transcription.status.set(RUNNING),
            Transcription.attempts.add(1),
            Transcription.started_at.set(self.value("started_at") or moment),
            *_holding(holder, seconds),
        ]
        return self._change(actions, free)

    def begin_again(self, holder: str, seconds: float) -> bool:
        """Count one more attempt after the engine has failed; False when it is over or somebody else's."""
        actions: list[Action] = [
            Transcription.attempts.add(1),
            Transcription.failures.add(1),
            *_holding(holder, seconds),
        ]
        return self._change(actions, self._mine(holder))

    def go_on(self, holder: str, seconds: float, progress: float | None = None) -> bool:
        """Hold the job on, and tell how far it is; False when it is over or somebody else's."""
        actions = _holding(holder, seconds)
        if progress is not None:
            actions.append(Transcription.progress.set(progress))
        return self._change(actions, self._mine(holder))

    def give_back(self, holder: str, *, unbegun: bool = False) -> bool:
        """Let the job wait again for whoever takes it up; `unbegun`, as if it had not been taken."""
        actions: list[Action] = [
            Transcription.status.set(QUEUED),
            Transcription.holder.remove(),
            Transcription.held_until.remove(),
        ]
        if unbegun:
            actions.append(Transcription.attempts.add(-1))
        return self._change(actions, self._mine(holder))

    def wait_again(self) -> bool:
        """Let a job that failed wait once more; False when it did not fail."""
        actions: list[Action] = [
            Transcription.status.set(QUEUED),
            Transcription.failures.remove(),
            Transcription.error.remove(),
            Transcription.finished_at.remove(),
        ]
        return self._change(actions, Transcription.status == FAILED)

    def begin_writing(self, holder: str, seconds: float) -> bool:
        """From here on the job cannot be canceled, whoever goes on with it."""
        return self._change([Transcription.writing.set(True), *_holding(holder, seconds)], self._mine(holder))

    def end(
        self,
        status: str,
        *,
        holder: str | None = None,
        error: dict[str, str] | None = None,
        only_unsent: bool = False,
        **more: Any,
    ) -> bool:
        """Let the job be over; False when it already is, or is not `holder`'s.

        Without a holder it must not have begun to write transcripts; to fail, only nobody must be writing.
        With `only_unsent` nobody must have told the queue of it.
        """
        actions: list[Action] = [
            Transcription.status.set(status),
            Transcription.finished_at.set(now()),
            Transcription.expires_at.set(now() + KEPT),
            Transcription.holder.remove(),
            Transcription.held_until.remove(),
        ]
        if error is not None:
            actions.append(Transcription.error.set(error))
        if status == SUCCEEDED:
            actions.append(Transcription.progress.set(1))
        actions += [
            getattr(Transcription, name).set(value) for name, value in more.items() if value is not None
        ]
        if holder is not None:
            return self._change(actions, self._mine(holder))
        unwritten = _nobody_writes() if status == FAILED else Transcription.writing.does_not_exist()
        if only_unsent:
            unwritten &= Transcription.is_sent.does_not_exist()
        return self._change(actions, Transcription.status.is_in(*ACTIVE) & unwritten)

    def _mine(self, holder: str) -> Condition:
        mine: Condition = (Transcription.status == RUNNING) & (Transcription.holder == holder)
        return mine

    def _change(self, actions: list[Action], condition: Condition) -> bool:
        try:
            with storage_failures():
                self.update(actions=actions, condition=Transcription.transcription_id.exists() & condition)
        except ConditionFailed:
            return False
        return True

    def to_public(self) -> dict[str, Any]:
        """Return `transcription` as clients see it."""
        return {
            "transcription_id": self.transcription_id,
            "file_ids": self.file_ids,
            "status": self.status,
            "progress": float(self.progress),
            "language": self.value("language"),
            "engine": self.value("engine"),
            "model": self.value("model"),
            "created_at": rfc3339(self.created_at),
            "started_at": rfc3339(self.value("started_at")),
            "finished_at": rfc3339(self.value("finished_at")),
            "attempts": int(self.attempts),
            "error": self.value("error"),
        }


def overlapping(jobs: Collection[Transcription], file_ids: Collection[str]) -> Transcription | None:
    """Return the first of `jobs` that is about any of these recordings."""
    wanted = set(file_ids)
    return next((job for job in jobs if not wanted.isdisjoint(job.file_ids)), None)


def _place(moment: datetime) -> str:
    """Return how ids of that moment begin: microseconds in hexadecimal."""
    return f"{(moment - EPOCH) // timedelta(microseconds=1):014x}"


def _nobody_writes() -> Condition:
    """The condition that no worker is writing the job's transcripts, as far as that can be known."""
    unwritten: Condition = Transcription.writing.does_not_exist()
    unwritten |= Transcription.held_until.does_not_exist() | (Transcription.held_until < now())
    return unwritten


def _is_or_will_be(status: str) -> Condition:
    """The condition that a job has this status, or will have it once those are ended that are too old."""
    ends: Condition = (Transcription.created_at <= now() - LONGEST) & _nobody_writes()
    is_so: Condition = Transcription.status == status
    if status == FAILED:
        is_so |= Transcription.status.is_in(*ACTIVE) & ends
    elif status in ACTIVE:
        is_so &= ~ends
    return is_so


def _holding(holder: str, seconds: float) -> list[Action]:
    return [
        Transcription.holder.set(holder),
        Transcription.held_until.set(now() + timedelta(seconds=seconds)),
    ]
