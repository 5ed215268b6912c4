"""Units by the cases of the DynamoDB Developer Guide, and the sizes that they rest on."""

from __future__ import annotations

import pytest

from tests.support.units import index_units, item_bytes, read_units, view, written_units

KB = 1024
OWN = ("owner",)
ALL = {"ProjectionType": "ALL"}


def item(size: int, **more: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return an item of exactly so many bytes, with `more` attributes beside its filling."""
    filled = {"k": {"S": "x"}, **more, "v": {"S": ""}}
    return filled | {"v": {"S": "y" * (size - item_bytes(filled))}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "a"}, 1),
        ({"S": "ü"}, 2),
        ({"N": "0"}, 1),
        ({"N": "7"}, 2),
        ({"N": "1700000000"}, 2),
        ({"N": "-12345"}, 5),
        ({"N": "1764400000.123456"}, 9),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"B": "AAAA"}, 3),
        ({"SS": ["ab", "c"]}, 3),
        ({"L": [{"S": "ab"}, {"N": "7"}]}, 3 + 1 + 2 + 1 + 2),
        ({"M": {"name": {"S": "ab"}}}, 3 + 1 + 4 + 2),
    ],
)
def test_an_item_is_its_names_and_its_values(value: dict[str, object], size: int) -> None:
    assert item_bytes({"name": value}) == 4 + size


@pytest.mark.parametrize(
    ("old", "new", "transactional", "units"),
    [
        # "Read and write operations": 512 bytes are one unit, 1.5 KB two, in a transaction twice that.
        (None, 512, False, 1),
        (None, 1024, False, 1),
        (None, 1025, False, 2),
        (None, 1536, True, 4),
        # The larger of the two counts, so a smaller item costs what the larger one was.
        (3 * KB, 100, False, 3),
        (2 * KB, None, False, 2),
        # Nothing there to delete is one unit all the same.
        (None, None, False, 1),
    ],
)
def test_a_write_costs_a_unit_for_each_kilobyte(
    old: int | None, new: int | None, transactional: bool, units: int
) -> None:
    both = [None if size is None else item(size) for size in (old, new)]
    assert written_units(*both, transactional=transactional) == units


@pytest.mark.parametrize(
    ("sizes", "how", "units"),
    [
        ([8 * KB], {"consistent": True}, 2),
        ([8 * KB], {}, 1),
        ([8 * KB], {"transactional": True}, 4),
        ([3 * KB], {"consistent": True}, 1),
        ([0], {}, 0.5),
        # BatchGetItem rounds each by itself: 1.5 KB and 6.5 KB are 4 and 8 (its reference).
        ([1536, 6656], {"consistent": True}, 3),
        # A Query rounds the sum: 40 KB at once, however many items there are.
        ([100] * 400, {"consistent": True, "together": True}, 10),
        ([100] * 400, {"together": True}, 5),
        ([], {"together": True}, 0.5),
    ],
)
def test_a_read_costs_a_unit_for_each_four_kilobytes(
    sizes: list[int], how: dict[str, bool], units: float
) -> None:
    assert read_units(sizes, **how) == units


class TestIndex:
    """What a write of the table costs its index ("Using Global Secondary Indexes", throughput)."""

    def units(self, old: dict[str, dict[str, str]] | None, new: dict[str, dict[str, str]] | None) -> int:
        views = [view(one, ("owner", "k"), ALL) for one in (old, new)]
        return index_units(*views, OWN)

    def test_an_item_without_its_key_is_not_in_it(self) -> None:
        assert self.units(None, item(100)) == 0

    def test_an_entry_that_comes_or_goes_is_one_write(self) -> None:
        there = item(1500, owner={"S": "a"})
        assert self.units(item(1500), there) == 2
        assert self.units(there, None) == 2

    def test_an_entry_that_moves_is_two(self) -> None:
        assert self.units(item(100, owner={"S": "a"}), item(1500, owner={"S": "b"})) == 1 + 2

    def test_one_that_stays_as_it_is_costs_nothing(self) -> None:
        there = item(100, owner={"S": "a"})
        assert self.units(there, dict(there)) == 0

    def test_what_is_not_projected_costs_nothing(self) -> None:
        keys = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["name"]}
        old, new = (item(size, owner={"S": "a"}, name={"S": "n"}) for size in (100, 5000))
        views = [view(one, ("owner", "k"), keys) for one in (old, new)]
        assert views[0] == {"owner": {"S": "a"}, "k": {"S": "x"}, "name": {"S": "n"}}
        assert index_units(*views, OWN) == 0
