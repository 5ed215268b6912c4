"""The table by which browsers divide texts is that of the service."""

from __future__ import annotations

from tests.support.characters import FILE, written


def test_the_console_has_the_table_of_this_edition_of_unicode() -> None:
    assert FILE.read_text("utf-8") == written()
