"""Once this is loaded, processes whose environment says so have fewer shards of accounts, or parts of tables.

Whoever looks for accounts that are due asks for each of the 64 shards by itself, and whoever goes through a
table of more than a hundred rows for each of its 64 segments, nearly all of which hold next to nothing where
there are few rows.
"""

from __future__ import annotations

import os

from panzoto.lifecycle import chores as pieces
from panzoto.models import due, user
from panzoto.operations import chores, parallel_scan
from panzoto.operations.parallel_scan import ParallelScan, Stage

SHARDS = "PANZOTO_TEST_SHARDS"
# For all processes that work on the same tables: still several, so that no account is found by chance.
FEWER = {SHARDS: "8"}
SEGMENTS = "PANZOTO_TEST_SEGMENTS"
# For commands that go through whole tables: still twice as many as there are threads.
FEW_SEGMENTS = 16
FEWER_SEGMENTS = {SEGMENTS: str(FEW_SEGMENTS)}

_all, _shard, _all_shards = due.SHARDS, due.shard_of, due.all_shards
_all_segments, _divided = parallel_scan.SEGMENTS, ParallelScan._divided


def _count_anew() -> None:
    due.SHARDS = int(os.environ.get(SHARDS, _all))


def _shard_of_fewer(user_id: str) -> str:
    _count_anew()
    return _shard(user_id)


def _all_of_fewer() -> list[str]:
    _count_anew()
    return _all_shards()


def _divided_into_fewer(scan: ParallelScan, stage: Stage) -> int:
    parallel_scan.SEGMENTS = int(os.environ.get(SEGMENTS, _all_segments))
    return _divided(scan, stage)


ParallelScan._divided = _divided_into_fewer
due.shard_of = user.shard_of = _shard_of_fewer
due.all_shards = pieces.all_shards = chores.all_shards = _all_of_fewer
