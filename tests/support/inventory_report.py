"""Writes S3 Inventory reports as S3 does, from what LIST tells of a bucket or from made-up entries.

The format is the User Guide's: "Locating your inventory list" and "Amazon S3 Inventory list".
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from panzoto.storage import ListedEntry

# What the console writes when nothing but what the service needs is ticked, and all versions are.
COLUMNS = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag")
MOMENT = datetime(2026, 11, 28, 1, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """Where reports on `source` go, and by what S3 they are written."""

    s3: Any
    source: str
    destination: str
    prefix: str = "inventories"
    configuration: str = "daily"

    @property
    def folder(self) -> str:
        return "/".join(filter(None, (self.prefix, self.source, self.configuration))) + "/"

    def put(self, s3_key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.destination, Key=s3_key, Body=body)

    def listed(self) -> list[ListedEntry]:
        """Return every version and marker of the source."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.source)
        return [
            ListedEntry.of(entry)
            for page in pages
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]

    def deliver(
        self,
        files: Iterable[Iterable[ListedEntry]],
        moment: datetime = MOMENT,
        columns: Sequence[str] = COLUMNS,
        **told: Any,
    ) -> str:
        """Write a report of these files, and return its manifest's key; `told` is put into it."""
        names = [
            self._deliver_file("\r\n".join(self._line(one, columns) for one in file).encode())
            for file in files
        ]
        return self.deliver_manifest(names, moment, {"fileSchema": ", ".join(columns), **told})

    def _deliver_file(self, content: bytes) -> dict[str, Any]:
        return self.deliver_packed(gzip.compress(content))

    def deliver_packed(self, packed: bytes) -> dict[str, Any]:
        """Put a file of a report, and return how a manifest names it."""
        s3_key = f"{self.folder}data/{uuid.uuid4()}.csv.gz"
        self.put(s3_key, packed)
        return {"key": s3_key, "size": len(packed), "MD5checksum": hashlib.md5(packed).hexdigest()}

    def deliver_manifest(
        self, files: list[dict[str, Any]], moment: datetime = MOMENT, told: dict[str, Any] | None = None
    ) -> str:
        manifest = {
            "sourceBucket": self.source,
            "destinationBucket": f"arn:aws:s3:::{self.destination}",
            "version": "2016-11-30",
            "creationTimestamp": str(int(moment.timestamp() * 1000)),
            "fileFormat": "CSV",
            "fileSchema": ", ".join(COLUMNS),
            "files": files,
        } | (told or {})
        folder = f"{self.folder}{moment:%Y-%m-%dT%H-%MZ}/"
        content = json.dumps(manifest, indent=2).encode()
        self.put(f"{folder}manifest.json", content)
        self.put(f"{folder}manifest.checksum", hashlib.md5(content).hexdigest().encode())
        self.put(f"{self.folder}hive/dt={moment:%Y-%m-%d-%H-%M}/symlink.txt", b"")
        return f"{folder}manifest.json"

    def _line(self, entry: ListedEntry, columns: Sequence[str]) -> str:
        told = {
            "Bucket": self.source,
            "Key": quote_plus(entry.s3_key, safe="/"),
            # A version without an id of its own has none here.
            "VersionId": "" if entry.version_id == "null" else entry.version_id,
            "IsLatest": str(entry.is_latest).lower(),
            "IsDeleteMarker": str(entry.is_marker).lower(),
            "Size": "" if entry.is_marker else str(entry.size),
            "LastModifiedDate": f"{entry.modified_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z",
            "ETag": entry.etag.strip('"'),
        }
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(
            [told.get(name, "") for name in columns]
        )
        return text.getvalue()
