"""Alarms, and metrics taken from log lines.

The patterns name fields of the JSON lines that the service writes; a test
holds them against lines of a running service.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from deploy.aws.cloudformation.template import TAGS, Json, att, ref, resource
from panzoto.config import Settings
from panzoto.queues.queue_definition import dead_letter_name

NAMESPACE = "Panzoto"
FIVE_MINUTES = 300
QUARTER = 900
HOUR = 3600
DAY = 86_400
# How long a message may wait in the queue of each kind, in seconds, and how many transcriptions may fail in
# an hour, before somebody is told.
EVENT_WAITS = 900
LETTER_WAITS = 600
CHORE_WAITS = 2 * HOUR
TRANSCRIPTION_WAITS = 3 * HOUR
TRANSCRIPTIONS_FAILED = 10
# How long an account may be due, as in deploy/machine/watch.py.
LONGEST_DUE = 6 * HOUR
# AWS renews its own certificates two months before they end; one of another authority somebody has to renew.
CERTIFICATE_DAYS = 30
FEWER = "LessThanThreshold"

Alarm = Callable[..., Json]


class LogMetric(NamedTuple):
    """A metric that CloudWatch counts from log lines of one group; `value` may be a field of the line."""

    name: str
    group: str
    pattern: str
    value: str = "1"


# Where a 401 means a wrong password or recovery key, and not a token that has ended.
SIGN_IN_ROUTES = ("/api/login", "/api/recover")
_ROUTES = " || ".join(f'($.route = "{route}")' for route in SIGN_IN_ROUTES)
_THROTTLED = " || ".join(
    f'($.aws_code = "{code}") || ($.reasons = "*{reason}*")'
    for code, reason in (
        ("ThrottlingException", "ThrottlingError"),
        ("ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded"),
        ("RequestLimitExceeded", "RequestLimitExceeded"),
    )
)
LOG_METRICS = (
    LogMetric(
        "FailedSignIns",
        "web",
        f'{{ ($.event = "request") && (($.status = 401) || ($.status = 429)) && ({_ROUTES}) }}',
    ),
    LogMetric("ServerErrors", "web", '{ ($.event = "request") && ($.status >= 500) }'),
    LogMetric("UnexpectedErrors", "web", '{ $.event = "unexpected_error" }'),
    LogMetric("DamagedRecords", "web", '{ $.event = "damaged_record" }'),
    LogMetric("BrokenStreams", "web", '{ $.event = "playback_aborted" }'),
    LogMetric("DynamoThrottled", "web", f'{{ ($.event = "dynamodb_failure") && ({_THROTTLED}) }}'),
    LogMetric("DynamoFailures", "web", '{ $.event = "dynamodb_failure" }'),
    LogMetric("S3Failures", "web", '{ $.event = "s3_failure" }'),
    LogMetric("RecordsWithoutObject", "chores", '{ $.event = "sweep_finished" }', "$.without_object"),
    LogMetric("ChoreFailures", "chores", '{ $.event = "chore_done" }', "$.failed"),
    LogMetric("DeletionsInterrupted", "chores", '{ $.event = "deletion_interrupted" }'),
    LogMetric("ChoresOldestDue", "chores", '{ $.event = "chores_status" }', "$.oldest_due_seconds"),
    LogMetric("ChoresBacklog", "chores", '{ $.event = "chores_status" }', "$.backlog"),
    LogMetric("ChoresHeld", "chores", '{ $.event = "chores_status" }', "$.held"),
)


def topic() -> Json:
    """Where alarms go: a topic, and an address that listens to it."""
    publish = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": ref("AlarmTopic"),
        "Condition": {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}},
    }
    return {
        "AlarmTopic": resource(
            "SNS::Topic",
            {"TopicName": "panzoto-alarms", "KmsMasterKeyId": ref("Key"), "Tags": TAGS},
        ),
        "AlarmTopicPolicy": resource(
            "SNS::TopicPolicy",
            {
                "Topics": [ref("AlarmTopic")],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [publish]},
            },
        ),
        "AlarmSubscription": resource(
            "SNS::Subscription",
            {"TopicArn": ref("AlarmTopic"), "Protocol": "email", "Endpoint": ref("AlarmEmail")},
            Condition="HasAlarmEmail",
        ),
    }


def metric(namespace: str, name: str, statistic: str, seconds: int, **dimensions: Any) -> Json:
    """Return what an alarm or a formula reads."""
    return {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Period": seconds,
        "Stat": statistic,
    }


def _alarm(
    topic_arn: Any,
    name: str,
    why: str,
    measured: Json | list[Json],
    threshold: float | Json,
    *,
    periods: int = 1,
    compare: str = "GreaterThanOrEqualToThreshold",
    missing: str = "notBreaching",
) -> Json:
    properties: Json = {
        "AlarmName": f"panzoto-{name}",
        "AlarmDescription": f"{why}. See docs/runbook.md.",
        "ComparisonOperator": compare,
        "Threshold": threshold,
        "EvaluationPeriods": periods,
        "TreatMissingData": missing,
        "AlarmActions": [topic_arn],
        "OKActions": [topic_arn],
        "Tags": TAGS,
    }
    if isinstance(measured, list):
        properties["Metrics"] = measured
    else:
        properties |= {
            "Namespace": measured["Metric"]["Namespace"],
            "MetricName": measured["Metric"]["MetricName"],
            "Dimensions": measured["Metric"]["Dimensions"],
            "Period": measured["Period"],
        }
        kind = "ExtendedStatistic" if measured["Stat"].startswith("p") else "Statistic"
        properties[kind] = measured["Stat"]
    return resource("CloudWatch::Alarm", properties)


def _formula(expression: str, **parts: Json) -> list[Json]:
    terms = [{"Id": name, "MetricStat": part, "ReturnData": False} for name, part in parts.items()]
    return [{"Id": "result", "Expression": expression, "ReturnData": True}, *terms]


def data_alarms(tables: list[str], settings: Settings) -> Json:
    """The alarms that stand and fall with the data: throttled tables, and queues that nobody empties."""
    dynamodb = "AWS/DynamoDB"
    alarm = partial(_alarm, ref("AlarmTopic"))
    throttles = {
        f"{table}Throttled": alarm(
            f"throttled-{_words(table)}",
            "DynamoDB refuses calls to this table for their number",
            _formula(
                "FILL(reads, 0) + FILL(writes, 0)",
                reads=metric(dynamodb, "ReadThrottleEvents", "Sum", FIVE_MINUTES, TableName=ref(table)),
                writes=metric(dynamodb, "WriteThrottleEvents", "Sum", FIVE_MINUTES, TableName=ref(table)),
            ),
            10,
        )
        for table in tables
    }
    return {**throttles, **_queue_alarms(alarm, settings), **_transcriptions_alarms(alarm, settings)}


def _age(queue: str) -> Json:
    return metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", FIVE_MINUTES, QueueName=queue)


def _put_aside(queue: str) -> Json:
    name = dead_letter_name(queue)
    return metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", FIVE_MINUTES, QueueName=name)


def _queue_alarms(alarm: Alarm, settings: Settings) -> Json:
    """The alarms of queues whose messages are worked on at once, and fail by a fault of ours or AWS's."""
    events, chores, mail = settings.events_queue, settings.chores_queue, settings.mail_queue
    late = partial(alarm, periods=2)
    return {
        "QueueAge": late(
            "queue-age", "Events of the bucket wait for their worker", _age(events), EVENT_WAITS
        ),
        "DeadLetters": alarm("dead-letters", "An event failed for a whole day", _put_aside(events), 1),
        "ChoresAge": late("chores-age", "Chores wait for their worker", _age(chores), CHORE_WAITS),
        "ChoresDeadLetters": alarm(
            "chores-dead-letters", "An account's chores failed for a whole day", _put_aside(chores), 1
        ),
        "MailAge": late("mail-age", "Letters wait to be sent", _age(mail), LETTER_WAITS),
        "MailDeadLetters": alarm(
            "mail-dead-letters", "A letter was given up, or could not be read", _put_aside(mail), 1
        ),
    }


def _transcriptions_alarms(alarm: Alarm, settings: Settings) -> Json:
    """The alarms of a queue whose messages are worked on for as long as their sound takes.

    A job that fails for a reason of its own is no event to wake anybody: the worker moves its message aside.
    """
    queue = settings.transcription.queue
    age = _age(queue)
    failed = metric("AWS/SQS", "NumberOfMessagesSent", "Sum", HOUR, QueueName=dead_letter_name(queue))
    return {
        "TranscriptionsAge": alarm(
            "transcriptions-age", "Recordings wait to be transcribed", age, TRANSCRIPTION_WAITS, periods=3
        ),
        "TranscriptionsFailed": alarm(
            "transcriptions-failed", "Transcriptions fail", failed, TRANSCRIPTIONS_FAILED
        ),
    }


def no_transcriber(topic_arn: Any) -> Json:
    """The alarm of a worker that is wanted and does not run."""
    running = metric(
        "ECS/ContainerInsights",
        "RunningTaskCount",
        "Minimum",
        60,
        ClusterName=ref("Cluster"),
        ServiceName="panzoto-transcriptions",
    )
    wanted = _alarm(
        topic_arn,
        "transcriptions-no-worker",
        "Nobody works on transcriptions",
        running,
        1,
        periods=10,
        compare=FEWER,
        missing="breaching",
    )
    return {"NoTranscriber": {**wanted, "Condition": "Transcribes"}}


def _words(name: str) -> str:
    return name.removesuffix("Table").lower()


def log_metrics() -> Json:
    """The metrics that CloudWatch counts from the service's log lines."""
    return {
        f"{one.name}Metric": resource(
            "Logs::MetricFilter",
            {
                "LogGroupName": ref(f"{one.group.capitalize()}Logs"),
                "FilterPattern": one.pattern,
                "MetricTransformations": [
                    {
                        "MetricNamespace": NAMESPACE,
                        "MetricName": one.name,
                        "MetricValue": one.value,
                    }
                ],
            },
        )
        for one in LOG_METRICS
    }


def service_alarms(topic_arn: Any) -> Json:
    """The alarms of the running service: errors, slowness, sign-ins, chores, certificate."""
    alarm = partial(_alarm, topic_arn)
    return {
        "ErrorRate": alarm(
            "5xx-rate", "More than one request in a hundred fails on our side", _error_rate(), 1, periods=2
        ),
        "Latency": alarm(
            "p99-latency",
            "One request in a hundred waits too long",
            _of_balancer("TargetResponseTime", "p99"),
            ref("LatencySeconds"),
            periods=3,
        ),
        "NoHealthyTask": _no_healthy_task(alarm),
        **_counted_alarms(alarm),
        "ChoresFindings": _chores_findings(alarm),
        "ChoresOverdue": _chores_overdue(alarm),
        "ChoresSilent": _chores_silent(alarm),
        "CertificateExpiry": _certificate_expiry(alarm),
    }


def _counted(name: str, seconds: int = FIVE_MINUTES) -> Json:
    return metric(NAMESPACE, name, "Sum", seconds)


def _of_balancer(name: str, statistic: str, seconds: int = FIVE_MINUTES, **more: Any) -> Json:
    whole = {"LoadBalancer": att("LoadBalancer", "LoadBalancerFullName")}
    return metric("AWS/ApplicationELB", name, statistic, seconds, **more, **whole)


def _error_rate() -> list[Json]:
    return _formula(
        "IF(FILL(requests, 0) > 20, 100 * (FILL(ours, 0) + FILL(balancer, 0)) / requests, 0)",
        ours=_of_balancer("HTTPCode_Target_5XX_Count", "Sum"),
        balancer=_of_balancer("HTTPCode_ELB_5XX_Count", "Sum"),
        requests=_of_balancer("RequestCount", "Sum"),
    )


def _no_healthy_task(alarm: Alarm) -> Json:
    group = att("TargetGroup", "TargetGroupFullName")
    return alarm(
        "no-healthy-task",
        "No task answers its health check",
        _of_balancer("HealthyHostCount", "Minimum", 60, TargetGroup=group),
        1,
        periods=3,
        compare=FEWER,
        missing="breaching",
    )


def _counted_alarms(alarm: Alarm) -> Json:
    """The alarms on what the log tells, in five minutes each."""
    return {
        "ThrottledCalls": alarm(
            "throttled-calls",
            "Requests failed since DynamoDB throttled them, after the retries",
            _counted("DynamoThrottled"),
            1,
        ),
        "FailedSignIns": alarm(
            "failed-sign-ins",
            "Somebody tries passwords",
            _counted("FailedSignIns"),
            ref("FailedSignInsAlarm"),
        ),
        "DamagedRecords": alarm(
            "damaged-records", "A stored value must not be obeyed", _counted("DamagedRecords"), 1
        ),
        "UnexpectedErrors": alarm("unexpected-errors", "A fault of ours", _counted("UnexpectedErrors"), 1),
    }


def _chores_findings(alarm: Alarm) -> Json:
    findings = _formula(
        "FILL(lost, 0) + FILL(failed, 0) + FILL(left, 0)",
        lost=_counted("RecordsWithoutObject", 3600),
        failed=_counted("ChoreFailures", 3600),
        left=_counted("DeletionsInterrupted", 3600),
    )
    return alarm(
        "chores-findings",
        "The chores met recordings without object, or could not be done",
        findings,
        1,
    )


def _chores_overdue(alarm: Alarm) -> Json:
    """Nobody is woken for what somebody has held back."""
    waited = _formula(
        "IF(FILL(held, 0) > 0, 0, FILL(oldest, 0))",
        oldest=metric(NAMESPACE, "ChoresOldestDue", "Maximum", QUARTER),
        held=metric(NAMESPACE, "ChoresHeld", "Maximum", QUARTER),
    )
    return alarm(
        "chores-overdue", "An account has waited for its chores for hours", waited, LONGEST_DUE, periods=2
    )


def _chores_silent(alarm: Alarm) -> Json:
    """No worker says how the chores stand; whatever it says, it says with each of these lines."""
    return alarm(
        "chores-silent",
        "No worker says how the chores stand",
        metric(NAMESPACE, "ChoresBacklog", "SampleCount", HOUR),
        1,
        periods=2,
        compare=FEWER,
        missing="breaching",
    )


def _certificate_expiry(alarm: Alarm) -> Json:
    certificate = ref("CertificateArn")
    days = metric("AWS/CertificateManager", "DaysToExpiry", "Minimum", DAY, CertificateArn=certificate)
    return alarm(
        "certificate-expiry",
        "The certificate was not renewed",
        days,
        CERTIFICATE_DAYS,
        compare="LessThanOrEqualToThreshold",
        # ACM tells of a certificate twice a day, and of none that is not in use.
        missing="breaching",
    )
