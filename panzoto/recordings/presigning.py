"""Presigned URLs (AWS Signature Version 4): what a phone may put into or take out of the bucket by itself.

A stand-in on this machine is named by the host by which the client came: a
telephone's emulator, say, reaches this machine under a name of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from panzoto.models import AudioFile
from panzoto.models.attributes import now
from panzoto.recordings.part_addresses import PartAddresses
from panzoto.storage import presigning_client, secret_key, sign

LOOPBACK = ("127.0.0.1", "localhost", "::1")
REMEMBERED_HOSTS = 16


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A URL with the headers that must be sent along, good until `expires_at`."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


class Presigner:
    """Signs requests for one bucket; signing asks nobody."""

    def __init__(self, bucket: str, region: str, custom_endpoint: bool, ttl_seconds: int) -> None:
        self._bucket = bucket
        self._region = region
        self._custom_endpoint = custom_endpoint
        self._ttl_seconds = ttl_seconds
        self._client = presigning_client(region, custom_endpoint, None)
        self._by_host: OrderedDict[str, Any] = OrderedDict()
        self._guard = threading.Lock()

    def put(self, s3_key: str, size: int, sha256: str | None, host: str) -> SignedRequest:
        """Sign one PUT of exactly `size` bytes that never overwrites an object that is there."""
        wanted = {"ContentLength": size, "IfNoneMatch": "*"}
        headers = {"Content-Length": str(size), "If-None-Match": "*"}
        if sha256 is not None:
            wanted["ChecksumSHA256"] = sha256
            headers["x-amz-checksum-sha256"] = sha256
        url = self._sign("put_object", host, Key=s3_key, **wanted)
        return SignedRequest(url, headers, self.expires_at())

    def parts(
        self, s3_key: str, upload_id: str, lengths: dict[int, int], host: str
    ) -> tuple[list[str], datetime]:
        """Sign the PUT of parts of exactly these lengths in bytes, by their numbers."""

        def signed(number: int) -> str:
            which = {"Key": s3_key, "UploadId": upload_id, "PartNumber": number}
            return self._sign("upload_part", host, **which, ContentLength=lengths[number])

        numbers = list(lengths)
        urls = [signed(number) for number in numbers[:1]]
        like = PartAddresses.like(urls[0], numbers[0], lengths[numbers[0]], secret_key()) if urls else None
        urls += [like.of(number, lengths[number]) if like else signed(number) for number in numbers[1:]]
        return urls, self.expires_at()

    def get(self, s3_key: str, host: str) -> SignedRequest:
        """Sign the GET of an encrypted object."""
        return SignedRequest(self._sign("get_object", host, Key=s3_key), {}, self.expires_at())

    def origin(self, host: str) -> str:
        """Return scheme, host and port of what is signed for a client that calls the service by `host`."""
        address = urlsplit(self._sign("get_object", host, Key="any"))
        return f"{address.scheme}://{address.netloc}"

    def _sign(self, operation: str, host: str, **parameters: Any) -> str:
        client = self._client_for(host)
        return sign(client, operation, {"Bucket": self._bucket, **parameters}, self._ttl_seconds)

    def expires_at(self) -> datetime:
        """Return when what is signed now is good no more."""
        return now() + timedelta(seconds=self._ttl_seconds)

    def still_good_until(self, row: AudioFile) -> datetime | None:
        """Return when the last address ends under which an object may still be put for `row`; None for none.

        One is given out as long as the recording is pending; parts have none once their upload is over.
        """
        if row.value("announced_at") is None or row.upload_id:
            return None
        committed = row.value("kept_uploaded_at") or row.value("uploaded_at")
        until: datetime = (committed or now()) + timedelta(seconds=self._ttl_seconds)
        return until if until > now() else None

    def _client_for(self, host: str) -> Any:
        endpoint = urlsplit(self._client.meta.endpoint_url)
        if not self._custom_endpoint or endpoint.hostname not in LOOPBACK or host == endpoint.hostname:
            return self._client
        with self._guard:
            if host not in self._by_host:
                name = f"[{host}]" if ":" in host else host
                url = f"{endpoint.scheme}://{name}:{endpoint.port or 80}"
                self._by_host[host] = presigning_client(self._region, True, url)
            self._by_host.move_to_end(host)
            while len(self._by_host) > REMEMBERED_HOSTS:
                self._by_host.popitem(last=False)
            return self._by_host[host]
