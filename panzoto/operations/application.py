"""The application whose command is running."""

from __future__ import annotations

from flask import current_app

from panzoto.services import Services


def services() -> Services:
    """Return the services of the application whose command this is."""
    found: Services = current_app.extensions["panzoto"]
    return found
