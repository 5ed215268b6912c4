"""The bucket's layout: which folders there are, what lies in them, and whose a key is.

| folder | what lies there |
|---|---|
| `users/<user_id>/` | what phones upload, and version 2 copies of recordings |
| `audio_upload/<user_id>/` | what phones of the earlier service upload |
| `sittings/<user_id>/` | plans of sittings, which the service alone writes |
| `transcripts/<user_id>/` | sealed transcripts that are too large for a row, which the service alone writes |
| `aside/` | what no table knew of for thirty days, under its whole key and a mark of its version |

A folder that is not named here is nobody's business: nothing in it is listed, moved or removed.
"""

from __future__ import annotations

import hashlib
import re

UPLOADS = "users/"
EARLIER_UPLOADS = "audio_upload/"
PLANS = "sittings/"
TRANSCRIPTS = "transcripts/"
ASIDE = "aside/"
# Where phones put recordings, recorded here or not.
RECORDINGS = (UPLOADS, EARLIER_UPLOADS)
FOLDERS = (*RECORDINGS, PLANS, TRANSCRIPTS, ASIDE)
# S3's own limit (User Guide, "Naming Amazon S3 objects").
LONGEST_KEY_BYTES = 1024

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID_SEGMENT = re.compile(_UUID, re.IGNORECASE)
_PLAN = re.compile(f"{PLANS}{_UUID}/{_UUID}")
_TRANSCRIPT = re.compile(f"{TRANSCRIPTS}({_UUID})/({_UUID})/[A-Za-z0-9_-]{{16}}")
_ASIDE = re.compile(f"{ASIDE}(.+)/@([0-9]{{11}})[01]-[0-9a-f]{{32}}", re.DOTALL)


def upload_key(user_id: str, file_id: str) -> str:
    """Return the key under which an announced upload is put."""
    return f"{UPLOADS}{user_id}/{file_id}"


def upgraded_key(user_id: str, file_id: str) -> str:
    """Return the key of the version 2 copy of a recording."""
    return f"{UPLOADS}{user_id}/{file_id}.v2"


def plan_key(user_id: str, name: str) -> str:
    """Return the key of a sitting's plan; `name` is a UUID."""
    return f"{plan_folder(user_id)}{name}"


def plan_folder(user_id: str) -> str:
    """Return the folder of an account's plans."""
    return f"{PLANS}{user_id}/"


def transcript_key(user_id: str, file_id: str, revision: str) -> str:
    """Return the key of a large transcript of a recording, as it was written as `revision`."""
    return f"{transcripts_folder(user_id, file_id)}{revision}"


def transcripts_folder(user_id: str, file_id: str) -> str:
    """Return the folder of the large transcripts of a recording: one, and what it replaced till that goes."""
    return f"{TRANSCRIPTS}{user_id}/{file_id}/"


def transcript_of(s3_key: str) -> tuple[str, str] | None:
    """Return (user_id, file_id) of a key that `transcript_key` makes, None for any other."""
    found = _TRANSCRIPT.fullmatch(s3_key)
    return None if found is None else (found[1], found[2])


def recording_folders(user_id: str) -> tuple[str, ...]:
    """Return the folders into which the account's phones put recordings."""
    return tuple(f"{folder}{user_id}/" for folder in RECORDINGS)


def folders_of(user_id: str) -> tuple[str, ...]:
    """Return every folder that goes with the account, and what of them lies aside."""
    phones, own = recording_folders(user_id), f"{TRANSCRIPTS}{user_id}/"
    return (*phones, plan_folder(user_id), own, *(ASIDE + folder for folder in (*phones, own)))


def is_plan(s3_key: str) -> bool:
    """Whether the key is one that `plan_key` makes; what else lies there was put by somebody else."""
    return _PLAN.fullmatch(s3_key) is not None


def owner_of(s3_key: str) -> str | None:
    """Return whose folder the key lies in, or None; there need not be such an account."""
    return _second_segment(s3_key, RECORDINGS)


def account_of(s3_key: str) -> str | None:
    """Return in whose folder the key lies, transcripts and plans included, or None; as `owner_of` else."""
    return _second_segment(s3_key, (*RECORDINGS, PLANS, TRANSCRIPTS))


def _second_segment(s3_key: str, folders: tuple[str, ...]) -> str | None:
    folder, _, rest = s3_key.partition("/")
    user_id, slash, _ = rest.partition("/")
    return user_id if slash and user_id and f"{folder}/" in folders else None


def is_within_reach(s3_key: str) -> bool:
    """Whether the key lies in a folder of the service; its rights in AWS need not reach beyond these."""
    return s3_key.startswith(FOLDERS)


def lies_in_folder_of(s3_key: str, user_id: str) -> bool:
    """Whether the key lies in a folder where nobody but `user_id` may record anything.

    A key with a segment that is empty, `.` or `..` does not: what stands
    between us and the bucket may take it for the path of another object.
    """
    if not any(s3_key.startswith(f"{folder}{user_id}/") for folder in RECORDINGS):
        return False
    segments = s3_key.replace("\\", "/").split("/")
    return not any(segment in ("", ".", "..") for segment in segments)


def lies_in_folder_of_another(s3_key: str, user_id: str) -> bool:
    """Whether the key's second segment is a UUID, in either case of letters, other than `user_id`."""
    segments = s3_key.split("/")
    if len(segments) < 2 or not _UUID_SEGMENT.fullmatch(segments[1]):
        return False
    return segments[1].lower() != user_id.lower()


def version_mark(s3_key: str, version_id: str | None, modified_at: int, etag: str) -> str:
    """Return 32 hexadecimal digits that stand for one version of one key.

    `modified_at` is in epoch seconds. A version without an id of its own, as in a bucket that was
    not always versioned, is told from one that was put over it by its time and its ETag.
    """
    own = version_id not in (None, "", "null")
    parts = (s3_key, version_id) if own else (s3_key, "null", str(modified_at), etag)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def aside_key(s3_key: str, modified_at: int, is_latest: bool, mark: str) -> str | None:
    """Return where a version is moved aside, or None when that key would be longer than S3 takes.

    Behind the whole key it tells when the version was put, in epoch seconds, whether it was what readers
    of the key got, and its mark, so that a key's versions are in order.
    """
    key = f"{aside_prefix(s3_key)}{modified_at:011d}{int(is_latest)}-{mark}"
    return key if len(key.encode()) <= LONGEST_KEY_BYTES else None


def aside_prefix(s3_key: str) -> str:
    """Return how the names of all versions begin that were moved aside from `s3_key`."""
    return f"{ASIDE}{s3_key}/@"


def original_key(aside: str) -> str | None:
    """Return the key that was moved to `aside`, or None when it is no key that `aside_key` makes."""
    found = _ASIDE.fullmatch(aside)
    return found[1] if found else None


def put_at(aside: str) -> int:
    """Return when the version that was moved to `aside` was put, in epoch seconds. Raises `ValueError`."""
    found = _ASIDE.fullmatch(aside)
    if found is None:
        raise ValueError("no key of a version that was moved aside")
    return int(found[2])
