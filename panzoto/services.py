"""What the views work with, built once from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from panzoto.accounts import Accounts
from panzoto.auth.openid import AccessTokenRule, OpenId
from panzoto.auth.passwords import Passwords
from panzoto.auth.refresh import RefreshTokens
from panzoto.auth.throttle import Throttle
from panzoto.auth.tokens import Tokens
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.sealed import Sealer
from panzoto.cursors import Cursors
from panzoto.deletion import Deletion
from panzoto.earlier_keys import EarlierKeys
from panzoto.mail import open_post
from panzoto.mail_codes import MailCodes
from panzoto.mail_texts import Letters
from panzoto.mailbox import Mailbox
from panzoto.models.library import Quota
from panzoto.openid_accounts import OpenIdAccounts
from panzoto.opening import Opening
from panzoto.playback import Playback
from panzoto.presigning import Presigner
from panzoto.removal import Removal
from panzoto.sessions import Sessions
from panzoto.shelf import Shelf
from panzoto.sittings import Sittings
from panzoto.storage import Storage
from panzoto.upgrade import Upgrade
from panzoto.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Services:
    """The long-lived parts of one process; all are safe to use from many threads."""

    settings: Settings
    tokens: Tokens
    throttle: Throttle
    sessions: Sessions
    openid: OpenIdAccounts | None
    accounts: Accounts
    storage: Storage
    removal: Removal
    playback: Playback
    opening: Opening
    sittings: Sittings
    upgrade: Upgrade
    presigner: Presigner
    uploads: Uploads
    shelf: Shelf
    deletion: Deletion
    mailbox: Mailbox
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
        removal = Removal(storage)
        presigner = Presigner(
            settings.bucket, settings.region, settings.custom_aws_endpoint, settings.ticket_ttl
        )
        quota = Quota(settings.quota_recordings, settings.quota_bytes)
        uploads = Uploads(storage, removal, presigner, quota, settings.single_upload_max)
        earlier_keys = EarlierKeys(storage)
        shelf = Shelf(removal, earlier_keys, quota)
        playback = Playback(storage, removal, Sealer(*secrets, "ticket"), sessions, settings.ticket_ttl)
        mailbox = Mailbox(open_post(settings), MailCodes(*secrets), Letters(settings.public_url))
        return cls(
            settings=settings,
            tokens=tokens,
            throttle=throttle,
            sessions=sessions,
            openid=_openid(settings, sessions),
            accounts=Accounts(passwords, settings.argon2, permits, throttle, sessions, mailbox=mailbox),
            storage=storage,
            removal=removal,
            playback=playback,
            opening=Opening(playback),
            sittings=Sittings(storage, playback),
            upgrade=Upgrade(storage, playback, removal, earlier_keys),
            presigner=presigner,
            uploads=uploads,
            shelf=shelf,
            deletion=Deletion(removal, sessions),
            cursors=Cursors(Sealer(*secrets, "cursor")),
            mailbox=mailbox,
            permits=permits,
        )


def _openid(settings: Settings, sessions: Sessions) -> OpenIdAccounts | None:
    if settings.oidc_issuer is None:
        return None
    rule = AccessTokenRule(settings.oidc_token_types, settings.oidc_accept_id_tokens)
    provider = OpenId(settings.oidc_issuer, settings.oidc_audiences, settings.oidc_jwks_url, rule)
    return OpenIdAccounts(provider, sessions)
