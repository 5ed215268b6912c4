"""Renews SECRET_KEY. The service stack carries this file as its function; it needs nothing but boto3.

The secret is a JSON object: `current` signs, `next` will sign after the next
renewal, `previous` has signed before, and `fallbacks` is what the service
gets as SECRET_KEY_FALLBACKS.  Since `next` has been among every task's
fallbacks since the renewal before, old and new tasks accept each other's
tokens while the service is being replaced, task by task.  Nobody is signed
out.  The latest three are kept as `previous`; renewed not oftener than every
90 days, one of them outlives REFRESH_TTL.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

import boto3

KEPT = 3


def successor(document: dict[str, Any]) -> dict[str, Any]:
    """Return the secret's next content. The first renewal only makes a `next`, as no task knows one yet."""
    known = document.get("next")
    current = known or document["current"]
    previous = [document["current"], *document.get("previous", [])][:KEPT] if known else []
    coming = secrets.token_urlsafe(48)
    return {
        "current": current,
        "next": coming,
        "previous": previous,
        "fallbacks": ",".join([coming, *previous]),
    }


def handler(event: dict[str, str], _context: object) -> None:
    """Do one of the four steps by which Secrets Manager renews a secret; each may be repeated."""
    vault = boto3.client("secretsmanager")
    where, token = event["SecretId"], event["ClientRequestToken"]
    if event["Step"] == "createSecret":
        create(vault, where, token)
    elif event["Step"] == "testSecret":
        check(vault, where, token)
    elif event["Step"] == "finishSecret":
        finish(vault, where, token)


def create(vault: Any, where: str, token: str) -> None:
    """Write the next content beside the current one, unless it is there already."""
    stages = vault.describe_secret(SecretId=where)["VersionIdsToStages"]
    if {"AWSPENDING", "AWSCURRENT"} & set(stages.get(token, [])) and _has_value(vault, where, token):
        return
    content = successor(_read(vault, where, VersionStage="AWSCURRENT"))
    vault.put_secret_value(
        SecretId=where,
        ClientRequestToken=token,
        SecretString=json.dumps(content),
        VersionStages=["AWSPENDING"],
    )


def check(vault: Any, where: str, token: str) -> None:
    """Raise unless every task that runs accepts what the next content signs, and the other way round."""
    now = _read(vault, where, VersionStage="AWSCURRENT")
    then = _read(vault, where, VersionId=token)
    known = [now["current"], *now["fallbacks"].split(",")]
    if then["current"] not in known or now["current"] not in [then["current"], *then["fallbacks"].split(",")]:
        raise ValueError("tasks before and after the renewal would not accept each other's tokens")


def finish(vault: Any, where: str, token: str) -> None:
    """Make the next content the current one, and let new tasks of every service read it."""
    stages = vault.describe_secret(SecretId=where)["VersionIdsToStages"]
    before = next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
    if before != token:
        vault.update_secret_version_stage(
            SecretId=where,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=before,
        )
    tasks = boto3.client("ecs")
    for service in os.environ["SERVICES"].split():
        try:
            tasks.update_service(cluster=os.environ["CLUSTER"], service=service, forceNewDeployment=True)
        except (
            tasks.exceptions.ClusterNotFoundException,
            tasks.exceptions.ServiceNotFoundException,
            tasks.exceptions.ServiceNotActiveException,
        ):
            # The stack is being made, and its tasks will read the new content when they start; or there is no
            # mail, or no speech engine.
            print(f"there is no service {service}")


def _has_value(vault: Any, where: str, token: str) -> bool:
    try:
        vault.get_secret_value(SecretId=where, VersionId=token)
    except vault.exceptions.ResourceNotFoundException:
        return False
    return True


def _read(vault: Any, where: str, **which: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(vault.get_secret_value(SecretId=where, **which)["SecretString"])
    return content
