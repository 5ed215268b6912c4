"""The exception family of the service: status, stable code and public sentence.

Anything raised from here may be shown to a stranger, so a sentence never
holds a secret, a name from inside the service or a stored value.  The Flask
edge (`panzoto.edge.http`) is the one place that turns these into responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class SettingsError(Exception):
    """A setting cannot be used; its sentence names the setting and stops the start."""


class PanzotoError(Exception):
    """Base of every error that a client may see.

    `status` is the HTTP status, `code` the stable machine-readable name,
    `sentence` the text for a person and `retry_after` whole seconds or None.
    """

    # Whether an answer may hold it, so that the description of the calls tells it.
    met_by_clients: ClassVar[bool] = True
    status: ClassVar[int] = 500
    # Of the class: what one failure knows besides is no name that clients could act on.
    code: ClassVar[str] = "internal_error"
    sentence = "Something went wrong on our side; please try again"
    retry_after: int | None = None
    # Of a call about several recordings: the one that is the reason.
    file_id: str | None = None

    def __init__(self, sentence: str | None = None, *, retry_after: int | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(self.sentence)

    def details(self) -> dict[str, object]:
        """Return what the JSON of this error says beyond sentence, code and request id."""
        return {} if self.file_id is None else {"file_id": self.file_id}


class InvalidRequest(PanzotoError):
    """The request cannot be understood; `fields` says what is wrong with which name."""

    status = 400
    code = "invalid_request"
    sentence = "The request cannot be understood"

    def __init__(self, sentence: str | None = None, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.fields = dict(fields or {})

    def details(self) -> dict[str, object]:
        return {"fields": self.fields} if self.fields else {}


class NeedsPassword(InvalidRequest):
    """A recording of the earlier formats has no key of its own that a client could send."""

    sentence = "This recording is of an earlier format: it opens with the password, not with a file key"

    def __init__(self, file_id: str | None = None) -> None:
        """`file_id` names the clip of a sitting."""
        named = (
            {"file_key": self.sentence}
            if file_id is None
            else {"file_keys": self.sentence, file_id: self.sentence}
        )
        super().__init__(None, named)


class InvalidJson(PanzotoError):
    status = 400
    code = "invalid_json"
    sentence = "The request body must be a JSON object"


class UnsupportedMediaType(PanzotoError):
    status = 415
    code = "unsupported_media_type"
    sentence = "The request body must be sent as application/json"


class TokenMissing(PanzotoError):
    status = 401
    code = "token_missing"
    sentence = "Token is missing"


class TokenInvalid(PanzotoError):
    status = 401
    code = "token_invalid"
    sentence = "Token is invalid or expired"


class AccountGone(TokenInvalid):
    """The account of a token is not there any more."""


class InvalidCredentials(PanzotoError):
    status = 401
    code = "invalid_credentials"
    sentence = "Invalid email or password"


class InvalidPassword(PanzotoError):
    status = 401
    code = "invalid_password"
    sentence = "Invalid password"


class InvalidProviderToken(PanzotoError):
    """What a provider issued does not prove that the account's owner has signed in there just now."""

    status = 401
    code = "invalid_provider_token"
    sentence = "Please sign in at your provider again: its token must be of this account and just issued"


class AccountLocked(PanzotoError):
    """An operator keeps everybody out; told only to who has proven that the account is theirs."""

    status = 403
    code = "account_locked"
    sentence = "This account is locked; please write to whoever runs this service"


class BeingDeleted(PanzotoError):
    """An operator's command met an account that is going; no call answers it."""

    met_by_clients = False
    status = 409
    code = "being_deleted"
    sentence = "The account is being deleted"


class ObjectsKept(PanzotoError):
    """S3 would not remove `waiting` versions or more of an account that is being deleted.

    No call answers it: a deletion goes on behind its answer.
    """

    met_by_clients = False
    status = 409
    code = "objects_kept"
    sentence = "The bucket does not let go of all objects of the account"

    def __init__(self, waiting: int) -> None:
        super().__init__()
        self.waiting = waiting


class UnusableInventory(PanzotoError):
    """The bucket's Inventory report is missing, damaged, or not made as this service reads it.

    No call answers it: an operator's command or a worker does.
    """

    met_by_clients = False
    status = 409
    code = "unusable_inventory"
    sentence = "The bucket's inventory cannot be used"


class EngineRefused(PanzotoError):
    """The speech engine will not take this sound, now or later; `reason` is for the log and quotes nothing.

    No call answers it: it ends a transcription.
    """

    met_by_clients = False
    status = 502
    code = "engine_refused"
    sentence = "The speech engine refused this recording"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class EngineUnavailable(PanzotoError):
    """The speech engine cannot be reached, is busy, or answers what cannot be read; another attempt may do.

    `reason` is for the log and quotes nothing; `retry_after` is what the engine asks for, in seconds. No
    call answers it: it ends a transcription when all attempts are used up.
    """

    met_by_clients = False
    status = 503
    code = "engine_unavailable"
    sentence = "The speech engine cannot be reached or gives no usable answer"

    def __init__(self, reason: str, retry_after: int | None = None) -> None:
        super().__init__(retry_after=retry_after)
        self.reason = reason


class AccountNeedsRecovery(PanzotoError):
    """The stored hash is broken, so that no password can be right; a reset by mail keeps the key salt."""

    status = 403
    code = "account_needs_recovery"
    sentence = (
        "This account's password cannot be checked any more; please ask for a code by mail (forgot password) "
        "and set the password you had, which opens your recordings again"
    )


class RecoveryFailed(PanzotoError):
    """A wrong recovery key and an unknown account look the same."""

    status = 401
    code = "recovery_failed"
    sentence = "The email address and the recovery key do not belong together"


class InvalidRecoveryKey(PanzotoError):
    status = 400
    code = "invalid_recovery_key"
    sentence = "The recovery key is not written correctly; please compare it with your copy"


class InvalidCode(PanzotoError):
    """A code that came by mail was not sealed here, has expired, or what it was for has changed since."""

    status = 400
    code = "invalid_code"
    sentence = "The code is invalid or expired; please ask for a new one"


class RecordingsWouldBeLost(PanzotoError):
    """A password reset without the recovery key; the code stays usable."""

    status = 409
    code = "recordings_would_be_lost"
    sentence = "Without the recovery key the recordings are lost; send it, or agree with discard_recordings"


class TooManyRequests(PanzotoError):
    """Too many attempts; `retry_after` says when the next one is heard."""

    status = 429
    code = "too_many_requests"
    sentence = "Too many attempts; please wait before trying again"

    def __init__(self, *, retry_after: int, allowance: object = None) -> None:
        super().__init__(retry_after=retry_after)
        # What the RateLimit headers tell, when it is not the address that is limited.
        self.allowance = allowance


class TooManyStreams(PanzotoError):
    """An account, or one playback address, is listened to by as many as may at one time."""

    status = 429
    code = "too_many_streams"
    sentence = "Too many are listening to this at once; please end one, or try again in a moment"
    retry_after = 5


class InvalidRefreshToken(PanzotoError):
    status = 401
    code = "invalid_refresh_token"
    sentence = "The refresh token is invalid, used or expired; please sign in again"


class SessionNotFound(PanzotoError):
    status = 404
    code = "session_not_found"
    sentence = "There is no such session"


class InvalidCursor(PanzotoError):
    status = 400
    code = "invalid_cursor"
    sentence = "The cursor is not one of this list; please start from the beginning"


class UserExists(PanzotoError):
    status = 409
    code = "user_exists"
    sentence = "User already exists"


class PasswordNotSet(PanzotoError):
    """The account signs in by OpenID and its owner has not set a password for the vault yet."""

    status = 409
    code = "password_not_set"
    sentence = "This account has no password yet; please set one first, it protects the recordings"


class EmailOfProvider(PanzotoError):
    """The account signs in by OpenID, so its address is the one that the provider tells."""

    status = 409
    code = "email_of_provider"
    sentence = "The address of this account comes from its sign-in provider; please change it there"


class UserNotFound(PanzotoError):
    status = 404
    code = "user_not_found"
    sentence = "User not found"


class AudioFileNotFound(PanzotoError):
    status = 404
    code = "audio_file_not_found"
    sentence = "Audio file not found"


class ObjectNotFound(PanzotoError):
    status = 404
    code = "object_not_found"
    sentence = "The recording's object is not in the bucket"


class TranscriptNotFound(PanzotoError):
    status = 404
    code = "transcript_not_found"
    sentence = "This recording has no transcript"


class TranscriptionNotFound(PanzotoError):
    status = 404
    code = "transcription_not_found"
    sentence = "There is no such transcription"


class TranscriptionUnavailable(PanzotoError):
    """No engine is set; `retry_after` is the hour that the contract names."""

    status = 503
    code = "transcription_unavailable"
    sentence = "This service has nothing that could make transcripts"


class TranscriptionRunning(PanzotoError):
    """A recording is in one job at a time."""

    status = 409
    code = "transcription_running"
    sentence = "This recording is being transcribed already"

    def __init__(self, transcription_id: str, file_id: str) -> None:
        super().__init__()
        self.transcription_id = transcription_id
        self.file_id = file_id

    def details(self) -> dict[str, object]:
        return {"transcription_id": self.transcription_id, "file_id": self.file_id}


class TranscriptExists(PanzotoError):
    status = 409
    code = "transcript_exists"
    sentence = "This recording has a transcript; ask with replace to have another one made"


class Finished(PanzotoError):
    status = 409
    code = "finished"
    sentence = "This transcription is over"


class VaultNeeded(PanzotoError):
    """There is no key yet to which transcripts could be sealed, and no password that could make it."""

    status = 409
    code = "vault_needed"
    sentence = "Please sign in with the password once, or send it: it makes the key for transcripts"


class InvalidTicket(PanzotoError):
    """A ticket for transcripts is broken, another session's or over; the token is not the reason."""

    status = 401
    code = "invalid_ticket"
    sentence = "This ticket is not valid any more; please unlock the transcripts again"


class PayloadTooLarge(PanzotoError):
    """A request's body is longer than its call takes; what is left of it is not read."""

    status = 413
    code = "payload_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than {_size(limit_bytes)}")


class NotOpenedYet(PanzotoError):
    """The recording names an object outside its owner's folders that has not opened with the owner's keys."""

    status = 404
    code = "not_opened_yet"
    sentence = "This recording lies outside your own folder: open it once with your password first"


class PlaybackNotFound(PanzotoError):
    """The ticket in the address was not sealed here."""

    status = 404
    code = "playback_not_found"
    sentence = "This playback address is not valid"


class PlaybackExpired(PanzotoError):
    status = 410
    code = "playback_expired"
    sentence = "This playback address has expired; ask for the recording again"


class ForbiddenKey(PanzotoError):
    status = 403
    code = "forbidden_key"
    sentence = "This s3_key belongs to another user's folder"


class KeyTaken(PanzotoError):
    status = 409
    code = "key_taken"
    sentence = "This s3_key is already recorded by another user"


class ObjectChanged(PanzotoError):
    """The object is no longer the one that was authenticated."""

    status = 409
    code = "object_changed"
    sentence = "The recording was replaced while it was being read; ask for it again"


class DecryptionFailed(PanzotoError):
    """The object is there but cannot be authenticated with this user's keys."""

    status = 422
    code = "decryption_failed"
    sentence = "The recording cannot be decrypted: it is damaged or was encrypted with another key"


class UnsupportedFormat(PanzotoError):
    status = 422
    code = "unsupported_format"
    sentence = "The recording is in a format this service does not know"


class NotAudio(PanzotoError):
    """`clip` is the number of the recording that is the reason, where that is known."""

    status = 422
    code = "not_audio"
    sentence = "There is no sound in this recording that could be heard"
    clip: int | None = None


class ClipsNotJoinable(PanzotoError):
    """`clip` is the number of the recording that is the reason, where that is known."""

    status = 422
    code = "clips_not_joinable"
    sentence = "These recordings cannot be joined into one: please play them one by one"
    clip: int | None = None


class SittingTooLong(PanzotoError):
    """`clip` is the number of the recording at which it became too long, where that is known."""

    status = 413
    code = "sitting_too_long"
    sentence = "These recordings are too long to be joined into one: please play fewer at a time"
    clip: int | None = None


class RangeNotSatisfiable(PanzotoError):
    """The byte range lies outside the recording of `length` bytes (RFC 9110, 15.5.17)."""

    status = 416
    code = "range_not_satisfiable"
    sentence = "The requested range lies outside the recording"

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length


class QuotaExceeded(PanzotoError):
    """What is used and what is allowed, in the sentence and as numbers."""

    status = 413
    code = "quota_exceeded"

    def __init__(self, recordings: int, size: int, quota_recordings: int, quota_bytes: int) -> None:
        super().__init__(
            f"The account is full: {recordings} of {quota_recordings} recordings "
            f"and {size} of {quota_bytes} bytes are used"
        )
        self.usage = {
            "recordings": recordings,
            "bytes": size,
            "quota_recordings": quota_recordings,
            "quota_bytes": quota_bytes,
        }

    def details(self) -> dict[str, object]:
        return {"usage": self.usage}


class UploadIncomplete(PanzotoError):
    """The object, or parts of it, are not in the bucket yet; `missing_parts` says which."""

    status = 409
    code = "upload_incomplete"
    sentence = "The upload is not complete yet"

    def __init__(self, missing_parts: list[int] | None = None) -> None:
        parts = missing_parts or []
        some = ", ".join(str(part) for part in parts[:20])
        super().__init__(f"Parts that are still missing: {some}" if parts else None)
        self.missing_parts = parts

    def details(self) -> dict[str, object]:
        return {"missing_parts": self.missing_parts}


class UploadComplete(PanzotoError):
    status = 409
    code = "upload_complete"
    sentence = "The upload is complete; delete the recording instead"


class SizeMismatch(PanzotoError):
    status = 422
    code = "size_mismatch"
    sentence = "The object does not have the announced size; please upload it again"


class ChecksumMismatch(PanzotoError):
    status = 422
    code = "checksum_mismatch"
    sentence = "The object does not have the announced checksum; please upload it again"


class Conflict(PanzotoError):
    status = 409
    code = "conflict"
    sentence = "The account was changed at the same time; please try again"


class DamagedRecord(PanzotoError):
    """A stored row holds values that must not be obeyed; the log says which row, where that is known."""

    status = 500
    code = "damaged_record"
    sentence = "The stored account is damaged; please contact support"

    def __init__(self, row: str = "", readable: Any = None) -> None:
        """Name the row; `readable` is the row with what of it can be read, and never comes into a log."""
        super().__init__()
        self.row = row
        self.readable = readable


class Unavailable(PanzotoError):
    """DynamoDB or S3 cannot be reached, throttles or hangs."""

    status = 503
    code = "unavailable"
    sentence = "The service cannot reach its storage right now; please try again"
    retry_after = 2


class Busy(PanzotoError):
    """Every permit for a password hash is taken and none comes free in time.

    `turn` is for the service alone: by it who comes back after `retry_after` seconds has their turn.
    """

    status = 503
    code = "busy"
    sentence = "The service is busy; please try again in a moment"
    retry_after = 1

    def __init__(self, *, retry_after: int | None = None, turn: str = "") -> None:
        super().__init__(retry_after=retry_after)
        self.turn = turn


def _size(count: int) -> str:
    return f"{count // 1024**2} MiB" if count >= 1024**2 else f"{count // 1024} KiB"
