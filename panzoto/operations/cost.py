"""What a month costs at Amazon, item by item, each with its formula.

Units per call are those of docs/costs.md; prices are in `prices.json`, which
has a date; what the CloudFormation stacks make stand there is counted from
their templates, into `standing.json`, by `make templates`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
STANDING = Path(__file__).with_name("standing.json")
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
# The nightly sweeps read every account (as an eventually consistent read) and every recording's row in its
# table alone, and list every version of every object and every unfinished upload of five folders.
NIGHTS_PER_MONTH = DAYS_PER_MONTH
USER_ROW_BYTES, FILE_ROW_BYTES = 2000, 350
READ_UNIT_BYTES = 4096
LISTED_AT_ONCE = 1000
LEAST_LISTS = 10
LOG_BYTES_PER_REQUEST = 400
REQUESTS_PER_UPLOAD, REQUESTS_PER_PLAY, REQUESTS_PER_VISIT = 2, 3, 2
# Three requests to the queue for each event: it is sent, received and deleted.
QUEUE_REQUESTS_PER_UPLOAD = 3
# Of one recording: 16 to ask with those of indexes, 5 for the job's own row, 18 for the recording
# with both lists and an event; besides those, the transcript itself, twice for its transaction.
TRANSCRIBE_WRITES, TRANSCRIBE_READS = 39, 20
# What was said in a second, sealed with its times; a row has some 300 bytes besides. A job is kept 90 days.
WORDS_BYTES_PER_SECOND, TRANSCRIPT_ROW_BYTES = 35, 300
JOB_BYTES, JOB_MONTHS = 700, 3
# A worker asks an idle queue every five seconds. A job is sent, received, held on, and deleted.
POLLS_PER_HOUR, QUEUE_REQUESTS_PER_JOB = 720, 5
# An engine is taken to listen so many times as fast as people speak.
TIMES_AS_FAST = 20
# One Argon2 computation of the default cost takes so much of a core, at a play or a login.
HASH_CORE_SECONDS = 0.35
PEAK_OVER_MEAN = 5
MACHINE_CORES = 2
BUSY_AT_MOST = 0.5
DISK_GB = 20
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
    # The share of recordings that is transcribed, and USD that the engine takes for an hour of sound.
    transcribed: float = 0
    engine_hour: float = 0

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
    def transcripts_per_month(self) -> float:
        return self.recordings_per_month * self.transcribed

    @property
    def transcribed_hours(self) -> float:
        """Hours of sound that the engine hears in a month."""
        return self.transcripts_per_month * self.seconds / 3600

    @property
    def transcript_bytes(self) -> float:
        """What a transcript takes in its row, or in the bucket."""
        return self.seconds * WORDS_BYTES_PER_SECOND + TRANSCRIPT_ROW_BYTES

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
    def sweep_reads(self) -> float:
        """Read units of a night's sweeps."""
        accounts = self.users * USER_ROW_BYTES / READ_UNIT_BYTES / 2
        return accounts + self.stored_recordings * FILE_ROW_BYTES / READ_UNIT_BYTES

    @property
    def sweep_lists(self) -> float:
        """LIST requests of a night's sweep."""
        return max(LEAST_LISTS, self.stored_recordings / LISTED_AT_ONCE)

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


def stands() -> dict[str, float]:
    """Return how many of each thing the stacks make; see `deploy/aws/cloudformation/standing.py`."""
    counted: dict[str, float] = json.loads(STANDING.read_text("utf-8"))
    return counted


def monthly_cost(usage: Usage, listed: dict[str, Any], fargate: bool) -> list[Item]:
    """Return every item of a month: storage and calls, and what the service runs on.

    One machine is watched by what runs on it, and has neither alarms nor logs at CloudWatch.
    """
    items = [*_tables(usage, listed), *_bucket(usage, listed)]
    if usage.transcribed:
        items += _transcripts(usage, listed, fargate)
    if fargate:
        return [*items, *_fargate(usage, listed), *_watching(usage, listed)]
    return [*items, *_machines(usage, listed)]


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
    swept = usage.sweep_reads * NIGHTS_PER_MONTH
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
        Item(
            "DynamoDB sweep reads",
            swept / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"every night {usage.users} users x {USER_ROW_BYTES} B / 8 KiB"
            f" + {usage.stored_recordings:.0f} rows x {FILE_ROW_BYTES} B / 4 KiB",
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
            "S3 sweep LIST",
            usage.sweep_lists * NIGHTS_PER_MONTH / 1000,
            "thousand",
            listed["s3_puts_thousand"],
            f"every night 1 for {LISTED_AT_ONCE} objects, {LEAST_LISTS} at least",
        ),
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


def _transcripts(usage: Usage, listed: dict[str, Any], fargate: bool) -> list[Item]:
    made, each = usage.transcripts_per_month, usage.transcript_bytes
    writes = TRANSCRIBE_WRITES + 2 * math.ceil(each / 1024)
    size = (made * usage.months * each + made * JOB_MONTHS * JOB_BYTES) / GB
    hours = listed["hours_per_month"]
    workers = max(1, math.ceil(usage.transcribed_hours / hours * PEAK_OVER_MEAN / TIMES_AS_FAST))
    polls = workers * hours * POLLS_PER_HOUR
    items = [
        Item(
            "speech engine",
            usage.transcribed_hours,
            "hours",
            usage.engine_hour,
            f"{usage.transcribed:.0%} of the recordings, {usage.seconds:g} s each",
        ),
        Item(
            "DynamoDB writes of transcripts",
            made * writes / MILLION,
            "M units",
            listed["dynamodb_write_units_million"],
            f"{writes} a transcript, twice its size among them",
        ),
        Item(
            "DynamoDB reads of transcripts",
            made * TRANSCRIBE_READS / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"{TRANSCRIBE_READS} a transcript",
        ),
        Item(
            "DynamoDB storage of transcripts",
            size,
            "GB",
            listed["dynamodb_storage_gb"] + listed["dynamodb_point_in_time_recovery_gb"],
            f"{made * usage.months:.0f} x {each:.0f} B and jobs of {JOB_MONTHS} months, with recovery",
        ),
        Item(
            "SQS of transcripts",
            (polls + made * QUEUE_REQUESTS_PER_JOB) / MILLION,
            "M requests",
            listed["sqs_requests_million"],
            f"{QUEUE_REQUESTS_PER_JOB} a transcript + {POLLS_PER_HOUR} an hour of each worker",
        ),
    ]
    return items + (_transcribers(workers, listed) if fargate else [])


def _transcribers(workers: int, listed: dict[str, Any]) -> list[Item]:
    """What the workers run on; one machine has room for its own."""
    counted, hours = stands(), workers * listed["hours_per_month"]
    cpu, memory = counted["transcriber_vcpus"], counted["transcriber_gb"]
    price = cpu * listed["fargate_vcpu_hour"] + memory * listed["fargate_gb_hour"]
    told = f"{workers} of {cpu:g} vCPU and {memory:g} GB, an address each"
    return [
        Item("Fargate that transcribes", hours, "hours", price + listed["public_address_hour"], told),
    ]


def _machines(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    machines = max(1, math.ceil(usage.cores / MACHINE_CORES))
    hours = machines * listed["hours_per_month"]
    sized = (
        f"{HASH_CORE_SECONDS} core-seconds a play, {PEAK_OVER_MEAN} times the mean at the peak,"
        f" {BUSY_AT_MOST:.0%} busy, {MACHINE_CORES} cores each"
    )
    return [
        Item("EC2 t4g.small", hours, "hours", listed["machine_t4g_small_hour"], sized),
        Item("disk", machines * DISK_GB, "GB", listed["disk_gb"], f"{DISK_GB} GB each"),
        Item("public address", hours, "hours", listed["public_address_hour"], "1 each"),
    ]


def _fargate(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    counted = stands()
    cpu, memory = counted["task_vcpus"], counted["task_gb"]
    worker_cpu, worker_memory = counted["worker_vcpus"], counted["worker_gb"]
    tasks = int(max(counted["fewest_tasks"], math.ceil(usage.cores / cpu)))
    hours = listed["hours_per_month"]
    return [
        Item(
            "Fargate vCPU",
            (tasks * cpu + worker_cpu) * hours,
            "hours",
            listed["fargate_vcpu_hour"],
            f"{tasks} tasks of {cpu:g}, the events worker {worker_cpu:g}",
        ),
        Item(
            "Fargate memory",
            (tasks * memory + worker_memory) * hours,
            "GB hours",
            listed["fargate_gb_hour"],
            f"{tasks} tasks of {memory:g} GB, the events worker {worker_memory:g} GB",
        ),
        Item(
            "public addresses",
            (tasks + 1) * hours,
            "hours",
            listed["public_address_hour"],
            "1 a task, the events worker's too",
        ),
        _standing("key", counted["keys"], "key", listed["key"]),
        Item("load balancer", counted["load_balancers"] * hours, "hours", listed["load_balancer_hour"], "1"),
        Item("load balancer units", hours, "hours", listed["load_balancer_unit_hour"], "1 on average"),
        _standing("firewall", counted["firewalls"], "list", listed["firewall"]),
        _standing("firewall rules", counted["firewall_rules"], "rules", listed["firewall_rule"]),
        Item(
            "firewall requests",
            usage.requests / MILLION,
            "M",
            listed["firewall_requests_million"],
            "every request",
        ),
        Item(
            "interface endpoints",
            counted["interface_endpoints"] * hours,
            "hours",
            listed["interface_endpoint_hour"],
            f"{counted['interface_endpoints']:g}, those of DynamoDB and S3 cost nothing",
        ),
    ]


def _standing(name: str, count: float, unit: str, price: float) -> Item:
    return Item(name, count, unit, price, f"{count:g}, as the templates make them")


def _watching(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    counted = stands()
    data_events = usage.recordings_per_month * 2 + usage.plays_per_month * PLAY_GETS
    return [
        Item(
            "CloudWatch logs",
            usage.requests * LOG_BYTES_PER_REQUEST / GB,
            "GB",
            listed["logs_gb"],
            f"{LOG_BYTES_PER_REQUEST} B a request",
        ),
        _standing("CloudWatch alarms", counted["alarm_metrics"], "metrics", listed["alarm_metric"]),
        _standing("CloudWatch log metrics", counted["filter_metrics"], "metrics", listed["custom_metric"]),
        _standing("CloudWatch dashboard", counted["dashboards"], "dashboard", listed["dashboard"]),
        Item(
            "CloudTrail data events",
            data_events / 1e5,
            "100 000",
            listed["trail_data_events_hundred_thousand"],
            f"2 an upload + {PLAY_GETS} a play",
        ),
        _standing("secret", counted["secrets"], "secret", listed["secret"]),
    ]
