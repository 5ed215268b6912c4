"""Is the service alive, and can it do its work?"""

from __future__ import annotations

from typing import Any

from panzoto.blueprints.answers import HealthAnswer, ReadyAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.edge.http import services
from panzoto.version import VERSION

blueprint = Blueprint("health", __name__, description="Is the service alive?")


@blueprint.get("/health")
@blueprint.doc(operationId="getHealth")
@blueprint.answers(200, HealthAnswer, "The process answers; nothing else is asked")
def health() -> dict[str, Any]:
    """Tell that the process answers."""
    return {
        "status": "healthy",
        "service": "panzoto-backend",
        "database": "dynamodb",
        "version": VERSION,
    }


@blueprint.get("/health/ready")
@blueprint.doc(operationId="getReadiness")
@blueprint.answers(200, ReadyAnswer, "DynamoDB and S3 answer within a second")
def ready() -> dict[str, Any]:
    """Tell whether the storage can be reached, or could a moment ago."""
    services().readiness.require()
    return {"status": "ready"}
