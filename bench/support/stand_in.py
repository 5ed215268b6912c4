"""The AWS stand-in a bench runs against: moto's server, ministack as `make run` has it, or a running one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from bench.support.service import ROOT
from tests.support.aws import REGION, free_port, start_moto
from tests.support.server_process import end
from tests.support.waiting import comes_up

BUCKET = "panzoto-audio-dev"
MINISTACK = Path(os.environ.get("MINISTACK", ROOT / ".venv-aws" / "bin" / "ministack"))


@contextmanager
def stand_in(kind: str, access_key: str = "testing") -> Iterator[str]:
    """Give the URL of a stand-in: `moto`, `ministack`, or the URL itself of one that already runs.

    ministack checks the signatures of presigned URLs, and knows `access_key` only.
    """
    if kind.startswith("http"):
        yield kind.rstrip("/")
    elif kind == "moto":
        with start_moto() as url:
            yield url
    else:
        with ministack(AWS_ACCESS_KEY_ID=access_key) as url:
            yield url


def default_kind() -> str:
    """ministack where `make run` has installed it, else moto, which the tests need anyway."""
    return "ministack" if MINISTACK.exists() else "moto"


def client(service: str, url: str, **options: Any) -> Any:
    connect: Any = boto3.client
    return connect(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        **options,
    )


@contextmanager
def ministack(**environment: str) -> Iterator[str]:
    """Run ministack while the block runs; `environment` is added to its own, such as what moves its clock."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="panzoto-bench-aws-") as folder:
        settings = {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "ERROR",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "PERSIST_STATE": "1",
            "STATE_DIR": f"{folder}/state",
            "S3_PERSIST": "1",
            "S3_DATA_DIR": f"{folder}/s3",
            **environment,
        }
        process = subprocess.Popen(
            [str(MINISTACK)],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not comes_up(process, f"{url}/_ministack/health"):
                raise RuntimeError("ministack did not start")
            yield url
        finally:
            end(process, 30)
