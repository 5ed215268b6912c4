"""The house rules as a test: who may import what, who may call what, and that everything says what it is.

The rules are read off the source itself, with `ast`, so that nothing has to be imported to be judged.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from flask import Flask

from panzoto.auth.guard import bearer, open_to_all
from panzoto.blueprints import TABLE
from panzoto.cli import panzoto as commands
from panzoto.config import Settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("panzoto", "migrations_from_rds")

# One owner each, and of the SDK one file for each outside service: S3, the tables themselves, SES and SQS.
OWNERS: dict[str, tuple[str, ...]] = {
    "boto3": (
        "panzoto.storage",
        "panzoto.resources",
        "panzoto.backup",
        "panzoto.mail",
        "panzoto.bucket_events",
    ),
    "botocore": (
        "panzoto.storage",
        "panzoto.resources",
        "panzoto.backup",
        "panzoto.mail",
        "panzoto.bucket_events",
        "panzoto.models",
    ),
    "pynamodb": ("panzoto.models", "panzoto.resources"),
    "jwt": ("panzoto.auth.tokens", "panzoto.auth.openid"),
    "argon2": ("panzoto.auth.passwords", "panzoto.crypto.derivation"),
    "cryptography": ("panzoto.crypto",),
    "psycopg": ("migrations_from_rds.source",),
    "dotenv": ("panzoto.config",),
    "structlog": ("panzoto.logs",),
    "opentelemetry": ("panzoto.tracing", "panzoto.span_export"),
    "prometheus_client": ("panzoto.metrics",),
}
# The HTTP framework stops at the blueprints; what composes or plugs into the application knows it too.
FRAMEWORK = ("flask", "werkzeug", "flask_smorest", "flask_cors", "webargs")
KNOW_THE_FRAMEWORK = (
    "panzoto.blueprints",
    "panzoto.http",
    "panzoto.cors",
    "panzoto.cli",
    "panzoto.auth.guard",
)
# From the top of the house to its ground: a module imports from its own floor or from one below, never from
# above.  A module that is not named here holds verbs of the service, and lives where `VERBS` stands.
VERBS = "the verbs"
FLOORS: tuple[tuple[str, ...], ...] = (
    ("wsgi", "panzoto.embedded", "migrations_from_rds"),
    ("panzoto",),
    ("panzoto.cli", "panzoto.verification"),
    ("panzoto.blueprints",),
    ("panzoto.auth.guard", "panzoto.cors"),
    ("panzoto.http",),
    ("panzoto.services", "panzoto.schemas", "panzoto.shapes"),
    (VERBS,),
    ("panzoto.auth.throttle",),
    ("panzoto.models", "panzoto.storage", "panzoto.resources", "panzoto.backup"),
    ("panzoto.auth",),
    ("panzoto.crypto",),
    (
        "panzoto.config",
        "panzoto.content_type",
        "panzoto.errors",
        "panzoto.logs",
        "panzoto.moments",
        "panzoto.metrics",
        "panzoto.processes",
        "panzoto.sandbox",
        "panzoto.sizing",
        "panzoto.span_export",
        "panzoto.tracing",
        "panzoto.version",
    ),
)
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the project by its dotted name."""
    files = [ROOT / "wsgi.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    return {name_of(file): ast.parse(file.read_text("utf-8"), str(file)) for file in files}


def name_of(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything imported, wherever it is; `from a import b` may mean a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, families: tuple[str, ...]) -> bool:
    return any(name == family or name.startswith(family + ".") for family in families)


def ours(imported: str) -> str | None:
    """The module of the project that an import leads to, if it leads to one."""
    while imported:
        if imported in modules():
            return imported
        imported = imported.rpartition(".")[0]
    return None


def floor(module: str) -> int:
    """How deep a module lies; the longest name that covers it decides."""
    covering = {
        family: depth
        for depth, families in enumerate(FLOORS)
        for family in families
        if module == family or (within(module, (family,)) and family != "panzoto")
    }
    return covering[max(covering, key=len)] if covering else FLOORS.index((VERBS,))


class TestImports:
    @pytest.mark.parametrize("library", OWNERS)
    def test_every_library_has_its_owners(self, library: str) -> None:
        using = {
            name for name, tree in modules().items() if any(within(i, (library,)) for i in imports(tree))
        }
        assert {name for name in using if not within(name, OWNERS[library])} == set()

    def test_the_framework_stops_at_the_blueprints(self) -> None:
        knowing = {
            name for name, tree in modules().items() if any(within(i, FRAMEWORK) for i in imports(tree))
        }
        assert {name for name in knowing - {"panzoto"} if not within(name, KNOW_THE_FRAMEWORK)} == set()

    def test_they_point_down_only(self) -> None:
        upward = {
            (name, target)
            for name, tree in modules().items()
            for target in filter(None, map(ours, imports(tree)))
            if floor(target) < floor(name)
        }
        assert upward == set()

    def test_they_form_no_circle(self) -> None:
        graph = {
            name: {target for target in filter(None, map(ours, imports(tree))) if target != name}
            for name, tree in modules().items()
        }
        # Whoever imports nothing that is left can be taken away, until nobody is left or only circles are.
        while removable := {name for name, targets in graph.items() if not targets & set(graph)}:
            graph = {name: targets for name, targets in graph.items() if name not in removable}
        assert graph == {}

    def test_none_is_hidden_inside_a_function(self) -> None:
        hidden = [
            (name, inner.lineno)
            for name, tree in modules().items()
            for outer in ast.walk(tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(outer)
            if isinstance(inner, ast.Import | ast.ImportFrom)
        ]
        assert hidden == []

    def test_nothing_imports_the_migration(self) -> None:
        importing = {
            name
            for name, tree in modules().items()
            if any(within(imported, ("migrations_from_rds",)) for imported in imports(tree))
        }
        assert {name for name in importing if not within(name, ("migrations_from_rds",))} == set()

    def test_the_environment_has_one_reader(self) -> None:
        reading = {
            (name, node.lineno)
            for name, tree in modules().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv")
            if isinstance(node.value, ast.Name) and node.value.id == "os"
        }
        imported = {
            name
            for name, tree in modules().items()
            if any(i in ("os.environ", "os.environb", "os.getenv", "os.putenv") for i in imports(tree))
        }
        assert {name for name, _ in reading} | imported == {"panzoto.config"}


class TestNames:
    def test_no_module_is_called_after_nothing(self) -> None:
        parts = {part for name in modules() for part in name.split(".")}
        assert parts & VAGUE_NAMES == set()

    def test_every_module_says_what_it_is(self) -> None:
        assert [
            name for name, tree in modules().items() if name != "wsgi" and not ast.get_docstring(tree)
        ] == []

    def test_every_public_function_and_class_says_what_it_does(self) -> None:
        """Views say it in OpenAPI, and a method whose class and name say it all may be silent."""
        silent = [
            f"{name}.{node.name}"
            for name, tree in modules().items()
            if within(name, ("panzoto",))
            if not within(name, ("panzoto.blueprints", "panzoto.schemas", "panzoto.shapes", "panzoto.errors"))
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if not ast.get_docstring(node)
        ]
        assert silent == []


class TestGuards:
    def test_every_blueprint_has_its_guard_written_out(self) -> None:
        assert TABLE
        assert {guard for _, _, guard in TABLE} == {bearer, open_to_all}
        names = [blueprint.name for blueprint, _, _ in TABLE]
        assert len(set(names)) == len(names)

    def test_every_route_belongs_to_a_blueprint_of_the_table(self, app: Flask) -> None:
        named = {blueprint.name for blueprint, _, _ in TABLE}
        # flask-smorest serves the OpenAPI document from a blueprint of its own.
        strays = {
            rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] not in named
        }
        assert strays == {"api-docs.openapi_json"}

    def test_the_guard_stands_before_every_route(self, app: Flask) -> None:
        for blueprint, _, guard in TABLE:
            assert guard in app.before_request_funcs[blueprint.name], blueprint.name

    def test_all_that_is_open_is_known(self, app: Flask) -> None:
        """Whoever opens a call to the world says so here as well."""
        opened = {blueprint.name for blueprint, _, guard in TABLE if guard is open_to_all}
        rules = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] in opened}
        assert rules >= {
            "/api/health",
            "/api/health/ready",
            "/api/register",
            "/api/login",
            "/api/playback/<ticket>",
        }
        assert {
            rule for rule in rules if rule.startswith(("/api/user", "/api/audio-file", "/api/decrypt"))
        } == set()

    def test_no_address_takes_more_methods_than_its_views_name(self, app: Flask) -> None:
        methods = {method for rule in app.url_map.iter_rules() for method in rule.methods or ()}
        assert methods <= {"GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE", "PUT"}


@pytest.fixture(scope="module")
def app() -> Flask:
    """The application's routes, registered without its stores: nothing here is called."""
    from panzoto import blueprints, http  # noqa: PLC0415

    app = Flask("panzoto", static_folder=None)
    http.init_app(app, Settings(secret_key="x" * 32))
    blueprints.init_app(app)
    return app


def every_command(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from every_command(command, f"{prefix} {name}")


class TestCommands:
    def test_every_command_has_help(self) -> None:
        found = dict(every_command(commands, "flask panzoto"))
        assert {
            f"flask panzoto resources {verb}" for verb in ("create", "list", "optimize", "delete")
        } <= set(found)
        assert [name for name, command in found.items() if not (command.help or "").strip()] == []

    def test_every_option_has_help(self) -> None:
        silent = [
            f"{name} {option.opts[0]}"
            for name, command in every_command(commands, "flask panzoto")
            for option in command.params
            if isinstance(option, click.Option) and not (option.help or "").strip()
        ]
        assert silent == []
