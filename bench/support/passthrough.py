"""A view that passes an object through undecrypted: what playback is compared with.

It runs behind the service's own gunicorn configuration and reads S3 with the same client settings and in the
same pieces, so that what is left of the difference is the decryption and its checks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
from botocore.config import Config
from flask import Flask, Response

from panzoto.crypto.single_shot import PIECE

app = Flask(__name__)
_s3 = boto3.client(
    "s3",
    config=Config(
        max_pool_connections=128,
        s3={"addressing_style": "path"},
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
    ),
)


@app.get("/api/health")
def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.get("/pass/<path:s3_key>")
def pass_through(s3_key: str) -> Response:
    answer = _s3.get_object(Bucket=os.environ.get("S3_BUCKET", "panzoto-audio-dev"), Key=s3_key)
    response = Response(_pieces(answer["Body"]), content_type="application/octet-stream")
    response.headers["Content-Length"] = str(answer["ContentLength"])
    return response


def _pieces(body: Any) -> Iterator[bytes]:
    with closing(body):
        while piece := body.read(PIECE):
            yield piece
