"""Once this is loaded, processes whose environment says so have fewer shards of accounts that are due.

Whoever looks for them asks for each of the 64 by itself, nearly all of which are empty where there are few
accounts.
"""

from __future__ import annotations

import os

from panzoto.lifecycle import chores as pieces
from panzoto.models import due, user
from panzoto.operations import chores

SHARDS = "PANZOTO_TEST_SHARDS"
# For all processes that work on the same tables: still several, so that no account is found by chance.
FEWER = {SHARDS: "8"}

_all, _shard, _all_shards = due.SHARDS, due.shard_of, due.all_shards


def _count_anew() -> None:
    due.SHARDS = int(os.environ.get(SHARDS, _all))


def _shard_of_fewer(user_id: str) -> str:
    _count_anew()
    return _shard(user_id)


def _all_of_fewer() -> list[str]:
    _count_anew()
    return _all_shards()


due.shard_of = user.shard_of = _shard_of_fewer
due.all_shards = pieces.all_shards = chores.all_shards = _all_of_fewer
