"""Any number of people and recordings, each made from its number when it is asked for.

Everybody has `EACH` recordings. Of some people, spread over all, the latest `TODAY` have changed on the day
that the chores are done for, and one of those is in a state that chores are for.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from bench.support.expressions import Item
from panzoto import object_keys
from panzoto.models.due import shard_of

EACH = 50
TODAY = 10
DAY = 86_400
BEGINNING = 1_700_000_000
_MIX = 0x9E3779B97F4A7C15


class State(Enum):
    """What became of a recording on the day."""

    PLAIN = "there"
    EXPIRED = "binned more than thirty days ago"
    BINNED = "binned today"
    NEVER_CAME = "announced more than a day ago, never came"
    CAME_WHOLE = "announced more than a day ago, came whole, never reported"


# Of twenty people who changed something, so many have one in such a state; what was restored is as if it
# had always been there.
_STATES = {0: State.NEVER_CAME, 1: State.CAME_WHOLE, 2: State.EXPIRED, 3: State.EXPIRED, 4: State.BINNED}
OF_SO_MANY = 20


@dataclass(frozen=True, slots=True)
class Recording:
    """The recording `index` of the person `owner`."""

    owner: int
    index: int
    user_id: str
    file_id: str
    state: State

    @property
    def s3_key(self) -> str:
        return object_keys.upload_key(self.user_id, self.file_id)

    @property
    def size(self) -> int:
        return 1000 + (self.owner * 31 + self.index * 17) % 5000

    @property
    def uploaded_at(self) -> int:
        return BEGINNING + self.index * DAY + self.owner % DAY

    @property
    def has_object(self) -> bool:
        return self.state is not State.NEVER_CAME


class People:
    """So many recordings, of which so many accounts changed some, all as of `moment`, epoch seconds."""

    def __init__(self, recordings: int, changed: int, moment: int) -> None:
        self.count = recordings // EACH
        self.changed = min(changed, self.count)
        self.moment = moment
        self._stride = max(1, self.count // max(1, self.changed))

    def user_id(self, number: int) -> str:
        return f"{number:08x}-5eed-4000-8000-{number * _MIX % 2**48:012x}"

    def file_id(self, owner: int, index: int) -> str:
        return f"{owner:08x}-{index:04x}-4000-8000-{(owner * EACH + index) * _MIX % 2**48:012x}"

    def owner(self, user_id: str) -> int | None:
        """Return whose id it is, None for nobody's."""
        try:
            number = int(user_id[:8], 16)
        except ValueError:
            return None
        return number if number < self.count and self.user_id(number) == user_id else None

    def of_file_id(self, file_id: str) -> Recording | None:
        """Return the recording of that id, None where there never was one."""
        try:
            owner, index = int(file_id[:8], 16), int(file_id[9:13], 16)
        except ValueError:
            return None
        if owner >= self.count or index >= EACH or self.file_id(owner, index) != file_id:
            return None
        return self.recording(owner, index)

    def of_key(self, s3_key: str) -> Recording | None:
        """Return the recording whose key it is."""
        found = self.of_file_id(s3_key.rpartition("/")[2])
        return found if found is not None and found.s3_key == s3_key else None

    def recording(self, owner: int, index: int) -> Recording:
        state = self._state(owner) if index == EACH - TODAY else State.PLAIN
        return Recording(owner, index, self.user_id(owner), self.file_id(owner, index), state)

    def has_changed(self, owner: int) -> bool:
        """Whether somebody changed something on the day."""
        return owner % self._stride == 0 and owner // self._stride < self.changed

    def who_changed(self) -> range:
        return range(0, self._stride * self.changed, self._stride)

    def special(self, owner: int) -> Recording:
        """Return the one recording of somebody that may be in a state that chores are for."""
        return self.recording(owner, EACH - TODAY)

    def _state(self, owner: int) -> State:
        if not self.has_changed(owner):
            return State.PLAIN
        return _STATES.get(owner // self._stride % OF_SO_MANY, State.PLAIN)

    def user_item(self, owner: int) -> Item:
        """Return the row of an account as it is when the day's chores begin."""
        user_id, special = self.user_id(owner), self.special(owner)
        outside = special.state in (State.EXPIRED, State.BINNED)
        size = sum(self.recording(owner, index).size for index in range(EACH)) - outside * special.size
        item: Item = {
            "user_id": {"S": user_id},
            "email": {"S": f"{owner}@example.com"},
            "key_salt": {"S": "o5dqVQHaPJ05MsuHlvrr/d3YcPVS/OFxnLjunEncF24="},
            "created_at": {"N": str(BEGINNING)},
            "claims_complete": {"BOOL": True},
            "version": {"N": "1"},
            "change_number": {"N": str(EACH)},
            "used_recordings": {"N": str(EACH - outside)},
            "used_bytes": {"N": str(size)},
            "swept_to": {"N": str(EACH)},
        }
        if self.has_changed(owner):
            item |= {
                "due_at": {"N": str(self.moment - 3600 + owner % 3000)},
                "due_shard": {"S": shard_of(user_id)},
                "swept_to": {"N": str(EACH - TODAY)},
            }
        return item

    def row_item(self, one: Recording) -> Item:
        """Return the row of a recording as it is when the day's chores begin."""
        item: Item = {
            "file_id": {"S": one.file_id},
            "user_id": {"S": one.user_id},
            "s3_key": {"S": one.s3_key},
            "file_size": {"N": str(one.size)},
            "change_number": {"N": str(one.index + 1)},
        }
        if one.state in (State.NEVER_CAME, State.CAME_WHOLE):
            announced = {"N": str(self.moment - 2 * DAY)}
            return item | {"status": {"S": "pending"}, "announced_at": announced}
        item |= {"status": {"S": "stored"}, "format": {"S": "v2"}}
        uploaded = {"N": str(one.uploaded_at)}
        if one.state in (State.EXPIRED, State.BINNED):
            binned = self.moment - (31 * DAY if one.state is State.EXPIRED else DAY // 2)
            return item | {"kept_uploaded_at": uploaded, "deleted_at": {"N": str(binned)}}
        text = datetime.fromtimestamp(one.uploaded_at, UTC).isoformat().replace("+00:00", "Z")
        return item | {"uploaded_at": uploaded, "listed_at": uploaded, "uploaded_at_iso": {"S": text}}

    @staticmethod
    def change_item(one: Recording) -> Item:
        """Return the entry of a recording in its owner's list of changes."""
        return {
            "user_id": {"S": one.user_id},
            "number": {"N": str(one.index + 1)},
            "file_id": {"S": one.file_id},
            "mark": {"S": f"{zlib.crc32(one.file_id.encode()):016x}"},
        }
