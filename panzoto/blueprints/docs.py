"""The API's documentation as a page that needs no internet: Swagger UI's files, served from here."""

from __future__ import annotations

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, send_from_directory, url_for

FILES = Path(flask_swagger_ui.__file__).parent / "dist"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Panzoto API</title>
<link rel="stylesheet" href="{css}">
</head>
<body>
<noscript><p>This page needs JavaScript.
<a href="{description}">The OpenAPI document</a> says the same.</p></noscript>
<div id="page" data-description="{description}"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""
# Groups show their calls, and the calls are folded; so are the schemas below, since each call shows its own.
START = """const page = document.getElementById("page");
SwaggerUIBundle({
  url: page.dataset.description,
  domNode: page,
  deepLinking: true,
  defaultModelRendering: "example",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  validatorUrl: null,
});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)

# A plain blueprint: the documentation does not document itself.
blueprint = Blueprint("docs", __name__)


@blueprint.get("/docs")
def page() -> Response:
    content = PAGE.format(
        css=url_for("docs.files", name="swagger-ui.css"),
        bundle=url_for("docs.files", name="swagger-ui-bundle.js"),
        start=url_for("docs.start"),
        description=url_for("api-docs.openapi_json"),
    )
    response = Response(content, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/docs/start.js")
def start() -> Response:
    return Response(START, content_type="text/javascript; charset=utf-8")


@blueprint.get("/docs/files/<path:name>")
def files(name: str) -> Response:
    return send_from_directory(FILES, name)
