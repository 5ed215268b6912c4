"""Does each index hold exactly the rows of its table? Compared by sums of digests, in constant memory.

Rows go into buckets by their id. Where the sums of a bucket agree, so do its
rows; of a bucket where they do not, every row is looked at again, by id.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from migrations_from_rds.compare import Verdict
from migrations_from_rds.rows import USERS
from migrations_from_rds.source import Snapshot
from migrations_from_rds.survey import ROWS_AT_ONCE
from migrations_from_rds.target import model_of
from panzoto.models import AudioFile, User
from panzoto.models.bulk import ORIGIN, BulkTables, Item, key_name, text

BUCKET_DIGITS = 3
BUCKETS = 16**BUCKET_DIGITS
MODULUS = 2**128
# An index follows its table within moments; so often it is asked again before that counts as a difference.
ATTEMPTS = 4
PAUSE_SECONDS = 2.0
MOST_ROWS_NAMED = 1_000_000


class Sums:
    """For each bucket of ids, how many rows and the sum of their digests.

    Only rows that migrations of the names `origins` wrote are counted.
    """

    def __init__(self, table: str, origins: Iterable[str]) -> None:
        self._table = table
        self.origins = set(origins)
        self._rows = [0] * BUCKETS
        self._sums = [0] * BUCKETS
        self._lock = threading.Lock()

    def admit(self, items: Iterable[Item]) -> None:
        """Add `items`, whichever migration wrote them, and count it from now on."""
        wanted = list(items)
        with self._lock:
            self.origins |= {origin for item in wanted if (origin := text(item, ORIGIN)) is not None}
        self.add(wanted)

    def add(self, items: Iterable[Item]) -> None:
        """Add those of `items` that are counted and belong into the index."""
        key = key_name(model_of(self._table))
        values = [(item[key]["S"], fingerprint(item)) for item in items if self.counts(item)]
        with self._lock:
            for row_id, value in values:
                bucket = bucket_of(row_id)
                self._rows[bucket] += 1
                self._sums[bucket] = (self._sums[bucket] + value) % MODULUS

    def counts(self, item: Item) -> bool:
        """Whether the index holds `item`: it was migrated and has what the index is ordered by."""
        ordered_by = "email" if self._table == USERS else "uploaded_at"
        return text(item, ORIGIN) in self.origins and ordered_by in item

    @property
    def rows(self) -> int:
        return sum(self._rows)

    def differing(self, other: Sums) -> set[int]:
        """Return the buckets that are not the same in both."""
        return {
            bucket
            for bucket in range(BUCKETS)
            if (self._rows[bucket], self._sums[bucket]) != (other._rows[bucket], other._sums[bucket])
        }


def fingerprint(item: Item) -> int:
    """Return a number that stands for all attributes of `item`."""
    canonical = json.dumps(item, sort_keys=True, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(canonical, digest_size=16).digest())


def bucket_of(row_id: str) -> int:
    return int(row_id[:BUCKET_DIGITS], 16)


def index_of(table: str) -> str:
    """Return the name of the one index of the table."""
    index = User.email_index if table == USERS else AudioFile.user_files_index
    return str(index.Meta.index_name)


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of an index: how many rows it holds, and each difference as (id, verdict)."""

    rows: int
    differences: list[tuple[str, Verdict]]
    buckets_not_named: int


class IndexCheck:
    """Compares the index of one table with `expected`, the sums of the rows that were found in the table."""

    def __init__(self, tables: BulkTables, table: str) -> None:
        self._tables = tables
        self._table = table
        self._key = key_name(model_of(table))

    def run(self, expected: Sums, source: Snapshot, advance: Callable[[int], None]) -> Checked:
        """Compare, waiting a little for an index that lags."""
        for attempt in range(ATTEMPTS):
            found = self._scan(expected.origins, advance)
            different = expected.differing(found)
            if not different:
                return Checked(found.rows, [], 0)
            if attempt < ATTEMPTS - 1:
                time.sleep(PAUSE_SECONDS)
        named = self._nameable(different, max(expected.rows, found.rows))
        differences = sorted(self._name(expected, named, source), key=lambda entry: entry[0])
        return Checked(found.rows, differences, len(different) - len(named))

    def _scan(self, origins: set[str], advance: Callable[[int], None]) -> Sums:
        sums = Sums(self._table, origins)
        for items in self._tables.pages(model_of(self._table), index_of(self._table)):
            sums.add(items)
            advance(len(items))
        return sums

    def _nameable(self, different: set[int], rows: int) -> set[int]:
        """Return as many of the buckets as fit into memory row by row."""
        most = max(1, MOST_ROWS_NAMED * BUCKETS // max(rows, 1))
        return set(sorted(different)[:most])

    def _name(self, expected: Sums, buckets: set[int], source: Snapshot) -> Iterator[tuple[str, Verdict]]:
        index = index_of(self._table)
        in_table = self._fingerprints(expected, None, buckets)
        in_index = self._fingerprints(expected, index, buckets)
        in_source = {
            row_id
            for page in source.ids(self._table, ROWS_AT_ONCE)
            for row_id in page
            if bucket_of(row_id) in buckets
        }
        for row_id in in_table.keys() | in_index.keys():
            if row_id not in in_source:
                yield row_id, Verdict("extra", "a migration wrote it and the database does not hold it")
            elif row_id not in in_index:
                yield row_id, Verdict("index_missing", f"it is not in {index}")
            elif in_table.get(row_id) != in_index[row_id]:
                yield row_id, Verdict("index_differs", f"{index} holds it otherwise than the table")

    def _fingerprints(self, expected: Sums, index: str | None, buckets: set[int]) -> dict[str, int]:
        return {
            item[self._key]["S"]: fingerprint(item)
            for items in self._tables.pages(model_of(self._table), index)
            for item in items
            if expected.counts(item) and bucket_of(item[self._key]["S"]) in buckets
        }
