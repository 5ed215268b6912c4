"""What a process carries by itself: in order, bounded, and to its end when the process ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from panzoto.mail import errands
from panzoto.mail.background import Background
from panzoto.mail.errands import Errand
from tests.support.service import ROOT

WAIT_SECONDS = 10.0


def errand(to: str = "ada@example.com") -> Errand:
    return Errand.of(errands.RESET, {"to": to})


class Kept:
    """Does errands by keeping them, once its gate is open."""

    def __init__(self) -> None:
        self.done: list[Errand] = []
        self.gate = threading.Event()

    def __call__(self, one: Errand) -> None:
        self.gate.wait(WAIT_SECONDS)
        self.done.append(one)


def test_errands_are_done_in_order_and_who_has_them_does_not_wait() -> None:
    kept = Kept()
    background = Background(kept)
    sent = [errand(f"ada{number}@example.com") for number in range(20)]
    for one in sent:
        background.later(one)
    assert kept.done == []
    kept.gate.set()
    background.drain()
    assert kept.done == sent


def test_what_fails_keeps_nothing_else_from_leaving(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    def do(one: Errand) -> None:
        if one.values["to"] == "bad@example.com":
            raise LookupError(one.values["to"])
        done.append(one)

    background, good = Background(do), errand()
    background.later(errand("bad@example.com"))
    background.later(good)
    background.drain()
    assert done == [good]
    assert [record.message for record in caplog.records] == ["mail_failed"]


def test_what_is_too_much_is_thrown_away(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    background = Background(kept, waiting=3)
    for _ in range(9):
        background.later(errand())
    dropped = caplog.text.count("mail_dropped")
    kept.gate.set()
    background.drain()
    # One may be under way already while three wait.
    assert 3 <= len(kept.done) <= 4
    assert dropped == 9 - len(kept.done)


def test_what_hangs_does_not_keep_the_process_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    background = Background(kept)
    background.later(errand())
    started = time.monotonic()
    background.drain(0.2)
    assert time.monotonic() - started < WAIT_SECONDS / 2
    assert "mail_left_unsent" in caplog.text
    kept.gate.set()


def test_the_process_ends_only_after_what_waits_has_left(tmp_path: Path) -> None:
    """Where there is no queue: nobody listens where SQS is looked for."""
    program = f"""
import time
from pathlib import Path
from panzoto.config import Settings
from panzoto.mail import errands, post, transports
from panzoto.mail.codes import MailCodes
from panzoto.mail.errands import Errand
from panzoto.mail.letter_limit import LetterLimit

class Slow(transports.Files):
    def send(self, kind, message):
        time.sleep(0.2)
        super().send(kind, message)

transports.Files = Slow
settings = Settings(mail="files", secret_key="k" * 40, data_dir=Path({str(tmp_path)!r}))
found = post.post_for(settings, MailCodes(settings.secret_key, ()), LetterLimit(settings.limit_letters))
for _ in range(5):
    values = {{"user_id": "ada", "to": "ada@example.com"}}
    found.later(Errand.of(errands.VERIFICATION, values, is_counted=True))
"""
    away = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=away, timeout=60)
    assert len(list((tmp_path / "mail").iterdir())) == 5
