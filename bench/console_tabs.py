"""Two tabs of one session for an hour, with tokens that live for seconds: neither loses its session.

Both go to and fro between two views all the time, so that each asks for new tokens again and again, often at
the same time as the other. A refresh token that is used twice would end the session, and be among the
account's events.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.support.report import Target, print_table, print_targets
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.entrance import new_email
from tests.support.service import ITSELF, PASSWORD, run_service
from tests.support.stand_in import start_stand_in
from tests.support.two_tabs import event_types, use_two_tabs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--token-seconds", type=int, default=4, help="how long a token lives")
    wanted = parser.parse_args()
    limits = UNLIMITED | {"TOKEN_TTL": str(wanted.token_seconds), "PUBLIC_URL": ITSELF}
    with (
        tempfile.TemporaryDirectory() as folder,
        start_stand_in(Path(folder)) as stand_in,
        run_service(stand_in.url, **stand_in.variables, **limits) as service,
        sync_playwright() as playwright,
        browser.chromium(playwright) as chromium,
    ):
        email = new_email()
        service.register(email)
        page = chromium.new_context().new_page()
        renewals = use_two_tabs(page, service, email, 60 * wanted.minutes)
        # The token of above has ended long ago.
        login = service.call("POST", "/api/login", json={"email": email, "password": PASSWORD}).json()
        reused = "refresh_reused" in event_types(service, login["token"])
    print_table(
        f"two tabs, {wanted.minutes:g} minutes, tokens of {wanted.token_seconds} s",
        ("refresh tokens used", "used twice", "answers"),
        [(str(len(renewals.used)), str(renewals.repeated), str(dict(Counter(renewals.answers))))],
    )
    least = 60 * wanted.minutes // wanted.token_seconds
    print_targets(
        [
            Target("renewals", len(renewals.used), least, at_most=False),
            Target("refresh tokens used twice", renewals.repeated, 0),
            Target("renewals refused", sum(status != 200 for status in renewals.answers), 0),
            Target("sessions ended for it", int(reused), 0),
        ]
    )


if __name__ == "__main__":
    main()
