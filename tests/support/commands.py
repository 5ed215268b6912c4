"""`flask panzoto …` in a process of its own, on the tables and the bucket of a running service."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.aws import acting_as
from tests.support.forked_commands import Command, forked
from tests.support.service import Service


def command(service: Service, role: str, *words: str, at: str | None = None) -> Command:
    """Start a command with the rights of `role`, on the stand-in at `at` or else the service's own."""
    return forked().start(_environment(service, role, at), *words)


def done(service: Service, role: str, *words: str, at: str | None = None, status: int = 0) -> str:
    """Run a command to its end and return what it printed; it must end with `status`."""
    ended, printed = forked().run(_environment(service, role, at), *words)
    assert ended == status, printed
    return printed


def _environment(service: Service, role: str, at: str | None) -> Mapping[str, str]:
    return acting_as(role, service.environment | {"AWS_ENDPOINT_URL": at or service.aws_url})
