"""The stack of what runs: network, load balancer, firewall, tasks, roles, secret, logs, alarms, dashboard.

Everything in it can be made anew from the image and the data stack.
"""

from __future__ import annotations

import json
from pathlib import Path

from deploy.aws.cloudformation import inventory, network, watching
from deploy.aws.cloudformation.dashboard import dashboard
from deploy.aws.cloudformation.data import exported_queue
from deploy.aws.cloudformation.firewall import firewall
from deploy.aws.cloudformation.policy import QUEUES
from deploy.aws.cloudformation.roles import roles
from deploy.aws.cloudformation.scaling import following, scalable
from deploy.aws.cloudformation.tasks import ROLLING, environment, log, placement, service, task
from deploy.aws.cloudformation.template import (
    DELETE,
    FORMAT,
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
from deploy.aws.cloudformation.workers import WORKERS, parameters, workers
from panzoto.config import Settings

ROTATION = Path(__file__).with_name("rotation.py")
# Who starts anew once it is renewed: what seals, or opens what others have sealed into a queue.
KNOWING_THE_SECRET = ("panzoto-web", *(f"panzoto-{worker.name}" for worker in WORKERS))
LOG_GROUPS = ("web", *(worker.name for worker in WORKERS), "rotation")
PORT = 5000
ROTATION_DAYS = 120
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
            **inventory.condition(),
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
            **network.endpoints(settings, imported("BucketArn"), _queues()),
            **network.load_balancer(PORT),
            **firewall(),
            **_logs(),
            **_secret(),
            **roles(settings),
            **_tasks(settings),
            **_services(),
            **_scaling(),
            **workers(settings),
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


def _queues() -> list[Json]:
    """Return what the data stack exports of them."""
    return [imported(exported_queue(kind)) for kind in QUEUES]


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
        **parameters(),
        **inventory.bucket_parameter(),
        **inventory.prefix_parameter(),
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
        "Environment": {"Variables": {"CLUSTER": ref("Cluster"), "SERVICES": " ".join(KNOWING_THE_SECRET)}},
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


def _collector() -> Json:
    """The ADOT collector with the configuration that its image has for ECS: OTLP in, X-Ray out."""
    return {
        "Name": "collector",
        "Image": ref("CollectorImage"),
        # Without traces the service goes on.
        "Essential": False,
        "ReadonlyRootFilesystem": True,
        "Command": ["--config=/etc/ecs/ecs-default-config.yaml"],
        "LogConfiguration": log("web", "collector"),
    }


def _traces() -> list[Json]:
    values = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": when("SendsTraces", "http://127.0.0.1:4318", ""),
        # The SDK's own variables, which are no settings of the service.
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ref("TracesKept"),
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _tasks(settings: Settings) -> Json:
    return {
        "WebTask": task(
            settings,
            "web",
            1024,
            2048,
            beside=[when("SendsTraces", _collector(), ref("AWS::NoValue"))],
            Environment=[*environment(settings), *_traces()],
            PortMappings=[{"ContainerPort": PORT, "Protocol": "tcp"}],
            HealthCheck={
                "Command": ["CMD", "python", "-c", HEALTH],
                "Interval": 15,
                "Timeout": 5,
                "Retries": 3,
                "StartPeriod": 60,
            },
        ),
    }


def _services() -> Json:
    return {
        "Cluster": _cluster(),
        "WebService": _web_service(),
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
    return service(
        "web",
        ["Listener", "Route"],
        DesiredCount=ref("LeastTasks"),
        DeploymentConfiguration=ROLLING,
        HealthCheckGracePeriodSeconds=90,
        NetworkConfiguration=placement("TaskGroup"),
        LoadBalancers=[balanced],
    )


def _scaling() -> Json:
    label = sub(
        "${Balancer}/${Group}",
        Balancer=att("LoadBalancer", "LoadBalancerFullName"),
        Group=att("TargetGroup", "TargetGroupFullName"),
    )
    by_cpu = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    by_requests = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    return {
        "ScalableWeb": scalable("WebService", ref("LeastTasks"), ref("MostTasks")),
        "ScaleOnCpu": following("cpu", 60, {"PredefinedMetricSpecification": by_cpu}, "ScalableWeb"),
        "ScaleOnRequests": following(
            "requests", ref("RequestsPerTask"), {"PredefinedMetricSpecification": by_requests}, "ScalableWeb"
        ),
    }
