"""The pipeline's file: its order, what it may do, and that what it names is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import ROOT

FILE = ROOT / ".github" / "workflows" / "deploy.yaml"
TEXT = FILE.read_text("utf-8")
WORKFLOW: dict[str, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
STEPS: list[dict[str, Any]] = JOBS["deploy"]["steps"]


def place(name: str) -> int:
    (found,) = [at for at, step in enumerate(STEPS) if step.get("name", "").startswith(name)]
    return found


def scripts() -> str:
    return "\n".join(step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step)


def test_the_order() -> None:
    assert JOBS["test"]["needs"] == "lint"
    assert JOBS["deploy"]["needs"] == "test"
    names = (
        "Resources create",
        "Smoke test of the new image",
        "Push",
        "Deploy",
        "Smoke test of the service",
        "Roll back",
    )
    places = [place(name) for name in names]
    assert places == sorted(places)
    assert places[-1] == len(STEPS) - 1
    assert STEPS[-1]["if"].startswith("failure()")


def test_it_has_a_role_and_no_key() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOBS["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in TEXT
    assert not re.search(r"AWS_(ACCESS_KEY|SECRET)|AKIA", TEXT)
    # What an event says is never put into a script's text.
    assert "${{" not in scripts()
    assert "pull_request" in JOBS["deploy"]["if"]


def test_every_action_is_one_commit_whose_version_is_told() -> None:
    """A tag may be moved to other code by whoever holds the action's repository."""
    used = re.findall(r"uses: (.+)", TEXT)
    assert len(used) == sum("uses" in step for job in JOBS.values() for step in job["steps"]) > 0
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


def test_what_it_names_is_there() -> None:
    for path in set(re.findall(r"(?<![\w/])(?:deploy|\.ci)/[\w./-]+", scripts())):
        assert Path(ROOT, path).exists(), path
    targets = set(re.findall(r"^make ([\w./ -]+)", scripts(), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    for target in {word for words in targets for word in words.split()}:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


def test_the_parameters_are_those_of_the_templates() -> None:
    for name, step in (("data", "Resources create"), ("service", "Deploy"), ("service", "Roll back")):
        template = json.loads(
            (ROOT / "deploy" / "aws" / "cloudformation" / f"{name}.json").read_text("utf-8")
        )
        script = STEPS[place(step)]["run"]
        given = set(re.findall(r'"(\w+)=\$', script))
        needed = {one for one, what in template["Parameters"].items() if "Default" not in what}
        assert given <= set(template["Parameters"])
        # CloudFormation keeps the values of what is there already.
        assert step == "Roll back" or needed <= given


def test_the_role_may_do_what_the_file_asks_for() -> None:
    template = json.loads((ROOT / "deploy" / "aws" / "cloudformation" / "pipeline.json").read_text("utf-8"))
    policies = template["Resources"]["DeployRole"]["Properties"]["Policies"]
    allowed = {
        action
        for one in policies
        for statement in one["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    asked = set(re.findall(r"aws ([\w-]+) ([\w-]+)", scripts()))
    assert asked == {
        ("cloudformation", "deploy"),
        ("cloudformation", "describe-stacks"),
        ("cloudformation", "get-template"),
        ("ecr", "get-login-password"),
    }
    assert allowed >= {
        "cloudformation:CreateChangeSet",
        "cloudformation:DescribeStacks",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:GetTemplate",
        "ecr:GetAuthorizationToken",
        "iam:PassRole",
        "s3:PutObject",
    }
