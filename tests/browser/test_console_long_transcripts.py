"""Transcripts of very many lines: those in sight are drawn as lines, and all can be found and reached."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.listening import show
from tests.browser.test_console_words import audible, look, region
from tests.support.browser import Axe
from tests.support.console import sign_in
from tests.support.service import Service
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

LINES = 3000
# Far more than a window holds, and far fewer than there are.
MOST_DRAWN = 500
SELDOM = "xylophone"
SELDOM_LINE = 2345


def said(number: int) -> str:
    word = f" {SELDOM}" if number == SELDOM_LINE else ""
    return f"Line {number} of a conversation{word} " + "that goes on " * (number % 17)


@pytest.fixture
def owner(console: Service, person: dict[str, Any]) -> Owner:
    return Owner(console, person)


@pytest.fixture
def long(owner: Owner) -> str:
    """A recording with a long transcript: its file_id."""
    file_id = audible(owner)
    segments = [
        {"start_ms": 1000 * number, "end_ms": 1000 * number + 900, "text": said(number)}
        for number in range(LINES)
    ]
    document = {"version": 1, "file_id": file_id, "language": "en", "segments": segments}
    assert owner.put(file_id, owner.seal_bytes(file_id, b"\0" + json.dumps(document).encode())).ok
    return file_id


@pytest.fixture(params=["chromium", "firefox"])
def opened(request: pytest.FixtureRequest, new_page: Callable[..., Page], owner: Owner, long: str) -> Page:
    """The page of that recording, in each browser."""
    page = new_page(request.getfixturevalue(request.param))
    sign_in(page, owner.service, owner.account)
    show(page, long)
    expect(line(page, 0)).to_be_visible()
    # While it is being filled, what is in sight may move.
    wait_for_words(page, LINES - 1)
    return page


def wait_for_words(page: Page, number: int) -> None:
    """Return when what a line says stands in the page, drawn or not; by then it hears what is wanted."""
    expect(region(page)).to_contain_text(said(number).strip())


def line(page: Page, number: int) -> Locator:
    return region(page).get_by_role("button", name=said(number).strip(), exact=True)


def drawn(page: Page) -> int:
    return region(page).locator(".segment").count()


def test_all_words_stand_in_the_page_and_few_lines_are_drawn(opened: Page) -> None:
    expect(region(opened)).to_contain_text(said(LINES - 1).strip())
    assert drawn(opened) < MOST_DRAWN
    words = region(opened).locator(".segments").text_content() or ""
    assert all(said(number).strip() in words for number in range(LINES))


def test_lines_are_drawn_where_somebody_scrolls_to_and_say_where_they_stand(opened: Page) -> None:
    opened.keyboard.press("End")
    expect(line(opened, LINES - 1)).to_be_visible()
    item = region(opened).get_by_role("listitem").last
    expect(item).to_have_text(re.compile(re.escape(said(LINES - 1).strip())))
    expect(item).to_have_attribute("aria-posinset", str(LINES))
    expect(item).to_have_attribute("aria-setsize", str(LINES))
    expect(line(opened, 0)).to_have_count(0)
    assert drawn(opened) < MOST_DRAWN
    # Chromium drops a key while it still moves to where the one before leads; a person presses it again.
    eventually(lambda: scrolled_by(opened, "Home"), "the page does not go back to its beginning")
    expect(line(opened, 0)).to_be_visible()


def scrolled_by(page: Page, key: str) -> bool:
    """Press a key, and return whether the page stands at its beginning."""
    page.keyboard.press(key)
    at_the_beginning: bool = page.evaluate("() => scrollY === 0")
    return at_the_beginning


def test_a_hit_of_a_search_leads_to_its_line(opened: Page) -> None:
    look(opened, SELDOM).click()
    expect(line(opened, SELDOM_LINE)).to_be_in_viewport()
    assert drawn(opened) < MOST_DRAWN


def press(page: Page, name: str) -> None:
    """Press the button of this name by the keyboard: lines that come into sight move what a mouse hits."""
    region(page).get_by_role("button", name=name).press("Enter")


def test_a_line_far_down_is_corrected(opened: Page, owner: Owner, long: str) -> None:
    press(opened, "Edit")
    expect(region(opened).get_by_role("textbox").first).to_be_focused()
    wait_for_words(opened, LINES // 2)
    opened.keyboard.press("Control+End")
    region(opened).locator(".segments").evaluate("(list) => list.scrollIntoView({block: 'end'})")
    field = region(opened).get_by_role("textbox", name="Text at 49:59")
    field.fill("The very end")
    # A field that is out of sight is drawn no more, and what was typed in it is still there.
    region(opened).locator(".segments").evaluate("(list) => list.scrollIntoView({block: 'start'})")
    opened.get_by_role("heading", level=1).click()
    press(opened, "Save")
    expect(opened.get_by_role("status").filter(has_text="saved")).to_be_visible()
    segments = owner.opened(long)["segments"]
    assert (len(segments), segments[-1]["text"]) == (LINES, "The very end")
    assert segments[-2]["text"] == said(LINES - 2)


def test_a_long_transcript_is_printed_whole(opened: Page) -> None:
    opened.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    expect(region(opened).locator(".segment")).to_have_count(LINES)
    opened.evaluate("() => { dispatchEvent(new Event('afterprint')); }")
    expect(line(opened, LINES - 1)).to_have_count(0)
    expect(line(opened, 0)).to_be_visible()


def test_axe_finds_nothing_in_a_long_transcript(
    new_page: Callable[..., Page], request: pytest.FixtureRequest, owner: Owner, long: str, axe: Axe
) -> None:
    page = new_page(request.getfixturevalue("chromium"))
    sign_in(page, owner.service, owner.account)
    show(page, long)
    expect(line(page, 0)).to_be_visible()
    axe.check(page, widths=(360, 1440), schemes=("light",))
