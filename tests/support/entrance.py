"""How a person comes into the console and goes about in it, by the roles and names of its parts."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from contextlib import suppress

from playwright.sync_api import Error, Locator, Page, expect

from tests.support.service import PASSWORD, Service

_serial = itertools.count()


def new_email() -> str:
    """Return an address that nobody has."""
    return f"somebody-{next(_serial)}-{uuid.uuid4().hex[:8]}@example.com"


def heading(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", name=name, exact=True)


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def textbox(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("textbox", name=name, exact=True)


def part(page: Page, name: str) -> Locator:
    """Return the part of a view under the heading `name`."""
    return page.get_by_role("region", name=name, exact=True)


def open_at(page: Page, service: Service, view: str = "sign-in") -> None:
    page.goto(f"{service.url}/#{view}")


def sign_in(
    page: Page, service: Service, email: str, password: str = PASSWORD, *, stay: bool = False
) -> None:
    """Sign in at the entrance, and wait until the recordings are shown."""
    open_at(page, service)
    fill_in(page, email, password, stay=stay)
    button(page, "Sign in").click()
    signed_in(page)


def fill_in(page: Page, email: str, password: str = PASSWORD, *, stay: bool = False) -> None:
    textbox(page, "Email").fill(email)
    textbox(page, "Password").fill(password)
    if stay:
        page.get_by_role("checkbox", name="Stay signed in on this device").check()


def signed_in(page: Page) -> None:
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def unlock(page: Page, password: str = PASSWORD) -> None:
    expect(heading(page, "Locked")).to_be_visible()
    textbox(page, "Password").fill(password)
    button(page, "Unlock").click()


def until_it_is_locked(page: Page, click: Callable[..., None]) -> None:
    """Click something that asks the service, unless the page has asked by itself before and is locked."""
    with suppress(Error):
        click(timeout=5_000)
    expect(page.get_by_text("This session was ended.")).to_be_visible()


def go(page: Page, view: str) -> None:
    """Go to one of the views that the navigation names."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name=view, exact=True).click()
