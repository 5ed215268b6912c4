"""Moments as text: the grammar of RFC 3339, 5.6, and nothing else that a library takes for a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

GRAMMAR = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
MALFORMED = "This must be an RFC 3339 time such as 2026-05-01T10:00:00Z"
NO_SUCH = "There is no such day, time or offset in the calendar"
TOO_EARLY = "Times before 1970-01-01T00:00:00Z cannot be kept"
TOO_LATE = "Times after 9000-01-01T00:00:00Z cannot be kept"


class NotAMoment(Exception):
    """The text is no moment that can be kept; the message is a sentence that says why."""


def moment(text: str) -> datetime:
    """Return the moment in UTC, to the microsecond. Raises `NotAMoment`.

    A leap second has no place in a count of seconds since 1970: it is the
    first second after it, as POSIX counts.
    """
    found = GRAMMAR.fullmatch(text)
    if found is None:
        raise NotAMoment(MALFORMED)
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    offset_hours, offset_minutes = int(found[9] or 0), int(found[10] or 0)
    if second > 60 or offset_hours > 23 or offset_minutes > 59:
        raise NotAMoment(NO_SUCH)
    # Python has no year 0, which is a leap year as 2000 is; before 1970 is before 1970.
    local = _calendar(year or 2000, month, day, hour, minute)
    if year < EARLIEST.year - 1:
        raise NotAMoment(TOO_EARLY)
    if year > LATEST.year:
        raise NotAMoment(TOO_LATE)
    offset = timedelta(hours=offset_hours, minutes=offset_minutes)
    fraction = int((found[7] or "")[:6].ljust(6, "0"))
    local += timedelta(seconds=second, microseconds=fraction)
    return _kept(local + offset if found[8] == "-" else local - offset)


def _calendar(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    try:
        return datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError as error:
        raise NotAMoment(NO_SUCH) from error


def _kept(found: datetime) -> datetime:
    if found < EARLIEST:
        raise NotAMoment(TOO_EARLY)
    if found > LATEST:
        raise NotAMoment(TOO_LATE)
    return found
