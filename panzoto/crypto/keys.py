"""What opens recordings, as values to be handed on: all that a password opens, or one recording's key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from panzoto.errors import DamagedRecord

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DirectKeys:
    """One password's keys for single-shot recordings: the two readings of the salt in the field."""

    raw_salt: bytes = field(repr=False)
    hex_salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        return self.raw_salt + self.hex_salt

    @classmethod
    def from_bytes(cls, data: bytes) -> DirectKeys:
        return cls(data[:KEY_BYTES], data[KEY_BYTES:])


class DerivedLater:
    """Direct keys that are derived when they are first needed, and once, however many threads need them."""

    def __init__(self, derive: Callable[[], DirectKeys]) -> None:
        self._derive = derive
        self._guard = threading.Lock()
        self._derived: DirectKeys | None = None

    def get(self) -> DirectKeys:
        with self._guard:
            if self._derived is None:
                self._derived = self._derive()
            return self._derived


@dataclass(frozen=True, slots=True)
class Keys:
    """What a password opens: the vault key, and the direct keys of every password so far.

    There is no vault key while an account that has no vault is only looked at, and no `current` where no
    password was given. Nothing but single-shot recordings needs those, which are dear to derive.
    """

    vault_key: bytes | None = field(repr=False)
    current: DerivedLater | None = field(default=None, repr=False, compare=False)
    earlier: tuple[DirectKeys, ...] = field(default=(), repr=False)

    @property
    def generations(self) -> tuple[DirectKeys, ...]:
        """The direct keys of every password, each once and newest first. Two PBKDF2 when first asked for."""
        current = () if self.current is None else (self.current.get(),)
        return tuple(dict.fromkeys((*current, *self.earlier)))

    def the_vault_key(self) -> bytes:
        """Return the vault key where there must be one. Raises `DamagedRecord`."""
        if self.vault_key is None:
            raise DamagedRecord()
        return self.vault_key


@dataclass(frozen=True, slots=True)
class FileKey:
    """The key of one version 2 recording, which its client has unwrapped by itself.

    `key_id` names the vault whose recording it must be; None where it is known already whose it is.
    """

    key: bytes = field(repr=False)
    key_id: bytes | None = None


# What a client may show to open a recording.
AnyKeys = Keys | FileKey
