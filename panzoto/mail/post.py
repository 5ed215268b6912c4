"""How mail leaves: as files or through Amazon SES, behind the back of the request that caused it.

This is the only module that speaks SES; its SDK's errors do not leave it. A
message that cannot be sent is logged, without any address, and given up: what
it tells has happened all the same, and a code can be asked for again.
"""

from __future__ import annotations

import atexit
import email.policy
import logging
import os
import queue
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import make_msgid, parseaddr
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from panzoto.auth.mail_address import normal_form
from panzoto.config import Settings
from panzoto.mail.letters import Letter

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 5
ATTEMPTS = 4
# A process keeps so many messages waiting and throws away what comes beyond.
WAITING_LETTERS = 1000
# gunicorn ends a worker by force after 10 seconds or more.
DRAIN_SECONDS = 5.0
# A code is copied more easily from one long line, which RFC 5322 allows up to here (section 2.1.1); without
# 8-bit characters, which SES does not take.
POLICY = email.policy.SMTP.clone(max_line_length=998, cte_type="7bit")
DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

Job = Callable[[], Letter | None]

log = logging.getLogger(__name__)


class NotSent(Exception):
    """A message could not be handed over; `reason` is a name without any address in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport(Protocol):
    """Something that takes finished messages."""

    def send(self, kind: str, message: EmailMessage) -> None:
        """Hand over one message. Raises `NotSent`."""


class Files:
    """Writes each message into a folder, for development."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, kind: str, message: EmailMessage) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{kind}-{secrets.token_hex(3)}.eml"
        draft = self._folder / f".{name}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                # With the line ends of files, so that scripts find a code by its line.
                file.write(message.as_bytes(policy=POLICY.clone(linesep="\n")))
            # Who waits for a message sees it whole or not at all.
            draft.rename(self._folder / name)
        except OSError as error:
            raise NotSent(type(error).__name__) from error


class Ses:
    """Sends through Amazon SES, version 2 of its interface."""

    def __init__(self, region: str, attempts: int = ATTEMPTS) -> None:
        self._client: Any = boto3.client(
            "sesv2",
            region_name=region,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                # SES refuses what is beyond its rate a second; the SDK waits and tries again.
                retries={"total_max_attempts": attempts, "mode": "standard"},
            ),
        )

    def send(self, kind: str, message: EmailMessage) -> None:  # noqa: ARG002 - for transports that name it
        try:
            self._client.send_email(
                FromEmailAddress=message["From"].addresses[0].addr_spec,
                Destination={"ToAddresses": [address.addr_spec for address in message["To"].addresses]},
                Content={"Raw": {"Data": message.as_bytes()}},
            )
        except ClientError as error:
            # The text of SES's refusals holds addresses; their code does not.
            raise NotSent(error.response.get("Error", {}).get("Code", "ClientError")) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise NotSent(type(error).__name__) from error


class Post:
    """A bounded queue of letters and one thread that sends them, drained when the process ends."""

    def __init__(
        self,
        transport: Transport,
        sender: str,
        *,
        waiting: int = WAITING_LETTERS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._transport = transport
        self._sender = sender
        self._drain_seconds = drain_seconds
        self._waiting: queue.Queue[Job | None] = queue.Queue(waiting)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def later(self, job: Job) -> None:
        """Let `job` make a letter, or none, in the background and send it. Never waits, never raises."""
        self._start()
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            log.error("mail_dropped")

    def drain(self) -> None:
        """Send what waits, for a few seconds at most, and then nothing more."""
        if self._thread is None:
            return
        deadline = time.monotonic() + self._drain_seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=self._drain_seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.error("mail_left_unsent", extra={"letters": self._waiting.qsize()})

    def _start(self) -> None:
        # Not before the first letter: a thread that is started before a fork is not there after it.
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()
                atexit.register(self.drain)

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._do(job)

    def _do(self, job: Job) -> None:
        kind = "unknown"
        try:
            letter = job()
            if letter is None:
                return
            kind = letter.kind
            self._transport.send(kind, message_of(letter, self._sender))
        except NotSent as error:
            log.warning("mail_failed", extra={"mail": kind, "reason": error.reason})
        except Exception:
            # One letter that cannot be made must not keep the others from leaving.
            log.exception("mail_failed", extra={"mail": kind})
        else:
            log.info("mail_sent", extra={"mail": kind})


def message_of(letter: Letter, sender: str) -> EmailMessage:
    """Return `letter` as a message (RFC 5322). Raises `NotSent` for an address no mail can be sent to."""
    name, address = parseaddr(sender)
    message = EmailMessage(POLICY)
    message["From"] = _address(address, name)
    message["To"] = _address(letter.to)
    message["Subject"] = letter.subject
    message["Date"] = datetime.now(UTC)
    # The domain is said, since the default would ask the network for this machine's name.
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
    # RFC 3834: no holiday notice shall answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def _address(address: str, name: str = "") -> Address:
    """Return `address` with its domain in ASCII and its local part quoted where it must be."""
    try:
        local, _, domain = normal_form(address).rpartition("@")
        if not (local and local.isascii() and DOMAIN.fullmatch(domain)):
            raise NotSent("unsendable_address")
        return Address(name, local, domain)
    except (ValueError, MessageError) as error:
        raise NotSent("unsendable_address") from error


def post_for(settings: Settings) -> Post | None:
    """Return how this service sends mail, or None when mail is off."""
    if settings.mail == "files":
        return Post(Files(settings.data_dir / "mail"), settings.mail_from)
    if settings.mail == "ses":
        return Post(Ses(settings.region), settings.mail_from)
    return None
