"""Signing the addresses of a day's parts, beside as many plain HMACs."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import statistics
import time
from collections.abc import Callable

from bench.support.report import Target, interleaved, print_table, print_targets
from panzoto.recordings.presigning import Presigner
from panzoto.storage import presigning_client, sign

BUCKET, KEY, UPLOAD_ID = "panzoto-audio-dev", "users/0f8fad5b-d9cb-469f-a165-70867728950e/day.v2", "u" * 64
LENGTH = 16 * 1024 * 1024
BOUND = 4.0
BY_BOTOCORE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=3136)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    presigner = Presigner(BUCKET, "us-east-1", False, 900)
    client = presigning_client("us-east-1", False, None)
    lengths = dict.fromkeys(range(1, arguments.parts + 1), LENGTH)
    address = presigner.parts(KEY, UPLOAD_ID, {1: LENGTH}, "localhost")[0][0].encode()

    def hmacs() -> None:
        for _ in range(arguments.parts):
            hmac.new(address[:32], address, hashlib.sha256).hexdigest()

    def botocore() -> None:
        for number in range(BY_BOTOCORE):
            part = {"Bucket": BUCKET, "Key": KEY, "UploadId": UPLOAD_ID, "PartNumber": number + 1}
            sign(client, "upload_part", {**part, "ContentLength": LENGTH}, 900)

    times = interleaved(
        arguments.rounds,
        {
            "plain HMACs": _timed(hmacs),
            "addresses": _timed(lambda: presigner.parts(KEY, UPLOAD_ID, lengths, "localhost")),
            "botocore": _timed(botocore, arguments.parts / BY_BOTOCORE),
        },
    )
    medians = {name: statistics.median(found) for name, found in times.items()}
    rows = [(name, f"{1000 * median:.1f}") for name, median in medians.items()]
    print_table(f"{arguments.parts} parts", ("what", "CPU ms"), rows)
    print_targets([Target("addresses / plain HMACs", medians["addresses"] / medians["plain HMACs"], BOUND)])


def _timed(work: Callable[[], object], times: float = 1) -> Callable[[], float]:
    def run() -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) * times

    return run


if __name__ == "__main__":
    main()
