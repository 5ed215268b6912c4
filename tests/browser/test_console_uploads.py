"""Recording and uploading in the console, against the service and the bucket as they are."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.support.service import PASSWORD, Service


def sign_in(page: Page, console: Service, person: dict[str, Any]) -> None:
    page.goto(f"{console.url}/")
    page.get_by_role("textbox", name="Email").fill(person["user"]["email"])
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()


def test_what_is_spoken_arrives(page: Page, console: Service, person: dict[str, Any]) -> None:
    sign_in(page, console, person)
    page.get_by_role("button", name="Record", exact=True).click()
    dialog = page.get_by_role("dialog", name="Record")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_role("timer")).to_have_text("0:03")
    dialog.get_by_role("button", name="Stop and save").click()
    expect(page.get_by_role("list", name="Recordings").get_by_role("listitem")).to_have_count(1)
