"""The address of an account with a password: asked for, moved, and moved back.

Where letters leave, an account moves when the code that went to its new
address has come back, so nothing is taken before. The address that it leaves
is kept from others for a while, in which its owner may have it back; so
nobody takes an account away from a mailbox by knowing its password.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.auth.mail_address import normal_form
from panzoto.errors import Conflict, InvalidCode, TooManyRequests, UserExists
from panzoto.models.attributes import now
from panzoto.models.claim import Claim
from panzoto.models.connection import Also, ConditionFailed, Transaction, transact
from panzoto.models.session import Session
from panzoto.models.user import User

KEPT = timedelta(days=7)
# Each takes a claim; whoever moves on as often as this in a week waits for the first of them.
MOST_KEPT = 10
ATTEMPTS = 3

# (address, end in epoch seconds), the earliest left first.
Kept = tuple[str, int]


def kept_addresses(user: User) -> list[Kept]:
    """Return the addresses that the account has left and may still have back."""
    moment = time.time()
    return [(address, until) for address, until in user.value("kept_emails") or () if until > moment]


def ask_for(user: User, email: str) -> None:
    """Note where the account moves when its owner is shown to read mail there.

    Raises `UserExists`, also for the account's own mailbox spelt otherwise, `Conflict`, and
    `TooManyRequests` when it has left very many addresses of late.
    """
    require_free(user, email)
    kept = kept_addresses(user)
    if len(kept) >= MOST_KEPT:
        raise TooManyRequests(retry_after=max(1, kept[0][1] - int(time.time())))
    _change(user, [User.pending_email.set(email)])


def stay(user: User) -> None:
    """Give up an address that was asked for: the account stays where it is. Raises `Conflict`."""
    if user.value("pending_email") is not None:
        _change(user, [User.pending_email.remove()])


def _change(user: User, actions: list[Action]) -> None:
    try:
        user.change(actions, user.at_this_version() & _open_and_at(user.email))
    except ConditionFailed as error:
        raise Conflict() from error


def move_to_pending(user: User, also: Also) -> str:
    """Move the account to the address that was asked for, whose owner has just been shown to read there.

    It does what `also` adds at once. The address it leaves is kept for it. Returns that address.
    Raises `InvalidCode` when another account has the new one by now, or what was asked for has changed.
    """
    before, email = user.email, user.pending_email
    until = now() + KEPT
    actions = [User.email_verified.set(True), User.pending_email.remove()]
    try:
        require_free(user, email)
        _move(user, email, actions, User.pending_email == email, keep_until=until, also=also)
    except (ConditionFailed, UserExists) as error:
        raise InvalidCode() from error
    return before


def move_at_once(user: User, email: str, also: Also) -> None:
    """Move the account where no letters leave, and do what `also` adds: nothing is shown, and nothing kept.

    Raises `UserExists`.
    """
    require_free(user, email)
    actions = [User.email_verified.set(False), User.pending_email.remove()]
    try:
        _move(user, email, actions, User.email == user.email, keep_until=None, also=also)
    except ConditionFailed as error:
        raise UserExists() from error


def _move(
    user: User,
    email: str,
    actions: Sequence[Action],
    condition: Condition,
    *,
    keep_until: datetime | None,
    also: Also,
) -> None:
    """Move account and claims, and do what `also` adds, in one transaction. Raises `ConditionFailed`."""
    before = user.email
    kept = [one for one in kept_addresses(user) if not _same_mailbox(one[0], email)]
    lapsed = [address for address, until in user.value("kept_emails") or () if until <= time.time()]
    comes_back = _keeps(user, email)
    if keep_until is not None:
        kept.append((before, int(keep_until.timestamp())))

    def fill(transaction: Transaction) -> None:
        if keep_until is None:
            Claim.release_email_in(transaction, before, user.user_id)
        else:
            Claim.keep_email_in(transaction, before, user.user_id, keep_until)
        for address in lapsed:
            if not _same_mailbox(address, email) and not _same_mailbox(address, before):
                Claim.release_kept_in(transaction, address, user.user_id)
        _take(transaction, user, email, comes_back)
        transaction.update(
            User(user.user_id),
            actions=[User.email.set(email), _noted(kept), *actions],
            condition=condition & _open_and_at(before),
        )
        also(transaction)

    try:
        transact(fill, User)
    except ConditionFailed:
        user.reload()
        # A write whose reply was lost is sent again and then meets its own result.
        if user.email != email:
            raise
    user.reload()


def move_back(user: User, address: str, ends: Sequence[Session], also: Also) -> None:
    """Give the account an address back that it has left, end `ends` and do what `also` adds, at once.

    Whatever it moved to after that address is given up, so that who took the account away cannot come
    back by an address in between. Raises `InvalidCode` when the address is not kept any more, and
    `Conflict`.
    """
    for _ in range(ATTEMPTS):
        kept = kept_addresses(user)
        places = [place for place, one in enumerate(kept) if one[0] == address]
        if user.being_deleted or not places:
            raise InvalidCode()
        try:
            _move_back(user, address, kept[: places[0]], kept[places[0] + 1 :], ends=ends, also=also)
        except ConditionFailed:
            user.reload()
            if user.email != address:
                continue
        user.reload()
        return
    raise Conflict()


def _move_back(
    user: User, address: str, before: list[Kept], after: list[Kept], *, ends: Sequence[Session], also: Also
) -> None:
    def fill(transaction: Transaction) -> None:
        Claim.release_email_in(transaction, user.email, user.user_id)
        for later, _ in after:
            Claim.release_kept_in(transaction, later, user.user_id)
        for session in ends:
            transaction.delete(session)
        Claim.take_back_in(transaction, address, user.user_id)
        transaction.update(
            User(user.user_id),
            actions=[
                User.email.set(address),
                User.email_verified.set(True),
                User.pending_email.remove(),
                User.token_epoch.set(int(time.time()) + 1),
                User.spared_issued_at.remove(),
                User.version.add(1),
                _noted(before),
            ],
            condition=_still_at(user.email),
        )
        also(transaction)

    transact(fill, User)


def _take(transaction: Transaction, user: User, email: str, comes_back: bool) -> None:
    if comes_back:
        Claim.take_back_in(transaction, email, user.user_id)
    else:
        Claim.for_email(email, user.user_id).add_to(transaction)


def _noted(kept: list[Kept]) -> Action:
    return User.kept_emails.set([list(one) for one in kept]) if kept else User.kept_emails.remove()


def require_free(user: User, email: str) -> None:
    """Raises `UserExists` for a mailbox that the account cannot move to, also its own spelt otherwise."""
    own = _same_mailbox(email, user.email)
    if own or (not _keeps(user, email) and User.email_is_taken(email)):
        raise UserExists()


def _keeps(user: User, email: str) -> bool:
    return any(_same_mailbox(address, email) for address, _ in kept_addresses(user))


def _same_mailbox(one: str, other: str) -> bool:
    return normal_form(one) == normal_form(other)


def _still_at(email: str) -> Condition:
    condition: Condition = (User.email == email) & User.deletion_started_at.does_not_exist()
    return condition


def _open_and_at(email: str) -> Condition:
    condition: Condition = _still_at(email) & User.locked_at.does_not_exist()
    return condition
