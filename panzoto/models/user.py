"""Accounts. Rows of the earlier service read as they are; everything newer is optional."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.transactions import TransactWrite

from panzoto.crypto.derivation import DirectKeys
from panzoto.crypto.vault import Vault, unwrap_direct_keys
from panzoto.errors import DamagedRecord, UserExists, UserNotFound
from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.claim import Claim
from panzoto.models.connection import BaseMeta, ConditionFailed, storage_failures, transact

KEY_SALT_BYTES = 32


class EmailIndex(GlobalSecondaryIndex["User"]):
    class Meta:
        index_name = "email-index"
        projection = AllProjection()

    email = UnicodeAttribute(hash_key=True)


class User(StoredModel):
    """One account.

    `version` counts the changes of what the password protects; who changes it
    says which version was read, so that of two at once one wins.
    """

    class Meta(BaseMeta):
        table_name = "panzoto-users"

    email_index = EmailIndex()
    user_id = UnicodeAttribute(hash_key=True)
    email = UnicodeAttribute()
    password_hash = UnicodeAttribute()
    key_salt = UnicodeAttribute()
    created_at = EpochAttribute()
    created_at_iso = UnicodeAttribute(null=True)
    vault = JSONAttribute(null=True)
    wrapped_direct_keys = JSONAttribute(null=True)
    recovery = JSONAttribute(null=True)
    version = NumberAttribute(null=True)
    claims_complete = BooleanAttribute(null=True)

    @classmethod
    def find(cls, user_id: str) -> User | None:
        """Return the account, strongly consistent."""
        with storage_failures():
            try:
                return cls.get(user_id, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def find_by_email(cls, email: str) -> User | None:
        """Return the account that claims `email`; costs two reads whether or not there is one.

        A row of the earlier service has no claim: the index answers and the claim is written then.
        """
        claim = Claim.on_email(email)
        if claim is not None:
            return cls.find(claim.user_id)
        user = cls._in_index(email)
        if user is not None:
            Claim.for_email(email, user.user_id).take_if_free()
        return user

    @classmethod
    def _in_index(cls, email: str) -> User | None:
        with storage_failures():
            rows = list(cls.email_index.query(email, limit=10))
        return min(rows, key=lambda row: (row.created_at, row.user_id), default=None)

    @classmethod
    def email_is_taken(cls, email: str) -> bool:
        return Claim.on_email(email) is not None or cls._in_index(email) is not None

    @classmethod
    def register(cls, email: str, user_id: str, password_hash: str, key_salt: bytes, vault: Vault) -> User:
        """Write a new account and its claim on `email` in one transaction. Raises `UserExists`."""
        created = now()
        user = cls(
            user_id=user_id,
            email=email,
            password_hash=password_hash,
            key_salt=base64.b64encode(key_salt).decode("ascii"),
            created_at=created,
            created_at_iso=rfc3339(created),
            vault=vault.to_public(),
            version=1,
        )

        def fill(transaction: TransactWrite) -> None:
            Claim.for_email(email, user_id).add_to(transaction)
            transaction.save(user, condition=User.user_id.does_not_exist())

        try:
            transact(fill, cls)
        except ConditionFailed as error:
            # A write whose reply was lost is sent again and then meets its own claim.
            claim = Claim.on_email(email)
            if claim is None or claim.user_id != user_id:
                raise UserExists() from error
        return user

    def to_public(self) -> dict[str, Any]:
        """Return `user` as clients see it."""
        return {"user_id": self.user_id, "email": self.email, "created_at": rfc3339(self.created_at)}

    def salt(self) -> bytes:
        """Return the 32 bytes of the key salt. Raises `DamagedRecord`."""
        try:
            salt = base64.b64decode(self.key_salt, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DamagedRecord() from error
        if len(salt) != KEY_SALT_BYTES:
            raise DamagedRecord()
        return salt

    def stored_vault(self) -> Vault | None:
        return None if self.vault is None else Vault.from_stored(self.vault)

    def earlier_direct_keys(self, vault_key: bytes) -> list[DirectKeys]:
        """Return the direct keys of every earlier password, the most recent first."""
        wrapped = [base64.b64decode(value) for value in self.wrapped_direct_keys or []]
        return [unwrap_direct_keys(vault_key, self.user_id, value) for value in reversed(wrapped)]

    def at_this_version(self) -> Condition:
        """The condition that nobody changed the account since this row was read."""
        return User.version.does_not_exist() if self.version is None else User.version == self.version

    def change(self, actions: list[Action], condition: Condition) -> None:
        """Apply `actions` in one conditional write and take over what is stored then.

        Raises `ConditionFailed`.
        """
        with storage_failures():
            self.update(actions=actions, condition=User.user_id.exists() & condition)

    def reload(self) -> None:
        """Take over what is stored now. Raises `UserNotFound`."""
        stored = User.find(self.user_id)
        if stored is None:
            raise UserNotFound()
        self.attribute_values = stored.attribute_values

    def set_first_vault(self, vault: Vault) -> None:
        """Store the vault made for the password that this row's hash is of. Raises `ConditionFailed`."""
        self.change(
            [User.vault.set(vault.to_public()), User.version.add(1)],
            User.vault.does_not_exist() & (User.password_hash == self.password_hash),
        )

    def replace_hash(self, password_hash: str) -> None:
        """Store a fresh hash of the same password, unless the password has changed meanwhile."""
        try:
            self.change([User.password_hash.set(password_hash)], User.password_hash == self.password_hash)
        except ConditionFailed:
            return

    def mark_claims_complete(self) -> None:
        """Remember that every recording of this account has its claim."""
        self.change([User.claims_complete.set(True)], User.user_id.exists())


def new_user_id() -> str:
    return str(uuid.uuid4())
