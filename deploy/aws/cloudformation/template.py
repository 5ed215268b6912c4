"""The few words of CloudFormation that the templates are written in."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

FORMAT = "2010-09-09"
# Retained when the stack goes, and when a change would replace it: only deploy/aws/cleanup removes data.
RETAIN = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
DELETE = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
# By this tag the bill and deploy/aws/cleanup find what belongs to the deployment.
TAGS = [{"Key": "application", "Value": "panzoto"}]


# These say on whose behalf they take a role; others would be refused if they were asked to.
TELL_THE_ACCOUNT = ("ecs-tasks.amazonaws.com", "scheduler.amazonaws.com")


def ref(name: str) -> Json:
    """Return a parameter's value or a resource's name."""
    return {"Ref": name}


def att(name: str, attribute: str = "Arn") -> Json:
    """Return an attribute of a resource."""
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str, **values: Any) -> Json:
    """Return `text` with its `${…}` filled in."""
    return {"Fn::Sub": [text, values] if values else text}


def when(condition: str, then: Any, otherwise: Any) -> Json:
    """Return `then` where the condition holds, else `otherwise`."""
    return {"Fn::If": [condition, then, otherwise]}


def imported(name: str) -> Json:
    """Return what the data stack exports under this name."""
    return {"Fn::ImportValue": sub("${DataStack}-" + name)}


NOTHING = ref("AWS::NoValue")


def resource(kind: str, properties: Json, **more: Any) -> Json:
    """Return a resource of a stack; `more` is what stands beside its properties."""
    return {"Type": f"AWS::{kind}", **more, "Properties": properties}


def parameter(description: str, kind: str = "String", **more: Any) -> Json:
    """Return a parameter of a stack."""
    return {"Type": kind, "Description": description, **more}


def allow(actions: list[str], resources: Any, **more: Any) -> Json:
    """Return one statement of a policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def document(statements: list[Json]) -> Json:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": statements}


def trusting(service: str) -> Json:
    """Return the policy that lets an AWS service be a role, for this account only where it tells whose."""
    here = {"Condition": {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}}
    return document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
                **(here if service in TELL_THE_ACCOUNT else {}),
            }
        ]
    )


def role(service: str, statements: list[Json], **more: Any) -> Json:
    """Return a role of an AWS service with just these rights."""
    policies = [{"PolicyName": "panzoto", "PolicyDocument": document(statements)}] if statements else []
    return resource(
        "IAM::Role",
        {
            "AssumeRolePolicyDocument": trusting(service),
            **({"Policies": policies} if policies else {}),
            "Tags": TAGS,
            **more,
        },
    )
