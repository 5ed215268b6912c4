"""Counters of attempts, shared by all processes. Rows go by TTL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute

from panzoto.models.attributes import EpochAttribute, StoredModel, now
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures

FORGOTTEN_AFTER = timedelta(days=1)
LONGEST_DELAY_SECONDS = 900
FIRST_DELAY = timedelta(seconds=1)


class Attempts(StoredModel):
    """How often something was tried: at an account, in a session, or from an address within a window."""

    class Meta(BaseMeta):
        table_name = "panzoto-throttle"

    subject = UnicodeAttribute(hash_key=True)
    tries = NumberAttribute(null=True)
    blocked_until = EpochAttribute(null=True)
    expires_at = TTLAttribute(null=True)

    @classmethod
    def count_one(cls, subject: str, expires_at: datetime) -> int:
        """Count one more at `subject` and return how many there are now; one write."""
        counter = cls(subject)
        with storage_failures():
            counter.update(actions=[cls.tries.add(1), cls.expires_at.set(expires_at)])
        return int(counter.tries)

    @classmethod
    def reserve(cls, subject: str, free: int) -> float:
        """Count an attempt at `subject` before it is made; return 0, or the seconds to wait instead.

        The first `free` attempts since the last success cost one conditional
        write each. After them each next one is held back for 1, 2, 4 ... 900
        seconds, and of several at once one goes through.
        """
        moment = now()
        attempt = cls(subject)
        try:
            with storage_failures():
                attempt.update(
                    actions=[
                        cls.tries.add(1),
                        cls.blocked_until.set(moment + FIRST_DELAY),
                        cls.expires_at.set(moment + FORGOTTEN_AFTER),
                    ],
                    condition=cls.tries.does_not_exist() | (cls.tries < free),
                )
        except ConditionFailed:
            return cls._reserve_delayed(subject, free, moment)
        return 0.0

    @classmethod
    def _reserve_delayed(cls, subject: str, free: int, moment: datetime) -> float:
        with storage_failures():
            try:
                held = cls.get(subject, consistent_read=True)
            except cls.DoesNotExist:
                # A success has reset the counter since; the next attempt is free again.
                return FIRST_DELAY.total_seconds()
        if held.blocked_until > moment:
            return (held.blocked_until - moment).total_seconds()
        delay = _delay(int(held.tries) + 1 - free)
        try:
            with storage_failures():
                cls(subject).update(
                    actions=[
                        cls.tries.add(1),
                        cls.blocked_until.set(moment + delay),
                        cls.expires_at.set(moment + FORGOTTEN_AFTER),
                    ],
                    condition=(cls.tries == held.tries) & (cls.blocked_until == held.blocked_until),
                )
        except ConditionFailed:
            return delay.total_seconds()
        return 0.0

    @classmethod
    def give_back(cls, subject: str) -> None:
        """Count one attempt less: it came to no answer."""
        try:
            with storage_failures():
                cls(subject).update(actions=[cls.tries.add(-1)], condition=cls.tries > 0)
        except ConditionFailed:
            return

    @classmethod
    def reset(cls, subject: str) -> None:
        """Forget the attempts at `subject`, after a success."""
        with storage_failures():
            cls(subject).delete()

    @classmethod
    def held_until(cls, openid_name: str) -> float:
        """Return when, in epoch seconds, the account of an OpenID subject was deleted of late, or 0."""
        with storage_failures():
            try:
                held = cls.get(_hold_subject(openid_name), consistent_read=True)
            except cls.DoesNotExist:
                return 0.0
        return held.blocked_until.timestamp()

    @classmethod
    def hold_in(cls, transaction: Transaction, openid_name: str) -> None:
        """Remember as part of `transaction` that the account of an OpenID subject is deleted from now on.

        Only a fingerprint of the subject is kept, and only as long as a
        provider's access tokens live.
        """
        moment = now()
        held = cls(_hold_subject(openid_name), blocked_until=moment, expires_at=moment + FORGOTTEN_AFTER)
        transaction.save(held)

    @classmethod
    def reset_of(cls, *subjects: str) -> Callable[[Transaction], None]:
        """Return what forgets the attempts at `subjects` as part of a transaction."""

        def reset(transaction: Transaction) -> None:
            for subject in subjects:
                transaction.delete(cls(subject))

        return reset


def _hold_subject(openid_name: str) -> str:
    return f"openid#{hashlib.sha256(openid_name.encode()).hexdigest()[:32]}"


def _delay(failures_beyond: int) -> timedelta:
    return timedelta(seconds=min(LONGEST_DELAY_SECONDS, 2 ** min(failures_beyond, 20)))
