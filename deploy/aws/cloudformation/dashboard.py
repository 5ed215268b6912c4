"""The dashboard: one page of what clients meet, what the service does and what the stores say."""

from __future__ import annotations

import json
from typing import Any

from deploy.aws.cloudformation.template import Json, att, resource, sub
from deploy.aws.cloudformation.watching import FIVE_MINUTES, LOG_METRICS, NAMESPACE
from deploy.aws.cloudformation.workers import WORKERS
from panzoto.config import Settings
from panzoto.queues.queue_definition import dead_letter_name

ELB = "AWS/ApplicationELB"
BALANCER = ["LoadBalancer", "${Balancer}"]
WEB = ["ServiceName", "${WebService.Name}", "ClusterName", "${Cluster}"]


def dashboard(tables: list[str], settings: Settings) -> Json:
    """Return the page, two widgets in a row."""
    widgets = [
        *_of_clients(),
        _web_tier(),
        _of_tables("Throttled by DynamoDB", "{}ThrottleEvents", tables),
        _of_tables("Capacity used", "Consumed{}CapacityUnits", tables),
        _of_queue("The bucket's events", settings.events_queue),
        _of_queue("Chores", settings.chores_queue),
        _of_queue("Letters", settings.mail_queue),
        _of_queue("Transcriptions", settings.transcription.queue),
        _workers(),
        _of_log(),
    ]
    for place, widget in enumerate(widgets):
        widget |= {"x": place % 2 * 12, "y": place // 2 * 6, "width": 12, "height": 6}
    text = sub(json.dumps({"widgets": widgets}), Balancer=att("LoadBalancer", "LoadBalancerFullName"))
    properties = {"DashboardName": "panzoto", "DashboardBody": text}
    return {"Dashboard": resource("CloudWatch::Dashboard", properties)}


def _of_clients() -> list[Json]:
    counts = (
        "RequestCount",
        "HTTPCode_Target_4XX_Count",
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
    )
    times = [[ELB, "TargetResponseTime", *BALANCER, {"stat": stat}] for stat in ("p50", "p90", "p99")]
    return [
        _widget("Requests and errors", [[ELB, name, *BALANCER] for name in counts]),
        _widget("Seconds to the first byte", times),
        _widget("Sign-ins that failed", [[NAMESPACE, "FailedSignIns"]]),
    ]


def _web_tier() -> Json:
    names = ("CPUUtilization", "MemoryUtilization")
    return _widget("Web tier", [["AWS/ECS", name, *WEB, {"stat": "Average"}] for name in names])


def _of_tables(title: str, name: str, tables: list[str]) -> Json:
    kinds = ("Read", "Write")
    return _widget(
        title, [["AWS/DynamoDB", name.format(kind), "TableName", one] for one in tables for kind in kinds]
    )


def _of_queue(title: str, queue: str) -> Json:
    return _widget(
        title,
        [
            ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue, {"stat": "Maximum"}],
            ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", queue],
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead_letter_name(queue)],
        ],
    )


def _workers() -> Json:
    """How many of each kind run."""
    named = [f"panzoto-{worker.name}" for worker in WORKERS]
    running = ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", "${Cluster}", "ServiceName"]
    return _widget("Workers", [[*running, name, {"stat": "Average"}] for name in named])


def _of_log() -> Json:
    names = [one.name for one in LOG_METRICS if one.name != "FailedSignIns"]
    return _widget("What the log tells", [[NAMESPACE, name] for name in names])


def _widget(title: str, metrics: list[list[Any]]) -> Json:
    return {
        "type": "metric",
        "properties": {
            "title": title,
            "region": "${AWS::Region}",
            "stat": "Sum",
            "period": FIVE_MINUTES,
            "metrics": metrics,
        },
    }
