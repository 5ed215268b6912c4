"""The messages that a service with MAIL=files has written, as their receivers find them."""

from __future__ import annotations

import email
import email.policy
import functools
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.support.service import Service
from tests.support.waiting import eventually

WAIT_SECONDS = 20.0
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-([a-z-]+)-[0-9a-f]{6}\.eml")
CODE = re.compile(r"^[A-Za-z0-9_-]{80,}$", re.MULTILINE)


def folder(service: Service) -> Path:
    return service.data_dir / "mail"


def files(service: Service) -> list[Path]:
    """Return the files of all messages that are written to their ends, oldest first."""
    return sorted(folder(service).glob("[!.]*"))


def sent(service: Service, address: str) -> list[tuple[str, EmailMessage]]:
    """Return the kind and the text of every message to `address` so far, oldest first."""
    found = []
    for path in files(service):
        to, message = _read_once(path)
        if to == address:
            found.append((kind(path), message))
    return found


@functools.cache
def _read_once(path: Path) -> tuple[str, EmailMessage]:
    """Return whom a message is to, and itself, which never changes: whoever waits looks at all each time."""
    message = read(path.read_bytes())
    return message["To"].addresses[0].addr_spec, message


def kind(path: Path) -> str:
    named = NAME.fullmatch(path.name)
    assert named is not None, path.name
    return named[1]


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text(message: EmailMessage) -> str:
    content: Any = message.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def every(service: Service) -> list[EmailMessage]:
    """Return every message so far, oldest first."""
    return [_read_once(path)[1] for path in files(service)]


def wait_for(service: Service, address: str, wanted: str, count: int = 1) -> EmailMessage:
    """Return the latest message of kind `wanted` to `address`, once there are `count` of them."""

    def come() -> list[EmailMessage]:
        return [message for kind, message in sent(service, address) if kind == wanted]

    eventually(lambda: len(come()) >= count, lambda: f"{len(come())} of {count} {wanted} mails have come")
    return come()[-1]


def code_in(message: EmailMessage) -> str:
    """Return the one code in a message."""
    (code,) = CODE.findall(text(message))
    return str(code)


def kinds(service: Service, address: str) -> list[str]:
    return [kind for kind, _ in sent(service, address)]
