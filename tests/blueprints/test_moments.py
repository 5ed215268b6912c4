"""RFC 3339's grammar (5.6), and why a moment cannot be kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from panzoto.blueprints import moments
from panzoto.blueprints.moments import NotAMoment, moment

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T10:00:00Z", TEN),
        ("2026-05-01t10:00:00z", TEN),
        ("2026-05-01T10:00:00-00:00", TEN),
        ("2026-05-01T12:30:00+02:30", TEN),
        ("2026-04-30T10:01:00-23:59", TEN),
        ("2026-05-01T10:00:00.5Z", TEN + timedelta(milliseconds=500)),
        ("2026-05-01T10:00:00.000001Z", TEN + timedelta(microseconds=1)),
        ("2026-05-01T10:00:00.1234567890123Z", TEN + timedelta(microseconds=123456)),
        ("2026-05-01T10:00:00." + "0" * 5000 + "9Z", TEN),
        # Leap seconds: the second after them is as near as a count of seconds comes.
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("1990-12-31T15:59:60.25-08:00", datetime(1991, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:30:00-01:00", datetime(1970, 1, 1, 0, 30, tzinfo=UTC)),
        ("9000-01-01T00:00:00Z", datetime(9000, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_the_grammar_has_is_that_moment(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-05-01",
        "2026-05-01T10:00Z",
        "2026-05-01T10:00:00",
        "2026-05-01 10:00:00Z",
        "2026-05-01_10:00:00Z",
        "2026-05-01T10:00:00.Z",
        "2026-05-01T10:00:00,5Z",
        "2026-05-01T10:00:00+02",
        "2026-05-01T10:00:00+0200",
        "2026-05-01T10:00:00+02:00:00",
        "2026-05-01T10:00:00 02:00",
        "2026-05-01T10:00:00+2:00",
        "2026-05-01T10:00:00ZZ",
        "2026-05-01T10:00:00Z\n",
        " 2026-05-01T10:00:00Z",
        "20260501T100000Z",
        "2026-W18-5T10:00:00Z",
        "2026-121T10:00:00Z",
        "2026-5-1T10:00:00Z",
        "+2026-05-01T10:00:00Z",
        "12026-05-01T10:00:00Z",
        "2026-05-01T10Z",
        "2026-05-01T10:00:00\u2212" + "02:00",
        "\u0662\u0660\u0662\u0666-05-01T10:00:00Z",
        "1777629600",
    ],
)
def test_what_it_has_not_is_no_moment(text: str) -> None:
    with pytest.raises(NotAMoment, match=moments.MALFORMED):
        moment(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1969-12-31T23:59:59Z", moments.TOO_EARLY),
        ("1969-12-31T23:59:59.999999999Z", moments.TOO_EARLY),
        ("1970-01-01T00:30:00+01:00", moments.TOO_EARLY),
        ("0000-02-29T00:00:00Z", moments.TOO_EARLY),
        ("0001-01-01T00:00:00+23:59", moments.TOO_EARLY),
        ("9000-01-01T00:00:00.000001Z", moments.TOO_LATE),
        ("9999-12-31T23:59:60-23:59", moments.TOO_LATE),
        ("2026-02-29T00:00:00Z", moments.NO_SUCH),
        ("2026-13-01T00:00:00Z", moments.NO_SUCH),
        ("2026-00-01T00:00:00Z", moments.NO_SUCH),
        ("2026-05-32T00:00:00Z", moments.NO_SUCH),
        ("2026-05-01T24:00:00Z", moments.NO_SUCH),
        ("2026-05-01T10:60:00Z", moments.NO_SUCH),
        ("2026-05-01T10:00:61Z", moments.NO_SUCH),
        ("2026-05-01T10:00:00+24:00", moments.NO_SUCH),
        ("2026-05-01T10:00:00+00:60", moments.NO_SUCH),
    ],
)
def test_what_cannot_be_kept_says_why(text: str, reason: str) -> None:
    with pytest.raises(NotAMoment, match=reason):
        moment(text)
