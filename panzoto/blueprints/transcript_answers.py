"""What goes out about transcripts."""

from __future__ import annotations

from marshmallow import fields, validate

from panzoto.blueprints.answers import Answer, AudioFileAnswer, Known
from panzoto.models.transcription import STATUSES

SOURCES = ("engine", "client")
ERROR_CODES = (
    "engine_unavailable",
    "engine_refused",
    "not_audio",
    "object_changed",
    "decryption_failed",
    "expired",
    "internal_error",
)


class WrittenTranscript(Answer):
    file_id = fields.UUID(required=True)
    revision = fields.String(
        required=True, metadata={"description": "Another at every write: compare, do not order"}
    )
    language = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    source = Known(SOURCES, "Who wrote it", required=True)


class SealedTranscript(WrittenTranscript):
    sealed = fields.String(required=True, metadata={"description": "base64; the vault opens it"})


class DocumentWord(Answer):
    start_ms = fields.Integer(required=True)
    end_ms = fields.Integer(required=True)
    text = fields.String(required=True)


class DocumentSegment(DocumentWord):
    speaker = fields.String()
    confidence = fields.Float()
    words = fields.List(fields.Nested(DocumentWord))


class TranscriptDocument(Answer):
    """What lies in a sealed transcript, as whoever sealed it wrote it: nothing of it is promised."""

    version = fields.Integer()
    file_id = fields.String()
    language = fields.String(allow_none=True)
    duration_ms = fields.Integer()
    engine = fields.String()
    model = fields.String(allow_none=True)
    created_at = fields.String()
    source = fields.String()
    segments = fields.List(fields.Nested(DocumentSegment))


class TranscriptEntry(Answer):
    """A transcript, or `deleted` where there is none any more."""

    file_id = fields.UUID(required=True)
    deleted = fields.Boolean(
        metadata={"description": "`true`, and nothing else beside it, where the transcript is gone"}
    )
    sealed = fields.String(
        metadata={"description": "base64; empty for one that the service has lost, which opens as little"}
    )
    revision = fields.String()
    language = fields.String(allow_none=True)
    created_at = fields.DateTime()
    source = fields.String()


class TranscriptsAnswer(Answer):
    transcripts = fields.List(fields.Nested(TranscriptEntry), required=True)
    next = fields.String(required=True)
    more = fields.Boolean(required=True)


class UnlockAnswer(Answer):
    ticket = fields.String(required=True, metadata={"description": "Opens transcripts and nothing else"})
    expires_at = fields.DateTime(required=True)


class MatchShape(Answer):
    start_ms = fields.Integer(required=True)
    end_ms = fields.Integer(required=True)
    before = fields.String(required=True)
    text = fields.String(required=True, metadata={"description": "The word or phrase as it stands there"})
    after = fields.String(required=True)


class HitShape(Answer):
    file_id = fields.UUID(required=True)
    recorded_at = fields.DateTime(required=True)
    matches = fields.List(fields.Nested(MatchShape), required=True)


class SearchAnswer(Answer):
    hits = fields.List(fields.Nested(HitShape), required=True)
    next_cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "Go on with it, even where `hits` is empty"}
    )
    searched = fields.Integer(required=True, metadata={"description": "Looked through in this call"})
    total = fields.Integer(required=True, metadata={"description": "How many lie between `from` and `to`"})


class TranscriptionErrorShape(Answer):
    code = Known(ERROR_CODES, "Why it came to nothing", required=True)
    error = fields.String(required=True)


class TranscriptionShape(Answer):
    transcription_id = fields.String(required=True)
    file_ids = fields.List(fields.UUID(), required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    progress = fields.Float(required=True, metadata={"minimum": 0, "maximum": 1})
    language = fields.String(required=True, allow_none=True)
    engine = fields.String(required=True, allow_none=True)
    model = fields.String(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    started_at = fields.DateTime(required=True, allow_none=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    attempts = fields.Integer(required=True)
    error = fields.Nested(TranscriptionErrorShape, required=True, allow_none=True)


class TranscriptionAnswer(Answer):
    transcription = fields.Nested(TranscriptionShape, required=True)


class TranscriptionsAnswer(Answer):
    transcriptions = fields.List(fields.Nested(TranscriptionShape), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class RefusedTranscribe(Answer):
    code = fields.String(required=True)
    error = fields.String(required=True)


class StoredAnswer(AudioFileAnswer):
    """Where `transcribe` was sent, with what came of it; the recording is stored whatever that is."""

    transcription = fields.Nested(TranscriptionShape, allow_none=True)
    transcribe_error = fields.Nested(RefusedTranscribe)
