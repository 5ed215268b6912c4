"""Claims: what may exist only once. Uniqueness never rests on an index, which is eventually consistent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from pynamodb.attributes import UnicodeAttribute, UnicodeSetAttribute

from panzoto.auth.mail_address import normal_form, spellings
from panzoto.models.attributes import EpochAttribute, StoredModel, now
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures

# DynamoDB allows 2048 bytes for a hash key.
LONGEST_CLAIM_BYTES = 2048


class Claim(StoredModel):
    """What may exist only once, owned by a user; one on a key or a phone's name by a recording of the user.

    Its name says what it is on, and is made here alone. One on an address with `kept_until` is of the user's
    former address: it keeps others from taking that until then, and leads nobody to the account.
    """

    class Meta(BaseMeta):
        table_name = "panzoto-claims"

    claim = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    file_id = UnicodeAttribute(null=True)
    kept_until = EpochAttribute(null=True)
    # Of the one item that is no claim; see `open_deletion`.
    user_ids = UnicodeSetAttribute(null=True)

    @staticmethod
    def name_of_email(email: str) -> str:
        """Return the name of the claim on a mailbox, whichever way its address is spelt."""
        return Claim.name_of_spelling(normal_form(email))

    @staticmethod
    def name_of_spelling(email: str) -> str:
        """Return the name of the claim on an address as it is spelt: what moves and earlier releases took."""
        return f"email#{email}"

    @staticmethod
    def name_of_s3_key(s3_key: str) -> str:
        return f"s3key#{s3_key}"

    @staticmethod
    def name_of_client(user_id: str, client_id: str) -> str:
        """Return the name of the claim on what a phone calls an upload."""
        return f"client#{user_id}#{client_id}"

    @staticmethod
    def openid_name(issuer: str, subject: str) -> str:
        """Return the name of the claim on a provider's subject; an issuer holds no `#`."""
        name = f"openid#{issuer}#{subject}"
        if len(name.encode()) <= LONGEST_CLAIM_BYTES:
            return name
        return f"openid-hash#{hashlib.sha256(name.encode()).hexdigest()}"

    @classmethod
    def for_email(cls, email: str, user_id: str) -> Claim:
        return cls(claim=cls.name_of_email(email), user_id=user_id)

    @classmethod
    def for_s3_key(cls, s3_key: str, user_id: str, file_id: str) -> Claim:
        return cls(claim=cls.name_of_s3_key(s3_key), user_id=user_id, file_id=file_id)

    @classmethod
    def for_client_id(cls, user_id: str, client_id: str, file_id: str) -> Claim:
        return cls(claim=cls.name_of_client(user_id, client_id), user_id=user_id, file_id=file_id)

    @classmethod
    def on_email(cls, email: str) -> Claim | None:
        """Return the claim of the account whose mailbox it is; one that is only kept leads to nobody."""
        return next((claim for claim in cls._on_mailbox(email) if claim.value("kept_until") is None), None)

    @classmethod
    def takes_email(cls, email: str) -> bool:
        """Whether nobody else may take the mailbox: it is an account's, or still kept for one."""
        return any(not claim.has_lapsed for claim in cls._on_mailbox(email))

    @classmethod
    def _on_mailbox(cls, email: str) -> Iterator[Claim]:
        return filter(None, map(cls.named, cls._names_of_email(email)))

    @property
    def has_lapsed(self) -> bool:
        """Whether it was kept for its user for a while that is over."""
        until = self.value("kept_until")
        return until is not None and until <= now()

    @classmethod
    def on_s3_key(cls, s3_key: str) -> Claim | None:
        return cls.named(cls.name_of_s3_key(s3_key))

    @classmethod
    def on_s3_keys(cls, s3_keys: Iterable[str]) -> dict[str, Claim]:
        """Return the claims on those of `s3_keys`, at most 100, that have one, strongly consistent."""
        names = {cls.name_of_s3_key(s3_key): s3_key for s3_key in s3_keys}
        return {names[name]: claim for name, claim in cls.those_taken(set(names)).items()}

    @classmethod
    def on_client_id(cls, user_id: str, client_id: str) -> Claim | None:
        return cls.named(cls.name_of_client(user_id, client_id))

    @classmethod
    def named(cls, claim: str) -> Claim | None:
        """Return the claim with this whole name, strongly consistent."""
        with storage_failures():
            try:
                return cls.get(claim, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def those_taken(cls, claims: set[str]) -> dict[str, Claim]:
        """Return which of `claims` are taken, strongly consistent, at most 100 at once."""
        with storage_failures():
            return {found.claim: found for found in cls.batch_get(claims, consistent_read=True)}

    @staticmethod
    def _names_of_email(email: str) -> list[str]:
        """Return the names under which a mailbox may be claimed: earlier releases claimed each spelling."""
        return [Claim.name_of_spelling(spelling) for spelling in spellings(email)]

    @classmethod
    def release_email_in(cls, transaction: Transaction, email: str, user_id: str) -> int:
        """Give up the mailbox as part of `transaction`, which fails when it is somebody else's.

        Of several spellings only the account's own go: an earlier release let each have an account.
        Returns how many claims these are.
        """
        names = cls._names_of_email(email)
        if len(names) > 1:
            names = [name for name in names if cls._is_held(name, user_id)]
        for name in names:
            cls(claim=name, user_id=user_id).release_in(transaction)
        return len(names)

    @classmethod
    def keep_email_in(cls, transaction: Transaction, email: str, user_id: str, until: datetime) -> None:
        """Keep a mailbox that its account leaves from others until then, as part of `transaction`."""
        kept = cls(claim=cls.name_of_email(email), user_id=user_id, kept_until=until)
        for name in cls._names_of_email(email):
            if name != kept.claim and cls._is_held(name, user_id):
                cls(claim=name, user_id=user_id).release_in(transaction)
        transaction.save(kept, condition=cls.claim.does_not_exist() | (cls.user_id == user_id))

    @classmethod
    def take_back_in(cls, transaction: Transaction, email: str, user_id: str) -> None:
        """Make a mailbox that was kept for the user theirs again, as part of `transaction`."""
        transaction.save(cls.for_email(email, user_id), condition=cls.user_id == user_id)

    @classmethod
    def release_kept_in(cls, transaction: Transaction, email: str, user_id: str) -> int:
        """Give up a mailbox that was kept for the user, unless it has lapsed and is another's since.

        Returns how many claims these are, as part of `transaction`.
        """
        name = cls.name_of_email(email)
        if not cls._is_held(name, user_id):
            return 0
        cls(claim=name, user_id=user_id).release_in(transaction)
        return 1

    @classmethod
    def _is_held(cls, name: str, user_id: str) -> bool:
        claim = cls.named(name)
        return claim is not None and claim.user_id == user_id

    def release_in(self, transaction: Transaction) -> None:
        """Give up the claim as part of `transaction`, which fails when it is somebody else's."""
        free_or_ours = Claim.claim.does_not_exist() | (Claim.user_id == self.user_id)
        transaction.delete(self, condition=free_or_ours)

    def release(self) -> None:
        """Give up the claim if it is this recording's, so that the key or the phone's name is free again."""
        with suppress(ConditionFailed), storage_failures():
            self.delete(condition=Claim.file_id == self.file_id)

    def add_to(self, transaction: Transaction) -> None:
        """Take the claim as part of `transaction`, which fails when somebody has it or may have it back."""
        free = Claim.claim.does_not_exist() | (Claim.kept_until <= now())
        transaction.save(self, condition=free)

    def take_from(self, former: Claim | None, transaction: Transaction) -> None:
        """Take the claim as part of `transaction`, which fails when it is free no more and not `former`'s."""
        free = Claim.claim.does_not_exist()
        if former is not None:
            free |= Claim.file_id == former.file_id
        transaction.save(self, condition=free)

    def is_taken_beside(self, former: Claim | None) -> bool:
        """Whether another recording than `former`'s has the claim by now; strongly consistent."""
        found = Claim.named(self.claim)
        return found is not None and (former is None or found.file_id != former.file_id)

    def take_if_free(self) -> bool:
        """Write the claim for a row that has none yet; False when there is one, whoever owns it."""
        try:
            with storage_failures():
                self.save(condition=Claim.claim.does_not_exist())
        except ConditionFailed:
            return False
        return True
