"""Once this is loaded, so is all that moto needs for the service's calls, and its application is made.

Nothing has been asked of it yet: whoever is forked from here has AWS for itself, with nothing in it.
"""

from __future__ import annotations

from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.support import aws_calls, moto_routes, moto_shortcuts, wsgi_server

__all__ = ["aws_calls", "moto_routes", "moto_shortcuts", "wsgi_server"]

APPLICATION = DomainDispatcherApplication(create_backend_app)
for backend, name in (("dynamodb", "dynamodb"), ("s3", "s3"), ("sqs", "sqs")):
    APPLICATION.app_instances[backend] = create_backend_app(backend)
    get_service_model(name)
