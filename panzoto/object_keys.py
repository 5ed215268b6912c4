"""The layout of the bucket: folders, and whose a key is."""

from __future__ import annotations

import re

RECORDING_FOLDERS = ("users/{}/", "audio_upload/{}/")
UUID_SEGMENT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def is_in_folder_of(s3_key: str, user_id: str) -> bool:
    """Whether `s3_key` lies where nobody but `user_id` may record anything.

    A key with a segment that is empty, `.` or `..` does not: what stands
    between us and the bucket may take it for the path of another object.
    """
    if not any(s3_key.startswith(folder.format(user_id)) for folder in RECORDING_FOLDERS):
        return False
    segments = s3_key.replace("\\", "/").split("/")
    return not any(segment in ("", ".", "..") for segment in segments)


def is_in_folder_of_another(s3_key: str, user_id: str) -> bool:
    """Whether the second segment of `s3_key` is the id of another account than `user_id`."""
    second = s3_key.split("/")[1:2]
    return any(UUID_SEGMENT.fullmatch(name) and name.lower() != user_id.lower() for name in second)
