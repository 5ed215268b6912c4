"""Panzoto, the backend of an encrypted voice recorder. `create_app` composes it and does nothing else."""

from __future__ import annotations

from flask import Flask

from panzoto import blueprints, models, version
from panzoto.config import Settings
from panzoto.edge import cors, http
from panzoto.host import aws_credentials, aws_user_agent
from panzoto.operations import cli, resources
from panzoto.services import Services
from panzoto.telemetry import logs, tracing


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application for `settings`, by default those of the environment.

    Raises `SettingsError` when a setting cannot be used.
    """
    settings = settings or Settings.from_environment()
    logs.init(settings.log_level, settings.production)
    tracing.init(settings.otlp_endpoint, version.VERSION)
    aws_credentials.may_come_later()
    aws_user_agent.tell(f"Panzoto/{version.VERSION}")
    models.bind_models(settings)
    app = Flask("panzoto", static_folder=None)
    app.extensions["panzoto"] = Services.build(settings)
    http.init_app(app, settings)
    cors.init_app(app, settings)
    blueprints.init_app(app)
    cli.init_app(app)
    if settings.auto_create_resources:
        resources.Resources(settings).create()
    return app
