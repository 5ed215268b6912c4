"""The bucket. This is the only module that speaks S3; its SDK's errors do not leave it."""

from __future__ import annotations

import copy
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from panzoto import object_keys
from panzoto.errors import ObjectChanged, ObjectNotFound, PanzotoError, Unavailable
from panzoto.host import aws_answers
from panzoto.telemetry import tracing

# Two attempts and the pause between stay below six seconds: nobody waits longer for a storage that hangs.
CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 2.4
# S3 takes its time to store, copy or join what is long.
STORING_TIMEOUT_SECONDS = 10
ATTEMPTS = 2
READINESS_TIMEOUT_SECONDS = 1
# A broken stream is taken up again until so many attempts in a row bring nothing, or so many seconds of the
# storage's bring less than this rate. What is opened, or has yet to begin, waits less long.
RESUMPTIONS = 4
RESUMPTION_PAUSE_SECONDS = 0.1
STALLED_SECONDS = 25
OPENING_SECONDS = 4.5
LEAST_BYTES_PER_SECOND = 1024
SMALL_BITE_BYTES = 16 * 1024
# The first read of an object fetches its head: enough for a header and one segment, or a whole short clip.
HEAD_BYTES = 128 + 65536
# Ten thousand parts of this size, S3's limit, hold 80 GiB.
PART_BYTES = 8 * 1024 * 1024
# What is longer is copied in parts: S3 copies at most 5 GiB in one request, and a request must not take long.
COPY_PART_BYTES = 256 * 1024 * 1024
MOST_PARTS = 10_000
# How much is listed at once where only the versions of one key are looked for.
EXACT_PAGE = 100
# What S3 keeps beside an object's bytes that a copy in parts has to be told.
KEPT_WITH_BYTES = (
    "ContentType",
    "Metadata",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "CacheControl",
)

# What tells that S3 has answered; see `aws_answers`.
ANSWERED: aws_answers.Members = {
    "CompleteMultipartUpload": ("ETag", "Key"),
    "CopyObject": ("CopyObjectResult",),
    "CreateMultipartUpload": ("UploadId",),
    "GetObject": ("ETag",),
    "HeadObject": ("ETag",),
    "ListMultipartUploads": ("IsTruncated", "Bucket"),
    "ListObjectVersions": ("IsTruncated", "Name"),
    "ListObjectsV2": ("IsTruncated", "Name"),
    "ListParts": ("IsTruncated", "UploadId"),
    "PutObject": ("ETag",),
    "UploadPart": ("ETag",),
    "UploadPartCopy": ("CopyPartResult",),
}

REFUSALS = (BotoCoreError, ClientError, ResponseParserError)
BREAKS = (BotoCoreError, HTTPError, OSError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One state of one object: what a reader is pinned to."""

    s3_key: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of a multipart upload, `size` bytes long."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """What a listing of the bucket shows: a version of an object, a marker, or an unfinished upload."""

    s3_key: str
    modified_at: datetime
    version_id: str | None
    upload_id: str | None
    is_latest: bool
    is_marker: bool
    etag: str
    size: int

    @classmethod
    def of(cls, entry: dict[str, Any]) -> ListedEntry:
        return cls(
            s3_key=entry["Key"],
            modified_at=entry.get("LastModified") or entry["Initiated"],
            version_id=entry.get("VersionId"),
            upload_id=entry.get("UploadId"),
            is_latest=bool(entry.get("IsLatest")),
            is_marker="IsLatest" in entry and "Size" not in entry,
            etag=entry.get("ETag", ""),
            size=int(entry.get("Size", 0)),
        )

    @property
    def is_object(self) -> bool:
        """Whether this is what a reader of the key gets."""
        return self.is_latest and not self.is_marker

    @property
    def exact(self) -> dict[str, str]:
        """The parameter by which S3 is asked for just this version, empty for one without an id of its own.

        Such a one is asked for by its key, under If-Match; only a newer one in front of it needs its name.
        """
        named = self.version_id not in (None, "null") or not self.is_latest
        return {"VersionId": str(self.version_id)} if named else {}


class Storage:
    """One bucket and one pooled client for all threads of the process."""

    def __init__(self, bucket: str, region: str, custom_endpoint: bool, threads: int) -> None:
        self.bucket = bucket
        self._client = _client(region, custom_endpoint, threads, READ_TIMEOUT_SECONDS, ATTEMPTS)
        self._storing = _client(region, custom_endpoint, threads, STORING_TIMEOUT_SECONDS, ATTEMPTS)
        self._impatient = _client(region, custom_endpoint, 2, READINESS_TIMEOUT_SECONDS, 1)

    def beside(self, bucket: str) -> Storage:
        """Return another bucket of the same region, reached by the same clients; costs nothing."""
        other = copy.copy(self)
        other.bucket = bucket
        return other

    def check(self) -> None:
        """Raises `Unavailable` unless the bucket answers within about a second."""
        try:
            self._impatient.head_bucket(Bucket=self.bucket)
        except REFUSALS as error:
            raise Unavailable() from error

    def open(self, s3_key: str) -> StoredObject:
        """Read the head of an object and learn its size and ETag, in one request.

        Raises `ObjectNotFound` and `Unavailable`.
        """
        try:
            answer = self._get(s3_key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        except _EmptyObject:
            return StoredObject(self, ObjectVersion(s3_key, "", 0))
        try:
            with closing(answer["Body"]) as body:
                head = body.read()
        except BREAKS as error:
            raise _unavailable(error) from error
        version = ObjectVersion(s3_key, answer["ETag"], _total_size(answer))
        return StoredObject(self, version, head)

    def pinned(self, version: ObjectVersion) -> StoredObject:
        """Return the object for a stream, pinned to `version`; costs nothing."""
        return StoredObject(self, version, bearable_seconds=STALLED_SECONDS)

    def check_unchanged(self, version: ObjectVersion) -> None:
        """Raises `ObjectNotFound`, `ObjectChanged` or `Unavailable`."""
        try:
            answer = self._client.head_object(Bucket=self.bucket, Key=version.s3_key, IfMatch=version.etag)
        except REFUSALS as error:
            raise _translated(error, version.s3_key) from error
        if answer["ETag"] != version.etag:
            raise ObjectChanged()

    def read_range(self, version: ObjectVersion, start: int, stop: int) -> tuple[Any, int]:
        """Return a body that holds object[start:stop), and where in the object it begins.

        It is of the pinned version, or there is none.
        """
        # Nearly the whole object is asked for as the whole, which needs no range and is cheaper to serve.
        whole = start <= HEAD_BYTES and version.size - stop <= HEAD_BYTES
        how = {} if whole else {"Range": f"bytes={start}-{stop - 1}"}
        try:
            answer = self._get(version.s3_key, IfMatch=version.etag, **how)
        except _EmptyObject as error:
            raise ObjectChanged() from error
        body = answer["Body"]
        if answer["ETag"] != version.etag:
            body.close()
            raise ObjectChanged()
        if answer["ContentLength"] != (version.size if whole else stop - start):
            body.close()
            raise Unavailable()
        return body, 0 if whole else start

    def write(self, s3_key: str, content: Iterator[bytes]) -> None:
        """Store what `content` yields, part by part in constant memory; all of it or nothing.

        Raises `Unavailable`, and whatever `content` raises.
        """
        try:
            upload_id = self._client.create_multipart_upload(Bucket=self.bucket, Key=s3_key)["UploadId"]
            which = {"Bucket": self.bucket, "Key": s3_key, "UploadId": upload_id}
            try:
                parts = [
                    {"PartNumber": number, "ETag": self._upload_part(which, number, part)}
                    for number, part in enumerate(_parts(content), 1)
                ]
                self._storing.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
            except BaseException:
                self._client.abort_multipart_upload(**which)
                raise
        except REFUSALS as error:
            raise _unavailable(error) from error

    def put(self, s3_key: str, content: bytes) -> ObjectVersion:
        """Store `content` in one request. Raises `Unavailable`."""
        try:
            answer = self._storing.put_object(Bucket=self.bucket, Key=s3_key, Body=content)
        except REFUSALS as error:
            raise _unavailable(error) from error
        return ObjectVersion(s3_key, answer["ETag"], len(content))

    def _upload_part(self, which: dict[str, str], number: int, part: bytes) -> str:
        etag: str = self._storing.upload_part(**which, PartNumber=number, Body=part)["ETag"]
        return etag

    def has(self, s3_key: str) -> bool:
        """Whether readers of the key get an object. Raises `Unavailable`."""
        try:
            self.look(s3_key)
        except ObjectNotFound:
            return False
        return True

    def look(self, s3_key: str) -> ObjectVersion:
        """Return the object's size and ETag, one request. Raises `ObjectNotFound`, `Unavailable`."""
        try:
            answer = self._client.head_object(Bucket=self.bucket, Key=s3_key)
        except REFUSALS as error:
            raise _translated(error, s3_key) from error
        return ObjectVersion(s3_key, answer["ETag"], int(answer["ContentLength"]))

    def begin_parts(self, s3_key: str) -> str:
        """Begin a multipart upload and return its id."""
        try:
            answer = self._client.create_multipart_upload(Bucket=self.bucket, Key=s3_key)
        except REFUSALS as error:
            raise _unavailable(error) from error
        upload_id: str = answer["UploadId"]
        return upload_id

    def parts(self, s3_key: str, upload_id: str) -> list[StoredPart] | None:
        """Return the parts of a multipart upload that are in the bucket, or None when there is no such."""
        try:
            pages = self._client.get_paginator("list_parts").paginate(
                Bucket=self.bucket, Key=s3_key, UploadId=upload_id
            )
            return [
                StoredPart(part["PartNumber"], part["Size"], part["ETag"])
                for page in pages
                for part in page.get("Parts", [])
            ]
        except REFUSALS as error:
            if isinstance(error, ClientError) and _code(error) in ("NoSuchUpload", "NoSuchKey", "404"):
                return None
            raise _unavailable(error) from error

    def join_parts(self, s3_key: str, upload_id: str, parts: list[StoredPart]) -> None:
        """Make one object of all parts; that somebody else just did is as good."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            self._storing.complete_multipart_upload(
                Bucket=self.bucket, Key=s3_key, UploadId=upload_id, MultipartUpload={"Parts": listed}
            )
        except REFUSALS as error:
            if not (isinstance(error, ClientError) and _code(error) == "NoSuchUpload"):
                raise _unavailable(error) from error

    def abort_parts(self, s3_key: str, upload_id: str) -> None:
        """Drop a multipart upload; one that is not there is dropped."""
        try:
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=s3_key, UploadId=upload_id)
        except REFUSALS as error:
            if not (isinstance(error, ClientError) and _code(error) == "NoSuchUpload"):
                raise _unavailable(error) from error

    def remove(self, s3_key: str) -> tuple[int, int]:
        """Remove the object under exactly `s3_key` with every version, marker and unfinished upload.

        Returns how many were removed and how many S3 would not remove. Beyond
        the service's rights there is nothing to remove.
        """
        try:
            return self._remove_where(s3_key, lambda key: key == s3_key, exact=True)
        except REFUSALS as error:
            if _is_beyond_reach(error, s3_key):
                return 0, 0
            raise _unavailable(error) from error

    def remove_folder(self, prefix: str, is_spared: Callable[[str], bool]) -> int:
        """Remove every object whose key begins with `prefix` and is not spared, as `remove` does.

        Returns how many S3 would not remove.
        """
        if not prefix.endswith("/"):
            raise ValueError("a folder's prefix ends with a slash")
        try:
            return self._remove_where(prefix, lambda s3_key: not is_spared(s3_key))[1]
        except REFUSALS as error:
            raise _unavailable(error) from error

    def bring_back(self, prefix: str, moment: datetime) -> int:
        """Let every object under `prefix` be what it was at `moment`; return how many had changed since.

        What was put for the first time since stays. A version that was erased
        is gone. Raises `Unavailable`.
        """
        brought = 0
        try:
            for s3_key, entries in self._histories(prefix):
                then = next((entry for entry in entries if entry["LastModified"] <= moment), None)
                if then is not None and "Size" in then and not then["IsLatest"]:
                    self._make_current(s3_key, then["VersionId"], entries)
                    brought += 1
        except REFUSALS as error:
            raise _unavailable(error) from error
        return brought

    def _make_current(self, s3_key: str, version_id: str, entries: list[dict[str, Any]]) -> None:
        above = entries[: [entry["VersionId"] for entry in entries].index(version_id)]
        if any("Size" in entry for entry in above):
            source = {"Bucket": self.bucket, "Key": s3_key, "VersionId": version_id}
            self._client.copy(source, self.bucket, s3_key)
            return
        for marker in above:
            self._client.delete_object(Bucket=self.bucket, Key=s3_key, VersionId=marker["VersionId"])

    def _histories(self, prefix: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield each key with its versions and markers, the newest first, as S3 lists them."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        found: dict[str, list[dict[str, Any]]] = {}
        for page in pages:
            for entry in _listed(page):
                found.setdefault(entry["Key"], []).append(entry)
        for s3_key, entries in found.items():
            yield s3_key, sorted(entries, key=lambda entry: entry["LastModified"], reverse=True)

    def entries(self, prefix: str) -> Iterator[ListedEntry]:
        """Yield every version, marker and unfinished upload under `prefix`. Raises `Unavailable`."""
        yield from self._entries("list_object_versions", prefix)
        yield from self.unfinished_uploads(prefix)

    def entries_of(self, s3_key: str) -> Iterator[ListedEntry]:
        """Yield every version, marker and unfinished upload of just this key, whatever begins with it.

        Raises `Unavailable`.
        """
        try:
            for kind in ("list_object_versions", "list_multipart_uploads"):
                for page in self._pages(kind, s3_key, exact=True):
                    yield from (ListedEntry.of(entry) for entry in _listed(page) if entry["Key"] == s3_key)
        except REFUSALS as error:
            raise _unavailable(error) from error

    def unfinished_uploads(self, prefix: str) -> Iterator[ListedEntry]:
        """Yield every unfinished upload under `prefix`. Raises `Unavailable`."""
        yield from self._entries("list_multipart_uploads", prefix)

    def _entries(self, kind: str, prefix: str) -> Iterator[ListedEntry]:
        try:
            for page in self._client.get_paginator(kind).paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (ListedEntry.of(entry) for entry in _listed(page))
        except REFUSALS as error:
            raise _unavailable(error) from error

    def stretch(self, prefix: str, after: str | None, most: int) -> Stretch:
        """Return some of what `entries` would yield, keys beyond `after` alone; about `most` of them."""
        return Stretch(self._client, self.bucket, (prefix, after), most)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the prefix of every folder right under `prefix`, which ends with a slash or is empty.

        Raises `ObjectNotFound` where there is no such bucket or it may not be listed, and `Unavailable`.
        """
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/"):
                yield from (folder["Prefix"] for folder in page.get("CommonPrefixes", []))
        except REFUSALS as error:
            if isinstance(error, ClientError) and _code(error) in ("NoSuchBucket", "AccessDenied"):
                raise ObjectNotFound() from error
            raise _unavailable(error) from error

    def drop(self, entry: ListedEntry) -> None:
        """Remove just this version, marker or unfinished upload. Raises `Unavailable`."""
        if entry.upload_id is not None:
            self.abort_parts(entry.s3_key, entry.upload_id)
            return
        try:
            self._client.delete_object(Bucket=self.bucket, Key=entry.s3_key, VersionId=entry.version_id)
        except REFUSALS as error:
            raise _unavailable(error) from error

    def drop_unchanged(self, entry: ListedEntry) -> None:
        """Remove just this version, if it is still what was listed.

        A version without an id of its own is told by its key alone, under which there may be another object
        by now: S3 compares (conditional deletes, of the current version). Raises `ObjectNotFound`,
        `ObjectChanged` and `Unavailable`.
        """
        if entry.exact:
            self.drop(entry)
            return
        # Some of what speaks S3 does not compare when it deletes.
        self.check_unchanged(ObjectVersion(entry.s3_key, entry.etag, entry.size))
        try:
            self._client.delete_object(
                Bucket=self.bucket, Key=entry.s3_key, VersionId=entry.version_id, IfMatch=entry.etag
            )
        except REFUSALS as error:
            raise _translated(error, entry.s3_key) from error

    def beginning(self, entry: ListedEntry, length: int) -> bytes:
        """Return the first `length` bytes of just this version. Raises `ObjectNotFound`, `Unavailable`."""
        try:
            with closing(
                self._get(entry.s3_key, **entry.exact, Range=f"bytes=0-{length - 1}")["Body"]
            ) as body:
                beginning: bytes = body.read()
        except _EmptyObject:
            return b""
        except BREAKS as error:
            raise _unavailable(error) from error
        return beginning

    def copy(self, entry: ListedEntry, s3_key: str, part_bytes: int = COPY_PART_BYTES) -> None:
        """Copy just this version, its content type and metadata too, and compare the two.

        What is longer than `part_bytes` is copied in parts. Raises `ObjectNotFound`, `ObjectChanged`
        when it is no longer what was listed or the copy is not the same, and `Unavailable`.
        """
        try:
            if entry.size > part_bytes:
                self._copy_in_parts(entry, s3_key, part_bytes)
            else:
                self._storing.copy_object(Bucket=self.bucket, Key=s3_key, **self._copied(entry))
            if not self._is_copy(entry, s3_key):
                raise ObjectChanged()
        except BREAKS as error:
            raise _translated(error, entry.s3_key) from error
        except (ClientError, ResponseParserError) as error:
            raise _translated(error, entry.s3_key) from error

    def _copied(self, entry: ListedEntry) -> dict[str, Any]:
        source = {"Bucket": self.bucket, "Key": entry.s3_key, **entry.exact}
        return {"CopySource": source, "CopySourceIfMatch": entry.etag}

    def _copy_in_parts(self, entry: ListedEntry, s3_key: str, part_bytes: int) -> None:
        source = self._client.head_object(Bucket=self.bucket, Key=entry.s3_key, **entry.exact)
        kept = {name: source[name] for name in KEPT_WITH_BYTES if name in source}
        upload_id = self._client.create_multipart_upload(Bucket=self.bucket, Key=s3_key, **kept)["UploadId"]
        which = {"Bucket": self.bucket, "Key": s3_key, "UploadId": upload_id}
        size = max(part_bytes, -(-entry.size // MOST_PARTS))
        try:
            parts = []
            for number, start in enumerate(range(0, entry.size, size), 1):
                copied = f"bytes={start}-{min(start + size, entry.size) - 1}"
                answer = self._storing.upload_part_copy(
                    **which, PartNumber=number, CopySourceRange=copied, **self._copied(entry)
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._storing.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**which)
            raise

    def _is_copy(self, entry: ListedEntry, s3_key: str) -> bool:
        copy = self._client.head_object(Bucket=self.bucket, Key=s3_key)
        if copy["ContentLength"] != entry.size:
            return False
        # The ETag of what was put in one piece is that of its bytes; of parts it depends on the parts.
        if "-" not in entry.etag and copy["ETag"] == entry.etag:
            return True
        return self._digest(entry.s3_key, **entry.exact) == self._digest(s3_key)

    def _digest(self, s3_key: str, **which: str) -> bytes:
        digest = hashlib.sha256()
        with closing(self._get(s3_key, **which)["Body"]) as body:
            for piece in body.iter_chunks(PART_BYTES):
                digest.update(piece)
        return digest.digest()

    def _remove_where(
        self, prefix: str, wanted: Callable[[str], bool], *, exact: bool = False
    ) -> tuple[int, int]:
        """Remove what is wanted of all under `prefix`, or with `exact` of the one key that is the prefix.

        S3 lists keys in order, so that one comes first: no more is listed than it has versions.
        """
        removed = refused = 0
        for kind, name, remove in (
            ("list_multipart_uploads", "UploadId", self._client.abort_multipart_upload),
            ("list_object_versions", "VersionId", self._client.delete_object),
        ):
            for page in self._pages(kind, prefix, exact):
                for entry in (entry for entry in _listed(page) if wanted(entry["Key"])):
                    try:
                        remove(Bucket=self.bucket, Key=entry["Key"], **{name: entry[name]})
                        removed += 1
                    except ClientError as error:
                        # A version under a lock or hold is denied; one that is gone already is gone.
                        if _code(error) not in ("AccessDenied", "NoSuchUpload", "NoSuchVersion"):
                            raise
                        refused += _code(error) == "AccessDenied"
        return removed, refused

    def _pages(self, kind: str, prefix: str, exact: bool) -> Iterator[dict[str, Any]]:
        how = {"PaginationConfig": {"PageSize": EXACT_PAGE}} if exact else {}
        for page in self._client.get_paginator(kind).paginate(Bucket=self.bucket, Prefix=prefix, **how):
            yield page
            if exact and any(entry["Key"] != prefix for entry in _listed(page)):
                return

    def _get(self, s3_key: str, **how: str) -> Any:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=s3_key, **how)
        except REFUSALS as error:
            raise _translated(error, s3_key) from error


class Stretch:
    """About `most` versions and markers under a prefix, in the order of their keys, and whole keys only.

    `reached` is the last key of it, once it is through, and None when nothing is behind it. Iterating
    raises `Unavailable`.
    """

    def __init__(self, client: Any, bucket: str, where: tuple[str, str | None], most: int) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix, self._after = where
        self._most = most
        self.reached: str | None = None

    def __iter__(self) -> Iterator[ListedEntry]:
        try:
            yield from self._versions()
        except REFUSALS as error:
            raise _unavailable(error) from error

    def _versions(self) -> Iterator[ListedEntry]:
        from_there = {"KeyMarker": self._after} if self._after else {}
        pages = self._client.get_paginator("list_object_versions")
        last, count = self._after, 0
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix, **from_there):
            # A page has versions and markers in lists of their own.
            for entry in sorted(_listed(page), key=itemgetter("Key")):
                if count >= self._most and entry["Key"] != last:
                    self.reached = last
                    return
                last, count = entry["Key"], count + 1
                yield ListedEntry.of(entry)


class StoredObject:
    """One version of an object as a `panzoto.crypto.source.ByteSource`."""

    def __init__(
        self,
        storage: Storage,
        version: ObjectVersion,
        head: bytes = b"",
        bearable_seconds: float = OPENING_SECONDS,
    ) -> None:
        self.version = version
        self.head = head
        self._storage = storage
        self._bearable_seconds = bearable_seconds

    @property
    def size(self) -> int:
        return self.version.size

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        """Yield object[start:stop) in pieces of at most `piece` bytes, none of them empty.

        A connection that breaks is taken up again where it broke, under
        If-Match. Raises `Unavailable`, `ObjectChanged` or `ObjectNotFound`,
        never ends early.
        """
        if stop <= len(self.head):
            yield from (self.head[at : min(at + piece, stop)] for at in range(start, stop, piece))
            return
        patience = _Patience(self._bearable_seconds)
        while start < stop:
            reads = self._reads(start, stop, patience.bite(piece))
            try:
                while data := patience.wait_for(reads):
                    start += len(data)
                    yield data
                broke: Exception = Unavailable()
            except (Unavailable, *BREAKS) as error:
                broke = error
            if start < stop:
                patience.use_up(broke)

    def _reads(self, start: int, stop: int, bite: int) -> Iterator[bytes]:
        """Yield what one connection gives of object[start:stop), at most `bite` bytes at a time."""
        body, position = self._storage.read_range(self.version, start, stop)
        with closing(body):
            # Bites of one size from where the body begins: others would each cost another, small read.
            while position < stop and (data := body.read(min(bite, stop - position))):
                wanted = data[max(0, start - position) :]
                position += len(data)
                if wanted:
                    yield wanted


class _Patience:
    """How long a storage that breaks or crawls is borne before a stream is given up.

    Only what the storage takes counts, not the time of a slow listener.
    """

    def __init__(self, bearable_seconds: float) -> None:
        self._bearable = bearable_seconds
        self._failures = 0
        self._waited, self._gained = 0.0, 0
        self._begun = False

    def wait_for(self, reads: Iterator[bytes]) -> bytes:
        """Return what `reads` gives next, nothing at its end; raises what it raises."""
        began = time.monotonic()
        try:
            data = next(reads, b"")
        finally:
            self._waited += time.monotonic() - began
        if data:
            self._begun = True
            self._failures = 0
            self._gained += len(data)
            if self._gained >= LEAST_BYTES_PER_SECOND * STALLED_SECONDS:
                self._waited, self._gained = 0.0, 0
        return data

    def bite(self, piece: int) -> int:
        """Return how much to read at once: little from a connection that follows a broken one.

        What a read has got when its connection breaks is lost with it.
        """
        return min(piece, SMALL_BITE_BYTES) if self._failures else piece

    def use_up(self, error: Exception) -> None:
        """Wait a moment before the next attempt, or raise `Unavailable` when there shall be none."""
        self._failures += 1
        log.warning("s3_stream_broken", extra={"error": type(error).__name__, "failures": self._failures})
        # Who has heard nothing yet is told soon, and may ask again; who listens is not cut off for a hiccup.
        bearable = self._bearable if self._begun else min(self._bearable, OPENING_SECONDS)
        if self._waited > bearable or self._failures > RESUMPTIONS:
            raise Unavailable() from error
        pause = RESUMPTION_PAUSE_SECONDS * self._failures
        self._waited += pause
        time.sleep(pause)


def presigning_client(region: str, custom_endpoint: bool, endpoint_url: str | None) -> Any:
    """Return a client that only signs; at `endpoint_url`, or where botocore finds S3."""
    return boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if custom_endpoint else "virtual"},
            request_checksum_calculation="when_required",
        ),
    )


def sign(client: Any, operation: str, parameters: dict[str, Any], seconds: int) -> str:
    """Return the address of one signed request; asks nobody but, if need be, for credentials.

    Raises `Unavailable`.
    """
    try:
        url: str = client.generate_presigned_url(operation, parameters, ExpiresIn=seconds)
    except REFUSALS as error:
        raise _unavailable(error) from error
    return url


def secret_key() -> str:
    """Return the key by which every client here signs. Raises `Unavailable`."""
    try:
        # Made with the first client; all have their credentials from it.
        credentials = boto3.DEFAULT_SESSION.get_credentials()
        if credentials is None:
            raise Unavailable()
        secret: str = credentials.get_frozen_credentials().secret_key
    except REFUSALS as error:
        raise _unavailable(error) from error
    return secret


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _listed(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a page of unfinished uploads or of versions lists."""
    return [*page.get("Uploads", []), *page.get("Versions", []), *page.get("DeleteMarkers", [])]


def _parts(content: Iterator[bytes]) -> Iterator[bytes]:
    """Gather `content` into parts of `PART_BYTES`, the last perhaps shorter."""
    waiting = bytearray()
    for chunk in content:
        waiting += chunk
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


class _EmptyObject(Exception):
    """A range was asked of an object that has no bytes."""


def _client(region: str, custom_endpoint: bool, connections: int, read_timeout: float, attempts: int) -> Any:
    client = boto3.client(
        "s3",
        region_name=region,
        config=Config(
            connect_timeout=min(CONNECT_TIMEOUT_SECONDS, read_timeout),
            read_timeout=read_timeout,
            max_pool_connections=connections,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            # A stand-in answers on one host for all buckets.
            s3={"addressing_style": "path" if custom_endpoint else "auto"},
            # Every byte is authenticated by us, so a CRC over it would only cost time.
            response_checksum_validation="when_required",
            request_checksum_calculation="when_required",
        ),
    )
    aws_answers.require(client, ANSWERED)
    aws_answers.follow_no_stranger(client)
    tracing.watch(client)
    return client


def _total_size(answer: Any) -> int:
    """Return the size of the whole object (RFC 9110, 14.4), also where a range was ignored."""
    content_range = answer.get("ContentRange", "")
    return int(content_range.rpartition("/")[2]) if content_range else int(answer["ContentLength"])


def _is_beyond_reach(error: Exception, s3_key: str) -> bool:
    """Whether S3 refused a key that the service's rights need not reach: for us, nothing lies there."""
    refused = isinstance(error, ClientError) and _code(error) in ("AccessDenied", "Forbidden", "403")
    return refused and not object_keys.is_within_reach(s3_key)


def _translated(error: Exception, s3_key: str) -> Exception:
    if _is_beyond_reach(error, s3_key):
        return ObjectNotFound()
    if isinstance(error, ClientError):
        code = _code(error)
        if code in ("NoSuchKey", "NoSuchVersion", "NotFound", "404"):
            return ObjectNotFound()
        if code in ("PreconditionFailed", "412"):
            return ObjectChanged()
        if code in ("InvalidRange", "416"):
            return _EmptyObject()
    return _unavailable(error)


def _unavailable(error: Exception) -> PanzotoError:
    code = _code(error) if isinstance(error, ClientError) else ""
    log.warning("s3_failure", extra={"error": type(error).__name__, "aws_code": code})
    return Unavailable()
