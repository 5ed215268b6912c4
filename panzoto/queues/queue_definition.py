"""How a queue must be: how long messages live and are held, who may write to it, and where failures go."""

from __future__ import annotations

import json
from typing import Any

from panzoto.config import DEAD_LETTERS

VISIBILITY_SECONDS = 120
# Messages live for two weeks, since an object that arrived must not be forgotten over a long outage.
RETENTION = {"MessageRetentionPeriod": "1209600"}
QUEUE_ATTRIBUTES = {**RETENTION, "VisibilityTimeout": str(VISIBILITY_SECONDS)}
# A message that always fails is tried for a day, each time after it was hidden, and then put aside.
TRIES_OF_A_DAY = 86_400 // VISIBILITY_SECONDS


def dead_letter_name(queue: str) -> str:
    """Return the name of the queue into which the failed messages of `queue` go."""
    return queue + DEAD_LETTERS


def redrive_policy(dead_letter_arn: str) -> str:
    """Return the attribute by which SQS itself moves a message that has failed for a day."""
    return json.dumps({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": TRIES_OF_A_DAY})


def queue_policy(queue_arn: Any, bucket_arn: Any) -> dict[str, Any]:
    """Return the policy by which the bucket, and nobody else, may write to the queue of its events."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnLike": {"aws:SourceArn": bucket_arn}},
            }
        ],
    }
