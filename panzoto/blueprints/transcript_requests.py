"""What comes in about transcripts: asking for them, writing, opening and searching them."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, pre_load, validate

from panzoto.blueprints.base64_bytes import Bytes
from panzoto.blueprints.requests import (
    Flag,
    Moment,
    OpensRecordings,
    PageQuery,
    Request,
    Text,
    WholeNumber,
    Wishes,
)
from panzoto.crypto.keys import KEY_BYTES
from panzoto.models.transcription import STATUSES
from panzoto.transcripts.rendering import FORMATS

LONGEST_LANGUAGE = 35
LONGEST_QUERY = 1000
KEY_RULE = "Send the password, or a ticket of /api/transcripts/unlock"
UNLOCK_RULE = "Send the password or transcripts_key"
NOT_BOTH_RULE = "Send one of them, not both"
TRANSCRIPTS_KEY_RULE = "transcripts_key must be base64 of 32 bytes"
SEALED_RULE = "sealed must be base64"
QUERY_RULE = "query must be 1 to 1000 characters and hold a word that is wanted"
STATUS_RULE = f"status must be one of {', '.join(STATUSES)}"


def one_of(data: dict[str, Any], names: tuple[str, str], neither: str) -> dict[str, Any]:
    """Return what was sent, in which exactly one of two names must be. Raises `ValidationError`."""
    sent = {name: value for name, value in data.items() if value not in (None, "")}
    there = [name for name in names if name in sent]
    if len(there) != 1:
        raise ValidationError({names[0]: [NOT_BOTH_RULE if there else neither]})
    return sent


class OpenedBy(Request):
    """A ticket that opens transcripts, or the password."""

    ticket = Text()
    password = Text()

    @pre_load
    def _presence_first(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return one_of(data, ("ticket", "password"), KEY_RULE)


class ReadTranscript(OpenedBy):
    format = Text(
        load_default="json",
        validate=validate.OneOf(FORMATS, error=f"format must be one of {', '.join(FORMATS)}"),
    )


class UnlockTranscripts(Request):
    password = Text()
    transcripts_key = Bytes(TRANSCRIPTS_KEY_RULE, KEY_BYTES)

    @pre_load
    def _presence_first(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return one_of(data, ("password", "transcripts_key"), UNLOCK_RULE)


class WriteTranscript(Request):
    # Not `needed`: nothing at all is base64 of 0 bytes, and too short as others are.
    sealed = Bytes(SEALED_RULE, required=True, error_messages={"required": SEALED_RULE})
    language = Text(
        load_default=None, validate=validate.Length(max=LONGEST_LANGUAGE, error="language is too long")
    )
    revision = Text(load_default=None)


class Search(OpenedBy):
    query = Text(required=True, validate=validate.Length(1, LONGEST_QUERY, error=QUERY_RULE))
    limit = WholeNumber(1, 100, "limit must be a whole number from 1 to 100", load_default=20)
    cursor = Text(load_default=None)
    from_ = Moment(data_key="from", load_default=None)
    to = Moment(load_default=None)

    @pre_load
    def _query_first(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data.get("query") in (None, ""):
            raise ValidationError({"query": [QUERY_RULE]})
        return data


class NewTranscription(OpensRecordings, Wishes):
    """A password or file keys; and `file_id`, or the `file_ids` of one conversation, the oldest first."""

    ways_to_name = frozenset({"file_id"})
    without_key = "Send the password, file_key or file_keys"
    without_recording = "file_id or file_ids required"
    replace = Flag("replace must be true or false", load_default=False)


class TranscriptionsQuery(PageQuery):
    status = Text(load_default=None, validate=validate.OneOf(STATUSES, error=STATUS_RULE))
