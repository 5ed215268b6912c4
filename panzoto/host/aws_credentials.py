"""Credentials of AWS that may come later: a source that is away for a moment does not spoil the process.

botocore asks the chain of sources once for each client and keeps what came,
also nothing: a client made while the instance's metadata service was away goes
on without credentials until the process is started again, and where the source
raises (a container's endpoint, `credential_process`) there is no client at
all. Here the chain is asked when a request is to be signed, and again until it
has given something.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import botocore
import botocore.session
from botocore.credentials import Credentials, create_credential_resolver
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, NoCredentialsError

# So long nobody asks again: each who waits for a source that hangs would else wait for a turn of their own.
PAUSE_SECONDS = 1.0
# Whoever asks each second would fill the log with one and the same line.
TOLD_EVERY_SECONDS = 60.0

log = logging.getLogger(__name__)


def may_come_later() -> None:
    """Let every client that is made from now on find credentials whenever its sources give them."""
    if not _patience.is_set():
        _patience.set()
        botocore.register_initializer(_be_patient)


def are_there() -> bool:
    """Whether any source gives credentials now; some of them take seconds to say that they have none."""
    try:
        return create_credential_resolver(botocore.session.get_session()).load_credentials() is not None
    except (BotoCoreError, OSError, ValueError, KeyError):
        return False


_patience = threading.Event()


def _be_patient(session: Any) -> None:
    session.register_component("credential_provider", _Patient(session))


class _Patient:
    """Stands where botocore keeps its chain of sources, and promises what it will give."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def load_credentials(self) -> Credentials:
        return LateCredentials(self._session)


class LateCredentials(Credentials):  # type: ignore[misc]
    """What the chain of `session` gives, asked for when it is needed.

    Reading it raises `CredentialRetrievalError` while no source has anything or one fails.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._found: Credentials | None = None
        self._failed_with = ""
        self._ask_again_at = self._tell_again_at = 0.0

    def get_frozen_credentials(self) -> Any:
        found = self._found or self._asked()
        try:
            return found.get_frozen_credentials()
        except (OSError, ValueError, KeyError) as error:
            # What a program printed or a file holds is no sentence for a log.
            raise _missing(type(error).__name__) from None

    @property
    def access_key(self) -> str:
        return str(self.get_frozen_credentials().access_key)

    @property
    def secret_key(self) -> str:
        return str(self.get_frozen_credentials().secret_key)

    @property
    def token(self) -> str | None:
        token: str | None = self.get_frozen_credentials().token
        return token

    @property
    def account_id(self) -> str | None:
        """The account, where the source tells it; asked for before a request is signed, so it never fails."""
        try:
            account_id: str | None = self.get_frozen_credentials().account_id
        except BotoCoreError:
            return None
        return account_id

    @property
    def method(self) -> str:
        """Where they came from, by botocore's name; read for each client before any call needs them."""
        return "none yet" if self._found is None else str(self._found.method)

    def _asked(self) -> Credentials:
        """Return what the sources give now, or the failure of a moment ago."""
        with self._lock:
            if self._found is None:
                if time.monotonic() < self._ask_again_at:
                    raise _missing(self._failed_with)
                self._found = self._ask()
            return self._found

    def _ask(self) -> Credentials:
        try:
            found = self._resolver().load_credentials()
            if found is None:
                raise NoCredentialsError()
        except (BotoCoreError, OSError, ValueError, KeyError) as error:
            self._failed_with, self._ask_again_at = type(error).__name__, time.monotonic() + PAUSE_SECONDS
            self._tell()
            raise _missing(self._failed_with) from None
        return found

    def _tell(self) -> None:
        if time.monotonic() >= self._tell_again_at:
            self._tell_again_at = time.monotonic() + TOLD_EVERY_SECONDS
            log.warning("credentials_missing", extra={"error": self._failed_with})

    def _resolver(self) -> Any:
        # As botocore's own factory does, which is not public: a role is assumed in the client's own region.
        region = self._session._last_client_region_used  # noqa: SLF001
        return create_credential_resolver(self._session, region_name=region)


def _missing(why: str) -> CredentialRetrievalError:
    return CredentialRetrievalError(provider="any source", error_msg=why)
