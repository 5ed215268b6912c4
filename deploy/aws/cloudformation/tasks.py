"""A task of the service on Fargate: its container, what it is told, and where it lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.aws.cloudformation.policy import TABLES
from deploy.aws.cloudformation.template import TAGS, Json, att, imported, ref, resource, sub, when
from panzoto.config import Settings

# The image's own user, who owns nothing; see the Dockerfile.
USER = "10001:10001"
# A download may go on for so long after its task was told to stop; Fargate waits two minutes at most.
STOP_SECONDS = 120
SECRETS = [
    {"Name": "SECRET_KEY", "ValueFrom": sub("${SecretKey}:current::")},
    {"Name": "SECRET_KEY_FALLBACKS", "ValueFrom": sub("${SecretKey}:fallbacks::")},
]
# Tasks are replaced one by one, and the way back is taken where the new ones do not stay.
ROLLING = {
    "MinimumHealthyPercent": 100,
    "MaximumPercent": 200,
    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
}


def environment(settings: Settings, **others: Any) -> list[Json]:
    """Return what every container is told that is no secret, with `others` in place of what it would be."""
    values: dict[str, Any] = {
        "FLASK_ENV": "production",
        "AWS_REGION": ref("AWS::Region"),
        "S3_BUCKET": imported("BucketName"),
        "EVENTS_QUEUE": settings.events_queue,
        "CHORES_QUEUE": settings.chores_queue,
        "MAIL_QUEUE": settings.mail_queue,
        "PUBLIC_URL": ref("PublicUrl"),
        # The load balancer, which appends whom it heard.
        "TRUSTED_PROXIES": "1",
        "PANZOTO_DATA_DIR": "/tmp/panzoto",  # noqa: S108 - the container's own, and nothing is kept there
        "CORS_ORIGINS": ref("CorsOrigins"),
        "MAIL": when("SendsMail", "ses", "off"),
        "MAIL_FROM": ref("MailFrom"),
        "TRANSCRIPTION_URL": ref("TranscriptionUrl"),
        "TRANSCRIPTION_MODEL": ref("TranscriptionModel"),
        "TRANSCRIPTIONS_QUEUE": settings.transcription.queue,
        **_table_names(settings),
        **others,
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _table_names(settings: Settings) -> dict[str, str]:
    return {f"{name.upper()}_TABLE": getattr(settings, f"{name}_table") for name in TABLES}


def log(group: str, prefix: str) -> Json:
    """Return where a container writes, by the name of a log group."""
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": ref(f"{group.capitalize()}Logs"),
            "awslogs-region": ref("AWS::Region"),
            "awslogs-stream-prefix": prefix,
        },
    }


def task(
    settings: Settings, name: str, cpu: int, memory: int, beside: Sequence[Json] = (), **more: Any
) -> Json:
    """Return the task of a role; `cpu` is in 1024ths of a core, `memory` in MiB, `more` of its container."""
    container = {
        "Name": name,
        "Image": ref("Image"),
        "Essential": True,
        "User": USER,
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}},
        # Counters of the workers, names that a sweep compares, and nothing that matters after the end.
        "MountPoints": [{"SourceVolume": "scratch", "ContainerPath": "/tmp"}],  # noqa: S108
        "Environment": environment(settings),
        "Secrets": SECRETS,
        "StopTimeout": STOP_SECONDS,
        "LogConfiguration": log(name, name),
        **more,
    }
    return resource(
        "ECS::TaskDefinition",
        {
            "Family": f"panzoto-{name}",
            "Cpu": str(cpu),
            "Memory": str(memory),
            "NetworkMode": "awsvpc",
            "RequiresCompatibilities": ["FARGATE"],
            "RuntimePlatform": {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"},
            "ExecutionRoleArn": att("ExecutionRole"),
            "TaskRoleArn": att(f"{name.capitalize()}Role"),
            "Volumes": [{"Name": "scratch"}],
            "ContainerDefinitions": [container, *beside],
            "Tags": TAGS,
        },
        # A task that starts finds a secret with all of its parts.
        DependsOn="Rotation",
    )


def placement(group: str = "WorkerGroup") -> Json:
    """Where tasks live: in public subnets, so that no NAT has to be paid for, and reached by nobody else."""
    return {
        "AwsvpcConfiguration": {
            "AssignPublicIp": "ENABLED",
            "SecurityGroups": [ref(group)],
            "Subnets": [ref("FirstSubnet"), ref("SecondSubnet")],
        }
    }


def service(name: str, after: list[str], **more: Any) -> Json:
    """Return the service of a role's tasks, made after these resources."""
    properties = {
        "ServiceName": f"panzoto-{name}",
        "Cluster": ref("Cluster"),
        "TaskDefinition": ref(f"{name.capitalize()}Task"),
        "LaunchType": "FARGATE",
        "NetworkConfiguration": placement(),
        "PropagateTags": "SERVICE",
        "Tags": TAGS,
        **more,
    }
    return resource("ECS::Service", properties, DependsOn=after)
