"""More tasks of a service where there is more to do, and fewer again after that."""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.template import Json, ref, resource, sub


def scalable(service: str, least: Any, most: Any) -> Json:
    """Return how few and how many tasks a service may have; `service` is its resource."""
    properties = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": sub("service/${Cluster}/${" + service + ".Name}"),
        "MinCapacity": least,
        "MaxCapacity": most,
    }
    return resource("ApplicationAutoScaling::ScalableTarget", properties)


def following(name: str, value: Any, specification: Json, what: str) -> Json:
    """Return the policy by which what `scalable` made keeps a metric at a value.

    Of several policies the one that wants most tasks is obeyed, and tasks go when all of them allow it.
    """
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


def age_of(queue: str) -> Json:
    """Return how many seconds the oldest message of a queue has waited, for `following`."""
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
        "Statistic": "Maximum",
    }
    return {"CustomizedMetricSpecification": metric}


def backlog_of(queue: str, service: str) -> Json:
    """Return how many messages wait for each task of a service, by its name, for `following`.

    As in Application Auto Scaling's user guide, "Create a target tracking scaling policy using metric math".
    """
    of_service = {"ClusterName": ref("Cluster"), "ServiceName": service}
    waiting = _measured("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=queue)
    tasks = _measured("ECS/ContainerInsights", "RunningTaskCount", "Average", **of_service)
    # Where no task runs for the moment, it is as if there were one.
    for_each = "waiting / IF(FILL(tasks, 1) < 1, 1, FILL(tasks, 1))"
    metrics = [
        {"Id": "waiting", "MetricStat": waiting, "ReturnData": False},
        {"Id": "tasks", "MetricStat": tasks, "ReturnData": False},
        {"Id": "each", "Expression": for_each, "ReturnData": True},
    ]
    return {"CustomizedMetricSpecification": {"Metrics": metrics}}


def _measured(namespace: str, name: str, statistic: str, **dimensions: Any) -> Json:
    return {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Stat": statistic,
    }
