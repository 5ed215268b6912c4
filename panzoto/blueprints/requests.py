"""What comes in: request bodies and queries, checked field by field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates,
    validates_schema,
)

from panzoto.auth import mail_address, passwords
from panzoto.blueprints import moments
from panzoto.blueprints.base64_bytes import decoded
from panzoto.blueprints.file_keys import (
    FILE_KEY_RULE,
    FileKeyField,
    FileKeysField,
    check_pairing,
    decode_keys_of_all,
)
from panzoto.blueprints.vocabulary import Vocabulary
from panzoto.media import content_type
from panzoto.object_keys import LONGEST_KEY_BYTES

MAX_FILE_SIZE = 5 * 1024**4
CREDENTIALS_REQUIRED = "Email and password are required"
TOO_SHORT = f"Password must be at least {passwords.MIN_CHARACTERS} characters"
TOO_LONG = f"Password must be at most {passwords.MAX_CHARACTERS} characters"
TOO_COMMON = "This password is one of the most common ones; please choose another"
CODE_REQUIRED = "The code from the mail is required"
NOT_TEXT = "This must be a text"
NO_OBJECT = "This must be an object"
LIMIT_RULE = "limit must be a whole number from 1 to 1000"
SIZE_RULE = "file_size must be a whole number of bytes from 0 to 5 TiB"
S3_KEY_RULE = "s3_key must be 1 to 1024 bytes of UTF-8 without control characters"
MAX_SEALED_BYTES = 4096
MAX_CLIPS = 500
MAX_DURATION_MS = 366 * 86400 * 1000
SEALED_RULE = "This must be base64 of at most 4 KiB"
FILE_IDS_RULE = "file_ids must be 1 to 500 different ids of recordings, the oldest first"
EITHER_RULE = "Either file_id, s3_key or file_ids, not several of them"
SHA256_RULE = "sha256 must be base64 of 32 bytes"
DURATION_RULE = "duration_ms must be a whole number of milliseconds, at most a year"


class Request(Schema):
    """Base of what clients send. Unknown fields are ignored: newer clients talk to older servers."""

    class Meta:
        unknown = EXCLUDE

    # Fields that must be there and not empty, with the sentence that says so.
    needed: tuple[tuple[str, str], ...] = ()

    @pre_load
    def _presence_first(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        # A body is an object; what stands inside of one may be anything.
        if not isinstance(data, Mapping):
            raise ValidationError(NO_OBJECT)
        missing = {name: [sentence] for name, sentence in self.needed if data.get(name) in (None, "")}
        if missing:
            raise ValidationError(missing)
        return {name: value for name, value in data.items() if value is not None}


class Text(fields.Field[str]):
    """A string that UTF-8 can hold; a lone surrogate, which JSON can carry, is none."""

    described_as: ClassVar[dict[str, Any]] = {"type": "string"}

    def __init__(
        self, sentence: str = NOT_TEXT, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(metadata=self.described_as | (metadata or {}), **kwargs)
        self._sentence = sentence

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(self._sentence)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValidationError(self._sentence) from error
        return value


class DeviceName(Text):
    """What a device calls itself. A name is never worth a sign-in: what is no text counts as not sent."""

    # Without a type: whatever is sent is taken.
    described_as: ClassVar[dict[str, Any]] = {
        "description": "A text by which the person knows this device: its first 64 characters; without one,"
        " or if it is no text, the User-Agent's"
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        try:
            return super()._deserialize(value)
        except ValidationError:
            return ""


class Email(Text):
    """The address of an account that may be there, stripped and lower-cased; see `may_be_known`."""

    is_accepted = staticmethod(mail_address.may_be_known)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(mail_address.MALFORMED, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        address = super()._deserialize(value).strip().lower()
        if not address:
            raise ValidationError(CREDENTIALS_REQUIRED)
        if not self.is_accepted(address):
            raise ValidationError(mail_address.MALFORMED)
        return address


class NewEmail(Email):
    """An address that an account asks for."""

    is_accepted = staticmethod(mail_address.is_well_formed)


class WholeNumber(fields.Field[int]):
    """A JSON number without a fraction, or in a query its decimal digits."""

    def __init__(self, least: int, most: int, sentence: str, **kwargs: Any) -> None:
        super().__init__(metadata={"minimum": least, "maximum": most, "type": "integer"}, **kwargs)
        self._least, self._most, self._sentence = least, most, sentence

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        number = self._whole(value)
        if number is None or not self._least <= number <= self._most:
            raise ValidationError(self._sentence)
        return number

    def _whole(self, value: Any) -> int | None:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class QueryNumber(WholeNumber):
    def _whole(self, value: Any) -> int | None:
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value)
        return int(value) if digits else None


def _check_mailbox(address: str) -> None:
    try:
        mail_address.require_mailbox(address)
    except mail_address.NoMailbox as error:
        raise ValidationError(str(error)) from error


def _check_new_password(value: str) -> None:
    if len(value) < passwords.MIN_CHARACTERS:
        raise ValidationError(TOO_SHORT)
    if len(value) > passwords.MAX_CHARACTERS:
        raise ValidationError(TOO_LONG)
    if passwords.is_common(value):
        raise ValidationError(TOO_COMMON)


class NewPassword(Text):
    """A password that is set by this call, with its rules in the document too."""

    def __init__(self) -> None:
        rules = {
            "minLength": passwords.MIN_CHARACTERS,
            "maxLength": passwords.MAX_CHARACTERS,
            "description": "None of the most common ones",
        }
        super().__init__(required=True, validate=_check_new_password, metadata=rules)


class Credentials(Request):
    """What login takes; length limits that are newer than an account do not keep it out."""

    needed = (("email", CREDENTIALS_REQUIRED), ("password", CREDENTIALS_REQUIRED))
    email = Email(required=True)
    password = Text(required=True, validate=validate.Length(min=passwords.MIN_CHARACTERS, error=TOO_SHORT))
    device_name = DeviceName()


class Registration(Credentials):
    email = NewEmail(required=True)
    password = NewPassword()

    @validates("email")
    def _mailbox(self, value: str, **_: Any) -> None:
        _check_mailbox(value)


class PasswordOnly(Request):
    needed = (("password", "Password is required"),)
    password = Text(required=True)


class DeletionProof(Request):
    password = Text(load_default=None)
    provider_token = Text(
        load_default=None,
        metadata={
            "description": "Instead of the password, of an account that signs in by OpenID: a token that its"
            " provider has issued within five minutes"
        },
    )

    @validates_schema
    def _one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        if not (data.get("password") or data.get("provider_token")):
            raise ValidationError("Password is required", "password")


class PasswordChange(Request):
    needed = (("new_password", "New password is required"),)
    password = Text(
        load_default=None,
        metadata={"description": "Not for the first password of an account that signs in by OpenID"},
    )
    new_password = NewPassword()


class RefreshRequest(Request):
    needed = (("refresh_token", "refresh_token is required"),)
    refresh_token = Text(required=True)


class Flag(fields.Field[bool]):
    """A JSON true or false, and nothing that only resembles one."""

    def __init__(self, sentence: str, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "boolean"}, **kwargs)
        self._sentence = sentence

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(self._sentence)
        return value


class CodeOnly(Request):
    needed = (("code", CODE_REQUIRED),)
    code = Text(required=True)


class EmailOnly(Request):
    needed = (("email", "Email is required"),)
    email = Email(required=True)


class PasswordReset(Request):
    needed = (("code", CODE_REQUIRED), ("new_password", "New password is required"))
    code = Text(required=True)
    new_password = NewPassword()
    recovery_key = Text(load_default=None)
    discard_recordings = Flag("discard_recordings must be true or false", load_default=False)
    device_name = DeviceName()


class Recovery(Request):
    needed = (
        ("email", "Email, recovery key and new password are required"),
        ("recovery_key", "Email, recovery key and new password are required"),
        ("new_password", "Email, recovery key and new password are required"),
    )
    email = Email(required=True)
    recovery_key = Text(required=True)
    new_password = NewPassword()
    device_name = DeviceName()


class RecoveryInside(Request):
    needed = (
        ("recovery_key", "Recovery key and new password are required"),
        ("new_password", "Recovery key and new password are required"),
    )
    recovery_key = Text(required=True)
    new_password = NewPassword()


class Moment(fields.Field[datetime]):
    """An RFC 3339 time with its offset, or in a query the same text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "string", "format": "date-time"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        if not isinstance(value, str):
            raise ValidationError(moments.MALFORMED)
        try:
            return moments.moment(value)
        except moments.NotAMoment as error:
            raise ValidationError(str(error)) from error


class Sealed(Text):
    """What the client encrypted, as base64 of at most 4 KiB."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        if len(decoded(text, SEALED_RULE)) > MAX_SEALED_BYTES:
            raise ValidationError(SEALED_RULE)
        return text


class Sha256(Text):
    """A SHA-256 as base64 of its 32 bytes."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        decoded(text, SHA256_RULE, 32)
        return text


class MediaType(fields.Field["str | None"]):
    """What the recording is. One that cannot be read is dropped: no recording is worth less for it."""

    def __init__(self) -> None:
        # Without a type: whatever is sent is taken.
        what = "A media type (RFC 9110, 8.3.1), a text of at most 1024 characters; what is none is dropped"
        super().__init__(metadata={"description": what})

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        found = content_type.read(value)
        return None if found is None else found.written


class Described(Request):
    """What a phone may say of a recording, whichever way it comes in."""

    content_type = MediaType()
    recorded_at = Moment()
    duration_ms = WholeNumber(0, MAX_DURATION_MS, DURATION_RULE)


class Wishes(Request):
    """What may be wished for of a transcript: its language, and names that are heard."""

    language = Text(load_default=None)
    vocabulary = Vocabulary(load_default=list)


class TranscribeOnceStored(Wishes):
    """`transcribe` of a recording that is just being stored."""

    file_key = FileKeyField(required=True, error_messages={"required": FILE_KEY_RULE})


class CompleteUpload(Request):
    transcribe = fields.Nested(TranscribeOnceStored, load_default=None)


class NewAudioFile(Described):
    needed = (("s3_key", "s3_key is required"),)
    transcribe = fields.Nested(TranscribeOnceStored, load_default=None)
    s3_key = Text(S3_KEY_RULE, required=True)
    file_size = WholeNumber(0, MAX_FILE_SIZE, SIZE_RULE, load_default=None, allow_none=True)
    title = Sealed()
    note = Sealed()

    @validates("s3_key")
    def _form(self, value: str, **_: Any) -> None:
        too_long = len(value.encode("utf-8")) > LONGEST_KEY_BYTES
        if too_long or any(unicodedata.category(character) == "Cc" for character in value):
            raise ValidationError(S3_KEY_RULE)


class NewUpload(Described):
    needed = (("file_size", "file_size is required"),)
    file_size = WholeNumber(0, MAX_FILE_SIZE, SIZE_RULE, required=True)
    sha256 = Sha256()
    client_id = Text(
        load_default=None,
        validate=validate.Length(min=1, max=128, error="client_id must be 1 to 128 characters"),
    )


class AudioFileEdit(Schema):
    """A value of null takes the field away."""

    class Meta:
        unknown = EXCLUDE

    title = Sealed(allow_none=True)
    note = Sealed(allow_none=True)
    recorded_at = Moment(allow_none=True)
    duration_ms = WholeNumber(0, MAX_DURATION_MS, DURATION_RULE, allow_none=True)


class DeleteQuery(Request):
    permanent = fields.Boolean(
        load_default=False, error_messages={"invalid": "permanent must be true or false"}
    )


class FileIds(fields.Field[list[str]]):
    """The clips of a sitting: no more than `MAX_CLIPS`, each once, in the order in which they are played."""

    def __init__(self, **kwargs: Any) -> None:
        items = {"type": "string", "format": "uuid"}
        shape = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_CLIPS}
        super().__init__(metadata={**shape, "uniqueItems": True}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_CLIPS:
            raise ValidationError(FILE_IDS_RULE)
        text = Text(FILE_IDS_RULE)
        file_ids = [text._deserialize(file_id) for file_id in value]  # noqa: SLF001 - a field of ours
        if len(set(file_ids)) != len(file_ids):
            raise ValidationError(FILE_IDS_RULE)
        return file_ids


class OpensRecordings(Request):
    """A password or file keys, and either one recording, by one of `ways_to_name`, or `file_ids`."""

    ways_to_name: ClassVar[frozenset[str]]
    without_key: ClassVar[str]
    without_recording: ClassVar[str]
    password = Text()
    file_id = Text(metadata={"format": "uuid"})
    file_ids = FileIds()
    file_key = FileKeyField()
    file_keys = FileKeysField()

    @pre_load
    def _presence_first(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        sent = {name: value for name, value in data.items() if value not in (None, "")}
        names_one = bool(sent.keys() & self.ways_to_name)
        if not sent.keys() & {"password", "file_key", "file_keys"}:
            raise ValidationError({"password": [self.without_key]})
        if not names_one and "file_ids" not in sent:
            raise ValidationError({"file_id": [self.without_recording]})
        if names_one and "file_ids" in sent:
            raise ValidationError({"file_ids": [EITHER_RULE]})
        check_pairing(sent)
        return sent

    @validates_schema
    def _a_key_for_each(self, data: dict[str, Any], **_: Any) -> None:
        decode_keys_of_all(data)


class DecryptAudio(OpensRecordings):
    """A password or file keys; and of `file_id`, `s3_key` and `file_ids` one, and none beside `file_ids`."""

    ways_to_name = frozenset({"file_id", "s3_key"})
    without_key = "Password required for decryption"
    without_recording = "file_id or s3_key required"
    s3_key = Text()


class EmailChange(Request):
    needed = (("password", "Password is required"), ("email", "Email is required"))
    password = Text(required=True)
    email = NewEmail(required=True)

    @validates("email")
    def _mailbox(self, value: str, **_: Any) -> None:
        _check_mailbox(value)


class PageQuery(Request):
    limit = QueryNumber(1, 1000, LIMIT_RULE, load_default=50)
    cursor = Text(load_default=None)


class ListQuery(PageQuery):
    order = Text(
        load_default="uploaded_at",
        validate=validate.OneOf(
            ("uploaded_at", "recorded_at"), error="order must be uploaded_at or recorded_at"
        ),
    )
    from_ = Moment(data_key="from", load_default=None)
    to = Moment(load_default=None)


class ChangesQuery(Request):
    limit = QueryNumber(1, 1000, LIMIT_RULE, load_default=100)
    since = Text(load_default=None)


class TimelineQuery(PageQuery):
    gap = QueryNumber(0, 86400, "gap must be a whole number of seconds from 0 to 86400", load_default=30)
