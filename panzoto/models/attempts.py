"""Counters of attempts, shared by all processes. Rows go by TTL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.models.attributes import EpochAttribute, StoredModel, now
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures

FORGOTTEN_AFTER = timedelta(days=1)
LONGEST_DELAY_SECONDS = 900
FIRST_DELAY = timedelta(seconds=1)
# DynamoDB cannot set an attribute to one that is not there.
NO_TURN = "none"


class Reserved(NamedTuple):
    """What came of asking for an attempt: the seconds to wait, 0 for one that is heard, and then its turn.

    The turn is what `Attempts.give_back` has kept for it, `NO_TURN` or nothing where there was none. `until`
    is how long it holds back the next one.
    """

    wait: float
    turn: str
    until: datetime | None = None


class Attempts(StoredModel):
    """How often something was tried: at an account, in a session, or from an address within a window."""

    class Meta(BaseMeta):
        table_name = "panzoto-throttle"

    subject = UnicodeAttribute(hash_key=True)
    tries = NumberAttribute(null=True)
    blocked_until = EpochAttribute(null=True)
    expires_at = TTLAttribute(null=True)
    turn = UnicodeAttribute(null=True)
    used_turn = UnicodeAttribute(null=True)

    @classmethod
    def count_one(cls, subject: str, expires_at: datetime) -> int:
        """Count one more at `subject` and return how many there are now; one write."""
        counter = cls(subject)
        with storage_failures():
            counter.update(actions=[cls.tries.add(1), cls.expires_at.set(expires_at)])
        return int(counter.tries)

    @classmethod
    def reserve(cls, subject: str, free: int) -> Reserved:
        """Count an attempt at `subject` before it is made, or tell how long to wait instead.

        The first `free` attempts since the last success cost one conditional
        write each. After them each next one is held back for 1, 2, 4 ... 900
        seconds, and of several at once one goes through. A turn that was kept is used up by the same write.
        """
        moment = now()
        until = moment + FIRST_DELAY
        attempt = cls(subject)
        try:
            with storage_failures():
                attempt.update(
                    actions=[
                        cls.tries.add(1),
                        cls.blocked_until.set(until),
                        cls.expires_at.set(moment + FORGOTTEN_AFTER),
                        *cls._using_turn(),
                    ],
                    condition=cls.tries.does_not_exist() | (cls.tries < free),
                )
        except ConditionFailed:
            return cls._reserve_delayed(subject, free, moment)
        return Reserved(0.0, attempt.used_turn or "", until)

    @classmethod
    def _using_turn(cls) -> list[Action]:
        """Return what puts a turn where it is told by the answer and no longer found by the next attempt."""
        return [cls.used_turn.set(cls.turn | NO_TURN), cls.turn.remove()]

    @classmethod
    def _reserve_delayed(cls, subject: str, free: int, moment: datetime) -> Reserved:
        with storage_failures():
            try:
                held = cls.get(subject, consistent_read=True)
            except cls.DoesNotExist:
                # A success has reset the counter since; the next attempt is free again.
                return Reserved(FIRST_DELAY.total_seconds(), "")
        if held.blocked_until > moment:
            return Reserved((held.blocked_until - moment).total_seconds(), "")
        delay = _delay(int(held.tries) + 1 - free)
        until = moment + delay
        attempt = cls(subject)
        try:
            with storage_failures():
                attempt.update(
                    actions=[
                        cls.tries.add(1),
                        cls.blocked_until.set(until),
                        cls.expires_at.set(moment + FORGOTTEN_AFTER),
                        *cls._using_turn(),
                    ],
                    condition=(cls.tries == held.tries) & (cls.blocked_until == held.blocked_until),
                )
        except ConditionFailed:
            return Reserved(delay.total_seconds(), "")
        return Reserved(0.0, attempt.used_turn or "", until)

    @classmethod
    def give_back(cls, subject: str, turn: str = "", until: datetime | None = None) -> None:
        """Count one attempt less: it came to no answer. `turn` is kept for the next one.

        `until` is how long it would hold back the next one, as `reserve` has told: now it does not, unless
        another attempt has been made since.
        """
        kept = [cls.turn.set(turn)] if turn not in ("", NO_TURN) else []
        actions: list[Action] = [cls.tries.add(-1), *kept]
        counted = cls.tries > 0
        freed = until is not None and cls._changed(
            subject, [*actions, cls.blocked_until.set(now())], counted & (cls.blocked_until == until)
        )
        if not freed:
            cls._changed(subject, actions, counted)

    @classmethod
    def _changed(cls, subject: str, actions: list[Action], condition: Condition) -> bool:
        try:
            with storage_failures():
                cls(subject).update(actions=actions, condition=condition)
        except ConditionFailed:
            return False
        return True

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
