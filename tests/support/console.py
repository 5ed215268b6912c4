"""How a browser gets to the console of an account."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.support.service import PASSWORD, Service


def enter(page: Page, service: Service, account: dict[str, Any]) -> None:
    """Sign in, in whatever language the page speaks."""
    page.goto(service.url)
    page.locator("input[type=email]").fill(account["user"]["email"])
    page.locator("input[autocomplete=current-password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    expect(page.locator("nav")).to_be_visible()


def sign_in(page: Page, service: Service, account: dict[str, Any], stay: bool = False) -> None:
    """Sign in by the page's own fields, in English."""
    page.goto(service.url)
    page.get_by_role("textbox", name="Email").fill(account["user"]["email"])
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    if stay:
        page.get_by_role("checkbox", name="Stay signed in on this device").check()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
