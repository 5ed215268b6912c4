"""The stack that a person makes once: where images go, and what the CI may do, without any key of AWS.

GitHub signs who it is, and AWS lends the role to runs of one environment of
one repository.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.policy import statements
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
from panzoto.queues.queue_definition import dead_letter_name

ISSUER = "token.actions.githubusercontent.com"
IMAGES_KEPT = 20
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
    "lambda",
    "logs",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "wafv2",
)


def pipeline_template(settings: Settings) -> Json:
    """Return the pipeline stack's template."""
    here = "${AWS::Region}:${AWS::AccountId}"
    arns: dict[str, Any] = {
        "table": lambda name: sub("arn:${AWS::Partition}:dynamodb:" + here + ":table/" + name),
        "bucket": sub("arn:${AWS::Partition}:s3:::${BucketName}"),
        "object": sub("arn:${AWS::Partition}:s3:::${BucketName}/*"),
        "queue": sub("arn:${AWS::Partition}:sqs:" + here + ":" + settings.events_queue),
        "dead-letter-queue": sub(
            "arn:${AWS::Partition}:sqs:" + here + ":" + dead_letter_name(settings.events_queue)
        ),
    }
    stacks = [
        sub("arn:${AWS::Partition}:cloudformation:" + here + f":stack/panzoto-{name}/*")
        for name in ("data", "service")
    ]
    roles = sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/panzoto-*")
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Panzoto: what its pipeline may do. Made once, by a person.",
        "Parameters": {
            "Subject": parameter(
                "The `sub` that GitHub writes for the environment that deploys, exactly."
                " See docs/deploy.md for how to read it off.",
                AllowedPattern="repo:.+:environment:.+",
            ),
            "BucketName": parameter("The bucket of the recordings, as in the data stack."),
        },
        "Resources": {
            "Provider": resource(
                "IAM::OIDCProvider",
                {"Url": f"https://{ISSUER}", "ClientIdList": ["sts.amazonaws.com"], "Tags": TAGS},
            ),
            "Images": resource(
                "ECR::Repository",
                {
                    "RepositoryName": "panzoto",
                    "ImageTagMutability": "IMMUTABLE",
                    "ImageScanningConfiguration": {"ScanOnPush": True},
                    "LifecyclePolicy": {"LifecyclePolicyText": _keep(IMAGES_KEPT)},
                    "Tags": TAGS,
                },
                **RETAIN,
            ),
            # Templates beyond 51 200 bytes reach CloudFormation through a bucket.
            "Templates": resource(
                "S3::Bucket",
                {
                    "BucketName": sub("panzoto-templates-${AWS::AccountId}-${AWS::Region}"),
                    "BucketEncryption": {
                        "ServerSideEncryptionConfiguration": [
                            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                        ]
                    },
                    "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
                    "LifecycleConfiguration": {
                        "Rules": [{"Id": "forget", "Status": "Enabled", "ExpirationInDays": 30}]
                    },
                    "Tags": TAGS,
                },
                **RETAIN,
            ),
            "DeployRole": resource(
                "IAM::Role",
                {
                    "RoleName": "panzoto-deploy",
                    "MaxSessionDuration": 3600,
                    "AssumeRolePolicyDocument": _trust(),
                    "Policies": [
                        {
                            "PolicyName": "resources",
                            "PolicyDocument": document(statements("deploy", arns, settings)),
                        },
                        {"PolicyName": "pipeline", "PolicyDocument": document(_pipeline(stacks))},
                    ],
                    "Tags": TAGS,
                },
            ),
            "BuilderRole": role(
                "cloudformation.amazonaws.com",
                [
                    allow([f"{name}:*" for name in BUILT_WITH], "*"),
                    allow(
                        [
                            "iam:AttachRolePolicy",
                            "iam:CreateRole",
                            "iam:DeleteRole",
                            "iam:DeleteRolePolicy",
                            "iam:DetachRolePolicy",
                            "iam:GetRole",
                            "iam:GetRolePolicy",
                            "iam:PassRole",
                            "iam:PutRolePolicy",
                            "iam:TagRole",
                            "iam:UntagRole",
                            "iam:UpdateAssumeRolePolicy",
                            "iam:UpdateRole",
                        ],
                        roles,
                    ),
                    allow(
                        ["iam:CreateServiceLinkedRole"],
                        sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/*"),
                    ),
                ],
                RoleName="panzoto-cloudformation",
            ),
        },
        "Outputs": {
            "DeployRole": {"Value": att("DeployRole")},
            "BuilderRole": {"Value": att("BuilderRole")},
            "Repository": {"Value": att("Images", "RepositoryUri")},
            "TemplatesBucket": {"Value": ref("Templates")},
        },
    }


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
