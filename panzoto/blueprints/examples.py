"""Examples for the OpenAPI document: a value for each name, since a name means the same in all calls."""

from __future__ import annotations

import base64
from typing import Any

from panzoto import object_keys
from panzoto.version import VERSION

FILE_ID = "5b0cf3a6-6a0e-4d0b-9a55-0c0a7e5d9f11"
USER_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
S3_KEY = object_keys.upload_key(USER_ID, FILE_ID)
LATER = "2026-05-01T11:15:00Z"
HEX_SALT = "7f" * 32
CODE = "the-code-from-the-letter"
TRANSCRIPTION_ID = "063450f1e8c400-4f1d2c3b5a69"
KEY_BYTES = base64.b64encode(b"\x17" * 32).decode("ascii")
SEALED = base64.b64encode(b"\x2a" * 49).decode("ascii")
RECOVERY_KEY = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFG-CC6W"

# By the name of a property or parameter, or by `Schema.property` where a name means something else there.
OF_PROPERTIES: dict[str, Any] = {
    "address": "203.0.113.7",
    "after": " on Friday.",
    "attempts": 1,
    "available": True,
    "before": "Could you water the ",
    "at": "2026-05-01T10:00:00Z",
    "client_id": "3f1d6c1e-1f1f-4a62-8f0a-7b8f6f4b7c55",
    "code": CODE,
    "content_type": "audio/3gpp",
    "created_at": "2026-04-01T08:30:00Z",
    "current": True,
    "cursor": "the-next-cursor-of-the-page-before",
    "database": "dynamodb",
    "deleted_at": None,
    "detail": {"file_id": FILE_ID},
    "device_name": "Ada's telephone",
    "discard_recordings": False,
    "download_url": "https://voice.example.com/api/playback/the-ticket",
    "duration_ms": 61000,
    "email": "ada@example.com",
    "email_verified": True,
    "deleted": True,
    "end_ms": 4380,
    "engine": "127.0.0.1",
    "ended_at": "2026-05-01T10:12:30Z",
    "erased_at": "2026-05-02T09:00:00Z",
    "error": "User already exists",
    "Error.code": "user_exists",
    "RefusedTranscribe.code": "transcription_unavailable",
    "RefusedTranscribe.error": "This service has nothing that could make transcripts",
    "etag": '"9bb58f26192e4ba00f01e2e7b136bbd8"',
    "event_id": "063450f1e8c400-9f2c51d7aa01",
    "expires_at": LATER,
    "file_id": FILE_ID,
    "file_ids": [FILE_ID, "7c9e6679-7425-40de-944b-e07fc1f90ae7"],
    "file_key": KEY_BYTES,
    "file_keys": {FILE_ID: KEY_BYTES, "7c9e6679-7425-40de-944b-e07fc1f90ae7": KEY_BYTES},
    "file_size": 64228,
    "finished_at": None,
    "format": "v2",
    "ReadTranscript.format": "text",
    "from": "2026-05-01T00:00:00Z",
    "gap": 30,
    "iterations": 100000,
    "KeyDerivation.algorithm": "pbkdf2-hmac-sha256",
    "key_id": "c6" * 16,
    "key_salt": HEX_SALT,
    "language": "en",
    "local": True,
    "model": "base",
    "last_seen_at": "2026-05-01T10:00:00Z",
    "limit": 50,
    "memory_cost_kib": 65536,
    "message": "The recording is decrypted and ready at download_url.",
    "more": False,
    "new_password": "a longer walk by the river",
    "next": "where-this-answer-ends",
    "next_cursor": None,
    "note": None,
    "objects_removed": 1,
    "objects_waiting": 0,
    "order": "uploaded_at",
    "parallelism": 4,
    "part_number": 1,
    "password": "a long walk by the river",
    "pending_email": None,
    "permanent": False,
    "progress": 0.4,
    "query": 'garden "on Friday"',
    "provider_token": "a-token-that-the-provider-has-just-issued",
    "quota_bytes": 53687091200,
    "quota_recordings": 100000,
    "recorded_at": "2026-05-01T09:58:12Z",
    "recovery_key": RECOVERY_KEY,
    "recovery_key_set": True,
    "replace": False,
    "revision": "01JT5M7Q3N",
    "refresh_token": "the-refresh-token-of-this-session",
    "s3_key": S3_KEY,
    "salt": HEX_SALT,
    "sealed": SEALED,
    "searched": 812,
    "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "session_id": "16fd2706-8baf-433b-82eb-8c7fada847da",
    "since": "where-the-answer-before-ended",
    "size": 64228,
    "source": "engine",
    "start_ms": 4100,
    "started_at": "2026-05-01T10:00:00Z",
    "AudioFile.status": "stored",
    "Deletion.status": "in_progress",
    "UploadAnswer.status": "pending",
    "UploadState.status": "pending",
    "Transcription.status": "running",
    "TranscriptState.status": "succeeded",
    "Transcription.error": None,
    # A parameter of this name belongs to no schema.
    ".status": "running",
    "text": "garden",
    "ticket": "the-ticket",
    "time_cost": 3,
    "title": None,
    "to": "2026-05-31T23:59:59Z",
    "token": "the-token-of-this-session",
    "total": 812,
    "transcription_id": TRANSCRIPTION_ID,
    "transcripts_key": KEY_BYTES,
    "transcripts_public_key": KEY_BYTES,
    "TranscriptDocument.version": 1,
    "confidence": 0.94,
    "speaker": "A",
    "vocabulary": ["Zákynthos", "Aunt Mabel"],
    "Change.type": "upsert",
    "Event.type": "signed_in",
    "uploaded_at": "2026-05-01T10:00:00.123456Z",
    "url": f"https://bucket.example.com/{S3_KEY}?X-Amz-Signature=signed",
    "user_id": USER_ID,
    "Argon2.version": 19,
    "HealthAnswer.version": VERSION,
    "Vault.version": 1,
    "wav_url": "https://voice.example.com/api/playback/the-ticket?as=wav",
    "wrapped_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}

# Schemas whose parts do not all occur together.
OF_SCHEMAS: dict[str, Any] = {
    "Usage": {"recordings": 12, "bytes": 7340032, "quota_recordings": 100000, "quota_bytes": 53687091200},
    "Upload": {
        "type": "single",
        "method": "PUT",
        "url": OF_PROPERTIES["url"],
        "headers": {"Content-Length": "64228", "If-None-Match": "*"},
        "expires_at": LATER,
    },
    "TranscriptEntry": {
        "file_id": FILE_ID,
        "sealed": SEALED,
        "revision": OF_PROPERTIES["revision"],
        "language": "en",
        "created_at": OF_PROPERTIES["created_at"],
        "source": "engine",
    },
}

# Properties that come only where others do not.
NOT_WITH_THE_REST = frozenset({"StoredAnswer.transcribe_error"})

_PASSWORD = {"password": OF_PROPERTIES["password"]}
_BY_KEY = {"file_id": FILE_ID, "file_key": KEY_BYTES}
_BY_KEYS = {"file_ids": OF_PROPERTIES["file_ids"], "file_keys": OF_PROPERTIES["file_keys"]}
_TRANSCRIBE = {"file_key": KEY_BYTES, "language": "en"}
_TICKET = {"ticket": "the-ticket-of-unlock"}
_NEW = {"code": CODE, "new_password": OF_PROPERTIES["new_password"]}

# Requests that come in several forms.
OF_REQUESTS: dict[str, dict[str, Any]] = {
    "DecryptAudio": {
        "recording": {"summary": "One recording", "value": {**_PASSWORD, "file_id": FILE_ID}},
        "key": {
            "summary": "One recording by its key in the bucket",
            "value": {**_PASSWORD, "s3_key": S3_KEY},
        },
        "sitting": {
            "summary": "A sitting, played as one",
            "value": {**_PASSWORD, "file_ids": OF_PROPERTIES["file_ids"]},
        },
        "own_key": {"summary": "One recording by its own key", "value": _BY_KEY},
        "own_keys": {"summary": "A sitting by the keys of its recordings", "value": _BY_KEYS},
    },
    "NewTranscription": {
        "own_key": {"summary": "One recording by its own key", "value": _BY_KEY},
        "own_keys": {
            "summary": "One conversation by the keys of its recordings, its language told",
            "value": {**_BY_KEYS, "language": "en", "vocabulary": OF_PROPERTIES["vocabulary"]},
        },
        "password": {
            "summary": "With the password, over the transcript that is there",
            "value": {**_PASSWORD, "file_id": FILE_ID, "replace": True},
        },
    },
    "NewAudioFile": {
        "usual": {
            "summary": "An object that is in the bucket",
            "value": {"s3_key": S3_KEY, "file_size": 64228, "content_type": "audio/3gpp"},
        },
        "transcribed": {
            "summary": "And transcribe it at once",
            "value": {"s3_key": S3_KEY, "file_size": 64228, "transcribe": _TRANSCRIBE},
        },
    },
    "CompleteUpload": {
        "usual": {"summary": "Complete it", "value": {}},
        "transcribed": {"summary": "And transcribe it at once", "value": {"transcribe": _TRANSCRIBE}},
    },
    "UnlockTranscripts": {
        "own_key": {
            "summary": "With the private key for transcripts",
            "value": {"transcripts_key": KEY_BYTES},
        },
        "password": {"summary": "With the password", "value": _PASSWORD},
    },
    "ReadTranscript": {
        "ticket": {"summary": "As text, with a ticket", "value": {**_TICKET, "format": "text"}},
        "password": {"summary": "As subtitles, with the password", "value": {**_PASSWORD, "format": "vtt"}},
    },
    "Search": {
        "ticket": {
            "summary": "With a ticket",
            "value": {**_TICKET, "query": OF_PROPERTIES["query"], "from": OF_PROPERTIES["from"]},
        },
        "password": {"summary": "With the password", "value": {**_PASSWORD, "query": "garden"}},
    },
    "DeletionProof": {
        "password": {"summary": "With the password", "value": _PASSWORD},
        "provider": {
            "summary": "Of an account that signs in by OpenID, with a token that was just issued",
            "value": {"provider_token": OF_PROPERTIES["provider_token"]},
        },
    },
    "PasswordReset": {
        "kept": {
            "summary": "With the recovery key everything opens as before",
            "value": {**_NEW, "recovery_key": RECOVERY_KEY},
        },
        "lost": {
            "summary": "Without it, what was recorded before is given up",
            "value": {**_NEW, "discard_recordings": True},
        },
    },
    "AudioFileEdit": {
        "named": {"summary": "What the client encrypted, as base64", "value": {"title": "c2VhbGVk"}},
        "unnamed": {"summary": "null takes a value away", "value": {"title": None}},
    },
}
