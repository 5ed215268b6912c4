"""What stands between strangers and the account of AWS: firewall, groups, boundary, folders."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import pytest

from deploy.aws.cloudformation import policy
from deploy.aws.cloudformation.data import exported_queue
from panzoto.blueprints.guessable_calls import guessable_calls
from panzoto.config import Settings
from panzoto.object_keys import FOLDERS
from tests.support.service import ROOT, Service

FOLDER = ROOT / "deploy" / "aws" / "cloudformation"
DATA, SERVICE, PIPELINE = (
    json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["Resources"]
    for name in ("data", "service", "pipeline")
)
STRICT, ALL_CALLS, _CLOSED = SERVICE["Firewall"]["Properties"]["Rules"]
BOUNDARY = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/panzoto-boundary"}
FILE_ID = "0b7c3a52-0d53-4a26-9f6f-6a8f6d9a1c11"


def transformed(text: str, transformations: list[dict[str, Any]]) -> str:
    """What the firewall compares, as AWS documents each transformation."""
    for one in sorted(transformations, key=lambda one: int(one["Priority"])):
        match one["Type"]:
            case "URL_DECODE":
                text = unquote(text)
            case "NORMALIZE_PATH":
                # It takes out doubled slashes and dotted segments, and leaves a slash at the end.
                last = "/" if text.endswith("/") else ""
                text = re.sub("^//+", "/", posixpath.normpath(text).rstrip("/") + last)
            case other:
                assert other == "NONE"
    return text


def is_meant(statement: dict[str, Any], method: str, path: str) -> bool:
    """Whether the firewall's statement is true of a request."""
    ((kind, what),) = statement.items()
    if kind in ("AndStatement", "OrStatement"):
        true = [is_meant(one, method, path) for one in what["Statements"]]
        return all(true) if kind == "AndStatement" else any(true)
    field = method if "Method" in what["FieldToMatch"] else path
    seen = transformed(field, what["TextTransformations"])
    if kind == "RegexMatchStatement":
        return re.search(what["RegexString"], seen) is not None
    assert (kind, what["PositionalConstraint"]) == ("ByteMatchStatement", "EXACTLY")
    return bool(seen == what["SearchString"])


def counted_strictly(method: str, path: str) -> bool:
    return is_meant(STRICT["Statement"]["RateBasedStatement"]["ScopeDownStatement"], method, path)


class TestFirewall:
    def test_it_has_every_call_that_takes_something_to_be_guessed(self) -> None:
        calls = guessable_calls()
        assert {
            ("POST", f"/api/{name}")
            for name in (
                "audio-file/{file_id}/upgrade",
                "decrypt-audio",
                "login",
                "password/forgot",
                "password/reset",
                "recover",
                "register",
                "token/refresh",
                "user/email",
                "user/password",
                "user/recovery-key",
                "verify-email",
            )
        } | {("DELETE", "/api/user")} <= set(calls)
        for method, path in calls:
            assert counted_strictly(method, path.replace("{file_id}", FILE_ID)), (method, path)

    @pytest.mark.parametrize(
        "spelling",
        [
            "/api/%6cogin",
            "/%61pi/login",
            "//api//login",
            "/api/./login",
            "/api/user/../login",
            "/api/login/",
            "/api/login%2F",
            "/api/login//",
        ],
    )
    def test_another_spelling_of_a_path_does_not_get_around_it(self, spelling: str) -> None:
        assert counted_strictly("POST", spelling)

    @pytest.mark.parametrize("spelling", ["/api/%6cogin", "/api/login/", "/api/login%2F"])
    def test_the_service_too_takes_such_a_spelling_for_the_path(
        self, service: Service, spelling: str
    ) -> None:
        wrong = {"email": "nobody-at-all@example.com", "password": "wrong password"}
        assert service.call("POST", spelling, json=wrong).status_code == 401

    def test_every_call_is_counted_with_a_slash_behind_it(self) -> None:
        for method, path in guessable_calls():
            assert counted_strictly(method, path.replace("{file_id}", FILE_ID) + "/"), (method, path)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/user"),
            ("GET", "/api/user/audio-files"),
            ("DELETE", "/api/user/sessions/1"),
            ("POST", "/api/uploads"),
            ("GET", "/api/playback/ticket"),
            ("POST", f"/api/audio-file/{FILE_ID}/restore"),
        ],
    )
    def test_what_a_phone_does_all_day_is_not_counted_strictly(self, method: str, path: str) -> None:
        assert not counted_strictly(method, path)
        assert "ScopeDownStatement" not in ALL_CALLS["Statement"]["RateBasedStatement"]


def groups_of(placed: dict[str, Any]) -> set[str]:
    configuration = placed["AwsvpcConfiguration"]
    return {group["Ref"] for group in configuration["SecurityGroups"]}


class TestNetwork:
    def test_the_load_balancer_alone_reaches_the_web_tasks(self) -> None:
        groups = groups_of(SERVICE["WebService"]["Properties"]["NetworkConfiguration"])
        rules = [rule for group in groups for rule in SERVICE[group]["Properties"]["SecurityGroupIngress"]]
        assert rules == [
            {
                "IpProtocol": "tcp",
                "FromPort": 5000,
                "ToPort": 5000,
                "SourceSecurityGroupId": {"Ref": "BalancerGroup"},
            }
        ]

    def test_nobody_reaches_the_other_tasks(self) -> None:
        placed = [
            one["Properties"]["NetworkConfiguration"]
            for name, one in SERVICE.items()
            if one["Type"] == "AWS::ECS::Service" and name != "WebService"
        ]
        assert len(placed) == 4
        for group in set().union(*map(groups_of, placed)):
            assert SERVICE[group]["Properties"]["SecurityGroupIngress"] == []


# Secrets by what the template calls them.
SECRETS = {"SecretKey": "secret-key", "TranscriptionKey": "transcription-key"}


def resolved(value: Any) -> str:
    """An ARN of a template as a text, whatever its account; a reference is its own name."""
    if "Fn::If" in value:
        value = value["Fn::If"][1]
    if isinstance(value, str):
        return value
    ((kind, what),) = value.items()
    if kind == "Fn::ImportValue":
        name = resolved(what).removeprefix("stack-")
        queues = {exported_queue(kind): queue for kind, queue in policy.queue_names(Settings()).items()}
        return "arn:aws:s3:::bucket" if name == "BucketArn" else f"arn:aws:sqs:here:account:{queues[name]}"
    if kind == "Ref":
        return f"arn:aws:secretsmanager:here:account:secret:panzoto/{SECRETS[what]}-1"
    if kind == "Fn::GetAtt":
        name = what[0]
        if name.endswith("Logs"):
            return f"arn:aws:logs:here:account:log-group:/panzoto/{name.removesuffix('Logs').lower()}:*"
        return f"arn:aws:iam::account:role/panzoto-service-{name}"
    text, values = what if isinstance(what, list) else (what, {})
    known = {
        "AWS::Partition": "aws",
        "AWS::Region": "here",
        "AWS::AccountId": "account",
        "DataStack": "stack",
        "BucketName": "bucket",
        "Cluster": "panzoto",
        "InventoryBucket": "inventories",
        "InventoryPrefix": "ours",
    } | {name: resolved(one) for name, one in values.items()}
    return re.sub(r"\$\{([\w:]+)\}", lambda found: known[found[1]], text)


def spelled_out(part: Any) -> Any:
    """A part of a template with its ARNs as texts."""
    if isinstance(part, list):
        return [spelled_out(one) for one in part]
    if isinstance(part, dict) and "Fn::If" in part:
        return spelled_out(part["Fn::If"][1])
    if isinstance(part, dict):
        is_text = any(key.startswith("Fn::") for key in part)
        return resolved(part) if is_text else {key: spelled_out(one) for key, one in part.items()}
    return part


def rights(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for told in document["Statement"]:
        statement = told["Fn::If"][1] if "Fn::If" in told else told
        resources = statement["Resource"]
        for one in resources if isinstance(resources, list) else [resources]:
            for action in statement["Action"]:
                yield action, resolved(one)


def documents_of_the_service() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in SERVICE.items():
        if one["Type"] == "AWS::IAM::Role":
            for given in one["Properties"].get("Policies", []):
                yield name, given["PolicyDocument"]
        elif one["Type"] == "AWS::IAM::Policy":
            yield name, one["Properties"]["PolicyDocument"]


class TestBoundary:
    def test_every_role_of_the_service_has_it_and_lies_within(self) -> None:
        assert PIPELINE["Boundary"]["Properties"]["ManagedPolicyName"] == "panzoto-boundary"
        bounds = list(rights(PIPELINE["Boundary"]["Properties"]["PolicyDocument"]))
        roles = [one["Properties"] for one in SERVICE.values() if one["Type"] == "AWS::IAM::Role"]
        assert roles
        assert all(one["PermissionsBoundary"] == BOUNDARY for one in roles)
        beyond = {
            (name, action, resource)
            for name, document in documents_of_the_service()
            for action, resource in rights(document)
            if not any(action == right and fnmatchcase(resource, bound) for right, bound in bounds)
        }
        assert beyond == set()

    def test_inventories_are_read_by_the_chores_alone_where_there_are_any(self) -> None:
        bucket = "arn:aws:s3:::inventories"
        reading = {("s3:ListBucket", bucket), ("s3:GetObject", f"{bucket}/ours*")}
        readers = {
            name: {(action, resource) for action, resource in rights(document) if "inventories" in resource}
            for name, document in documents_of_the_service()
        }
        assert {name: of for name, of in readers.items() if of} == {"ChoresInventory": reading}
        added = SERVICE["ChoresInventory"]
        assert (added["Condition"], added["Properties"]["Roles"]) == (
            "ReadsInventory",
            [{"Ref": "ChoresRole"}],
        )
        told = {
            name: variable["Value"]
            for name, task in SERVICE.items()
            if task["Type"] == "AWS::ECS::TaskDefinition"
            for variable in task["Properties"]["ContainerDefinitions"][0]["Environment"]
            if variable["Name"] == "INVENTORY"
        }
        assert {name: spelled_out(value) for name, value in told.items()} == {
            "ChoresTask": "s3://inventories/ours"
        }
        without = [value["Fn::If"] for value in told.values()]
        assert [(condition, otherwise) for condition, _, otherwise in without] == [("ReadsInventory", "")]

    def test_it_is_no_way_to_more(self) -> None:
        bounds = {action for action, _ in rights(PIPELINE["Boundary"]["Properties"]["PolicyDocument"])}
        assert not any("*" in action for action in bounds)
        assert {action for action in bounds if action.startswith(("iam:", "sts:"))} == set()

    def test_it_is_no_longer_than_a_policy_may_be(self) -> None:
        """IAM takes 6144 characters (IAM's quotas, "Managed policies"); a real account's are no longer."""
        document = PIPELINE["Boundary"]["Properties"]["PolicyDocument"]
        written = json.dumps(spelled_out(document), separators=(",", ":"))
        for short, longest in (
            ("arn:aws:", "arn:aws-us-gov:"),
            (":here:", ":ap-southeast-2:"),
            (":account:", f":{'1' * 12}:"),
            (":::bucket", f":::{'b' * 63}"),
        ):
            assert short in written
            written = written.replace(short, longest)
        assert len(written) < 6144

    def test_the_pipeline_gives_rights_to_bounded_roles_only(self) -> None:
        (given,) = PIPELINE["BuilderRole"]["Properties"]["Policies"]
        for statement in given["PolicyDocument"]["Statement"]:
            for action in statement["Action"]:
                if not action.startswith("iam:") or action == "iam:CreateServiceLinkedRole":
                    continue
                # Not its own role, nor the one that it acts as.
                assert resolved(statement["Resource"]) == "arn:aws:iam::account:role/panzoto-service-*"
                if re.match("iam:(Create|Put|Attach|Detach|DeleteRolePolicy)", action):
                    bounded = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
                    assert statement["Condition"] == bounded, action
                if action == "iam:PassRole":
                    assert "iam:PassedToService" in statement["Condition"]["StringEquals"]

    def test_nobody_may_take_it_off_or_change_it(self) -> None:
        actions = {
            action
            for name in ("BuilderRole", "DeployRole")
            for given in PIPELINE[name]["Properties"]["Policies"]
            for statement in given["PolicyDocument"]["Statement"]
            for action in statement["Action"]
        }
        assert "iam:*" not in actions
        for action in actions:
            assert not re.match(r"iam:(DeleteRolePermissionsBoundary|\w*Policy(Version)?$)", action) or (
                action.endswith("RolePolicy")
            ), action


class TestFolders:
    def test_no_policy_names_all_objects_of_the_bucket(self) -> None:
        documents = [document for _, document in documents_of_the_service()]
        documents += [SERVICE["S3Endpoint"]["Properties"]["PolicyDocument"]]
        documents += [PIPELINE["Boundary"]["Properties"]["PolicyDocument"]]
        documents += [policy.machine_policy([role], Settings(bucket="bucket")) for role in policy.ROLES]
        named = {
            resource
            for document in documents
            for _, resource in rights(document)
            if resource.startswith("arn:aws:s3:::bucket/")
        }
        assert named == {f"arn:aws:s3:::bucket/{folder}*" for folder in FOLDERS}

    @pytest.mark.parametrize("role", ["web", "events", "sweep", "chores", "backup"])
    def test_versions_are_listed_in_these_folders_only(self, role: str) -> None:
        document = policy.machine_policy([role], Settings())
        listings = [one for one in document["Statement"] if "s3:ListBucketVersions" in one["Action"]]
        assert listings
        listed = [prefix for one in listings for prefix in one["Condition"]["StringLike"]["s3:prefix"]]
        assert set(listed) <= {f"{folder}*" for folder in FOLDERS}
