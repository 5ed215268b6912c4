"""The stack of what runs: network, load balancer, firewall, tasks, roles, secret, logs, alarms, dashboard.

Everything in it can be made anew from the image and the data stack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.aws.cloudformation import network, watching
from deploy.aws.cloudformation.dashboard import dashboard
from deploy.aws.cloudformation.firewall import firewall
from deploy.aws.cloudformation.policy import TABLES
from deploy.aws.cloudformation.roles import roles
from deploy.aws.cloudformation.template import (
    DELETE,
    FORMAT,
    NOTHING,
    TAGS,
    Json,
    att,
    imported,
    parameter,
    ref,
    resource,
    sub,
    when,
)
from panzoto.config import Settings

ROTATION = Path(__file__).with_name("rotation.py")
LOG_GROUPS = ("web", "events", "sweep", "transcriptions", "rotation")
# What the data stack exports of them.
QUEUES = ("QueueArn", "DeadLetterQueueArn", "TranscriptionsQueueArn", "TranscriptionsDeadLetterQueueArn")
PORT = 5000
# The image's own user, who owns nothing; see the Dockerfile.
USER = "10001:10001"
# A download may go on for so long after its task was told to stop; Fargate waits two minutes at most.
STOP_SECONDS = 120
SECRETS = [
    {"Name": "SECRET_KEY", "ValueFrom": sub("${SecretKey}:current::")},
    {"Name": "SECRET_KEY_FALLBACKS", "ValueFrom": sub("${SecretKey}:fallbacks::")},
]
ROTATION_DAYS = 120
ROLLING = {
    "MinimumHealthyPercent": 100,
    "MaximumPercent": 200,
    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
}
HEALTH = "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/api/health', timeout=4)"


def service_template(settings: Settings) -> Json:
    """Return the service stack's template."""
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Panzoto: the service itself on Fargate. Nothing in it is worth keeping.",
        "Parameters": _parameters(),
        "Conditions": {
            "SendsMail": {"Fn::Not": [{"Fn::Equals": [ref("MailFrom"), ""]}]},
            "SendsTraces": {"Fn::Not": [{"Fn::Equals": [ref("CollectorImage"), ""]}]},
            "Transcribes": {"Fn::Not": [{"Fn::Equals": [ref("TranscriptionUrl"), ""]}]},
            "HasTranscriptionKey": {
                "Fn::And": [
                    {"Condition": "Transcribes"},
                    {"Fn::Not": [{"Fn::Equals": [ref("TranscriptionKey"), ""]}]},
                ]
            },
        },
        "Resources": {
            **network.network(),
            **network.endpoints(settings, imported("BucketArn"), [imported(name) for name in QUEUES]),
            **network.load_balancer(PORT),
            **firewall(),
            **_logs(),
            **_secret(),
            **roles(settings),
            **_tasks(settings),
            **_services(),
            **_scaling(),
            **_transcribing(settings),
            **_schedules(),
            **watching.log_metrics(),
            **watching.service_alarms(imported("AlarmTopic")),
            **watching.no_transcriber(imported("AlarmTopic")),
            **dashboard([settings.users_table, settings.audio_files_table], settings),
        },
        "Outputs": {
            "LoadBalancerName": {
                "Description": "What the service's name in DNS has to point to",
                "Value": att("LoadBalancer", "DNSName"),
            },
            "Cluster": {"Value": ref("Cluster")},
            "WebService": {"Value": att("WebService", "Name")},
        },
    }


def _parameters() -> Json:
    return {
        "DataStack": parameter("The name of the data stack.", Default="panzoto-data"),
        "Image": parameter(
            "The image with its digest, so that every task runs the very same.",
            AllowedPattern=".+@sha256:[0-9a-f]{64}",
        ),
        "CertificateArn": parameter("The load balancer's certificate, in ACM."),
        "PublicUrl": parameter(
            "The https address at which clients reach it.", AllowedPattern="https://[^/]+"
        ),
        "CorsOrigins": parameter("Origins whose pages may call the service; empty for none.", Default=""),
        "MailFrom": parameter("Who mails come from, verified with SES; empty for no mail.", Default=""),
        "CollectorImage": parameter(
            "The ADOT collector's image, for traces in X-Ray; empty for no traces.", Default=""
        ),
        "TracesKept": parameter("The share of requests that are traced.", "Number", Default=0.05),
        "LeastTasks": parameter("Web tasks at least.", "Number", Default=2, MinValue=1),
        "MostTasks": parameter("Web tasks at most.", "Number", Default=8, MinValue=1),
        "RequestsPerTask": parameter(
            "Requests a minute at which another web task is added.", "Number", Default=3000
        ),
        "TranscriptionUrl": parameter(
            "The address of the speech engine, up to and with its /v1; empty for no transcripts.",
            Default="",
            AllowedPattern="(https?://.+)?",
        ),
        "TranscriptionModel": parameter("The model that the engine is asked for.", Default="whisper-1"),
        "TranscriptionKey": parameter(
            "The ARN of the secret panzoto/transcription-key, which is the engine's key; empty for none.",
            Default="",
            AllowedPattern="(arn:.+:secret:panzoto/transcription-key-.+)?",
        ),
        "MostTranscribers": parameter(
            "Tasks that transcribe, at most; there is always one.", "Number", Default=4, MinValue=1
        ),
        "TranscriptionWait": parameter(
            "Seconds that a recording may wait for its words before another such task is added.",
            "Number",
            Default=300,
        ),
        "LatencySeconds": parameter("p99 at which an alarm goes off.", "Number", Default=5),
        "FailedSignInsAlarm": parameter(
            "Failed sign-ins in five minutes at which an alarm goes off.", "Number", Default=100
        ),
        "LogDays": parameter("Days for which logs are kept.", "Number", Default=90),
        "Network": parameter("The addresses of the network, a /16.", Default="10.42.0.0/16"),
    }


def _logs() -> Json:
    return {
        f"{name.capitalize()}Logs": resource(
            "Logs::LogGroup",
            {
                "LogGroupName": f"/panzoto/{name}",
                "RetentionInDays": ref("LogDays"),
                "KmsKeyId": imported("KeyArn"),
                "Tags": TAGS,
            },
            **DELETE,
        )
        for name in LOG_GROUPS
    }


def _secret() -> Json:
    """SECRET_KEY with its fallbacks, and the function that renews it."""
    return {
        "SecretKey": _secret_key(),
        "RotationFunction": _rotation_function(),
        "RotationPermission": _rotation_permission(),
        "Rotation": _rotation(),
    }


def _secret_key() -> Json:
    properties = {
        "Name": "panzoto/secret-key",
        "Description": "SECRET_KEY and its fallbacks",
        "GenerateSecretString": {
            "SecretStringTemplate": json.dumps({"fallbacks": ""}),
            "GenerateStringKey": "current",
            "PasswordLength": 64,
            "ExcludePunctuation": True,
        },
        "Tags": TAGS,
    }
    # Deleting the stack leaves it recoverable for a month. Without it everybody signs in again, no more.
    return resource("SecretsManager::Secret", properties, **DELETE)


def _rotation_function() -> Json:
    properties = {
        "FunctionName": "panzoto-rotation",
        "Description": "Renews SECRET_KEY through its fallbacks",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "Handler": "index.handler",
        "Code": {"ZipFile": ROTATION.read_text("utf-8")},
        "Role": att("RotationRole"),
        "Timeout": 60,
        "Environment": {"Variables": {"CLUSTER": ref("Cluster"), "SERVICE": "panzoto-web"}},
        "LoggingConfig": {"LogGroup": ref("RotationLogs")},
        "Tags": TAGS,
    }
    return resource("Lambda::Function", properties)


def _rotation_permission() -> Json:
    properties = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": ref("RotationFunction"),
        "Principal": "secretsmanager.amazonaws.com",
        "SourceAccount": ref("AWS::AccountId"),
        "SourceArn": ref("SecretKey"),
    }
    return resource("Lambda::Permission", properties)


def _rotation() -> Json:
    properties = {
        "SecretId": ref("SecretKey"),
        "RotationLambdaARN": att("RotationFunction"),
        "RotationRules": {"AutomaticallyAfterDays": ROTATION_DAYS},
    }
    return resource("SecretsManager::RotationSchedule", properties, DependsOn="RotationPermission")


def _environment(settings: Settings) -> list[Json]:
    values: dict[str, Any] = {
        "FLASK_ENV": "production",
        "AWS_REGION": ref("AWS::Region"),
        "S3_BUCKET": imported("BucketName"),
        "EVENTS_QUEUE": settings.events_queue,
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
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _table_names(settings: Settings) -> dict[str, str]:
    return {f"{name.upper()}_TABLE": getattr(settings, f"{name}_table") for name in TABLES}


def _collector() -> Json:
    """The ADOT collector with the configuration that its image has for ECS: OTLP in, X-Ray out."""
    return {
        "Name": "collector",
        "Image": ref("CollectorImage"),
        # Without traces the service goes on.
        "Essential": False,
        "ReadonlyRootFilesystem": True,
        "Command": ["--config=/etc/ecs/ecs-default-config.yaml"],
        "LogConfiguration": _log("web", "collector"),
    }


def _traces() -> list[Json]:
    values = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": when("SendsTraces", "http://127.0.0.1:4318", ""),
        # The SDK's own variables, which are no settings of the service.
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ref("TracesKept"),
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _log(group: str, prefix: str) -> Json:
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": ref(f"{group.capitalize()}Logs"),
            "awslogs-region": ref("AWS::Region"),
            "awslogs-stream-prefix": prefix,
        },
    }


def _task(
    settings: Settings, name: str, cpu: int, memory: int, beside: Sequence[Json] = (), **more: Any
) -> Json:
    container = {
        "Name": name,
        "Image": ref("Image"),
        "Essential": True,
        "User": USER,
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}},
        # Counters of the workers, names that a sweep compares, and nothing that matters after the end.
        "MountPoints": [{"SourceVolume": "scratch", "ContainerPath": "/tmp"}],  # noqa: S108
        "Environment": _environment(settings),
        "Secrets": SECRETS,
        "StopTimeout": STOP_SECONDS,
        "LogConfiguration": _log(name, name),
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


def _tasks(settings: Settings) -> Json:
    return {
        "WebTask": _task(
            settings,
            "web",
            1024,
            2048,
            beside=[when("SendsTraces", _collector(), ref("AWS::NoValue"))],
            Environment=[*_environment(settings), *_traces()],
            PortMappings=[{"ContainerPort": PORT, "Protocol": "tcp"}],
            HealthCheck={
                "Command": ["CMD", "python", "-c", HEALTH],
                "Interval": 15,
                "Timeout": 5,
                "Retries": 3,
                "StartPeriod": 60,
            },
        ),
        "EventsTask": _task(settings, "events", 256, 512, Command=["flask", "panzoto", "events"]),
        "SweepTask": _task(
            settings, "sweep", 256, 1024, Command=["flask", "panzoto", "recordings", "sweep", "--apply"]
        ),
    }


def _placement(group: str = "WorkerGroup") -> Json:
    """Where tasks live: in public subnets, so that no NAT has to be paid for, and reached by nobody else."""
    return {
        "AwsvpcConfiguration": {
            "AssignPublicIp": "ENABLED",
            "SecurityGroups": [ref(group)],
            "Subnets": [ref("FirstSubnet"), ref("SecondSubnet")],
        }
    }


def _services() -> Json:
    return {
        "Cluster": _cluster(),
        "WebService": _web_service(),
        # Two at once for a moment do no harm: looking at an upload twice changes nothing.
        "EventsService": _service("events", ["Route"], DesiredCount=1, DeploymentConfiguration=ROLLING),
    }


def _cluster() -> Json:
    properties = {
        "ClusterName": "panzoto",
        "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
        "Tags": TAGS,
    }
    return resource("ECS::Cluster", properties)


def _web_service() -> Json:
    balanced = {"ContainerName": "web", "ContainerPort": PORT, "TargetGroupArn": ref("TargetGroup")}
    return _service(
        "web",
        ["Listener", "Route"],
        DesiredCount=ref("LeastTasks"),
        DeploymentConfiguration=ROLLING,
        HealthCheckGracePeriodSeconds=90,
        NetworkConfiguration=_placement("TaskGroup"),
        LoadBalancers=[balanced],
    )


def _service(name: str, after: list[str], **more: Any) -> Json:
    properties = {
        "ServiceName": f"panzoto-{name}",
        "Cluster": ref("Cluster"),
        "TaskDefinition": ref(f"{name.capitalize()}Task"),
        "LaunchType": "FARGATE",
        "NetworkConfiguration": _placement(),
        "PropagateTags": "SERVICE",
        "Tags": TAGS,
        **more,
    }
    return resource("ECS::Service", properties, DependsOn=after)


def _scaling() -> Json:
    label = sub(
        "${Balancer}/${Group}",
        Balancer=att("LoadBalancer", "LoadBalancerFullName"),
        Group=att("TargetGroup", "TargetGroupFullName"),
    )
    by_cpu = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    by_requests = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    return {
        "ScalableWeb": _scalable("WebService", ref("LeastTasks"), ref("MostTasks")),
        "ScaleOnCpu": _following("cpu", 60, {"PredefinedMetricSpecification": by_cpu}),
        "ScaleOnRequests": _following(
            "requests", ref("RequestsPerTask"), {"PredefinedMetricSpecification": by_requests}
        ),
    }


def _scalable(service: str, least: Any, most: Any) -> Json:
    properties = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": sub("service/${Cluster}/${" + service + ".Name}"),
        "MinCapacity": least,
        "MaxCapacity": most,
    }
    return resource("ApplicationAutoScaling::ScalableTarget", properties)


def _following(name: str, value: Any, specification: Json, what: str = "ScalableWeb") -> Json:
    tracking = {
        "TargetValue": value,
        **specification,
        "ScaleOutCooldown": 60,
        # Tasks that stream or listen for minutes are not taken away in a hurry.
        "ScaleInCooldown": 600,
    }
    properties = {
        "PolicyName": f"panzoto-{name}",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": ref(what),
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    return resource("ApplicationAutoScaling::ScalingPolicy", properties)


def _transcribing(settings: Settings) -> Json:
    """What turns sound into words, and more of it while recordings wait; nothing without an engine."""
    key = {"Name": "TRANSCRIPTION_API_KEY", "ValueFrom": ref("TranscriptionKey")}
    made = {
        "TranscriptionsTask": _task(
            settings,
            "transcriptions",
            512,
            1024,
            Command=["flask", "panzoto", "transcriptions", "work"],
            Secrets=[*SECRETS, when("HasTranscriptionKey", key, NOTHING)],
        ),
        # One that ends gives its message back, and another one goes on with it.
        "TranscriptionsService": _service(
            "transcriptions", ["Route"], DesiredCount=1, DeploymentConfiguration=ROLLING
        ),
        "ScalableTranscriptions": _scalable("TranscriptionsService", 1, ref("MostTranscribers")),
        "ScaleOnWaiting": _scaling_on_waiting(settings),
    }
    return {name: {**one, "Condition": "Transcribes"} for name, one in made.items()}


def _scaling_on_waiting(settings: Settings) -> Json:
    age = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": settings.transcription.queue}],
        "Statistic": "Maximum",
    }
    what = {"CustomizedMetricSpecification": age}
    return _following("waiting", ref("TranscriptionWait"), what, "ScalableTranscriptions")


def _schedules() -> Json:
    recordings = ["flask", "panzoto", "recordings", "sweep", "--apply"]
    return {
        "SweepAccounts": _nightly("cron(10 3 * * ? *)", ["flask", "panzoto", "accounts", "sweep"]),
        "SweepRecordings": _nightly("cron(30 3 * * ? *)", recordings),
    }


def _nightly(at: str, command: list[str]) -> Json:
    target = {
        "Arn": att("Cluster"),
        "RoleArn": att("SchedulerRole"),
        "EcsParameters": {
            "TaskDefinitionArn": ref("SweepTask"),
            "LaunchType": "FARGATE",
            "NetworkConfiguration": _placement(),
        },
        "Input": json.dumps({"containerOverrides": [{"name": "sweep", "command": command}]}),
        "RetryPolicy": {"MaximumRetryAttempts": 3},
    }
    properties = {
        "Description": " ".join(command),
        "ScheduleExpression": at,
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "Target": target,
    }
    return resource("Scheduler::Schedule", properties)
