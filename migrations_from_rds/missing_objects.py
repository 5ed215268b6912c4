"""Which recordings have no object in the bucket: both sides listed in the same order, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from migrations_from_rds.errors import Refused
from migrations_from_rds.rows import AUDIO_FILES
from migrations_from_rds.source import Snapshot
from migrations_from_rds.survey import EVERYTHING
from migrations_from_rds.transform import Problem
from panzoto.config import Settings
from panzoto.errors import Unavailable
from panzoto.storage import REFUSALS, Storage

REFUSED = {
    "NoSuchBucket": "does not exist; name the one that the recordings lie in by S3_BUCKET",
    "AccessDenied": "may not be listed with these credentials; they need s3:ListBucket",
    "InvalidAccessKeyId": "does not know these AWS credentials",
    "SignatureDoesNotMatch": "does not accept these AWS credentials",
    "ExpiredToken": "may not be listed any more: the AWS credentials have expired, so renew them",
    "PermanentRedirect": "is in another region; name that by AWS_REGION",
    "AuthorizationHeaderMalformed": "is in another region; name that by AWS_REGION",
}


class ListedBucket(Storage):
    """The bucket, with its keys in order."""

    def keys_in_order(self) -> Iterator[str]:
        """Yield every key, in the order of its UTF-8 bytes; a thousand a request. Raises `Unavailable`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        try:
            for page in pages:
                yield from (entry["Key"] for entry in page.get("Contents", []))
        except REFUSALS as error:
            code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
            if code in REFUSED:
                raise Refused(f"The bucket {self.bucket} {REFUSED[code]}.") from None
            raise Unavailable(
                f"The bucket {self.bucket} cannot be listed ({code or type(error).__name__})"
            ) from error


def open_bucket(settings: Settings) -> ListedBucket:
    return ListedBucket(settings.bucket, settings.region, settings.custom_aws_endpoint, settings.threads)


def missing_objects(
    bucket: ListedBucket, source: Snapshot, advance: Callable[[int], None]
) -> Iterator[Problem]:
    """Yield one problem for each recording whose object is not in the bucket.

    Raises `Refused` for a bucket that holds nothing at all, which cannot be the right one.
    """
    keys = bucket.keys_in_order()
    current: bytes | None = _next(keys)
    if current is None and source.count(AUDIO_FILES, EVERYTHING):
        raise Refused(
            f"The bucket {bucket.bucket} holds no object at all, so it is not the one of the recordings; "
            "name that by S3_BUCKET."
        )
    for s3_key, file_id in source.keys_in_order():
        wanted = s3_key.encode()
        while current is not None and current < wanted:
            current = _next(keys)
        if current != wanted:
            yield Problem(AUDIO_FILES, file_id, "object_missing", "its object is not in the bucket")
        advance(1)


def _next(keys: Iterator[str]) -> bytes | None:
    key = next(keys, None)
    return None if key is None else key.encode()
