"""What the views work with, built once from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from panzoto.accounts.accounts import Accounts
from panzoto.accounts.addresses import Addresses
from panzoto.accounts.openid import OpenIdAccounts
from panzoto.accounts.proofs import Proofs
from panzoto.accounts.recovery import Recovery
from panzoto.accounts.sessions import Sessions
from panzoto.accounts.signing_out import SigningOut
from panzoto.accounts.throttle import Throttle
from panzoto.accounts.vaults import Vaults
from panzoto.auth.openid import AccessTokenRule, OpenId
from panzoto.auth.passwords import Passwords
from panzoto.auth.refresh import RefreshTokens
from panzoto.auth.tokens import Tokens
from panzoto.config import Settings, TranscriptionSettings
from panzoto.crypto.permits import HashPermits, Permits
from panzoto.crypto.sealed import Sealer
from panzoto.crypto.transcripts import Voucher
from panzoto.cursors import Cursors
from panzoto.lifecycle.deletion import Deletion
from panzoto.mail.codes import MailCodes
from panzoto.mail.letter_limit import LetterLimit
from panzoto.mail.mailbox import Mailbox
from panzoto.mail.post import Post, post_for
from panzoto.models import check_reachable
from panzoto.playback import opening
from panzoto.playback.decryption import Opening
from panzoto.playback.opening import Playback
from panzoto.playback.places import Places
from panzoto.playback.sittings import Sittings
from panzoto.playback.upgrade import Upgrade
from panzoto.queues.queue import LazyQueue
from panzoto.readiness import Readiness
from panzoto.recordings.checksums import Checksums
from panzoto.recordings.earlier_keys import EarlierKeys
from panzoto.recordings.ledger import Quota
from panzoto.recordings.presigning import Presigner
from panzoto.recordings.trash import Trash
from panzoto.recordings.uploads import Uploads
from panzoto.removal import Removal
from panzoto.storage import Storage
from panzoto.transcripts import engine_address, finding
from panzoto.transcripts.jobs import Engine, Jobs
from panzoto.transcripts.messages import LONGEST_ERRAND, Messages
from panzoto.transcripts.records import Transcripts
from panzoto.transcripts.tickets import TranscriptsTickets


@dataclass(frozen=True, slots=True)
class Services:
    """The long-lived parts of one process; all are safe to use from many threads."""

    settings: Settings
    tokens: Tokens
    throttle: Throttle
    sessions: Sessions
    openid: OpenIdAccounts | None
    vaults: Vaults
    accounts: Accounts
    recovery: Recovery
    addresses: Addresses
    signing_out: SigningOut
    storage: Storage
    removal: Removal
    playback: Playback
    places: Places
    opening: Opening
    upgrade: Upgrade
    presigner: Presigner
    uploads: Uploads
    trash: Trash
    earlier_keys: EarlierKeys
    transcripts: Transcripts
    transcripts_tickets: TranscriptsTickets
    readings: Permits
    searches: Permits
    jobs: Jobs
    deletion: Deletion
    post: Post | None
    mailbox: Mailbox
    cursors: Cursors
    permits: HashPermits
    readiness: Readiness

    @classmethod
    def build(cls, settings: Settings) -> Services:
        secrets = (settings.secret_key, settings.secret_key_fallbacks)
        # Who waits for a hash, for a turn at an account, or to search, holds a thread: a quarter of them at
        # most each.
        waiting = max(4, settings.threads // 4)
        permits = HashPermits(settings.hashes_at_once, settings.hash_wait_seconds, waiting)
        rates = {
            "register": settings.limit_register,
            "login": settings.limit_login,
            "decrypt": settings.limit_decrypt,
            "session": settings.limit_session,
            "transcribe": settings.limit_transcribe,
        }
        throttle = Throttle(rates, settings.limit_failures, waiting)
        tokens = Tokens(*secrets, settings.token_ttl)
        sessions = Sessions(tokens, RefreshTokens(*secrets), settings.refresh_ttl)
        vaults = Vaults(Passwords(settings.argon2, permits), settings.argon2, permits, Voucher(*secrets))
        proofs = Proofs(vaults, throttle)
        openid = _openid(settings, sessions)
        storage = Storage(settings.bucket, settings.region, settings.custom_aws_endpoint, settings.streams)
        removal = Removal(storage)
        presigner = Presigner(
            settings.bucket, settings.region, settings.custom_aws_endpoint, settings.ticket_ttl
        )
        quota = Quota(settings.quota_recordings, settings.quota_bytes)
        earlier_keys = EarlierKeys(storage)
        trash = Trash(removal, earlier_keys, presigner, quota)
        checksums = Checksums(storage)
        uploads = Uploads(storage, removal, presigner, quota, settings.single_upload_max, trash, checksums)
        attempts = Permits(opening.ATTEMPTS_AT_ONCE, opening.WAIT_SECONDS, waiting)
        tickets = Sealer(*secrets, "ticket")
        playback = Playback(storage, removal, tickets, sessions, settings.ticket_ttl, attempts=attempts)
        codes, letter_limit = MailCodes(*secrets), LetterLimit(settings.limit_letters)
        post = post_for(settings, codes, letter_limit)
        mailbox = Mailbox(post, codes, letter_limit)
        return cls(
            settings=settings,
            tokens=tokens,
            throttle=throttle,
            sessions=sessions,
            openid=openid,
            vaults=vaults,
            accounts=Accounts(vaults, proofs, throttle, sessions, openid, mailbox=mailbox),
            recovery=Recovery(vaults, proofs, throttle, sessions, mailbox=mailbox),
            addresses=Addresses(proofs, sessions, mailbox=mailbox),
            signing_out=SigningOut(sessions),
            storage=storage,
            removal=removal,
            playback=playback,
            places=Places(settings.streams, settings.workers),
            opening=Opening(playback, Sittings(storage, playback)),
            upgrade=Upgrade(storage, playback, removal, earlier_keys),
            presigner=presigner,
            uploads=uploads,
            trash=trash,
            earlier_keys=earlier_keys,
            transcripts=Transcripts(storage, removal),
            transcripts_tickets=TranscriptsTickets(Sealer(*secrets, "transcripts"), settings.ticket_ttl),
            readings=Permits(finding.READINGS_AT_ONCE, finding.WAIT_SECONDS, waiting),
            searches=Permits(finding.SEARCHES_AT_ONCE, finding.WAIT_SECONDS, waiting),
            jobs=Jobs(
                _engine(settings.transcription),
                playback,
                Messages(Sealer(*secrets, "transcription", LONGEST_ERRAND)),
                LazyQueue(settings.transcription.queue, settings.region),
                vaults,
            ),
            deletion=Deletion(removal, sessions),
            cursors=Cursors(Sealer(*secrets, "cursor")),
            post=post,
            mailbox=mailbox,
            permits=permits,
            readiness=Readiness(check_reachable, storage.check),
        )


def _engine(settings: TranscriptionSettings) -> Engine | None:
    if settings.url is None:
        return None
    host, is_local = engine_address.host(settings.url), engine_address.is_local(settings.url)
    return Engine(host, settings.model, is_local)


def _openid(settings: Settings, sessions: Sessions) -> OpenIdAccounts | None:
    if settings.oidc_issuer is None:
        return None
    rule = AccessTokenRule(settings.oidc_token_types, settings.oidc_accept_id_tokens)
    provider = OpenId(settings.oidc_issuer, settings.oidc_audiences, settings.oidc_jwks_url, rule)
    return OpenIdAccounts(provider, sessions)
