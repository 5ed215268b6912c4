"""Does every recording of one account still open? Reads everything, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from panzoto.crypto.keys import Keys
from panzoto.errors import InvalidCredentials, InvalidPassword, PanzotoError
from panzoto.models import AudioFile, User
from panzoto.models.damage import require_whole
from panzoto.services import Services

Progress = Callable[[list[AudioFile]], Iterator[AudioFile]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one recording; `problem` is a stable code and a sentence, or empty."""

    file_id: str
    format: str
    plain_bytes: int
    problem: str


def verify_recordings(services: Services, email: str, password: str, progress: Progress) -> list[Finding]:
    """Open every recording of `email`'s account to its last byte.

    Of one whose row is damaged that is told, as of one that does not open. Raises `InvalidCredentials`,
    `DamagedRecord` for the account's own row, and, when the tables cannot be read, `Unavailable`.
    """
    user = User.find_by_email(email)
    if user is None:
        raise InvalidCredentials()
    try:
        keys = services.vaults.look(user, password)
    except InvalidPassword as error:
        raise InvalidCredentials() from error
    rows = list(AudioFile.oldest_first_with_damaged(user.user_id))
    return [_verify(services, row, keys) for row in progress(rows)]


def _verify(services: Services, row: AudioFile, keys: Keys) -> Finding:
    heard = 0
    name = ""
    try:
        require_whole(row)
        opened = services.playback.open(row.s3_key, keys, row.format)
        name = opened.format
        for piece in opened.recording.plain(0, opened.recording.length):
            heard += len(piece)
    except PanzotoError as error:
        return Finding(row.file_id, name, heard, f"{error.code}: {error.sentence}")
    return Finding(row.file_id, name, heard, "")
