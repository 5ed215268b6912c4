"""The account that belongs to an OpenID provider's subject, by the claim on issuer and subject."""

from __future__ import annotations

import base64
from collections.abc import Callable

from panzoto.errors import Unavailable
from panzoto.models.attributes import now, rfc3339
from panzoto.models.claim import Claim
from panzoto.models.connection import ConditionFailed, Transaction, transact
from panzoto.models.user import User


def find(claim_name: str) -> User | None:
    """Return the account that owns the claim; two strongly consistent reads."""
    claim = Claim.named(claim_name)
    return None if claim is None else User.find(claim.user_id)


def make(
    *,
    claim_name: str,
    user_id: str,
    email: str | None,
    key_salt: bytes,
    also: Callable[[Transaction], None],
) -> User:
    """Write a new account, its claim and what `also` adds in one transaction; of several at once one does.

    It takes no claim on `email`: an address that a provider tells gives
    nobody a way into the account of a password, and keeps nobody from
    registering. Returns the account that the claim belongs to afterwards.
    """
    created = now()
    user = User(
        user_id=user_id,
        openid_claim=claim_name,
        openid_email=email,
        key_salt=base64.b64encode(key_salt).decode("ascii"),
        created_at=created,
        created_at_iso=rfc3339(created),
        version=1,
    )

    def fill(transaction: Transaction) -> None:
        Claim(claim=claim_name, user_id=user_id).add_to(transaction)
        transaction.save(user, condition=User.user_id.does_not_exist())
        also(transaction)

    try:
        transact(fill, User)
    except ConditionFailed as error:
        first = find(claim_name)
        if first is None:
            # It was made and deleted since; the next call will tell.
            raise Unavailable() from error
        return first
    return user
