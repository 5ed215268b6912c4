"""What the worker reads of rows that hold more than it needs.

That is neither what a password protects, nor titles and notes. Its role allows no more, see
`deploy/aws/cloudformation/policy.py`.
"""

from __future__ import annotations

from panzoto.models import AudioFile, User

OF_ACCOUNTS = (
    "change_number",
    "deletion_started_at",
    "due_at",
    "transcripts_key_mark",
    "transcripts_public_key",
    "used_recordings",
    "user_id",
)
OF_RECORDINGS = (
    "change_number",
    "duration_ms",
    "file_id",
    "file_size",
    "recorded_at",
    "s3_key",
    "status",
    "transcript",
    "user_id",
)


def read_no_more() -> None:
    """Let this process read no more than that of such rows, from now on."""
    User.readable = list(OF_ACCOUNTS)
    AudioFile.readable = list(OF_RECORDINGS)
