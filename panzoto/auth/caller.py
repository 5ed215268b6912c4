"""Who is calling: the account that a valid token speaks for, and the device at the other end."""

from __future__ import annotations

from dataclasses import dataclass

# More of what a device calls itself is cut off, as of every browser's User-Agent.
DEVICE_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end: network address and what the device calls itself."""

    address: str
    device_name: str

    @property
    def device_to_read(self) -> str:
        """Return the device's name for people: one that was cut off ends at a whole word, and shows it."""
        name = self.device_name
        if len(name) < DEVICE_NAME_CHARACTERS:
            return name
        words = name.rpartition(" ")[0].strip() or name
        if words.count("(") > words.count(")"):
            words = words[: words.rindex("(")].strip() or words
        return f"{words} ..."


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid token speaks for."""

    user_id: str
    issued_at: int
    session_id: str | None
    of_provider: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls in a session, and from where."""

    identity: Identity
    client: Client

    @property
    def user_id(self) -> str:
        return self.identity.user_id

    @property
    def session_id(self) -> str | None:
        return self.identity.session_id
