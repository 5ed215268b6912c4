"""The tables, on PynamoDB. Each model owns its queries and its invariants.

pynamodb is used here; nothing here knows Flask, the bucket or a verb of the service.
"""

from __future__ import annotations

from panzoto.config import Settings
from panzoto.models import connection
from panzoto.models.attempts import Attempts
from panzoto.models.attributes import StoredModel
from panzoto.models.audio_file import AudioFile
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.erasure import Erasure
from panzoto.models.event import Event
from panzoto.models.session import Session
from panzoto.models.sweep_memory import SweepMemory
from panzoto.models.transcript import Transcript
from panzoto.models.transcription import Transcription
from panzoto.models.user import User

ALL_MODELS: tuple[type[StoredModel], ...] = (
    User,
    AudioFile,
    Claim,
    Session,
    Attempts,
    Event,
    Change,
    Erasure,
    SweepMemory,
    Transcript,
    Transcription,
)

__all__ = [
    "ALL_MODELS",
    "AudioFile",
    "Change",
    "Claim",
    "Erasure",
    "Event",
    "Session",
    "StoredModel",
    "SweepMemory",
    "Transcript",
    "Transcription",
    "User",
    "bind_models",
    "check_reachable",
    "empty_tables",
]


def bind_models(settings: Settings) -> None:
    """Bind every model to its table; once, before the first call."""
    tables = (
        (User, settings.users_table),
        (AudioFile, settings.audio_files_table),
        (Claim, settings.claims_table),
        (Session, settings.sessions_table),
        (Attempts, settings.throttle_table),
        (Event, settings.events_table),
        (Change, settings.changes_table),
        (Erasure, settings.erasures_table),
        (SweepMemory, settings.sweeps_table),
        (Transcript, settings.transcripts_table),
        (Transcription, settings.transcriptions_table),
    )
    connection.bind(tables, settings.region, settings.threads)


def empty_tables() -> list[str]:
    """Return the names of those tables that tell whose an object is and hold nothing at all."""
    empty = []
    for model in (User, AudioFile, Claim):
        # Its key alone, since a row that is damaged is there as well.
        key = [one.attr_name for one in model.get_attributes().values() if one.is_hash_key]
        with connection.storage_failures():
            found = model.scan(limit=1, consistent_read=True, attributes_to_get=key)
            if next(iter(found), None) is None:
                empty.append(model.Meta.table_name)
    return empty


def check_reachable() -> None:
    """Raises `Unavailable` unless DynamoDB answers within about a second."""
    connection.check(User)
