"""Tells a person that something on this machine has failed: `python -m deploy.machine.alarm UNIT`.

systemd starts it when a unit fails. It calls `ALARM_URL` with a small JSON
object, such as a chat's or a pager's incoming address takes, and hands
`ALARM_MAIL` a letter by this machine's own sendmail; both are in
/etc/panzoto/alarm.env. What it tells is the unit, the machine and the moment.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

SECONDS = 10
TRIES = 3
PAUSE_SECONDS = 5
SENDMAIL = ("sendmail", "/usr/sbin/sendmail", "/usr/lib/sendmail")
NOBODY = "nobody is told: neither ALARM_URL nor ALARM_MAIL is set in /etc/panzoto/alarm.env"


def tell(unit: str, environment: Mapping[str, str]) -> list[str]:
    """Tell everybody who is to be told of `unit`; return what went wrong, without an address."""
    host, at = socket.gethostname(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    text = f"{unit} has failed on {host} at {at}. What it says: journalctl -u {unit} -n 100"
    url, mail = environment.get("ALARM_URL", ""), environment.get("ALARM_MAIL", "")
    if not url and not mail:
        return [NOBODY]
    failures = []
    if url and not _called(url, {"unit": unit, "host": host, "at": at, "text": text}):
        failures.append("ALARM_URL could not be called")
    if mail and not _mailed(mail, f"{unit} has failed on {host}", text):
        failures.append("ALARM_MAIL could not be written to: is there a sendmail on this machine?")
    return failures


def _called(url: str, body: dict[str, str]) -> bool:
    if urlsplit(url).scheme not in ("http", "https"):
        return False
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310 - the scheme was looked at
                return True
        except (urllib.error.URLError, OSError):
            continue
    return False


def _mailed(address: str, subject: str, text: str) -> bool:
    program = next(filter(None, map(shutil.which, SENDMAIL)), None)
    if program is None or "\n" in address:
        return False
    letter = f"To: {address}\nSubject: {subject}\n\n{text}\n"
    command = [program, "-i", "--", address]
    ran = subprocess.run(command, input=letter, text=True, capture_output=True, check=False)  # noqa: S603
    return ran.returncode == 0


def main() -> int:
    """Run the command line."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m deploy.machine.alarm UNIT\n")
        return 2
    failures = tell(sys.argv[1], os.environ)
    for failure in failures:
        sys.stderr.write(f"panzoto-alarm: {failure}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
