"""What the views work with, built once from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from panzoto.accounts import Accounts
from panzoto.auth.passwords import Passwords
from panzoto.auth.refresh import RefreshTokens
from panzoto.auth.throttle import Throttle
from panzoto.auth.tokens import Tokens
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.sealed import Sealer
from panzoto.cursors import Cursors
from panzoto.deletion import Deletion
from panzoto.playback import Playback
from panzoto.sessions import Sessions
from panzoto.storage import Storage
from panzoto.upgrade import Upgrade


@dataclass(frozen=True, slots=True)
class Services:
    """The long-lived parts of one process; all are safe to use from many threads."""

    settings: Settings
    tokens: Tokens
    throttle: Throttle
    sessions: Sessions
    accounts: Accounts
    storage: Storage
    playback: Playback
    upgrade: Upgrade
    deletion: Deletion
    cursors: Cursors
    permits: HashPermits

    @classmethod
    def build(cls, settings: Settings) -> Services:
        secrets = (settings.secret_key, settings.secret_key_fallbacks)
        permits = HashPermits(settings.hashes_at_once, settings.hash_wait_seconds)
        rates = {
            "register": settings.limit_register,
            "login": settings.limit_login,
            "decrypt": settings.limit_decrypt,
        }
        throttle = Throttle(rates, settings.limit_failures)
        tokens = Tokens(*secrets, settings.token_ttl)
        sessions = Sessions(tokens, RefreshTokens(*secrets), settings.refresh_ttl)
        passwords = Passwords(settings.argon2, permits)
        storage = Storage(settings.bucket, settings.region, settings.custom_aws_endpoint, settings.threads)
        playback = Playback(storage, Sealer(*secrets, "ticket"), sessions, settings.ticket_ttl)
        return cls(
            settings=settings,
            tokens=tokens,
            throttle=throttle,
            sessions=sessions,
            accounts=Accounts(passwords, settings.argon2, permits, throttle, sessions),
            storage=storage,
            playback=playback,
            upgrade=Upgrade(storage, playback),
            deletion=Deletion(storage, sessions),
            cursors=Cursors(Sealer(*secrets, "cursor")),
            permits=permits,
        )
