"""The bucket into which S3 delivers inventories of the recordings': who reads it, where there is one.

It is the operator's own and no part of the stacks; those that let the chores read it are told its name.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.template import NOTHING, Json, allow, parameter, ref, sub, when

CONDITION = "ReadsInventory"
NAME = "InventoryBucket"
PREFIX = "InventoryPrefix"
# Where the service looks for it, as `INVENTORY`; empty for nowhere.
LOCATION = when(CONDITION, sub("s3://${" + NAME + "}/${" + PREFIX + "}"), "")


def bucket_parameter() -> Json:
    """Return the name of the bucket, as a parameter of both stacks."""
    told = "The bucket into which S3 delivers inventories of the recordings' bucket; empty for none."
    return {NAME: parameter(told, Default="", AllowedPattern="([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?")}


def prefix_parameter() -> Json:
    """Return the prefix under which it delivers them."""
    told = "The prefix under which it does so, without a slash at its end."
    return {PREFIX: parameter(told, Default="", AllowedPattern="([ -.0-~]([ -~]*[ -.0-~])?)?")}


def condition() -> Json:
    """Return the condition that there is such a bucket."""
    return {CONDITION: {"Fn::Not": [{"Fn::Equals": [ref(NAME), ""]}]}}


def where_there_is_one(part: Any) -> Json:
    """Return `part` where there is such a bucket, and nothing in its place where there is none."""
    return when(CONDITION, part, NOTHING)


def bucket() -> Json:
    """Return its ARN."""
    return sub("arn:${AWS::Partition}:s3:::${" + NAME + "}")


def objects(prefix: str = "") -> Json:
    """Return the ARN of all that it holds under `prefix`."""
    return sub("arn:${AWS::Partition}:s3:::${" + NAME + "}/" + prefix + "*")


def reading() -> list[Json]:
    """Return what lets a role read the inventories, and nothing else that lies there."""
    prefix = "${" + PREFIX + "}"
    within = {"StringLike": {"s3:prefix": [sub(prefix + "*")]}}
    return [
        allow(["s3:ListBucket"], bucket(), Condition=within),
        allow(["s3:GetObject"], objects(prefix)),
    ]
