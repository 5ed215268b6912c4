"""Two tabs of one session, whose tokens live for seconds: what becomes of them while both are used."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from playwright.sync_api import Page, Request, Response, expect

from tests.support.entrance import go, open_at, part, sign_in, signed_in
from tests.support.service import Service

BETWEEN_ROUNDS_MS = 2_000


@dataclass
class Renewals:
    """The refresh tokens that were used, one by one, and what came of it."""

    used: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        return len(self.used) - len(set(self.used))

    def watch(self, tab: Page) -> None:
        tab.on("request", self._note_request)
        tab.on("response", self._note_response)

    def _note_request(self, sent: Request) -> None:
        if sent.url.endswith("/api/token/refresh"):
            self.used.append(str(json.loads(sent.post_data or "{}")["refresh_token"]))

    def _note_response(self, answer: Response) -> None:
        if answer.url.endswith("/api/token/refresh"):
            self.answers.append(answer.status)


def use_two_tabs(page: Page, service: Service, email: str, seconds: float) -> Renewals:
    """Sign in, open another tab, and go to and fro in both for so long at least; both stay signed in."""
    sign_in(page, service, email, stay=True)
    other = page.context.new_page()
    open_at(other, service, "account")
    signed_in(other)
    tabs, renewals = (page, other), Renewals()
    for tab in tabs:
        renewals.watch(tab)
    for _ in range(int(1000 * seconds) // BETWEEN_ROUNDS_MS):
        for tab in tabs:
            go(tab, "Account")
            go(tab, "Recordings")
        page.wait_for_timeout(BETWEEN_ROUNDS_MS)
    for tab in tabs:
        signed_in(tab)
        go(tab, "Account")
        expect(part(tab, "Sessions").get_by_role("listitem")).to_have_count(2)
    return renewals


def event_types(service: Service, token: str) -> set[str]:
    """Return what types of events the account has."""
    events = service.call("GET", "/api/user/events", token).json()["events"]
    return {str(event["type"]) for event in events}
