"""The workers on queues: of each kind a service of at least one task, and more of them while messages wait.

Order and duplicates do not matter to any of them, so a kind has as many tasks as it needs and shares nothing
among them but its queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.aws.cloudformation import inventory
from deploy.aws.cloudformation.policy import queue_names
from deploy.aws.cloudformation.scaling import age_of, backlog_of, following, scalable
from deploy.aws.cloudformation.tasks import ROLLING, SECRETS, environment, service, task
from deploy.aws.cloudformation.template import NOTHING, Json, parameter, ref, when
from panzoto.config import Settings


@dataclass(frozen=True, slots=True)
class Worker:
    """One kind of worker: `name` is its role, its log and, with panzoto- before it, its service.

    Another task is added when the oldest message of `queue`, a kind of `policy.QUEUES`, has waited for `wait`
    seconds, or `backlog` messages wait for each task that there is; `most` names the parameter that bounds
    them, and `waits` that of the seconds.
    """

    name: str
    command: tuple[str, ...]
    queue: str
    cpu: int
    memory: int
    doing: str
    most: str
    waits: str
    wait: int
    backlog: int
    condition: str | None = None

    @property
    def title(self) -> str:
        """Its name as it begins those of resources."""
        return self.name.capitalize()


# `backlog` is about what one task gets done in `wait` seconds, as docs/operations.md reckons it.
EVENTS = Worker(
    name="events",
    command=("events",),
    queue="queue",
    cpu=256,
    memory=512,
    doing="commit uploads",
    most="MostEventWorkers",
    waits="EventsWait",
    wait=60,
    backlog=1000,
)
CHORES = Worker(
    name="chores",
    command=("chores", "work"),
    queue="chores-queue",
    cpu=256,
    memory=1024,
    doing="do the chores of accounts",
    most="MostChoreWorkers",
    waits="ChoresWait",
    wait=300,
    # No more than forty times as many are handed out at once; what else is due waits outside.
    backlog=500,
)
MAIL = Worker(
    name="mail",
    command=("mail", "work"),
    queue="mail-queue",
    cpu=256,
    memory=512,
    doing="send letters",
    most="MostMailers",
    waits="MailWait",
    wait=60,
    backlog=500,
    condition="SendsMail",
)
TRANSCRIPTIONS = Worker(
    name="transcriptions",
    command=("transcriptions", "work"),
    queue="transcriptions-queue",
    cpu=512,
    memory=1024,
    doing="transcribe",
    most="MostTranscribers",
    waits="TranscriptionWait",
    wait=300,
    backlog=50,
    condition="Transcribes",
)
WORKERS = (EVENTS, CHORES, MAIL, TRANSCRIPTIONS)
# By what policy each follows the age of its queue. That of the transcribers has the names of 1.2.0: AWS
# allows no second one with the same metric, not even while CloudFormation replaces the first.
AGE_POLICIES = {worker.name: (f"Scale{worker.title}OnAge", f"{worker.name}-age") for worker in WORKERS} | {
    "transcriptions": ("ScaleOnWaiting", "waiting")
}


def parameters() -> Json:
    """Return what an operator chooses of each kind."""
    chosen: Json = {}
    for worker in WORKERS:
        chosen[worker.most] = parameter(
            f"Tasks that {worker.doing}, at most; there is always one.", "Number", Default=4, MinValue=1
        )
        chosen[worker.waits] = parameter(
            f"Seconds that a message may wait in {worker.queue} before another such task is added.",
            "Number",
            Default=worker.wait,
        )
    return chosen


def workers(settings: Settings) -> Json:
    """Return tasks, services and scaling of every kind."""
    made: Json = {}
    for worker in WORKERS:
        made |= _where_wanted(worker, _resources(worker, settings))
    return made


def _resources(worker: Worker, settings: Settings) -> Json:
    queue, target = queue_names(settings)[worker.queue], f"Scalable{worker.title}"
    on_age, age_policy = AGE_POLICIES[worker.name]
    return {
        f"{worker.title}Task": _task(worker, settings),
        # Two for a moment do no harm, and one that ends gives its messages back.
        f"{worker.title}Service": service(
            worker.name, ["Route"], DesiredCount=1, DeploymentConfiguration=ROLLING
        ),
        target: scalable(f"{worker.title}Service", 1, ref(worker.most)),
        on_age: following(age_policy, ref(worker.waits), age_of(queue), target),
        f"Scale{worker.title}OnBacklog": following(
            f"{worker.name}-backlog", worker.backlog, backlog_of(queue, f"panzoto-{worker.name}"), target
        ),
    }


def _task(worker: Worker, settings: Settings) -> Json:
    more: dict[str, Any] = {}
    if worker is CHORES:
        more = {"Environment": environment(settings, INVENTORY=inventory.LOCATION)}
    if worker is MAIL:
        more = {"Environment": environment(settings, MAIL="ses")}
    if worker is TRANSCRIPTIONS:
        key = {"Name": "TRANSCRIPTION_API_KEY", "ValueFrom": ref("TranscriptionKey")}
        more = {"Secrets": [*SECRETS, when("HasTranscriptionKey", key, NOTHING)]}
    command = ["flask", "panzoto", *worker.command]
    return task(settings, worker.name, worker.cpu, worker.memory, Command=command, **more)


def _where_wanted(worker: Worker, made: Json) -> Json:
    if worker.condition is None:
        return made
    return {name: {**one, "Condition": worker.condition} for name, one in made.items()}
