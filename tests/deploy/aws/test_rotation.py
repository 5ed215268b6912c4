"""SECRET_KEY is renewed by the function that the service stack carries, and nobody is signed out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest

from deploy.aws.cloudformation.rotation import KEPT, successor
from panzoto.auth.tokens import Tokens
from panzoto.config import Settings
from tests.support.aws import acting_as, aws_environment
from tests.support.service import ROOT, aws_client

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
RUN = """
import json, sys
from deploy.aws.cloudformation.rotation import handler
for event in json.loads(sys.argv[1]):
    handler(event, None)
"""
USER, SESSION = str(uuid.uuid4()), str(uuid.uuid4())
FIRST = "first-generated-by-secrets-manager-and-long-enough"


def settings(content: dict[str, Any]) -> Settings:
    """What a task gets from this content, through the service's own reader."""
    return Settings.from_environment(
        {
            "FLASK_ENV": "production",
            "SECRET_KEY": content["current"],
            "SECRET_KEY_FALLBACKS": content["fallbacks"],
        }
    )


def tokens(content: dict[str, Any]) -> Tokens:
    chosen = settings(content)
    return Tokens(chosen.secret_key, chosen.secret_key_fallbacks, 60)


def test_tasks_before_and_after_a_renewal_accept_each_other() -> None:
    content: dict[str, Any] = {"current": FIRST, "fallbacks": ""}
    history = [content]
    for _ in range(6):
        content = successor(content)
        history.append(content)
    for before, after in itertools.pairwise(history):
        for signer, reader in ((before, after), (after, before)):
            token, _ = tokens(signer).mint(USER, SESSION)
            assert tokens(reader).identify(token).user_id == USER
    signing = [one["current"] for one in history]
    # The first renewal only prepares; after it each one brings a new key.
    assert signing[0] == signing[1]
    assert len(set(signing)) == len(history) - 1
    assert content["previous"] == signing[-2 : -2 - KEPT : -1]


@pytest.fixture
def secret(moto: str) -> tuple[str, str]:
    """The stand-in, with the secret as the stack makes it, and the web service."""
    vault = aws_client("secretsmanager", moto)
    name = f"panzoto/secret-key-{uuid.uuid4()}"
    vault.create_secret(Name=name, SecretString=json.dumps({"current": FIRST, "fallbacks": ""}))
    return moto, name


def renew(url: str, name: str) -> str:
    """Do all four steps in a process of their own, each twice, as a caller does that lost the answer."""
    token = str(uuid.uuid4())
    environment = acting_as("rotation", os.environ | aws_environment(url))
    events = [
        {"SecretId": name, "ClientRequestToken": token, "Step": step} for step in STEPS for _ in range(2)
    ]
    subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(events)],
        cwd=ROOT,
        env=environment | {"CLUSTER": "panzoto", "SERVICES": "panzoto-web panzoto-mail panzoto-events"},
        check=True,
        capture_output=True,
    )
    return token


def read(url: str, name: str, **which: str) -> dict[str, Any]:
    """What Fargate hands to a task, unless another version is asked for."""
    which = which or {"VersionStage": "AWSCURRENT"}
    vault = aws_client("secretsmanager", url)
    content: dict[str, Any] = json.loads(vault.get_secret_value(SecretId=name, **which)["SecretString"])
    return content


def test_a_renewal_in_all_its_steps(secret: tuple[str, str]) -> None:
    url, name = secret
    # There is no service yet while the stack is being made, which is no failure.
    renew(url, name)
    prepared = read(url, name)
    assert prepared["current"] == FIRST
    assert prepared["fallbacks"] == prepared["next"]

    ecs = aws_client("ecs", url)
    ecs.create_cluster(clusterName="panzoto")
    # Where there is no mail there is none of its tasks, which is no failure either.
    there = ["panzoto-web", "panzoto-events"]
    for service in there:
        ecs.register_task_definition(
            family=service, containerDefinitions=[{"name": "main", "image": "panzoto", "memory": 64}]
        )
        ecs.create_service(cluster="panzoto", serviceName=service, taskDefinition=service, desiredCount=1)
    token = renew(url, name)
    renewed = read(url, name, VersionId=token)
    assert read(url, name) == renewed
    assert renewed["current"] == prepared["next"]
    assert renewed["fallbacks"].split(",") == [renewed["next"], FIRST]
    running = ecs.describe_services(cluster="panzoto", services=there)["services"]
    assert [one["status"] for one in running] == ["ACTIVE", "ACTIVE"]
