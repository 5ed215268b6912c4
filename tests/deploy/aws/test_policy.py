"""What the service may do in AWS is what it does: no action is missing from its policies or left over.

The stand-ins of the session have written down every call that was signed with
the key of one of the roles, in real processes of the service and through
presigned URLs.  This file comes last.  When only a part of the suite was run,
it cannot be known whether something is left over, and the summary says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.aws.cloudformation import policy
from panzoto import object_keys
from panzoto.config import Settings
from tests.conftest import PARTLY, is_whole_suite, wait_for_the_others
from tests.support.aws_calls import ATTRIBUTE, FOLDERS, RECORD, Permission, recorded
from tests.support.service import ROOT

SETTINGS = Settings()
# What only writes need that meet others of the same account, as they may or may not in a run of the tests.
BY_CHANCE = {
    ("events", "dynamodb:BatchGetItem", "audio_files"),
    ("deploy", "dynamodb:GetItem", "audio_files"),
    ("deploy", "dynamodb:GetItem", "changes"),
}


@pytest.fixture(scope="module", autouse=True)
def _all_others_have_ended(request: pytest.FixtureRequest) -> None:
    wait_for_the_others(request.config)


def allowed() -> set[Permission]:
    return {
        Permission(role, action, resource_of(kind))
        for role in policy.ROLES
        for kind, actions in policy.actions(role).items()
        for action in actions
    }


def resource_of(kind: str) -> str:
    return policy.table_name(kind, SETTINGS) if kind.partition("/")[0] in policy.TABLES else kind


def as_the_policy_names_it(one: Permission) -> Permission:
    """The same, and where the role does not name a folder by itself, without the folder."""
    kind = one.resource.partition("/")[0]
    is_named = one.resource in policy.ROLES.get(one.role, {})
    return one._replace(resource=kind) if kind in ("object", "folders") and not is_named else one


@pytest.mark.parametrize("role", policy.ROLES)
def test_nothing_is_missing_and_nothing_is_left_over(
    role: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    # A table that only a test has is in no policy, nor is a copy that the service of a test works on.
    used = {
        as_the_policy_names_it(one)
        for one in recorded(Path(os.environ[RECORD]))
        if one.role == role and not one.resource.startswith("test-")
        if not one.action.startswith(ATTRIBUTE)
        if role == "backup" or one.resource != "copies"
    }
    may = {one for one in allowed() if one.role == role}
    assert used - may == set(), "the policy lacks what the code does"
    if is_whole_suite(request.config):
        by_chance = {Permission(one, action, resource_of(kind)) for one, action, kind in BY_CHANCE}
        assert may - used - by_chance == set(), "the policy allows what nothing does"
    else:
        record_property(PARTLY, True)


@pytest.mark.parametrize(("role", "table"), policy.ATTRIBUTES)
def test_no_attribute_is_missing_and_none_is_left_over(
    role: str, table: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    name = policy.table_name(table, SETTINGS)
    used = {
        (one.action.removeprefix(ATTRIBUTE), one.resource.partition(".")[2])
        for one in recorded(Path(os.environ[RECORD]))
        if one.role == role and one.action.startswith(ATTRIBUTE) and one.resource.partition(".")[0] == name
    }
    may = {
        ("read" if names == policy.READS else "written", attribute)
        for names, attributes in policy.ATTRIBUTES[role, table].items()
        for attribute in attributes
    }
    assert used - may == set(), "the policy lacks what the code does"
    if is_whole_suite(request.config):
        assert may - used == set(), "the policy allows what nothing does"
    else:
        record_property(PARTLY, True)


def test_who_transcribes_cannot_read_what_a_password_protects() -> None:
    secret = {
        "email",
        "password_hash",
        "key_salt",
        "vault",
        "wrapped_direct_keys",
        "recovery",
        "title",
        "note",
    }
    rights = policy.machine_policy(["transcriptions"], SETTINGS)["Statement"]
    for table in ("users", "audio_files"):
        arn = f":table/{policy.table_name(table, SETTINGS)}"
        of_table = [one for one in rights if str(one["Resource"]).endswith(arn)]
        assert of_table
        for one in of_table:
            named = one["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
            assert not secret & set(named)
            assert one["Condition"]["StringEqualsIfExists"]["dynamodb:Select"] == "SPECIFIC_ATTRIBUTES"


def test_the_folders_that_are_recorded_are_those_of_the_service() -> None:
    assert FOLDERS == object_keys.FOLDERS


def test_a_worker_that_writes_transcripts_reaches_no_other_folder() -> None:
    bucket = f"arn:aws:s3:::{SETTINGS.bucket}"
    rights = policy.machine_policy(["transcriptions"], SETTINGS)["Statement"]
    may = {
        action: {resource.removeprefix(bucket) for resource in resources}
        for statement in rights
        for resources in [
            [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        ]
        for action in statement["Action"]
        if action.startswith("s3:")
    }
    assert may == {
        "s3:GetObject": {"/users/*", "/audio_upload/*"},
        "s3:PutObject": {"/transcripts/*"},
        "s3:DeleteObjectVersion": {"/transcripts/*"},
        "s3:ListBucket": {""},
        "s3:ListBucketMultipartUploads": {""},
        "s3:ListBucketVersions": {""},
    }
    (within,) = [one["Condition"] for one in rights if one["Action"] == ["s3:ListBucketVersions"]]
    assert within == {"StringLike": {"s3:prefix": ["transcripts/*"]}}


def test_no_role_beyond_those_of_the_policy_was_used() -> None:
    assert {one.role for one in recorded(Path(os.environ[RECORD]))} <= set(policy.ROLES)


def test_the_policy_of_a_machine_is_printed() -> None:
    command = [sys.executable, "-m", "deploy.aws.cloudformation.policy"]
    printed = subprocess.run(
        [*command, "web", "events"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert '"arn:aws:dynamodb:us-east-1:*:table/panzoto-users"' in printed.stdout
    wrong = subprocess.run([*command, "root"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "usage:" in wrong.stderr
