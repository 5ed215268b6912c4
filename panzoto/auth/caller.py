"""Who is calling: the account that a valid token speaks for, and the device at the other end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end: network address and what the device calls itself."""

    address: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid token speaks for."""

    user_id: str
    issued_at: int
    session_id: str | None
    of_provider: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for something, and from where; what a verb needs to write down that it was done."""

    identity: Identity
    client: Client

    @property
    def user_id(self) -> str:
        """The account that asks."""
        return self.identity.user_id
