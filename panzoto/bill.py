"""What a month costs at Amazon, item by item, each with its formula.

Units per call are those of docs/costs.md; prices are in `prices.json`, which has a date.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
DAYS_PER_MONTH = 30.4
GB = 1e9
MILLION = 1e6

# Write and read units: an upload with its commit, a first playback, a visit (session and list).
UPLOAD_WRITES, UPLOAD_READS = 22, 6
PLAY_WRITES, PLAY_READS = 15, 5
VISIT_WRITES, VISIT_READS = 1, 3
# A recording's row with its copies in four indexes, its claim and its entry in the list of changes.
ROW_BYTES = 2500
USER_BYTES = 6000
PLAY_GETS = 4
LOG_BYTES_PER_REQUEST = 400
REQUESTS_PER_UPLOAD, REQUESTS_PER_PLAY, REQUESTS_PER_VISIT = 2, 3, 2
# Three requests to the queue for each event: it is sent, received and deleted.
QUEUE_REQUESTS_PER_UPLOAD = 3
# One Argon2 computation of the default cost takes so much of a core, at a play or a login.
HASH_CORE_SECONDS = 0.35
PEAK_OVER_MEAN = 5
MACHINE_CORES = 2
BUSY_AT_MOST = 0.5
DISK_GB = 20
# As many as the CloudFormation stacks make; a test compares.
ALARMS = 20
WAF_RULES = 2
# That of SQS, in two zones.
INTERFACE_ENDPOINTS = 2
TASK_VCPUS, TASK_GB = 1, 2
WORKER_VCPUS, WORKER_GB = 0.25, 0.5
FEWEST_TASKS = 2
RDS_STORAGE_GB = 100


@dataclass(frozen=True, slots=True)
class Usage:
    """What people do: recordings, plays and visits of each user and day; all is kept for so many months."""

    users: int
    recordings: float
    plays: float
    visits: float
    seconds: float
    bytes_per_second: float
    months: float

    @property
    def recordings_per_month(self) -> float:
        return self.users * self.recordings * DAYS_PER_MONTH

    @property
    def plays_per_month(self) -> float:
        return self.users * self.plays * DAYS_PER_MONTH

    @property
    def visits_per_month(self) -> float:
        return self.users * self.visits * DAYS_PER_MONTH

    @property
    def stored_recordings(self) -> float:
        return self.recordings_per_month * self.months

    @property
    def clip_bytes(self) -> float:
        return self.seconds * self.bytes_per_second

    @property
    def requests(self) -> float:
        return (
            self.recordings_per_month * REQUESTS_PER_UPLOAD
            + self.plays_per_month * REQUESTS_PER_PLAY
            + self.visits_per_month * REQUESTS_PER_VISIT
        )

    @property
    def cores(self) -> float:
        """How many cores hash at the busiest hour."""
        per_second = self.plays_per_month / (DAYS_PER_MONTH * 86400)
        return per_second * HASH_CORE_SECONDS * PEAK_OVER_MEAN / BUSY_AT_MOST


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: so much of something at a price, and how that much was found."""

    name: str
    quantity: float
    unit: str
    price: float
    formula: str

    @property
    def amount(self) -> float:
        """USD a month."""
        return self.quantity * self.price


def prices() -> dict[str, Any]:
    """Return the price list."""
    listed: dict[str, Any] = json.loads(PRICES.read_text("utf-8"))
    return listed


def bill(usage: Usage, listed: dict[str, Any], fargate: bool) -> list[Item]:
    """Return every item of a month: storage and calls, and what the service runs on."""
    runs_on = _fargate(usage, listed) if fargate else _machines(usage, listed)
    return [*_tables(usage, listed), *_bucket(usage, listed), *runs_on, *_watching(usage, listed)]


def database(items: list[Item]) -> float:
    """Return what the tables alone cost of `items`, in USD a month."""
    return sum(item.amount for item in items if item.name.startswith("DynamoDB"))


def rds(listed: dict[str, Any]) -> Item:
    """Return the database that is replaced: PostgreSQL on RDS in two zones, whatever it was used for."""
    per_month = (
        listed["hours_per_month"] * listed["rds_t4g_medium_two_zones_hour"]
        + RDS_STORAGE_GB * listed["rds_storage_two_zones_gb"]
    )
    formula = f"db.t4g.medium in two zones with {RDS_STORAGE_GB} GB"
    return Item("RDS, which is replaced", 1, "database", per_month, formula)


def _tables(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    uploads, plays, visits = usage.recordings_per_month, usage.plays_per_month, usage.visits_per_month
    writes = uploads * UPLOAD_WRITES + plays * PLAY_WRITES + visits * VISIT_WRITES
    reads = uploads * UPLOAD_READS + plays * PLAY_READS + visits * VISIT_READS
    size = (usage.stored_recordings * ROW_BYTES + usage.users * USER_BYTES) / GB
    stored = f"{usage.stored_recordings:.0f} rows x {ROW_BYTES} B + {usage.users} users x {USER_BYTES} B"
    return [
        Item(
            "DynamoDB writes",
            writes / MILLION,
            "M units",
            listed["dynamodb_write_units_million"],
            f"{UPLOAD_WRITES} an upload + {PLAY_WRITES} a play + {VISIT_WRITES} a visit",
        ),
        Item(
            "DynamoDB reads",
            reads / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"{UPLOAD_READS} an upload + {PLAY_READS} a play + {VISIT_READS} a visit",
        ),
        Item("DynamoDB storage", size, "GB", listed["dynamodb_storage_gb"], stored),
        Item(
            "DynamoDB point-in-time recovery",
            size,
            "GB",
            listed["dynamodb_point_in_time_recovery_gb"],
            "the same",
        ),
    ]


def _bucket(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    uploads, plays = usage.recordings_per_month, usage.plays_per_month
    return [
        Item(
            "S3 storage",
            usage.stored_recordings * usage.clip_bytes / GB,
            "GB",
            listed["s3_storage_gb"],
            f"{usage.stored_recordings:.0f} recordings x {usage.clip_bytes:.0f} B",
        ),
        Item("S3 PUT", uploads / 1000, "thousand", listed["s3_puts_thousand"], "1 an upload"),
        Item(
            "S3 GET and HEAD",
            (uploads + plays * PLAY_GETS) / 1000,
            "thousand",
            listed["s3_gets_thousand"],
            f"1 an upload + {PLAY_GETS} a play",
        ),
        Item(
            "transfer to the internet",
            plays * usage.clip_bytes / GB,
            "GB",
            listed["transfer_out_gb"],
            "every play once",
        ),
        Item(
            "SQS",
            uploads * QUEUE_REQUESTS_PER_UPLOAD / MILLION,
            "M requests",
            listed["sqs_requests_million"],
            f"{QUEUE_REQUESTS_PER_UPLOAD} an upload",
        ),
    ]


def _machines(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    machines = max(1, math.ceil(usage.cores / MACHINE_CORES))
    hours = machines * listed["hours_per_month"]
    sized = (
        f"{HASH_CORE_SECONDS} core-seconds a play, {PEAK_OVER_MEAN} times the mean at the peak,"
        f" {BUSY_AT_MOST:.0%} busy, {MACHINE_CORES} cores each"
    )
    return [
        Item("EC2 t4g.medium", hours, "hours", listed["machine_t4g_medium_hour"], sized),
        Item("disk", machines * DISK_GB, "GB", listed["disk_gb"], f"{DISK_GB} GB each"),
        Item("public address", hours, "hours", listed["public_address_hour"], "1 each"),
    ]


def _fargate(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    tasks = max(FEWEST_TASKS, math.ceil(usage.cores / TASK_VCPUS))
    hours = listed["hours_per_month"]
    vcpus, memory = tasks * TASK_VCPUS + WORKER_VCPUS, tasks * TASK_GB + WORKER_GB
    return [
        Item(
            "Fargate vCPU",
            vcpus * hours,
            "hours",
            listed["fargate_vcpu_hour"],
            f"{tasks} tasks of {TASK_VCPUS}, the events worker {WORKER_VCPUS}",
        ),
        Item(
            "Fargate memory",
            memory * hours,
            "GB hours",
            listed["fargate_gb_hour"],
            f"{tasks} tasks of {TASK_GB} GB, the events worker {WORKER_GB} GB",
        ),
        Item(
            "public addresses",
            (tasks + 1) * hours,
            "hours",
            listed["public_address_hour"],
            "1 a task, the events worker's too",
        ),
        Item("key", 1, "key", listed["key"], "1"),
        Item("load balancer", hours, "hours", listed["load_balancer_hour"], "1"),
        Item("load balancer units", hours, "hours", listed["load_balancer_unit_hour"], "1 on average"),
        Item("firewall", 1, "list", listed["firewall"], "1"),
        Item("firewall rules", WAF_RULES, "rules", listed["firewall_rule"], f"{WAF_RULES}"),
        Item(
            "firewall requests",
            usage.requests / MILLION,
            "M",
            listed["firewall_requests_million"],
            "every request",
        ),
        Item(
            "interface endpoints",
            INTERFACE_ENDPOINTS * hours,
            "hours",
            listed["interface_endpoint_hour"],
            f"{INTERFACE_ENDPOINTS}, those of DynamoDB and S3 cost nothing",
        ),
    ]


def _watching(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    data_events = usage.recordings_per_month * 2 + usage.plays_per_month * PLAY_GETS
    return [
        Item(
            "CloudWatch logs",
            usage.requests * LOG_BYTES_PER_REQUEST / GB,
            "GB",
            listed["logs_gb"],
            f"{LOG_BYTES_PER_REQUEST} B a request",
        ),
        Item("CloudWatch alarms", ALARMS, "alarms", listed["alarm"], f"{ALARMS}"),
        Item("CloudWatch dashboard", 1, "dashboard", listed["dashboard"], "1"),
        Item(
            "CloudTrail data events",
            data_events / 1e5,
            "100 000",
            listed["trail_data_events_hundred_thousand"],
            f"2 an upload + {PLAY_GETS} a play",
        ),
        Item("secret", 1, "secret", listed["secret"], "SECRET_KEY"),
    ]
