"""How mail leaves: as files or through Amazon SES.

This is the only module that speaks SES; its SDK's errors do not leave it.
"""

from __future__ import annotations

import email.policy
import os
import re
import secrets
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
# A code is copied more easily from one long line, which RFC 5322 allows up to here (section 2.1.1); without
# 8-bit characters, which SES does not take.
POLICY = email.policy.SMTP.clone(max_line_length=998, cte_type="7bit")
DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


class NotSent(Exception):
    """A message could not be handed over; `reason` is a name without any address in it.

    `is_final` where no further attempt would go better.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


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
            raise NotSent("unsendable_address", is_final=True)
        return Address(name, local, domain)
    except (ValueError, MessageError) as error:
        raise NotSent("unsendable_address", is_final=True) from error


def transport_for(settings: Settings) -> Transport | None:
    """Return how mail leaves this service, or None when mail is off."""
    if settings.mail == "files":
        return Files(settings.data_dir / "mail")
    if settings.mail == "ses":
        return Ses(settings.region)
    return None
