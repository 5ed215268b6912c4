"""What a month costs at Amazon, item by item, each with its formula.

What each action asks of AWS is in `calls.json`, recorded from the service itself by
`python -m bench.size --record`; prices are in `prices.json`, which has a date; what the CloudFormation
stacks make stand there is counted from their templates, into `standing.json`, by `make templates`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panzoto.operations.call_costs import (
    ACTIONS,
    CHECK,
    LOOK,
    PLAY,
    TRANSCRIPT,
    Action,
    formula,
    recorded,
    sessions_asked,
)

PRICES = Path(__file__).with_name("prices.json")
STANDING = Path(__file__).with_name("standing.json")
DAYS_PER_MONTH = 30.4
GB = 1e9
MILLION = 1e6

# A recording's row with its copies in three indexes, its claims and its entry in the list of changes.
ROW_BYTES = 2500
USER_BYTES = 6000
# The chores' slow pass reads every account (as an eventually consistent read) and every recording's row, and
# lists every version of every object and every unfinished upload of five folders, a share of it each day.
PASS_DAYS = 28
USER_ROW_BYTES, FILE_ROW_BYTES = 2000, 350
READ_UNIT_BYTES = 4096
LISTED_AT_ONCE = 1000
LEAST_LISTS = 10
LOG_BYTES_PER_REQUEST = 400
REQUESTS_PER_UPLOAD, REQUESTS_PER_PLAY, REQUESTS_PER_VISIT = 2, 2, 3
# Three requests to the queue for each event: it is sent, received and deleted.
QUEUE_REQUESTS_PER_UPLOAD = 3
# A look is handed out together with nine others.
QUEUE_REQUESTS_PER_LOOK = 2.1
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
# What a worker on events gets done with a quarter of a core; see docs/operations.md, "How many workers".
EVENTS_PER_SECOND = 15
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
    # Of each user and day.
    reads: float = 0
    deletions: float = 0
    erasures: float = 0
    sign_ins: float = 0
    registrations: float = 0
    departures: float = 0
    # How often chores look at an account on a day; as often as it changes in another visit unless given.
    looks: float | None = None
    # Of the service, each of which remembers for itself which sessions go on.
    processes: int = 1

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
    def reads_per_month(self) -> float:
        return self.users * self.reads * DAYS_PER_MONTH

    @property
    def deletions_per_month(self) -> float:
        return self.users * self.deletions * DAYS_PER_MONTH

    @property
    def erasures_per_month(self) -> float:
        return self.users * self.erasures * DAYS_PER_MONTH

    @property
    def sign_ins_per_month(self) -> float:
        return self.users * self.sign_ins * DAYS_PER_MONTH

    @property
    def registrations_per_month(self) -> float:
        return self.users * self.registrations * DAYS_PER_MONTH

    @property
    def departures_per_month(self) -> float:
        return self.users * self.departures * DAYS_PER_MONTH

    @property
    def looks_per_month(self) -> float:
        looks = self.visits_that_change if self.looks is None else self.looks
        return self.users * looks * DAYS_PER_MONTH

    @property
    def visits_that_change(self) -> float:
        """How many visits of a user and day change something, where changes come by chance."""
        changes = self.recordings + self.plays + self.deletions + self.erasures
        visits = max(self.visits, 1.0)
        return visits * (1 - math.exp(-changes / visits))

    def number(self, action: Action) -> float:
        """Return how often something is done in a month."""
        count: float = getattr(self, action.number)
        return count

    def total(self, what: str) -> float:
        """Return the units or requests of a month, but for what transcripts and sweeps take."""
        done = sum(self.number(action) * action.each(what) for action in ACTIONS)
        return done + self.sessions_asked * recorded()[CHECK].get(what, 0)

    @property
    def done(self) -> list[Action]:
        """What people do at all."""
        return [action for action in ACTIONS if self.number(action)]

    @property
    def sessions_asked(self) -> float:
        """How often a month it is asked whether a session goes on."""
        calls = sum(self.number(action) * action.with_token for action in (*ACTIONS, TRANSCRIPT))
        return sessions_asked(self.visits_per_month, calls, self.processes)

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
        """Read units of a pass over everything."""
        accounts = self.users * USER_ROW_BYTES / READ_UNIT_BYTES / 2
        return accounts + self.stored_recordings * FILE_ROW_BYTES / READ_UNIT_BYTES

    @property
    def sweep_lists(self) -> float:
        """LIST requests of a day's share of the pass."""
        return max(LEAST_LISTS, self.stored_recordings / LISTED_AT_ONCE / PASS_DAYS)

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
    swept = usage.sweep_reads / PASS_DAYS * DAYS_PER_MONTH
    size = (usage.stored_recordings * ROW_BYTES + usage.users * USER_BYTES) / GB
    stored = f"{usage.stored_recordings:.0f} rows x {ROW_BYTES} B + {usage.users} users x {USER_BYTES} B"
    return [
        Item(
            "DynamoDB writes",
            usage.total("writes") / MILLION,
            "M units",
            listed["dynamodb_write_units_million"],
            formula(usage.done, "writes"),
        ),
        Item(
            "DynamoDB reads",
            usage.total("reads") / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"{formula(usage.done, 'reads')} + 1 for each session that a process is asked about",
        ),
        Item(
            "DynamoDB sweep reads",
            swept / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"in {PASS_DAYS} days {usage.users} users x {USER_ROW_BYTES} B / 8 KiB"
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
        Item(
            "S3 PUT and LIST",
            (usage.total("puts") + usage.total("lists")) / 1000,
            "thousand",
            listed["s3_puts_thousand"],
            " + ".join(words for what in ("puts", "lists") if (words := formula(usage.done, what))),
        ),
        Item(
            "S3 sweep LIST",
            usage.sweep_lists * DAYS_PER_MONTH / 1000,
            "thousand",
            listed["s3_puts_thousand"],
            f"in {PASS_DAYS} days 1 for {LISTED_AT_ONCE} objects, {LEAST_LISTS} a day at least",
        ),
        Item(
            "S3 GET and HEAD",
            usage.total("gets") / 1000,
            "thousand",
            listed["s3_gets_thousand"],
            formula(usage.done, "gets"),
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
            (uploads * QUEUE_REQUESTS_PER_UPLOAD + usage.looks_per_month * QUEUE_REQUESTS_PER_LOOK) / MILLION,
            "M requests",
            listed["sqs_requests_million"],
            f"{QUEUE_REQUESTS_PER_UPLOAD} an upload + {QUEUE_REQUESTS_PER_LOOK} {LOOK.name}",
        ),
    ]


def _transcripts(usage: Usage, listed: dict[str, Any], fargate: bool) -> list[Item]:
    made, each = usage.transcripts_per_month, usage.transcript_bytes
    writes = TRANSCRIPT.each("writes") + 2 * math.ceil(each / 1024)
    reads, gets = TRANSCRIPT.each("reads"), TRANSCRIPT.each("gets")
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
            f"{writes:g} a transcript, twice its size among them",
        ),
        Item(
            "DynamoDB reads of transcripts",
            made * reads / MILLION,
            "M units",
            listed["dynamodb_read_units_million"],
            f"{reads:g} a transcript",
        ),
        Item(
            "S3 GET of transcripts",
            made * gets / 1000,
            "thousand",
            listed["s3_gets_thousand"],
            f"{gets:g} a transcript",
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
    workers, worker_cpu, worker_memory = _workers(usage)
    tasks = int(max(counted["fewest_tasks"], math.ceil(usage.cores / cpu)))
    hours = listed["hours_per_month"]
    return [
        Item(
            "Fargate vCPU",
            (tasks * cpu + worker_cpu) * hours,
            "hours",
            listed["fargate_vcpu_hour"],
            f"{tasks} tasks of {cpu:g}, {workers} workers {worker_cpu:g}",
        ),
        Item(
            "Fargate memory",
            (tasks * memory + worker_memory) * hours,
            "GB hours",
            listed["fargate_gb_hour"],
            f"{tasks} tasks of {memory:g} GB, {workers} workers {worker_memory:g} GB",
        ),
        Item(
            "public addresses",
            (tasks + workers) * hours,
            "hours",
            listed["public_address_hour"],
            "1 a task, the workers' too",
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


def _workers(usage: Usage) -> tuple[int, float, float]:
    """Return how many workers on events, chores and letters there are, and their vCPUs and GB together.

    There is one of each, and as many on events as the busiest hour wants.
    """
    counted = stands()
    per_second = usage.recordings_per_month / (DAYS_PER_MONTH * 86400) * PEAK_OVER_MEAN
    more = max(1, math.ceil(per_second / EVENTS_PER_SECOND)) - 1
    number = int(counted["workers"]) + 1 + more
    cpu = counted["workers_vcpus"] + counted["mailer_vcpus"] + more * counted["worker_vcpus"]
    return number, cpu, counted["workers_gb"] + counted["mailer_gb"] + more * counted["worker_gb"]


def _standing(name: str, count: float, unit: str, price: float) -> Item:
    return Item(name, count, unit, price, f"{count:g}, as the templates make them")


def _watching(usage: Usage, listed: dict[str, Any]) -> list[Item]:
    counted = stands()
    data_events = usage.recordings_per_month * 2 + usage.plays_per_month * PLAY.each("gets")
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
            f"2 an upload + {PLAY.each('gets'):g} a play",
        ),
        _standing("secret", counted["secrets"], "secret", listed["secret"]),
    ]
