"""What goes out: the shapes of answers, for OpenAPI. Views return plain values that have them."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class Error(Schema):
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


class UserShape(Schema):
    user_id = fields.UUID(required=True)
    email = fields.Email(
        required=True,
        allow_none=True,
        metadata={"description": "Null when a sign-in provider tells no verified address"},
    )
    created_at = fields.DateTime(required=True)


class UserAnswer(Schema):
    user = fields.Nested(UserShape, required=True)


class UsageShape(Schema):
    recordings = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    quota_recordings = fields.Integer(required=True)
    quota_bytes = fields.Integer(required=True)


class ProfileAnswer(UserShape):
    email_verified = fields.Boolean(required=True)
    recovery_key_set = fields.Boolean(required=True)
    usage = fields.Nested(UsageShape, required=True)


class DeletionShape(Schema):
    status = fields.String(required=True)
    started_at = fields.DateTime(required=True)


class DeletionAnswer(Schema):
    deletion = fields.Nested(DeletionShape, required=True)


class EventShape(Schema):
    event_id = fields.String(required=True)
    type = fields.String(required=True)
    at = fields.DateTime(required=True)
    session_id = fields.String(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True)
    detail = fields.Dict(required=True)


class EventsAnswer(Schema):
    events = fields.List(fields.Nested(EventShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Argon2Shape(Schema):
    algorithm = fields.Constant("argon2id", required=True)
    version = fields.Integer(required=True)
    time_cost = fields.Integer(required=True)
    memory_cost_kib = fields.Integer(required=True)
    parallelism = fields.Integer(required=True)
    salt = fields.String(required=True, metadata={"description": "64 hex digits"})


class VaultShape(Schema):
    version = fields.Integer(required=True)
    key_id = fields.String(required=True, metadata={"description": "32 hex digits"})
    kdf = fields.Nested(Argon2Shape, required=True)
    wrapped_key = fields.String(required=True, metadata={"description": "base64"})


class KeyDerivationShape(Schema):
    algorithm = fields.String(required=True)
    iterations = fields.Integer(required=True)


class RefreshAnswer(Schema):
    token = fields.String(required=True)
    refresh_token = fields.String(required=True, metadata={"description": "For a single use"})
    expires_at = fields.DateTime(required=True, metadata={"description": "When token ends"})
    session_id = fields.UUID(required=True)


class SessionShape(Schema):
    session_id = fields.UUID(required=True)
    device_name = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    last_seen_at = fields.DateTime(required=True)
    current = fields.Boolean(required=True)


class SessionsAnswer(Schema):
    sessions = fields.List(fields.Nested(SessionShape), required=True)


class AccountShape(RefreshAnswer):
    user_id = fields.UUID(required=True)
    key_salt = fields.String(required=True, metadata={"description": "32 random bytes as 64 hex digits"})
    user = fields.Nested(UserShape, required=True)
    key_derivation = fields.Nested(KeyDerivationShape, required=True)
    vault = fields.Nested(VaultShape, required=True)


class MailAnswer(Schema):
    status = fields.Constant("accepted", required=True)


class RecoveryKeyAnswer(Schema):
    recovery_key = fields.String(
        required=True, metadata={"description": "14 groups of 4 characters; shown this once"}
    )
    created_at = fields.DateTime(required=True)


class AudioFileShape(Schema):
    file_id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    s3_key = fields.String(required=True)
    file_size = fields.Integer(required=True, allow_none=True, metadata={"description": "Bytes"})
    uploaded_at = fields.DateTime(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(("pending", "stored", "unknown")))
    recorded_at = fields.DateTime(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True, allow_none=True)
    content_type = fields.String(required=True, allow_none=True)
    title = fields.String(required=True, allow_none=True)
    note = fields.String(required=True, allow_none=True)
    deleted_at = fields.DateTime(required=True, allow_none=True)
    format = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What opened the recording, once something has"},
    )


class AudioFileAnswer(Schema):
    audio_file = fields.Nested(AudioFileShape, required=True)


class AudioFilesAnswer(Schema):
    audio_files = fields.List(fields.Nested(AudioFileShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class DownloadAnswer(Schema):
    url = fields.URL(required=True)
    expires_at = fields.DateTime(required=True)
    etag = fields.String(required=True)
    size = fields.Integer(required=True)


class PartShape(Schema):
    part_number = fields.Integer(required=True)
    url = fields.URL(required=True)


class UploadShape(Schema):
    """`method`, `url` and `headers` for a single upload, `part_size` and `parts` for a multipart one."""

    type = fields.String(required=True, validate=validate.OneOf(("single", "multipart")))
    method = fields.String()
    url = fields.URL()
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    part_size = fields.Integer()
    parts = fields.List(fields.Nested(PartShape))
    expires_at = fields.DateTime(required=True)


class UploadAnswer(Schema):
    file_id = fields.UUID(required=True)
    s3_key = fields.String(required=True)
    status = fields.String(required=True)
    upload = fields.Nested(UploadShape, required=True, allow_none=True)


class StoredPartShape(Schema):
    part_number = fields.Integer(required=True)
    size = fields.Integer(required=True)
    etag = fields.String(required=True)


class UploadState(UploadAnswer):
    stored_parts = fields.List(fields.Nested(StoredPartShape), required=True)


class ChangeShape(Schema):
    type = fields.String(required=True, validate=validate.OneOf(("upsert", "delete")))
    file_id = fields.UUID(required=True)
    audio_file = fields.Nested(AudioFileShape, required=True, allow_none=True)


class ChangesAnswer(Schema):
    changes = fields.List(fields.Nested(ChangeShape), required=True)
    next = fields.String(required=True)
    more = fields.Boolean(required=True)


class SittingShape(Schema):
    started_at = fields.DateTime(required=True)
    ended_at = fields.DateTime(required=True)
    duration_ms = fields.Integer(required=True)
    file_ids = fields.List(fields.UUID(), required=True)


class TimelineAnswer(Schema):
    sittings = fields.List(fields.Nested(SittingShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ErasureShape(Schema):
    file_id = fields.UUID(required=True)
    erased_at = fields.DateTime(required=True, allow_none=True)
    objects_removed = fields.Integer(required=True)
    objects_waiting = fields.Integer(required=True, allow_none=True)


class ErasuresAnswer(Schema):
    erasures = fields.List(fields.Nested(ErasureShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


AUDIO_FILE = {"$ref": "#/components/schemas/AudioFileShape"}


class DecryptAnswer(Schema):
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
    expires_at = fields.DateTime(required=True)


class HealthAnswer(Schema):
    status = fields.Constant("healthy", required=True)
    service = fields.Constant("panzoto-backend", required=True)
    database = fields.Constant("dynamodb", required=True)
    version = fields.String(required=True)


class ReadyAnswer(Schema):
    status = fields.Constant("ready", required=True)
