"""What goes out: the shapes of answers, for OpenAPI. Views return plain values that have them."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, Schema, fields, validate

# Every type in the account's security log.
EVENT_TYPES = (
    "registered",
    "signed_in",
    "sign_in_failed",
    "refresh_reused",
    "signed_out",
    "password_changed",
    "email_changed",
    "recovery_key_made",
    "recovered",
    "recording_decrypted",
    "recording_deleted",
    "exported",
    "deletion_started",
    "account_looked_up",
    "account_locked",
    "account_unlocked",
    "sessions_ended",
    "transcription_started",
    "transcripts_unlocked",
    "transcript_written",
)
# What opened a recording.
FORMATS = (
    "v2",
    "single-iv12-raw-salt",
    "single-iv12-hex-salt",
    "single-iv16-raw-salt",
    "single-iv16-hex-salt",
)
STATUSES = ("pending", "stored", "unknown")


class Answer(Schema):
    """Base of what clients get. Further fields may come: a client ignores what it does not know."""

    class Meta:
        unknown = INCLUDE


class Known(fields.String):
    """A string out of `values`, to which more may be added later: clients must bear one they do not know."""

    def __init__(self, values: tuple[str, ...], sentence: str, **kwargs: Any) -> None:
        choices: list[dict[str, Any]] = [{"type": "string", "enum": list(values)}, {"type": "string"}]
        if kwargs.get("allow_none"):
            choices.append({"type": "null"})
        super().__init__(metadata={"description": sentence, "anyOf": choices}, **kwargs)


class UsageShape(Answer):
    recordings = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    quota_recordings = fields.Integer(required=True)
    quota_bytes = fields.Integer(required=True)


class Error(Answer):
    error = fields.String(required=True, metadata={"description": "One sentence for a person"})
    code = fields.String(required=True, metadata={"description": "A stable name for programs"})
    request_id = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        data_key="fields",
        metadata={"description": "For validation errors: what is wrong with which name"},
    )
    file_id = fields.String(
        metadata={"description": "Of a call about several recordings: the one that is the reason"}
    )
    usage = fields.Nested(
        UsageShape, metadata={"description": "Of `quota_exceeded`: what is used, and what may be"}
    )
    missing_parts = fields.List(
        fields.Integer(),
        metadata={"description": "Of `upload_incomplete`: the numbers of the parts that have not arrived"},
    )
    transcription_id = fields.String(
        metadata={"description": "Of `transcription_running`: the one that has the recording"}
    )


class UserShape(Answer):
    user_id = fields.UUID(required=True)
    email = fields.Email(
        required=True,
        allow_none=True,
        metadata={"description": "Null when a sign-in provider tells no verified address"},
    )
    created_at = fields.DateTime(required=True)


class UserAnswer(Answer):
    user = fields.Nested(UserShape, required=True)


class EngineShape(Answer):
    available = fields.Boolean(required=True)
    engine = fields.String(required=True, allow_none=True, metadata={"description": "Where the sound goes"})
    model = fields.String(required=True, allow_none=True)
    local = fields.Boolean(required=True, metadata={"description": "It stays on the service's own network"})


class ProfileAnswer(UserShape):
    email_verified = fields.Boolean(required=True)
    pending_email = fields.Email(
        required=True,
        allow_none=True,
        metadata={"description": "Where the account moves when the code that went there comes back"},
    )
    recovery_key_set = fields.Boolean(required=True)
    vault = fields.Nested("VaultShape", required=True, allow_none=True)
    transcription = fields.Nested(EngineShape, required=True)
    usage = fields.Nested(UsageShape, required=True)


class DeletionShape(Answer):
    status = Known(("in_progress",), "How far the deletion is", required=True)
    started_at = fields.DateTime(required=True)


class DeletionAnswer(Answer):
    deletion = fields.Nested(DeletionShape, required=True)


class EventShape(Answer):
    event_id = fields.String(required=True)
    type = Known(EVENT_TYPES, "What happened; more types may follow", required=True)
    at = fields.DateTime(required=True)
    session_id = fields.String(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True)
    detail = fields.Dict(required=True)


class EventsAnswer(Answer):
    events = fields.List(fields.Nested(EventShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Argon2Shape(Answer):
    algorithm = fields.Constant("argon2id", required=True)
    version = fields.Integer(required=True)
    time_cost = fields.Integer(required=True)
    memory_cost_kib = fields.Integer(required=True)
    parallelism = fields.Integer(required=True)
    salt = fields.String(required=True, metadata={"description": "64 hex digits"})


class VaultShape(Answer):
    version = fields.Integer(required=True)
    key_id = fields.String(required=True, metadata={"description": "32 hex digits"})
    kdf = fields.Nested(Argon2Shape, required=True)
    wrapped_key = fields.String(required=True, metadata={"description": "base64"})
    transcripts_public_key = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "X25519, base64: what transcripts are sealed to; null until it is made"},
    )


class KeyDerivationShape(Answer):
    algorithm = fields.String(required=True)
    iterations = fields.Integer(required=True)


class RefreshAnswer(Answer):
    token = fields.String(required=True)
    refresh_token = fields.String(required=True, metadata={"description": "For a single use"})
    expires_at = fields.DateTime(required=True, metadata={"description": "When token ends"})
    session_id = fields.UUID(required=True)


class SessionShape(Answer):
    session_id = fields.UUID(required=True)
    device_name = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    last_seen_at = fields.DateTime(required=True)
    current = fields.Boolean(required=True)


class SessionsAnswer(Answer):
    sessions = fields.List(fields.Nested(SessionShape), required=True)


class AccountShape(RefreshAnswer):
    user_id = fields.UUID(required=True)
    key_salt = fields.String(required=True, metadata={"description": "32 random bytes as 64 hex digits"})
    user = fields.Nested(UserShape, required=True)
    key_derivation = fields.Nested(KeyDerivationShape, required=True)
    vault = fields.Nested(VaultShape, required=True)


class MailAnswer(Answer):
    status = fields.Constant("accepted", required=True)


class RecoveryKeyAnswer(Answer):
    recovery_key = fields.String(
        required=True, metadata={"description": "14 groups of 4 characters; shown this once"}
    )
    created_at = fields.DateTime(required=True)


class TranscriptState(Answer):
    """`revision` says whether there is something to read; `status` is that of the last job."""

    status = fields.String(required=True, validate=validate.OneOf(("queued", "succeeded", "failed")))
    transcription_id = fields.String(required=True, allow_none=True)
    revision = fields.String(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True, allow_none=True)
    source = fields.String(required=True, allow_none=True)


class AudioFileShape(Answer):
    file_id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    s3_key = fields.String(required=True)
    file_size = fields.Integer(required=True, allow_none=True, metadata={"description": "Bytes"})
    uploaded_at = fields.DateTime(required=True, allow_none=True)
    status = fields.String(
        required=True,
        validate=validate.OneOf(STATUSES),
        metadata={
            "description": "`pending`: announced, not yet seen in the bucket; `stored`; "
            "`unknown`: recorded by an earlier app and never looked at"
        },
    )
    recorded_at = fields.DateTime(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True, allow_none=True)
    content_type = fields.String(required=True, allow_none=True)
    title = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    deleted_at = fields.DateTime(required=True, allow_none=True)
    format = Known(FORMATS, "What opened the recording, once something has", required=True, allow_none=True)
    transcript = fields.Nested(TranscriptState, required=True, allow_none=True)


class AudioFileAnswer(Answer):
    audio_file = fields.Nested(AudioFileShape, required=True)


class AudioFilesAnswer(Answer):
    audio_files = fields.List(fields.Nested(AudioFileShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class DownloadAnswer(Answer):
    url = fields.URL(required=True)
    expires_at = fields.DateTime(required=True)
    etag = fields.String(required=True)
    size = fields.Integer(required=True)


class PartShape(Answer):
    part_number = fields.Integer(required=True)
    url = fields.URL(required=True)


class UploadShape(Answer):
    """`method`, `url` and `headers` for a single upload, `part_size` and `parts` for a multipart one."""

    type = fields.String(required=True, validate=validate.OneOf(("single", "multipart")))
    method = fields.String()
    url = fields.URL()
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    part_size = fields.Integer()
    parts = fields.List(fields.Nested(PartShape))
    expires_at = fields.DateTime(required=True)


class UploadAnswer(Answer):
    file_id = fields.UUID(required=True)
    s3_key = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    upload = fields.Nested(UploadShape, required=True, allow_none=True)


class StoredPartShape(Answer):
    part_number = fields.Integer(required=True)
    size = fields.Integer(required=True)
    etag = fields.String(required=True)


class UploadState(UploadAnswer):
    stored_parts = fields.List(fields.Nested(StoredPartShape), required=True)


class ChangeShape(Answer):
    type = fields.String(required=True, validate=validate.OneOf(("upsert", "delete")))
    file_id = fields.UUID(required=True)
    audio_file = fields.Nested(AudioFileShape, required=True, allow_none=True)


class ChangesAnswer(Answer):
    changes = fields.List(fields.Nested(ChangeShape), required=True)
    next = fields.String(required=True)
    more = fields.Boolean(required=True)


class SittingShape(Answer):
    started_at = fields.DateTime(required=True)
    ended_at = fields.DateTime(required=True)
    duration_ms = fields.Integer(required=True)
    file_ids = fields.List(fields.UUID(), required=True)


class TimelineAnswer(Answer):
    sittings = fields.List(fields.Nested(SittingShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ErasureShape(Answer):
    file_id = fields.UUID(required=True)
    erased_at = fields.DateTime(required=True, allow_none=True)
    objects_removed = fields.Integer(required=True)
    objects_waiting = fields.Integer(required=True, allow_none=True)


class ErasuresAnswer(Answer):
    erasures = fields.List(fields.Nested(ErasureShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


AUDIO_FILE = {"$ref": "#/components/schemas/AudioFile"}


class DecryptAnswer(Answer):
    status = fields.Constant("ready_for_transcription", required=True)
    file_info = fields.Raw(
        required=True,
        metadata={
            "description": "The recording; for `file_ids` a list of them, in that order",
            "oneOf": [AUDIO_FILE, {"type": "array", "items": AUDIO_FILE}],
        },
    )
    message = fields.String(required=True)
    download_url = fields.URL(required=True)
    wav_url = fields.URL(
        metadata={
            "description": "The same as 16-bit WAV, which browsers play; there for AMR, bare or in 3GP, and "
            "for sittings of AMR, unless its frames cannot be counted or it would exceed 4 GiB"
        }
    )
    expires_at = fields.DateTime(required=True)


class HealthAnswer(Answer):
    status = fields.Constant("healthy", required=True)
    service = fields.Constant("panzoto-backend", required=True)
    database = fields.Constant("dynamodb", required=True)
    version = fields.String(required=True)


class ReadyAnswer(Answer):
    status = fields.Constant("ready", required=True)
