"""The monthly bill: its items against sums done by hand, and the command that prints it."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from panzoto.operations.cost import (
    LEAST_LISTS,
    LISTED_AT_ONCE,
    Item,
    Usage,
    database,
    monthly_cost,
    prices,
    rds,
)
from tests.support.commands import done
from tests.support.fault_proxy import Action, Fault, FaultProxy, Request
from tests.support.forked_commands import ROOT, forked
from tests.support.service import Service

# A thousand people, ten recordings a day of a minute each, one play and two visits a day, kept for a year.
USAGE = Usage(1000, 10, 1, 2, 60, 8000, 12)
RECORDINGS = 1000 * 10 * 30.4
PLAYS = VISITS = 1000 * 30.4
# Chores look at an account after each visit that changes something, as nearly all do with eleven changes.
LOOKS = 2 * (1 - math.exp(-11 / 2)) * 1000 * 30.4


def items(usage: Usage = USAGE, fargate: bool = False) -> dict[str, Item]:
    return {item.name: item for item in monthly_cost(usage, prices(), fargate)}


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("DynamoDB writes", (RECORDINGS * 23 + PLAYS * 15 + VISITS * 2 * 1 + LOOKS * 9) / 1e6 * 0.625),
        # A visit is a token, a list and a look for changes, and asks once about its session.
        (
            "DynamoDB reads",
            (RECORDINGS * 11 + PLAYS * 7 + VISITS * 2 * (6 + 1) + LOOKS * 7.5) / 1e6 * 0.125,
        ),
        ("DynamoDB storage", (RECORDINGS * 12 * 2500 + 1000 * 6000) / 1e9 * 0.25),
        ("S3 storage", RECORDINGS * 12 * 480_000 / 1e9 * 0.023),
        ("S3 PUT and LIST", RECORDINGS / 1000 * 0.005),
        ("S3 GET and HEAD", (2 * RECORDINGS + 3 * PLAYS) / 1000 * 0.0004),
        ("transfer to the internet", PLAYS * 480_000 / 1e9 * 0.09),
        ("SQS", (RECORDINGS * 3 + LOOKS * 2.1) / 1e6 * 0.4),
        (
            "DynamoDB sweep reads",
            30.4 / 28 * (1000 * 2000 / 8192 + RECORDINGS * 12 * 350 / 4096) / 1e6 * 0.125,
        ),
        ("S3 sweep LIST", 30.4 / 28 * RECORDINGS * 12 / 1000 / 1000 * 0.005),
        ("EC2 t4g.small", 730 * 0.0168),
    ],
)
def test_an_item_is_what_its_formula_says(name: str, amount: float) -> None:
    assert items()[name].amount == pytest.approx(amount)


def test_transcripts_cost_what_is_heard_and_what_is_kept() -> None:
    assert not [name for name in items(fargate=True) if "transcri" in name or name == "speech engine"]
    asked = Usage(1000, 10, 1, 2, 60, 8000, 12, transcribed=0.5, engine_hour=0.36)
    found = items(asked, fargate=True)
    made = RECORDINGS / 2
    assert found["speech engine"].quantity == pytest.approx(made / 60)
    assert found["speech engine"].amount == pytest.approx(made / 60 * 0.36)
    # A minute of speech is 2400 bytes, three units of a write, each counted twice in a transaction.
    assert found["DynamoDB writes of transcripts"].amount == pytest.approx(made * (48 + 6) / 1e6 * 0.625)
    stored = made * (12 * 2400 + 3 * 700) / 1e9
    assert found["DynamoDB storage of transcripts"].amount == pytest.approx(stored * (0.25 + 0.20))
    # 2533 hours in a month of 730 hours, five times that at the peak, twenty times as fast as spoken.
    assert found["SQS of transcripts"].quantity == pytest.approx((730 * 720 + made * 5) / 1e6)
    task = 0.5 * 0.04048 + 1 * 0.004445 + 0.005
    assert found["Fargate that transcribes"].amount == pytest.approx(730 * task)
    assert "Fargate that transcribes" not in items(asked)
    assert database(list(found.values())) > database(list(items(fargate=True).values()))


def test_what_else_people_do_is_counted_where_it_is_told() -> None:
    more = replace(USAGE, erasures=0.5, sign_ins=0.25, looks=LOOKS / 1000 / 30.4)
    erasures, sign_ins = 1000 * 0.5 * 30.4, 1000 * 0.25 * 30.4
    writes = items(more)["DynamoDB writes"].quantity - items()["DynamoDB writes"].quantity
    assert writes == pytest.approx((erasures * 19 + sign_ins * 10) / 1e6)
    assert items(more)["S3 PUT and LIST"].quantity == pytest.approx((RECORDINGS + 4 * erasures) / 1000)
    assert "19 an erasure" in items(more)["DynamoDB writes"].formula
    assert "an erasure" not in items()["DynamoDB writes"].formula


def test_each_process_asks_about_a_session_for_itself() -> None:
    reads = [items(replace(USAGE, processes=count))["DynamoDB reads"].quantity for count in (1, 2, 100_000)]
    visits, calls = 2 * VISITS, 2 * VISITS * 2 + RECORDINGS * 2 + PLAYS
    assert reads[1] - reads[0] == pytest.approx(visits * (2 * (1 - 0.5 ** (calls / visits)) - 1) / 1e6)
    assert reads[2] - reads[0] == pytest.approx((calls - visits) / 1e6, rel=1e-3)


def test_machines_and_tasks_grow_with_what_is_played() -> None:
    busy = Usage(1_000_000, 10, 1, 2, 60, 8000, 12)
    # A million plays a day are 11.6 a second; 0.35 s each, five times that at the peak, cores half busy.
    cores = 1e6 / 86400 * 0.35 * 5 / 0.5
    assert items(busy)["EC2 t4g.small"].quantity == 730 * -(-cores // 2)
    assert items(fargate=True)["Fargate vCPU"].quantity == pytest.approx(730 * (2 + 3 * 0.25))
    # Ten million uploads a day are 116 a second, five times that at the peak, of which a worker commits 15;
    # and there is one worker on chores, and one on letters.
    workers = -(-1e7 / 86400 * 5 // 15) + 2
    tasks = -(-cores // 1)
    on_fargate = items(busy, fargate=True)
    assert on_fargate["Fargate vCPU"].quantity == pytest.approx(730 * (tasks + workers * 0.25))
    assert on_fargate["Fargate memory"].quantity == pytest.approx(730 * (tasks * 2 + workers * 0.5 + 0.5))
    assert on_fargate["public addresses"].quantity == pytest.approx(730 * (tasks + workers))


def test_nobody_pays_for_what_stands_there() -> None:
    nobody = items(Usage(0, 10, 1, 2, 60, 8000, 12))
    assert {name for name, item in nobody.items() if item.amount} == {
        "EC2 t4g.small",
        "S3 sweep LIST",
        "disk",
        "public address",
    }


def test_the_machine_is_the_one_that_the_docs_name() -> None:
    (machine,) = [name.removeprefix("EC2 ") for name in items() if name.startswith("EC2 ")]
    assert f"(`{machine}`)" in (ROOT / "docs/deploy.md").read_text("utf-8")


def test_what_stands_there_is_what_the_stacks_make() -> None:
    folder = ROOT / "deploy" / "aws" / "cloudformation"
    made = [
        one
        for name in ("data", "service")
        for one in json.loads((folder / f"{name}.json").read_text("utf-8"))["Resources"].values()
    ]

    def properties(kind: str) -> list[dict[str, Any]]:
        return [one["Properties"] for one in made if one["Type"] == f"AWS::{kind}"]

    endpoints = properties("EC2::VPCEndpoint")
    (firewall,) = properties("WAFv2::WebACL")
    stands = items(fargate=True)
    # An alarm is paid for each metric that it is made of, and a filter for the metric that it makes.
    looked_at = [one.get("Metrics", [{"MetricStat": {}}]) for one in properties("CloudWatch::Alarm")]
    assert stands["CloudWatch alarms"].quantity == sum(
        "MetricStat" in metric for metrics in looked_at for metric in metrics
    )
    assert stands["CloudWatch log metrics"].quantity == len(properties("Logs::MetricFilter"))
    assert stands["CloudWatch dashboard"].quantity == len(properties("CloudWatch::Dashboard"))
    assert stands["firewall rules"].quantity == len(firewall["Rules"])
    assert stands["key"].quantity == len(properties("KMS::Key"))
    assert stands["secret"].quantity == len(properties("SecretsManager::Secret"))
    assert stands["interface endpoints"].quantity == 730 * sum(
        len(one["SubnetIds"]) for one in endpoints if one["VpcEndpointType"] == "Interface"
    )


def test_the_sweeps_read_and_list_as_the_bill_says(service: Service) -> None:
    """Counted by who stands between the sweeps and their stand-in."""
    for number in range(LISTED_AT_ONCE + 1):
        service.put_object(f"users/somebody/{number}", b"x")
    calls: Counter[str] = Counter()

    def see(request: Request) -> bool:
        if request.operation == "Scan" and request.json().get("Limit") == 1:
            # Whether a table is empty costs one unit, which no bill shows.
            calls["looks"] += 1
        elif request.operation is not None:
            calls[f"{request.operation} {request.json().get('TableName')}"] += 1
            consistent = request.operation == "Scan" and request.json().get("ConsistentRead")
            calls["consistent scans"] += bool(consistent)
        elif request.method == "GET" and request.query:
            calls["lists"] += "versions" in request.query or "uploads" in request.query
        return False

    with FaultProxy(service.aws_url) as between:
        between.add(Fault(Action(), where=see))
        done(service, "sweep", "accounts", "sweep", at=between.url)
        done(service, "sweep", "recordings", "sweep", at=between.url)
    # A page of each table is one scan; recordings and what sweeps remember are read strongly consistent.
    assert calls["Scan panzoto-users"] == 1
    assert calls["Scan panzoto-audio-files"] == 1
    assert calls["consistent scans"] == 1 + calls["Scan panzoto-sweeps"] == 2
    assert calls["lists"] == LEAST_LISTS + 1
    assert calls["looks"] <= 3


def test_the_price_list_has_its_date() -> None:
    listed = prices()
    assert date(2024, 11, 1) < date.fromisoformat(listed["as_of"]) <= date.today()  # noqa: DTZ011 - a day
    assert all(value > 0 for value in listed.values() if not isinstance(value, str))


def printed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    around = {
        "PATH": os.environ["PATH"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "PANZOTO_DATA_DIR": str(folder),
    }
    return forked().run_module(around, "flask", "--app", "wsgi:app", "panzoto", "cost", *words)


class TestCommand:
    def test_it_prints_every_item_the_sum_and_what_is_replaced(self, tmp_path: Path) -> None:
        command = printed(
            tmp_path, "--users=1000", "--recordings-per-day=10", "--plays-per-day=1", "--visits-per-day=2"
        )
        assert command.returncode == 0, command.stderr
        every = monthly_cost(USAGE, prices(), fargate=False)
        lines = command.stdout.splitlines()
        for item in every:
            (line,) = [line for line in lines if line.startswith(item.name + " ")]
            assert f" {item.amount:,.2f} " in line
            assert line.rstrip().endswith(item.formula)
        assert f"Together: {sum(item.amount for item in every):,.2f} USD a month" in lines
        assert f"{database(every):,.2f} USD a month; RDS, which is replaced: {rds(prices()).amount:,.2f}" in (
            command.stdout
        )
        assert prices()["as_of"] in lines[-1]
        assert "panzoto/operations/prices.json" in lines[-1]

    @pytest.mark.parametrize("words", [(), ("--users=many", "--recordings-per-day=1"), ("--users=-1",)])
    def test_wrong_usage_is_told(self, words: tuple[str, ...], tmp_path: Path) -> None:
        command = printed(tmp_path, *words)
        assert command.returncode == 2
        assert "--" in command.stderr
        assert "Traceback" not in command.stderr
