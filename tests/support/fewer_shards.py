"""Once this is loaded, processes whose environment says so have fewer shards of accounts that are due.

Whoever looks for them asks for each of the 64 by itself, nearly all of which are empty where there are few
accounts.
"""

from __future__ import annotations

import os
import zlib

from panzoto.lifecycle import chores as pieces
from panzoto.models import due, user
from panzoto.operations import chores

SHARDS = "PANZOTO_TEST_SHARDS"
# For all processes that work on the same tables: still several, so that no account is found by chance.
FEWER = {SHARDS: "8"}


def _count() -> int:
    return int(os.environ.get(SHARDS, due.SHARDS))


def _shard_of(user_id: str) -> str:
    return f"{zlib.crc32(user_id.encode()) % _count():02d}"


def _all_shards() -> list[str]:
    return [f"{number:02d}" for number in range(_count())]


due.shard_of = user.shard_of = _shard_of
due.all_shards = pieces.all_shards = chores.all_shards = _all_shards
