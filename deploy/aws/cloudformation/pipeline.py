"""The stack that a person makes once: where images go, and what the CI may do, without any key of AWS.

GitHub signs who it is, and AWS lends the role to runs of one environment of
one repository.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation import inventory
from deploy.aws.cloudformation.boundary import BOUNDARY, BOUNDED, boundary
from deploy.aws.cloudformation.policy import queue_names, statements
from deploy.aws.cloudformation.template import (
    FORMAT,
    RETAIN,
    TAGS,
    Json,
    allow,
    att,
    document,
    parameter,
    ref,
    resource,
    role,
    sub,
)
from panzoto.config import Settings
from panzoto.operations.bucket import PUBLIC_ACCESS_BLOCK

ISSUER = "token.actions.githubusercontent.com"
IMAGES_KEPT = 20
HERE = "${AWS::Region}:${AWS::AccountId}"
# What the templates are made of. CloudFormation, not the CI, has these rights.
BUILT_WITH = (
    "application-autoscaling",
    "cloudtrail",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "ecs",
    "elasticloadbalancing",
    "kms",
    "logs",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "wafv2",
)
# What gives a role rights: only to one that has the boundary. To take the boundary off is nobody's right.
GIVING_RIGHTS = (
    "AttachRolePolicy",
    "CreateRole",
    "DeleteRolePolicy",
    "DetachRolePolicy",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
)
KEEPING_ROLES = (
    "DeleteRole",
    "GetRole",
    "GetRolePolicy",
    "TagRole",
    "UntagRole",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
)
# Whom the service's roles are lent to.
BORROWERS = ["ecs-tasks.amazonaws.com", "lambda.amazonaws.com", "scheduler.amazonaws.com"]


def pipeline_template(settings: Settings) -> Json:
    """Return the pipeline stack's template."""
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Panzoto: what its pipeline may do. Made once, by a person.",
        "Parameters": _parameters(),
        "Conditions": inventory.condition(),
        "Resources": {
            "Provider": resource(
                "IAM::OIDCProvider",
                {"Url": f"https://{ISSUER}", "ClientIdList": ["sts.amazonaws.com"], "Tags": TAGS},
            ),
            "Images": _images(),
            "Templates": _templates(),
            "Boundary": boundary(settings),
            "DeployRole": _deploy_role(settings),
            "BuilderRole": _builder_role(),
        },
        "Outputs": {
            "DeployRole": {"Value": att("DeployRole")},
            "BuilderRole": {"Value": att("BuilderRole")},
            "Repository": {"Value": att("Images", "RepositoryUri")},
            "TemplatesBucket": {"Value": ref("Templates")},
        },
    }


def _parameters() -> Json:
    return {
        "Subject": parameter(
            "The `sub` that GitHub writes for the environment that deploys, exactly."
            " See docs/deploy.md for how to read it off.",
            AllowedPattern="repo:.+:environment:.+",
        ),
        "BucketName": parameter("The bucket of the recordings, as in the data stack."),
        **inventory.bucket_parameter(),
    }


def _images() -> Json:
    properties = {
        "RepositoryName": "panzoto",
        "ImageTagMutability": "IMMUTABLE",
        "ImageScanningConfiguration": {"ScanOnPush": True},
        "LifecyclePolicy": {"LifecyclePolicyText": _keep(IMAGES_KEPT)},
        "Tags": TAGS,
    }
    return resource("ECR::Repository", properties, **RETAIN)


def _templates() -> Json:
    """The bucket through which templates beyond 51 200 bytes reach CloudFormation."""
    default = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    forget = {"Id": "forget", "Status": "Enabled", "ExpirationInDays": 30}
    properties = {
        "BucketName": sub("panzoto-templates-${AWS::AccountId}-${AWS::Region}"),
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [default]},
        "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
        "LifecycleConfiguration": {"Rules": [forget]},
        "Tags": TAGS,
    }
    return resource("S3::Bucket", properties, **RETAIN)


def _deploy_role(settings: Settings) -> Json:
    policies = {
        "resources": statements("deploy", _arns(settings), settings),
        "pipeline": _pipeline(_stacks()),
    }
    properties = {
        "RoleName": "panzoto-deploy",
        "MaxSessionDuration": 3600,
        "AssumeRolePolicyDocument": _trust(),
        "Policies": [
            {"PolicyName": name, "PolicyDocument": document(rights)} for name, rights in policies.items()
        ],
        "Tags": TAGS,
    }
    return resource("IAM::Role", properties)


def _arns(settings: Settings) -> dict[str, Any]:
    queue = "arn:${AWS::Partition}:sqs:" + HERE + ":"
    return {
        "table": lambda name: sub("arn:${AWS::Partition}:dynamodb:" + HERE + ":table/" + name),
        "bucket": sub("arn:${AWS::Partition}:s3:::${BucketName}"),
        **{kind: sub(queue + name) for kind, name in queue_names(settings).items()},
    }


def _stacks() -> list[Json]:
    stack = "arn:${AWS::Partition}:cloudformation:" + HERE + ":stack/panzoto-"
    return [sub(f"{stack}{name}/*") for name in ("data", "service")]


def _builder_role() -> Json:
    """The role as which CloudFormation makes what is in the templates."""
    account = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/"
    roles = sub(account + BOUNDED)
    bounded = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    lent = {"StringEquals": {"iam:PassedToService": BORROWERS}}
    return role(
        "cloudformation.amazonaws.com",
        [
            allow([f"{name}:*" for name in BUILT_WITH], "*"),
            # Somebody else's function may have rights of its own.
            allow(["lambda:*"], sub("arn:${AWS::Partition}:lambda:" + HERE + ":function:panzoto-*")),
            allow([f"iam:{name}" for name in GIVING_RIGHTS], roles, Condition=bounded),
            allow([f"iam:{name}" for name in KEEPING_ROLES], roles),
            allow(["iam:PassRole"], roles, Condition=lent),
            allow(["iam:CreateServiceLinkedRole"], sub(account + "aws-service-role/*")),
        ],
        RoleName="panzoto-cloudformation",
    )


def _trust() -> Json:
    exactly = {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": ref("Subject")}
    return document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Federated": ref("Provider")},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": exactly},
            }
        ]
    )


def _pipeline(stacks: list[Json]) -> list[Json]:
    """What .github/workflows/deploy.yaml asks of AWS besides `flask panzoto resources`."""
    return [
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            att("Images"),
        ),
        allow(
            [
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate",
                "cloudformation:GetTemplateSummary",
            ],
            stacks,
        ),
        allow(["cloudformation:GetTemplateSummary"], "*"),
        allow(["s3:GetObject", "s3:PutObject"], sub("${Bucket}/*", Bucket=att("Templates"))),
        allow(["s3:ListBucket"], att("Templates")),
        allow(
            ["iam:PassRole"],
            att("BuilderRole"),
            Condition={"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
        ),
    ]


def _keep(images: int) -> str:
    return (
        '{"rules": [{"rulePriority": 1, "description": "the latest '
        f'{images}", "selection": {{"tagStatus": "any", "countType": "imageCountMoreThan", '
        f'"countNumber": {images}}}, "action": {{"type": "expire"}}}}]}}'
    )
