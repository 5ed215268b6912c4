"""The exception family of the service: status, stable code and public sentence.

Anything raised from here may be shown to a stranger, so a sentence never
holds a secret, a name from inside the service or a stored value.  The Flask
edge (`panzoto.http`) is the one place that turns these into responses.
"""

from __future__ import annotations

from collections.abc import Mapping


class SettingsError(Exception):
    """A setting cannot be used; its sentence names the setting and stops the start."""


class PanzotoError(Exception):
    """Base of every error that a client may see.

    `status` is the HTTP status, `code` the stable machine-readable name,
    `sentence` the text for a person and `retry_after` whole seconds or None.
    """

    status = 500
    code = "internal_error"
    sentence = "Something went wrong on our side; please try again"
    retry_after: int | None = None

    def __init__(self, sentence: str | None = None, *, retry_after: int | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(self.sentence)


class InvalidRequest(PanzotoError):
    """The request cannot be understood; `fields` says what is wrong with which name."""

    status = 400
    code = "invalid_request"
    sentence = "The request cannot be understood"

    def __init__(self, sentence: str | None = None, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.fields = dict(fields or {})


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


class InvalidCredentials(PanzotoError):
    status = 401
    code = "invalid_credentials"
    sentence = "Invalid email or password"


class InvalidPassword(PanzotoError):
    status = 401
    code = "invalid_password"
    sentence = "Invalid password"


class RecoveryFailed(PanzotoError):
    """A wrong recovery key and an unknown account look the same."""

    status = 401
    code = "recovery_failed"
    sentence = "The email address and the recovery key do not belong together"


class InvalidRecoveryKey(PanzotoError):
    status = 400
    code = "invalid_recovery_key"
    sentence = "The recovery key is not written correctly; please compare it with your copy"


class TooManyRequests(PanzotoError):
    """Too many attempts; `retry_after` says when the next one is heard."""

    status = 429
    code = "too_many_requests"
    sentence = "Too many attempts; please wait before trying again"


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


class RangeNotSatisfiable(PanzotoError):
    """The byte range lies outside the recording of `length` bytes (RFC 9110, 15.5.17)."""

    status = 416
    code = "range_not_satisfiable"
    sentence = "The requested range lies outside the recording"

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length


class Conflict(PanzotoError):
    status = 409
    code = "conflict"
    sentence = "The account was changed at the same time; please try again"


class DamagedRecord(PanzotoError):
    """A stored row holds values that must not be obeyed; the log says which row."""

    status = 500
    code = "damaged_record"
    sentence = "The stored account is damaged; please contact support"


class Unavailable(PanzotoError):
    """DynamoDB or S3 cannot be reached, throttles or hangs."""

    status = 503
    code = "unavailable"
    sentence = "The service cannot reach its storage right now; please try again"
    retry_after = 2


class Busy(PanzotoError):
    """Every permit for a password hash is taken and none came free in time."""

    status = 503
    code = "busy"
    sentence = "The service is busy; please try again in a moment"
    retry_after = 1
