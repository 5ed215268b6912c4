"""`deploy/aws/cleanup` finds all that a deployment made, and removes nothing before the words were typed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.aws.cloudformation.policy import TABLES
from deploy.aws.removal import DATA_WORDS, SERVICE_WORDS
from tests.support.aws import aws_environment, start_moto
from tests.support.service import BUCKET, ROOT, aws_client

EMPTY_STACK = {"Resources": {"Nothing": {"Type": "AWS::SNS::Topic", "Properties": {}}}}


class Deployed:
    """A stand-in on which something is deployed, and the command beside it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = os.environ | aws_environment(url) | {"PYTHON": sys.executable}

    def client(self, name: str) -> Any:
        return aws_client(name, self.url)

    def cleanup(self, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
        how = {"stdin": subprocess.DEVNULL, "capture_output": True, **how}
        return subprocess.run(
            [str(ROOT / "deploy" / "aws" / "cleanup"), *arguments],
            env=self.environment,
            text=True,
            timeout=180,
            check=False,
            **how,
        )

    def typing(self, *lines: str, data: bool) -> subprocess.CompletedProcess[str]:
        """Answer its questions at a terminal."""
        terminal, other = pty.openpty()
        try:
            os.write(terminal, "".join(f"{line}\n" for line in lines).encode())
            return self.cleanup(*(["--data"] if data else []), stdin=other)
        finally:
            os.close(terminal)
            os.close(other)

    def tables(self) -> list[str]:
        names: list[str] = self.client("dynamodb").list_tables()["TableNames"]
        return names


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    """Stacks, protected tables, a bucket with versions and parts, a queue, logs and a secret."""
    with start_moto() as url:
        made = Deployed(url)
        subprocess.run(
            [sys.executable, "-m", "flask", "panzoto", "resources", "create"],
            cwd=ROOT,
            env=made.environment | {"FLASK_ENV": "development", "SECRET_KEY": "x" * 40},
            check=True,
            capture_output=True,
        )
        for table in made.tables():
            made.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=True)
        s3 = made.client("s3")
        for body in (b"first", b"second"):
            s3.put_object(Bucket=BUCKET, Key="users/someone/recording", Body=body)
        s3.delete_object(Bucket=BUCKET, Key="users/someone/recording")
        s3.create_multipart_upload(Bucket=BUCKET, Key="users/someone/unfinished")
        made.client("sqs").create_queue(QueueName="panzoto-bucket-events-dead")
        made.client("logs").create_log_group(logGroupName="/panzoto/web")
        made.client("logs").create_log_group(logGroupName="/somebody/else")
        for name in ("panzoto/secret-key", "somebody/else"):
            made.client("secretsmanager").create_secret(Name=name, SecretString="{}")
        made.client("ecr").create_repository(repositoryName="panzoto")
        key = made.client("kms").create_key()["KeyMetadata"]["KeyId"]
        made.client("kms").create_alias(AliasName="alias/panzoto", TargetKeyId=key)
        trail = {"TrailBucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {}}}
        for name, template in (
            ("panzoto-service", EMPTY_STACK),
            ("panzoto-data", {"Resources": trail}),
            ("somebody-else", EMPTY_STACK),
        ):
            made.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
        yield made


def test_the_whole_story(deployed: Deployed) -> None:
    """First everything is refused, then the service goes, and at last the data."""
    listed = deployed.cleanup("--list")
    assert listed.returncode == 0
    lines = [line.strip() for line in listed.stdout.splitlines()]
    assert "Account 123456789012, region us-east-1" in lines
    for line in (
        "stack: panzoto-service",
        "log group: /panzoto/web",
        "secret: panzoto/secret-key",
        "images: panzoto",
        "DATA stack: panzoto-data",
        "DATA table: panzoto-users",
        f"DATA bucket: {BUCKET}",
        "DATA queue: panzoto-bucket-events",
        "DATA queue: panzoto-bucket-events-dead",
    ):
        assert line in lines
    assert sum(line.startswith("DATA bucket: ") for line in lines) == 2
    assert "else" not in listed.stdout
    everything = listed.stdout

    # No terminal and no words; wrong words; the words for the other thing; the second words wrong or missing.
    for arguments, status in (
        ((), 2),
        (("--confirm", DATA_WORDS), 1),
        (("--data", "--confirm", SERVICE_WORDS), 2),
        (("--data", "--confirm", SERVICE_WORDS, "--confirm-data", SERVICE_WORDS), 1),
    ):
        refused = deployed.cleanup(*arguments)
        assert refused.returncode == status, (arguments, refused.stderr)
        assert refused.stdout == everything
    assert "Nothing was removed" in deployed.typing("remove panzoto", data=False).stderr
    assert "Nothing was removed" in deployed.typing(SERVICE_WORDS, "yes", data=True).stderr
    assert deployed.cleanup("--list").stdout == everything

    gone = deployed.typing(SERVICE_WORDS, data=False)
    assert gone.returncode == 0, gone.stderr
    assert "Kept: panzoto-data, panzoto-users" in gone.stdout
    left = deployed.cleanup("--list").stdout.splitlines()[1:]
    assert left
    assert all("DATA" in line for line in left)
    assert len(deployed.tables()) == len(TABLES)

    words = ("--confirm", SERVICE_WORDS, "--confirm-data", DATA_WORDS)
    rest = deployed.cleanup("--data", *words)
    assert rest.returncode == 0, rest.stderr
    assert deployed.tables() == []
    assert deployed.client("s3").list_buckets()["Buckets"] == []
    assert deployed.client("sqs").list_queues().get("QueueUrls", []) == []
    again = deployed.cleanup("--data", *words)
    assert (again.returncode, again.stderr) == (0, "")
    assert "Nothing of this deployment is there." in again.stdout
    others = [
        deployed.client("logs").describe_log_groups()["logGroups"][0]["logGroupName"],
        deployed.client("secretsmanager").list_secrets()["SecretList"][0]["Name"],
        deployed.client("cloudformation").describe_stacks()["Stacks"][0]["StackName"],
    ]
    assert others == ["/somebody/else", "somebody/else", "somebody-else"]


def test_an_aws_that_cannot_be_asked() -> None:
    nobody = Deployed("http://127.0.0.1:9")
    nobody.environment |= {"AWS_MAX_ATTEMPTS": "1"}
    asked = nobody.cleanup("--list")
    assert asked.returncode == 1
    assert asked.stderr == "cleanup: AWS cannot be asked: EndpointConnectionError\n"
