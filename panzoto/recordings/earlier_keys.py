"""The direct keys of earlier passwords: kept for single-shot recordings, and given up with the last of them.

As long as they are kept, an object that somebody made with a leaked earlier
password opens like a recording of the owner's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice

from panzoto import object_keys
from panzoto.crypto.header import V2
from panzoto.errors import Conflict, DamagedRecord, Unavailable
from panzoto.models import AudioFile, Claim, User, damage, pauses
from panzoto.storage import Storage

CLAIMS_AT_ONCE = 100
# Of so many earlier passwords the keys are kept when there are no recordings that need them.
KEPT_FOR_PHONES = 10
# So often it is looked anew because the account was changed meanwhile.
LOOKS = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EarlierKeys:
    """The earlier direct keys of the accounts whose recordings lie in one bucket."""

    storage: Storage

    def forget_after_change(self, user_id: str) -> None:
        """Do as `forget_if_unneeded` does once a password was changed, but keep the latest few.

        A phone of before may hold what it has recorded under them and could not send yet. The change
        stands, so what fails here waits for the next one.
        """
        try:
            self.forget_if_unneeded(user_id, all_but=KEPT_FOR_PHONES)
        except Unavailable:
            log.warning("earlier_direct_keys_postponed", extra={"user_id": user_id})

    def forget_if_unneeded(self, user_id: str, all_but: int = 0) -> None:
        """Give the account's earlier direct keys up, but for the latest `all_but`, if nothing may need them.

        What may is a recording not known to be version 2, be it in the trash, and an
        object in the account's folders that is yet to be recorded. Raises `Unavailable`,
        also where the account does not stand still for as long as looking takes.
        """
        for attempt in range(LOOKS):
            # Before the look: what is recorded from here on refuses the write.
            user = User.find(user_id)
            if user is None or user.being_deleted or user.earlier_direct_keys_kept <= all_but:
                return
            if self._are_needed(user_id):
                return
            try:
                user.forget_earlier_direct_keys(all_but)
            except Conflict:
                # Something was recorded, or the password was changed, at this moment.
                pauses.wait(attempt)
                continue
            log.info("earlier_direct_keys_forgotten", extra={"user_id": user_id})
            return
        raise Unavailable()

    def _are_needed(self, user_id: str) -> bool:
        """Whether anything may need them; what cannot be read may, and keeps nothing else from its end."""
        try:
            return AudioFile.any_not_of_format(user_id, V2) or self._any_unrecorded(user_id)
        except DamagedRecord as error:
            damage.tell(error.row)
            return True

    def _any_unrecorded(self, user_id: str) -> bool:
        keys = (
            entry.s3_key
            for folder in object_keys.recording_folders(user_id)
            for entry in self.storage.entries(folder)
            if entry.is_object
        )
        while some := set(islice(keys, CLAIMS_AT_ONCE)):
            if len(Claim.on_s3_keys(some)) < len(some):
                return True
        return False
