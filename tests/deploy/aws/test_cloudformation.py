"""The templates: clean, made from the code's own definitions, and the same as what the code makes itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.aws.cloudformation import policy
from deploy.aws.cloudformation.data import logical_name, logical_queue
from deploy.aws.cloudformation.watching import LOG_METRICS, LogMetric
from panzoto.config import Settings
from panzoto.operations.cli import panzoto as commands
from panzoto.queues.queue_definition import QUEUE_ATTRIBUTES
from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.log_patterns import matches
from tests.support.service import BUCKET, ROOT, Service, aws_client

FOLDER = ROOT / "deploy" / "aws" / "cloudformation"
NAMES = ("data", "pipeline", "service")
TEMPLATES: dict[str, dict[str, Any]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES
}
DATA, SERVICE = TEMPLATES["data"]["Resources"], TEMPLATES["service"]["Resources"]
SETTINGS = Settings()
MADE_BY_MOTO = ("DynamoDB::Table", "S3::Bucket", "SQS::Queue", "SQS::QueuePolicy")


def properties(resources: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Every resource of a kind by its logical name."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == f"AWS::{kind}"
    }


def by_name(entries: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: str(entry[name]))


def test_the_files_are_what_the_generator_makes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.aws.cloudformation.generate", "--output", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in NAMES:
        made, kept = (folder / f"{name}.json" for folder in (tmp_path, FOLDER))
        assert made.read_bytes() == kept.read_bytes(), "run `make templates`"


def lint(*files: Path) -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "--include-checks", "I3", "--", *map(str, files)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout


def test_cfn_lint_finds_nothing() -> None:
    lint(*(FOLDER / f"{name}.json" for name in NAMES))


def test_what_is_there_already_can_be_imported(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy.aws.cloudformation.generate",
        "--output",
        str(tmp_path),
        "--existing",
    ]
    names = ("panzoto-users", "panzoto-audio-files", "Bucket")
    subprocess.run([*command, *names], cwd=ROOT, check=True, capture_output=True)
    template = json.loads((tmp_path / "import.json").read_text("utf-8"))
    lint(tmp_path / "import.json")
    # CloudFormation imports only what it would keep, and the whole template must not change what it has.
    assert set(template["Resources"]) == {"UsersTable", "AudioFilesTable", "Bucket"}
    assert all(one["DeletionPolicy"] == "Retain" for one in template["Resources"].values())
    for name in ("UsersTable", "AudioFilesTable"):
        assert template["Resources"][name] == DATA[name]
    listed = json.loads((tmp_path / "resources-to-import.json").read_text("utf-8"))
    assert [list(one["ResourceIdentifier"].values()) for one in listed] == [
        ["panzoto-users"],
        ["panzoto-audio-files"],
        [BUCKET],
    ]
    wrong = subprocess.run([*command, "nothing"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "there is no NothingTable" in wrong.stderr


@pytest.fixture(scope="module")
def with_all_queues(service: Service) -> Service:
    """The service of the tests has a queue of letters by another name."""
    named = service.environment | {"MAIL_QUEUE": SETTINGS.mail_queue}
    done(replace(service, environment=named), "deploy", "resources", "create")
    return service


@pytest.fixture(scope="module", autouse=True)
def _made_by_its_own_settings(service: Service) -> None:
    """Other modules may have made the bucket anew, for a console that has an address of its own."""
    done(service, "deploy", "resources", "create")


class TestAsTheCodeMakesIt:
    """What `flask panzoto resources create` has made at the stand-in, beside the template."""

    @pytest.fixture
    def tables(self, service: Service) -> dict[str, dict[str, Any]]:
        dynamodb = service.dynamodb()
        # Some services of other tests count in tables of their own.
        names = [name for name in dynamodb.list_tables()["TableNames"] if not name.startswith("test-")]
        return {name: dynamodb.describe_table(TableName=name)["Table"] for name in names}

    def test_there_are_the_same_tables(self, tables: dict[str, dict[str, Any]]) -> None:
        templated = properties(DATA, "DynamoDB::Table")
        assert {table["TableName"] for table in templated.values()} == set(tables)
        assert set(templated) == {logical_name(name) for name in tables}

    def test_keys_attributes_and_indexes(self, tables: dict[str, dict[str, Any]]) -> None:
        for name, made in tables.items():
            table = DATA[logical_name(name)]["Properties"]
            assert table["KeySchema"] == made["KeySchema"], name
            # DynamoDB wants the hash key first.
            assert table["KeySchema"][0]["KeyType"] == "HASH"
            attributes = (table["AttributeDefinitions"], made["AttributeDefinitions"])
            templated, real = (by_name(one, "AttributeName") for one in attributes)
            assert templated == real, name
            there = by_name(made.get("GlobalSecondaryIndexes", []), "IndexName")
            wanted = by_name(table.get("GlobalSecondaryIndexes", []), "IndexName")
            assert len(there) == len(wanted)
            for index, other in zip(wanted, there, strict=True):
                for part in ("IndexName", "KeySchema", "Projection"):
                    assert index[part] == other[part], (name, index["IndexName"])
                assert index["KeySchema"][0]["KeyType"] == "HASH"

    def test_billing_encryption_recovery_and_ttl(
        self, service: Service, tables: dict[str, dict[str, Any]]
    ) -> None:
        dynamodb = service.dynamodb()
        for name, made in tables.items():
            table = DATA[logical_name(name)]["Properties"]
            assert table["BillingMode"] == made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
            encrypted = made["SSEDescription"]["Status"] == "ENABLED"
            assert table["SSESpecification"] == {"SSEEnabled": encrypted}
            backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            status = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
            recovery = table["PointInTimeRecoverySpecification"]
            assert recovery == {"PointInTimeRecoveryEnabled": status == "ENABLED"}
            assert status == "ENABLED"
            ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
            specified = table.get("TimeToLiveSpecification", {"Enabled": False})
            assert specified["Enabled"] == (ttl["TimeToLiveStatus"] == "ENABLED"), name
            assert specified.get("AttributeName") == ttl.get("AttributeName"), name

    def test_the_bucket(self, service: Service) -> None:
        s3, bucket = service.s3(), DATA["Bucket"]["Properties"]
        versioning = s3.get_bucket_versioning(Bucket=BUCKET)
        assert bucket["VersioningConfiguration"] == {"Status": versioning["Status"]}
        blocked = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
        assert bucket["PublicAccessBlockConfiguration"] == blocked
        (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
        (templated,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert (
            templated["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
            == rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        )
        (lifecycle,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        (templated,) = bucket["LifecycleConfiguration"]["Rules"]
        assert templated["Id"] == lifecycle["ID"]
        for part in ("Status", "AbortIncompleteMultipartUpload"):
            assert templated[part] == lifecycle[part]
        (cors,) = s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"]
        rule = {
            "AllowedHeaders": cors["AllowedHeaders"],
            "AllowedMethods": cors["AllowedMethods"],
            "ExposedHeaders": cors["ExposeHeaders"],
            "MaxAge": cors["MaxAgeSeconds"],
        }
        _, with_origins, _ = bucket["CorsConfiguration"]["Fn::If"]
        assert [templated["Fn::If"][:2] for templated in with_origins["CorsRules"]] == [
            ["HasOrigins", {**rule, "AllowedOrigins": {"Ref": "CorsOrigins"}}],
            ["HasPublicUrl", {**rule, "AllowedOrigins": [{"Ref": "PublicUrl"}]}],
        ]
        # Services of other tests may have queues of their own at this stand-in.
        queue = DATA["Queue"]["Properties"]["QueueName"]
        queues = s3.get_bucket_notification_configuration(Bucket=BUCKET)["QueueConfigurations"]
        (told,) = (one for one in queues if one["QueueArn"].endswith(f":{queue}"))
        (templated,) = bucket["NotificationConfiguration"]["QueueConfigurations"]
        assert [templated["Event"]] == told["Events"]

    def test_the_queue(self, service: Service) -> None:
        sqs = aws_client("sqs", service.aws_url)
        queue = DATA["Queue"]["Properties"]
        url = sqs.get_queue_url(QueueName=queue["QueueName"])["QueueUrl"]
        made = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for name in QUEUE_ATTRIBUTES:
            assert str(queue[name]) == made[name]
        (real,) = json.loads(made["Policy"])["Statement"]
        (templated,) = DATA["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        for part in ("Effect", "Principal", "Action"):
            assert templated[part] == real[part]
        assert templated["Condition"]["ArnLike"].keys() == real["Condition"]["ArnLike"].keys()
        # A message that always fails is put aside before it would be forgotten.
        tries = queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
        assert tries < queue["MessageRetentionPeriod"]

    @pytest.mark.parametrize("name", [logical_queue(kind) for kind in policy.WORKED_QUEUES])
    def test_the_queues_of_the_workers(self, with_all_queues: Service, name: str) -> None:
        sqs = aws_client("sqs", with_all_queues.aws_url)
        queue = DATA[name]["Properties"]
        url = sqs.get_queue_url(QueueName=queue["QueueName"])["QueueUrl"]
        made = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for attribute in QUEUE_ATTRIBUTES:
            assert str(queue[attribute]) == made[attribute]
        # A job that waits for its account's turn is given out more often than SQS would count.
        assert "RedrivePolicy" not in made
        assert "RedrivePolicy" not in queue


class TestData:
    def test_what_holds_data_outlives_the_stack(self) -> None:
        for kind in ("DynamoDB::Table", "S3::Bucket", "KMS::Key"):
            for name in properties(DATA, kind):
                kept = (DATA[name]["DeletionPolicy"], DATA[name]["UpdateReplacePolicy"])
                assert kept == ("Retain", "Retain"), name
        assert all(
            table["DeletionProtectionEnabled"] for table in properties(DATA, "DynamoDB::Table").values()
        )

    def test_buckets_are_read_by_tls_only(self) -> None:
        policies = properties(DATA, "S3::BucketPolicy")
        assert {one["Bucket"]["Ref"] for one in policies.values()} == set(properties(DATA, "S3::Bucket"))
        for one in policies.values():
            denied = [part for part in one["PolicyDocument"]["Statement"] if part["Effect"] == "Deny"]
            assert {"Bool": {"aws:SecureTransport": "false"}} in [part["Condition"] for part in denied]

    def test_every_object_is_in_the_trail(self) -> None:
        (selector,) = DATA["Trail"]["Properties"]["AdvancedEventSelectors"]
        fields = {field["Field"]: field for field in selector["FieldSelectors"]}
        assert fields["eventCategory"]["Equals"] == ["Data"]
        assert fields["resources.type"]["Equals"] == ["AWS::S3::Object"]
        assert "readOnly" not in fields

    def test_the_stack_can_be_made(self) -> None:
        """moto, which knows some kinds only, makes tables, bucket and queues of it, those of the code."""
        kinds = {f"AWS::{kind}" for kind in MADE_BY_MOTO}
        known = {
            name: resource
            for name, resource in DATA.items()
            if resource["Type"] in kinds and name != "TrailBucket"
        }
        template = TEMPLATES["data"] | {
            "Resources": known,
            "Outputs": {name: TEMPLATES["data"]["Outputs"][name] for name in ("BucketArn", "QueueArn")},
        }
        with start_moto() as url:
            cloudformation, dynamodb = (aws_client(name, url) for name in ("cloudformation", "dynamodb"))
            cloudformation.create_stack(
                StackName="panzoto-data",
                TemplateBody=json.dumps(template),
                Parameters=[
                    {"ParameterKey": "BucketName", "ParameterValue": BUCKET},
                    {"ParameterKey": "CorsOrigins", "ParameterValue": "https://app.example.com"},
                    {"ParameterKey": "PublicUrl", "ParameterValue": "https://voice.example.com"},
                ],
            )
            (stack,) = cloudformation.describe_stacks(StackName="panzoto-data")["Stacks"]
            assert stack["StackStatus"] == "CREATE_COMPLETE"
            outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
            assert outputs["BucketArn"] == f"arn:aws:s3:::{BUCKET}"
            for name, table in properties(DATA, "DynamoDB::Table").items():
                made = dynamodb.describe_table(TableName=table["TableName"])["Table"]
                assert made["KeySchema"] == table["KeySchema"], name
                indexes = [index["IndexName"] for index in made.get("GlobalSecondaryIndexes", [])]
                assert indexes == [index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])]
            aws_client("s3", url).head_bucket(Bucket=BUCKET)
            queues = aws_client("sqs", url).list_queues()["QueueUrls"]
            assert {queue.rpartition("/")[2] for queue in queues} == {
                f"{name}{ending}"
                for name in (
                    SETTINGS.events_queue,
                    SETTINGS.transcription.queue,
                    SETTINGS.chores_queue,
                    SETTINGS.mail_queue,
                )
                for ending in ("", "-dead")
            }


class TestService:
    def containers(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        for name, task in properties(SERVICE, "ECS::TaskDefinition").items():
            yield name, task, task["ContainerDefinitions"][0]

    def test_every_setting_is_one_that_the_service_reads(self) -> None:
        known = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
        for name, _, container in self.containers():
            secrets = [one["Fn::If"][1] if "Fn::If" in one else one for one in container["Secrets"]]
            given = {one["Name"] for one in (*container["Environment"], *secrets)}
            of_the_sdk = {one for one in given if one.startswith("OTEL_TRACES_")}
            assert given - of_the_sdk <= known, name
            wanted = {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
            if name == "TranscriptionsTask":
                wanted.add("TRANSCRIPTION_API_KEY")
            assert {one["Name"] for one in secrets} == wanted
            assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & given

    def test_tasks_can_write_nowhere_and_are_nobody(self) -> None:
        for name, task, container in self.containers():
            assert container["ReadonlyRootFilesystem"] is True, name
            assert container["User"] == "10001:10001"
            assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
            assert task["TaskRoleArn"] != task["ExecutionRoleArn"]

    def test_traces_go_to_a_collector_beside_the_service_and_only_where_one_is_named(self) -> None:
        collectors = [
            beside["Fn::If"]
            for task in properties(SERVICE, "ECS::TaskDefinition").values()
            for beside in task["ContainerDefinitions"][1:]
        ]
        ((condition, collector, otherwise),) = collectors
        assert (condition, otherwise) == ("SendsTraces", {"Ref": "AWS::NoValue"})
        assert collector["Essential"] is False
        (environment,) = [
            one["Value"]
            for one in SERVICE["WebTask"]["Properties"]["ContainerDefinitions"][0]["Environment"]
            if one["Name"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
        ]
        assert environment == {"Fn::If": ["SendsTraces", "http://127.0.0.1:4318", ""]}
        assert SERVICE["WebTraces"]["Condition"] == "SendsTraces"

    @pytest.mark.parametrize(
        ("condition", "kind", "more"),
        [
            ("Transcribes", "Transcriptions", {"ScaleOnWaiting", "NoTranscriber"}),
            ("SendsMail", "Mail", {"ScaleMailOnAge", "WebMail"}),
        ],
    )
    def test_without_work_for_it_there_is_no_worker(self, condition: str, kind: str, more: set[str]) -> None:
        optional = {name for name, one in SERVICE.items() if one.get("Condition") == condition}
        of_worker = {
            f"{kind}Task",
            f"{kind}Service",
            f"{kind}Role",
            f"Scalable{kind}",
            f"Scale{kind}OnBacklog",
        }
        assert optional == of_worker | more
        assert SERVICE["ExecutionKey"]["Condition"] == "HasTranscriptionKey"
        for name, one in SERVICE.items():
            if name not in optional and name != "ExecutionKey":
                assert not optional & set(re.findall(r"[A-Za-z]+", json.dumps(one["Properties"]))), name

    @pytest.mark.parametrize(
        ("kind", "queue", "on_age"),
        [
            ("Events", "Queue", "ScaleEventsOnAge"),
            ("Chores", "ChoresQueue", "ScaleChoresOnAge"),
            ("Mail", "MailQueue", "ScaleMailOnAge"),
            ("Transcriptions", "TranscriptionsQueue", "ScaleOnWaiting"),
        ],
    )
    def test_workers_follow_the_age_of_their_queue_and_what_waits_in_it(
        self, kind: str, queue: str, on_age: str
    ) -> None:
        named = {"Name": "QueueName", "Value": DATA[queue]["Properties"]["QueueName"]}
        of_service = {"Name": "ServiceName", "Value": SERVICE[f"{kind}Service"]["Properties"]["ServiceName"]}
        for policy_name in (on_age, f"Scale{kind}OnBacklog"):
            assert SERVICE[policy_name]["Properties"]["ScalingTargetId"] == {"Ref": f"Scalable{kind}"}
        age, backlog = (
            SERVICE[one]["Properties"]["TargetTrackingScalingPolicyConfiguration"][
                "CustomizedMetricSpecification"
            ]
            for one in (on_age, f"Scale{kind}OnBacklog")
        )
        assert age["MetricName"] == "ApproximateAgeOfOldestMessage"
        assert age["Dimensions"] == [named]
        waiting, tasks, each = backlog["Metrics"]
        assert waiting["MetricStat"]["Metric"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert waiting["MetricStat"]["Metric"]["Dimensions"] == [named]
        assert of_service in tasks["MetricStat"]["Metric"]["Dimensions"]
        assert [one["ReturnData"] for one in (waiting, tasks, each)] == [False, False, True]
        assert SERVICE[f"Scalable{kind}"]["Properties"]["MinCapacity"] == 1

    def test_every_task_starts_a_command_that_there_is(self) -> None:
        for name, _, container in self.containers():
            if name == "WebTask":
                continue
            program, group, *words = container["Command"]
            assert (program, group) == ("flask", commands.name), name
            found: click.Command = commands
            for word in words:
                assert isinstance(found, click.Group)
                found = found.commands[word]

    def test_who_knows_the_secret_starts_anew_when_it_is_renewed(self) -> None:
        services = {one["ServiceName"] for one in properties(SERVICE, "ECS::Service").values()}
        told = SERVICE["RotationFunction"]["Properties"]["Environment"]["Variables"]["SERVICES"]
        assert set(told.split()) == services

    def test_each_role_has_the_policy_that_is_written_down(self) -> None:
        for role in ("web", "events", "chores", "mail", "transcriptions"):
            name = f"{role.capitalize()}Role"
            (given,) = SERVICE[name]["Properties"]["Policies"]
            found = granted(given["PolicyDocument"])
            if role == "web":
                found |= granted(SERVICE["WebMail"]["Properties"]["PolicyDocument"])
            wanted = {action for actions in policy.actions(role).values() for action in actions}
            assert found == wanted, role
            assert "*" not in json.dumps(given["PolicyDocument"]["Statement"]).replace("/*", "")

    def test_a_browser_gets_page_and_modules_from_one_task(self) -> None:
        """While tasks are replaced, the one beside it has the console of another release."""
        attributes = SERVICE["TargetGroup"]["Properties"]["TargetGroupAttributes"]
        told = {one["Key"]: one["Value"] for one in attributes}
        assert (told.get("stickiness.enabled"), told.get("stickiness.type")) == ("true", "lb_cookie")

    def test_nothing_writes_down_an_address_that_holds_a_ticket(self) -> None:
        attributes = SERVICE["LoadBalancer"]["Properties"]["LoadBalancerAttributes"]
        assert not [one for one in attributes if "access_logs" in one["Key"]]
        assert '"SampledRequestsEnabled": true' not in json.dumps(SERVICE["Firewall"])

    def test_the_runbook_has_a_section_for_every_alarm_and_no_other(self) -> None:
        alarms = properties(SERVICE, "CloudWatch::Alarm") | properties(DATA, "CloudWatch::Alarm")
        names = {alarm["AlarmName"] for alarm in alarms.values()}
        # All tables are throttled alike.
        tables = {alarm["AlarmName"] for name, alarm in alarms.items() if name.endswith("TableThrottled")}
        sections = re.findall(r"^## (panzoto-.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
        assert set(sections) == names - tables | {"panzoto-throttled-*table*"}

    def test_every_alarm_of_the_list_is_there_and_tells_somebody(self) -> None:
        alarms = properties(SERVICE, "CloudWatch::Alarm") | properties(DATA, "CloudWatch::Alarm")
        names = {alarm["AlarmName"] for alarm in alarms.values()}
        assert names >= {
            "panzoto-5xx-rate",
            "panzoto-p99-latency",
            "panzoto-throttled-calls",
            "panzoto-throttled-users",
            "panzoto-queue-age",
            "panzoto-dead-letters",
            "panzoto-transcriptions-age",
            "panzoto-transcriptions-failed",
            "panzoto-transcriptions-no-worker",
            "panzoto-chores-age",
            "panzoto-chores-dead-letters",
            "panzoto-chores-findings",
            "panzoto-chores-overdue",
            "panzoto-chores-silent",
            "panzoto-mail-age",
            "panzoto-mail-dead-letters",
            "panzoto-failed-sign-ins",
            "panzoto-certificate-expiry",
        }
        assert len(names) == len(alarms)
        assert all(alarm["AlarmActions"] for alarm in alarms.values())

    def test_every_metric_of_the_log_that_an_alarm_reads_is_counted(self) -> None:
        counted = {one.name for one in LOG_METRICS}
        read = set(re.findall(r'"Namespace": "Panzoto", "MetricName": "(\w+)"', json.dumps(SERVICE)))
        assert read <= counted
        assert read >= {"FailedSignIns", "DynamoThrottled", "ChoresOldestDue", "ChoresBacklog"}

    def test_the_dashboard_is_json(self) -> None:
        text, _ = SERVICE["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        assert len(json.loads(text)["widgets"]) >= 8


def granted(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def pattern(name: str) -> LogMetric:
    (one,) = [one for one in LOG_METRICS if one.name == name]
    return one


class TestLogMetrics:
    """The patterns, held against lines that a running service has written."""

    @pytest.fixture
    def lines(self, service: Service) -> Callable[[], list[dict[str, Any]]]:
        def read() -> list[dict[str, Any]]:
            return [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]

        return read

    def count(self, lines: list[dict[str, Any]], name: str) -> int:
        return sum(matches(pattern(name).pattern, line) for line in lines)

    def test_a_failed_sign_in_is_counted_once_and_nothing_else_is(
        self, service: Service, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        before = {name: self.count(lines(), name) for name in ("FailedSignIns", "ServerErrors")}
        wrong = {"email": "nobody-at-all@example.com", "password": "wrong password"}
        assert service.call("POST", "/api/login", json=wrong).status_code == 401
        service.register("counted@example.com")
        assert service.call("GET", "/api/user").status_code == 401
        after = lines()
        assert self.count(after, "FailedSignIns") == before["FailedSignIns"] + 1
        assert self.count(after, "ServerErrors") == before["ServerErrors"]

    def test_each_pattern_matches_its_own_event_and_no_other(self) -> None:
        request = {"event": "request", "route": "/api/login", "status": 200}
        failure = {"event": "dynamodb_failure", "aws_code": "", "reasons": ""}
        examples = {
            "FailedSignIns": request | {"status": 429},
            "ServerErrors": request | {"status": 503},
            "UnexpectedErrors": {"event": "unexpected_error"},
            "DamagedRecords": {"event": "damaged_record"},
            "BrokenStreams": {"event": "playback_aborted"},
            "DynamoThrottled": failure | {"reasons": "None,ThrottlingError"},
            "S3Failures": {"event": "s3_failure"},
            "DeletionsInterrupted": {"event": "deletion_interrupted"},
            "RecordsWithoutObject": {"event": "sweep_finished", "without_object": 1, "failed": 2},
            "ChoreFailures": {"event": "chore_done", "kind": "account", "found": 1, "failed": 2},
            "ChoresOldestDue": {"event": "chores_status", "oldest_due_seconds": 3, "backlog": 1, "held": 0},
        }
        assert not [one.name for one in LOG_METRICS if matches(one.pattern, request)]
        for name, line in examples.items():
            matching = {one.name for one in LOG_METRICS if matches(one.pattern, line)}
            also = {
                "DynamoThrottled": {"DynamoFailures"},
                "ChoresOldestDue": {"ChoresBacklog", "ChoresHeld"},
            }.get(name, set())
            assert matching == {name} | also
        assert not matches(pattern("DynamoThrottled").pattern, failure | {"reasons": "TransactionConflict"})

    def test_the_events_are_ones_that_the_code_writes(self) -> None:
        source = "".join(file.read_text("utf-8") for file in (ROOT / "panzoto").rglob("*.py"))
        for one in LOG_METRICS:
            for event in re.findall(r'\$\.event = "(\w+)"', one.pattern):
                assert f'"{event}"' in source, event
