"""The bucket's own events: uploads whose phone never said `complete` are committed too.

Events come twice, late and out of order, and none of that matters: each only
says "look at this key", and looking twice changes nothing.
"""

from __future__ import annotations

import json
import logging
from urllib.parse import unquote_plus

from panzoto.object_keys import LONGEST_KEY_BYTES
from panzoto.recordings.uploads import Uploads

log = logging.getLogger(__name__)


def commit_arrivals(uploads: Uploads, body: str) -> int:
    """Commit the uploads of which one message tells; return how many there were.

    Raises `Unavailable` when the stores cannot be asked: then the message must come again.
    """
    return sum(uploads.arrived(s3_key) for s3_key in keys_in(body))


def keys_in(body: str) -> list[str]:
    """Return the keys of the objects that an event message says were created; none for any other message."""
    try:
        records = json.loads(body).get("Records", [])
        keys = [
            unquote_plus(record["s3"]["object"]["key"])
            for record in records
            if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:")
        ]
        # What is no key of S3, DynamoDB could not look for either, and the message would come for ever.
        return [s3_key for s3_key in keys if 0 < len(s3_key.encode()) <= LONGEST_KEY_BYTES]
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("bucket_event_not_understood")
        return []
