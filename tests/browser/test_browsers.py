"""The browsers and what watches pages in them, without which no other test here says anything."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Axe
from tests.support.service import Service

POLICY = "default-src 'none'; script-src 'self'; img-src data:; require-trusted-types-for 'script'"
GOOD = (
    "<!doctype html><html lang=en><title>Notes</title><link rel=icon href=data:,>"
    "<main><h1>Notes</h1><button>Add</button></main>"
)


def shown(page: Page, body: str) -> None:
    """Show a page of our own making, under a policy, on a secure origin."""
    answer = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
    page.route("http://localhost:5000/notes", lambda route: route.fulfill(body=body, headers=answer))
    page.goto("http://localhost:5000/notes")


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_pages_of_the_service_open_in_both_browsers(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], console: Service
) -> None:
    page = new_page(request.getfixturevalue(name), locale="de-DE")
    page.goto(f"{console.url}/verify")
    expect(page.get_by_role("button", name="Adresse bestätigen")).to_be_visible()
    assert page.evaluate("() => navigator.languages[0]") == "de-DE"
    assert page.evaluate("() => isSecureContext")


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_there_is_a_microphone(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], console: Service
) -> None:
    page = new_page(request.getfixturevalue(name))
    page.goto(f"{console.url}/verify")
    assert page.evaluate(
        """async () => {
            const heard = await navigator.mediaDevices.getUserMedia({audio: true});
            return heard.getAudioTracks().map(({readyState}) => readyState);
        }"""
    ) == ["live"]


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_axe_finds_what_is_wrong_and_nothing_else(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], axe: Axe
) -> None:
    page = new_page(request.getfixturevalue(name))
    shown(page, GOOD)
    axe.check(page)
    shown(page, GOOD.replace("Add", ""))
    with pytest.raises(AssertionError, match="button-name"):
        axe.check(page)


def test_a_page_that_is_wider_than_its_window_is_told(page: Page, axe: Axe) -> None:
    shown(page, GOOD.replace("Notes</h1>", "N" * 200 + "</h1>"))
    with pytest.raises(AssertionError, match=r"360 px: the page is \d+ px wide"):
        axe.check(page, widths=[360], schemes=["light"])


def test_a_page_that_breaks_its_policy_has_complained(
    page: Page, complaints: Callable[[Page], list[str]]
) -> None:
    shown(page, GOOD.replace("<button", "<button style='color: red'"))
    (told,) = complaints(page)
    assert re.search("inline style", told)
    complaints(page).clear()


def test_what_a_script_raises_has_complained(page: Page, complaints: Callable[[Page], list[str]]) -> None:
    shown(page, GOOD)
    with page.expect_event("pageerror"):
        page.evaluate("() => { setTimeout(() => { throw new Error('out of notes'); }); }")
    assert complaints(page) == ["out of notes"]
    complaints(page).clear()
