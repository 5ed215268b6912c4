"""Clients' addresses: whatever a proxy writes of one, it is the same one."""

from __future__ import annotations

import pytest

from panzoto.auth.network_address import counted_as, parse_address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.8", "203.0.113.8"),
        (" 203.0.113.8 ", "203.0.113.8"),
        ("203.0.113.8:51234", "203.0.113.8"),
        ('"203.0.113.8:51234"', "203.0.113.8"),
        ("::ffff:203.0.113.8", "203.0.113.8"),
        ("[::ffff:203.0.113.8]:443", "203.0.113.8"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_one_address_has_one_spelling(written: str, address: str) -> None:
    assert str(parse_address(written)) == address


@pytest.mark.parametrize(
    "written",
    ["", "unknown", "_hidden", "203.0.113", "203.0.113.8:", "1.2.3.4.5:80", "[]", "::1::", "010.0.0.1"],
)
def test_what_is_no_address_is_none(written: str) -> None:
    assert parse_address(written) is None


def test_a_network_of_one_customer_is_counted_together() -> None:
    assert (
        counted_as("2001:db8:1:2::1") == counted_as("2001:db8:1:2:ffff:ffff:ffff:ffff") == "2001:db8:1:2::/64"
    )
    assert counted_as("2001:db8:1:3::1") != counted_as("2001:db8:1:2::1")
    assert counted_as("203.0.113.8") == "203.0.113.8"


@pytest.mark.parametrize("written", ["2002:cb00:7108::1", "2002:cb00:7108:ffff::9", "64:ff9b::cb00:7108"])
def test_an_address_that_carries_one_of_ipv4_is_counted_as_that(written: str) -> None:
    assert counted_as(written) == "203.0.113.8"
