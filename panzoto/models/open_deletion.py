"""Which accounts are being deleted right now, in one item, so that whoever starts may look.

The item lies among the claims, none of which has its name.  The mark on an
account's own row is what counts; this spares a read of all rows. An id that
was never noted, or was lost, is found by the daily sweep.
"""

from __future__ import annotations

from panzoto.models.claim import Claim
from panzoto.models.connection import storage_failures

NAME = "deletions"


def note(user_id: str) -> None:
    """Add an account. Raises `Unavailable`."""
    with storage_failures():
        Claim(NAME).update([Claim.user_ids.add({user_id})])


def forget(user_id: str) -> None:
    """Take an account away, which need not be there. Raises `Unavailable`."""
    with storage_failures():
        Claim(NAME).update([Claim.user_ids.delete({user_id})])


def noted() -> set[str]:
    """Return the ids of all of them, strongly consistent. Raises `Unavailable`."""
    found = Claim.named(NAME)
    return set(found.user_ids or ()) if found is not None else set()
