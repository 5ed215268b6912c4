"""What the stacks make stand there, counted from their templates: what a bill needs to know of them."""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.template import Json
from deploy.aws.cloudformation.workers import EVENTS, MAIL, TRANSCRIPTIONS, WORKERS


def standing(templates: dict[str, Json]) -> dict[str, float]:
    """Return how many of each thing that is paid for the data and the service stack make.

    An alarm is paid for each metric that it looks at, and a metric filter for the
    metric that it makes (CloudWatch's pricing page).
    """
    made = [one for name in ("data.json", "service.json") for one in templates[name]["Resources"].values()]

    def properties(kind: str) -> list[dict[str, Any]]:
        return [one["Properties"] for one in made if one["Type"] == f"AWS::{kind}"]

    tasks = {one["Family"]: one for one in properties("ECS::TaskDefinition")}
    (firewall,) = properties("WAFv2::WebACL")
    always = [worker for worker in WORKERS if worker.condition is None]
    least = templates["service.json"]["Parameters"]["LeastTasks"]["Default"]
    endpoints = properties("EC2::VPCEndpoint")
    return {
        "alarm_metrics": sum(_metrics(one) for one in properties("CloudWatch::Alarm")),
        "filter_metrics": sum(len(one["MetricTransformations"]) for one in properties("Logs::MetricFilter")),
        "dashboards": len(properties("CloudWatch::Dashboard")),
        "keys": len(properties("KMS::Key")),
        "secrets": len(properties("SecretsManager::Secret")),
        "firewalls": 1,
        "firewall_rules": len(firewall["Rules"]),
        "interface_endpoints": sum(
            len(one["SubnetIds"]) for one in endpoints if one["VpcEndpointType"] == "Interface"
        ),
        "load_balancers": len(properties("ElasticLoadBalancingV2::LoadBalancer")),
        "fewest_tasks": least,
        "task_vcpus": int(tasks["panzoto-web"]["Cpu"]) / 1024,
        "task_gb": int(tasks["panzoto-web"]["Memory"]) / 1024,
        # Of what is always there, one of each kind.
        "workers": len(always),
        "workers_vcpus": sum(worker.cpu for worker in always) / 1024,
        "workers_gb": sum(worker.memory for worker in always) / 1024,
        "worker_vcpus": EVENTS.cpu / 1024,
        "worker_gb": EVENTS.memory / 1024,
        "mailer_vcpus": MAIL.cpu / 1024,
        "mailer_gb": MAIL.memory / 1024,
        "transcriber_vcpus": TRANSCRIPTIONS.cpu / 1024,
        "transcriber_gb": TRANSCRIPTIONS.memory / 1024,
    }


def _metrics(alarm: dict[str, Any]) -> int:
    """Return how many metrics an alarm looks at: one, or those that its expression is made of."""
    return sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1
