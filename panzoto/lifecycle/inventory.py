"""S3 Inventory: the bucket's contents as S3 writes them down once a day or a week, read as LIST tells them.

A report costs half of the LIST requests that say the same, and no waiting for them. Its format is AWS's own
(S3 User Guide, "Cataloging and analyzing your data with S3 Inventory", "Locating your inventory list"):

    <prefix>/<source bucket>/<configuration>/<YYYY-MM-DDTHH-MMZ>/manifest.json and manifest.checksum
    <prefix>/<source bucket>/<configuration>/data/<name>.csv.gz

A report is hours or days old, and may lack what was just put or removed ("Inventory consistency", in the same
guide), so whoever acts on an entry looks at the object once more. It holds no unfinished uploads.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import IO, Any
from urllib.parse import unquote_plus

from panzoto import object_keys
from panzoto.config import INVENTORY_LOCATION
from panzoto.errors import ObjectNotFound, UnusableInventory
from panzoto.models.attributes import EPOCH
from panzoto.storage import ListedEntry, Storage

MANIFEST, CHECKSUM = "manifest.json", "manifest.checksum"
# A report of 10^10 objects has some thousand files, of 150 bytes each in the manifest.
LARGEST_MANIFEST_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 256 * 1024
# Without the first line's columns an object cannot be told, without the second's its other versions.
OF_OBJECTS = ("Bucket", "Key", "Size", "LastModifiedDate", "ETag")
OF_VERSIONS = ("VersionId", "IsLatest", "IsDeleteMarker")
HOW_TO_MAKE_ONE = (
    "make an inventory in the format CSV, of all versions, with size, last modified date and ETag"
)

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}Z/")
_MD5 = re.compile(r"[0-9a-f]{32}")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class InventoryFile:
    """One file of a report, `size` bytes long; `md5` is hexadecimal."""

    s3_key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One report: when S3 began to look at the bucket, what the columns of its files are, and the files.

    `s3_key` is its manifest's own, by which `manifest_at` finds it again when there is a newer one.
    """

    s3_key: str
    source_bucket: str
    created_at: datetime
    columns: tuple[str, ...]
    files: tuple[InventoryFile, ...]
    storage: Storage = field(repr=False, compare=False)


def newest_manifest(storage: Storage, location: str) -> Manifest:
    """Return the newest complete report on the bucket of `storage` under `location`, `s3://bucket/prefix`.

    The prefix is the one of the inventory's configuration, or goes on to the bucket's name or to the
    configuration's, which it must where there are several. Raises `UnusableInventory` and `Unavailable`.
    """
    destination, prefix = _parsed(storage, location)
    moments = _moments(destination, _configuration(destination, prefix, storage.bucket))
    for folder in sorted(moments, reverse=True):
        # The checksum comes last; a report without one is still being delivered.
        checksum = _checksum(destination, folder)
        if checksum is not None:
            return _manifest(destination, folder + MANIFEST, checksum, storage.bucket)
    raise UnusableInventory(f"There is no complete inventory of {storage.bucket} under {location} yet")


def manifest_at(storage: Storage, location: str, s3_key: str) -> Manifest:
    """Return the report with the manifest `s3_key`, for whoever began with it and goes on with it.

    Raises `UnusableInventory`, also when it has been removed meanwhile, and `Unavailable`.
    """
    destination, _ = _parsed(storage, location)
    checksum = _checksum(destination, s3_key.removesuffix(MANIFEST))
    if checksum is None:
        raise UnusableInventory(f"The inventory {s3_key} is not there any more")
    return _manifest(destination, s3_key, checksum, storage.bucket)


def entries(manifest: Manifest, file: InventoryFile, start: int = 0) -> Iterator[ListedEntry]:
    """Yield what `file` tells of the service's folders, from entry number `start`, as LIST would tell it.

    The order is the file's own, which is none that could be relied upon. The file is read whole, onto the
    disk, and compared with the manifest before its first entry is told. Raises `UnusableInventory` and
    `Unavailable`.
    """
    with tempfile.TemporaryFile(prefix="panzoto-inventory-") as copy:
        _fetch(manifest.storage, file, copy)
        with _damage_told(file.s3_key):
            yield from _read(manifest, copy, start)


def _parsed(storage: Storage, location: str) -> tuple[Storage, str]:
    found = INVENTORY_LOCATION.fullmatch(location)
    if found is None:
        raise UnusableInventory("The place of an inventory is written as s3://bucket/prefix")
    prefix = (found["prefix"] or "").strip("/")
    return storage.beside(found["bucket"]), f"{prefix}/" if prefix else ""


def _configuration(destination: Storage, prefix: str, source_bucket: str) -> str:
    """Return the folder of the one configuration that `prefix` leads to."""
    if prefix.endswith(f"{source_bucket}/"):
        candidates = _folders(destination, prefix)
    elif _moments(destination, prefix):
        return prefix
    else:
        candidates = _folders(destination, f"{prefix}{source_bucket}/")
    found = [folder for folder in candidates if _moments(destination, folder)]
    if len(found) > 1:
        named = " or ".join(f"s3://{destination.bucket}/{folder.rstrip('/')}" for folder in found)
        raise UnusableInventory(
            f"There are several inventories of {source_bucket}; name one of them: {named}"
        )
    if not found:
        raise UnusableInventory(
            f"There is no inventory of {source_bucket} under s3://{destination.bucket}/{prefix} yet; "
            "S3 delivers the first within 48 hours"
        )
    return found[0]


def _folders(destination: Storage, prefix: str) -> list[str]:
    try:
        return list(destination.folders(prefix))
    except ObjectNotFound as error:
        raise UnusableInventory(
            f"The bucket {destination.bucket} is not there, or may not be listed: "
            "reading an inventory needs s3:ListBucket and s3:GetObject on it"
        ) from error


def _moments(destination: Storage, configuration: str) -> list[str]:
    """Return the folders of a configuration's reports; their names are in the order of their times."""
    folders = _folders(destination, configuration)
    return [folder for folder in folders if _MOMENT.fullmatch(folder.removeprefix(configuration))]


def _checksum(destination: Storage, folder: str) -> str | None:
    content = _small_object(destination, folder + CHECKSUM)
    if content is None:
        return None
    # Written as the digits alone, or with a line's end behind them.
    digest = content.decode("ascii", "replace").strip().lower()
    if not _MD5.fullmatch(digest):
        raise UnusableInventory(f"{folder}{CHECKSUM} holds no MD5")
    return digest


def _manifest(destination: Storage, s3_key: str, checksum: str, source_bucket: str) -> Manifest:
    content = _small_object(destination, s3_key)
    if content is None:
        raise UnusableInventory(f"{s3_key} is not there, although its checksum is")
    if _md5(content).hexdigest() != checksum:
        raise UnusableInventory(f"{s3_key} is damaged: its MD5 is not the one in {CHECKSUM}")
    try:
        told = json.loads(content)
        if told["sourceBucket"] != source_bucket:
            raise UnusableInventory(f"{s3_key} is an inventory of another bucket than {source_bucket}")
        return Manifest(
            s3_key=s3_key,
            source_bucket=source_bucket,
            created_at=datetime.fromtimestamp(int(told["creationTimestamp"]) / 1000, EPOCH.tzinfo),
            columns=_columns(told["fileFormat"], told["fileSchema"]),
            files=tuple(_file(one) for one in told["files"]),
            storage=destination,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UnusableInventory(f"{s3_key} is no manifest as S3 writes it") from error


def _columns(file_format: str, schema: str) -> tuple[str, ...]:
    if file_format != "CSV":
        raise UnusableInventory(f"This inventory is in the format {file_format}; {HOW_TO_MAKE_ONE}")
    columns = tuple(name.strip() for name in schema.split(","))
    missing = [name for name in (*OF_OBJECTS, *OF_VERSIONS) if name not in columns]
    if missing:
        raise UnusableInventory(f"This inventory lacks {', '.join(missing)}; {HOW_TO_MAKE_ONE}")
    if len(set(columns)) != len(columns):
        raise UnusableInventory("This inventory has two columns of one name")
    return columns


def _file(told: dict[str, Any]) -> InventoryFile:
    md5 = str(told["MD5checksum"]).lower()
    if not _MD5.fullmatch(md5):
        raise ValueError("no MD5")
    return InventoryFile(str(told["key"]), int(told["size"]), md5)


def _small_object(destination: Storage, s3_key: str) -> bytes | None:
    """Return what an object holds, None where there is none, or it may not be read."""
    try:
        found = destination.open(s3_key)
    except ObjectNotFound:
        return None
    if found.size > LARGEST_MANIFEST_BYTES:
        raise UnusableInventory(f"{s3_key} is larger than a manifest can be")
    return b"".join(found.pieces(0, found.size, PIECE_BYTES))


def _fetch(destination: Storage, file: InventoryFile, copy: IO[bytes]) -> None:
    """Write the whole of `file` into `copy`; raises `UnusableInventory` unless it is as its manifest says."""
    try:
        found = destination.open(file.s3_key)
    except ObjectNotFound as error:
        raise UnusableInventory(f"{file.s3_key} is not there, or may not be read (s3:GetObject)") from error
    if found.size != file.size:
        raise UnusableInventory(f"{file.s3_key} has {found.size} bytes, its manifest says {file.size}")
    digest = _md5()
    for piece in found.pieces(0, found.size, PIECE_BYTES):
        digest.update(piece)
        copy.write(piece)
    if digest.hexdigest() != file.md5:
        raise UnusableInventory(f"{file.s3_key} is damaged: its MD5 is not the one in its manifest")
    copy.seek(0)


def _md5(content: bytes = b"") -> Any:
    # S3 names its reports' MD5; it tells damage, not forgery.
    return hashlib.md5(content, usedforsecurity=False)


@contextmanager
def _damage_told(s3_key: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError, EOFError, OSError, csv.Error, zlib.error) as error:
        raise UnusableInventory(f"{s3_key} is no file of an inventory as S3 writes it") from error


def _read(manifest: Manifest, copy: IO[bytes], left_out: int) -> Iterator[ListedEntry]:
    to_entry = _entry_of(manifest)
    key, width = manifest.columns.index("Key"), len(manifest.columns)
    with gzip.GzipFile(fileobj=copy) as plain, TextIOWrapper(plain, "utf-8", newline="") as text:
        for row in csv.reader(text, strict=True):
            if len(row) != width:
                raise ValueError("a line with more or fewer columns than its schema")
            s3_key = unquote_plus(row[key], errors="strict")
            if not object_keys.is_within_reach(s3_key):
                continue
            if left_out:
                left_out -= 1
            else:
                yield to_entry(s3_key, row)


def _entry_of(manifest: Manifest) -> Callable[[str, list[str]], ListedEntry]:
    """Return what turns a line into what LIST would tell of the same version."""
    place = {name: number for number, name in enumerate(manifest.columns)}
    names = ("Bucket", "Size", "LastModifiedDate", "ETag", *OF_VERSIONS)
    bucket_at, size_at, modified_at, etag_at, version_at, latest_at, marker_at = (
        place[name] for name in names
    )

    def to_entry(s3_key: str, row: list[str]) -> ListedEntry:
        if row[bucket_at] != manifest.source_bucket:
            raise ValueError("a line about another bucket")
        is_marker = _boolean(row[marker_at], default=False)
        etag = row[etag_at]
        if not (is_marker or etag):
            raise ValueError("a line without an ETag")
        return ListedEntry(
            s3_key=s3_key,
            modified_at=_moment(row[modified_at]),
            # LIST calls a version without an id of its own so, and S3 takes that name where one is asked for.
            version_id=row[version_at] or "null",
            upload_id=None,
            # A bucket that never was versioned has one version of a key.
            is_latest=_boolean(row[latest_at], default=not row[version_at]),
            is_marker=is_marker,
            # LIST has the quotes of the HTTP header (RFC 9110, 8.8.3) around it, a report has not.
            etag="" if is_marker else f'"{etag.strip(chr(34))}"',
            size=0 if is_marker else int(row[size_at]),
        )

    return to_entry


def _boolean(text: str, *, default: bool) -> bool:
    value = _BOOLEANS.get(text.lower(), default if not text else None)
    if value is None:
        raise ValueError("neither true nor false")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)
