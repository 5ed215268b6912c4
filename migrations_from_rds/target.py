"""Which model the rows of a legacy table become."""

from __future__ import annotations

from migrations_from_rds.rows import USERS
from panzoto.models import AudioFile, StoredModel, User


def model_of(table: str) -> type[StoredModel]:
    """Return the model of the rows that came from a legacy table."""
    return User if table == USERS else AudioFile
