"""What the views share that ask for transcripts: what opens the recordings, which language, and counting."""

from __future__ import annotations

from functools import partial
from typing import Any

from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.counted_calls import count_call
from panzoto.crypto.keys import FileKey
from panzoto.edge.guard import asking
from panzoto.edge.http import limit_account, services
from panzoto.errors import InvalidRequest, PanzotoError, TooManyRequests
from panzoto.models import AudioFile, User
from panzoto.transcripts.jobs import Counting, Shown, Wish
from panzoto.transcripts.languages import CODES

LANGUAGE_RULE = "language must be two letters of ISO 639-1, of those that this service allows"


def unlock_keys(user: User, wanted: dict[str, Any]) -> Any:
    """Return what opens the recordings: a password's keys, one file key, or one of each by its file_id.

    A password is an attempt, which is counted and written down. Raises what unlocking raises.
    """
    if "password" in wanted:
        return services().accounts.unlock(user, wanted["password"], asking())
    key_id = user.vault_key_id()
    if "file_key" in wanted:
        return FileKey(wanted["file_key"], key_id)
    return {file_id: FileKey(key, key_id) for file_id, key in wanted["file_keys"].items()}


def keys_for_later(user: User, wanted: dict[str, Any]) -> Shown:
    """Return the same for when it is asked for, when a password counts."""

    def keys() -> Any:
        if "password" in wanted:
            count_call()
        return unlock_keys(user, wanted)

    return Shown("password" not in wanted, keys)


def ask_once_stored(row: AudioFile, wanted: dict[str, Any] | None) -> dict[str, Any]:
    """Ask for the transcript that was wished for with a recording, and return the answer about both.

    Whatever that comes to, the recording is stored.
    """
    if wanted is None:
        return {"audio_file": row.to_public()}
    try:
        user = signed_in_user()
        wish = Wish([row.file_id], wanted["language"], wanted["vocabulary"])
        how = (counting(user), asking())
        job = services().jobs.ask_unless_there(row, user, wish, keys_for_later(user, wanted), how)
    except PanzotoError as error:
        refused = {"code": error.code, "error": error.sentence}
        return {"audio_file": row.to_public(), "transcription": None, "transcribe_error": refused}
    now = AudioFile.owned(row.file_id, row.user_id) or row
    return {"audio_file": now.to_public(), "transcription": None if job is None else job.to_public()}


def checked(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return `transcribe` with its language looked at. Raises `InvalidRequest`."""
    return None if wanted is None else {**wanted, "language": language_of(wanted)}


def language_of(wanted: dict[str, Any]) -> str | None:
    """Return the language that was asked for. Raises `InvalidRequest` for one that is not to be had."""
    if not wanted["language"]:
        return None
    language: str = wanted["language"].strip().lower()
    allowed = services().settings.transcription.allow_languages or CODES
    if language not in allowed:
        raise InvalidRequest(LANGUAGE_RULE, {"language": LANGUAGE_RULE})
    return language


def counting(user: User) -> Counting:
    """Return what counts a job of the account, which may raise `TooManyRequests`, and takes that back."""
    uncount = partial(services().throttle.uncount_account, "transcribe", user.user_id)

    def count() -> None:
        try:
            limit_account("transcribe", user.user_id)
        except TooManyRequests:
            # One that is taken back meanwhile makes room for the next.
            uncount()
            raise

    return Counting(count, uncount)
