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

from panzoto.blueprints import TABLE
from panzoto.config import Settings
from panzoto.edge.guard import bearer, open_to_all
from panzoto.operations.cli import panzoto as commands
from tests.support.source import nodes, tree_of

PACKAGES = ("panzoto", "migrations_from_rds", "deploy")

# The house from its roof to its ground, one floor a line, with its rooms and the modules that stand in none.
# A module imports from its own floor or from one below, never from above; rooms form no circle either.
HOUSE: tuple[tuple[str, ...], ...] = (
    ("wsgi", "migrations_from_rds", "deploy"),
    ("panzoto",),  # `create_app` alone, which composes the rest.
    ("panzoto.blueprints",),
    ("panzoto.edge",),
    ("panzoto.services", "panzoto.operations"),
    ("panzoto.lifecycle",),
    ("panzoto.transcripts",),
    ("panzoto.playback",),
    ("panzoto.recordings",),
    ("panzoto.accounts",),
    ("panzoto.mail",),
    ("panzoto.removal",),
    ("panzoto.models",),
    ("panzoto.storage", "panzoto.cursors", "panzoto.queues"),
    ("panzoto.media", "panzoto.auth"),
    ("panzoto.crypto",),
    ("panzoto.object_keys",),
    ("panzoto.config", "panzoto.errors", "panzoto.readiness", "panzoto.telemetry", "panzoto.version"),
    ("panzoto.host", "panzoto.console"),
)
# One owner each, and of the SDK one file for each outside service.
OWNERS: dict[str, set[str]] = {
    "boto3": {
        "panzoto.storage",  # S3
        "panzoto.operations.tables",  # the tables themselves
        "panzoto.operations.bucket",  # the bucket itself
        "panzoto.operations.backup",  # copies of the tables
        "panzoto.mail.transports",  # SES
        "panzoto.queues.queue",  # SQS
        "deploy.aws.removal",
        "deploy.aws.writers",
        "deploy.aws.cloudformation.rotation",
    },
    "botocore": {
        "panzoto.storage",
        "panzoto.operations.resources",
        "panzoto.operations.resource_states",
        "panzoto.operations.tables",
        "panzoto.operations.bucket",
        "panzoto.operations.backup",
        "panzoto.mail.transports",
        "panzoto.queues.queue",
        "panzoto.models",
        "panzoto.host.aws_answers",
        "panzoto.host.aws_credentials",
        "panzoto.host.aws_user_agent",
        "deploy.aws.removal",
        "deploy.aws.writers",
    },
    "pynamodb": {"panzoto.models", "panzoto.operations.table_definitions"},
    "jwt": {"panzoto.auth"},
    "argon2": {"panzoto.auth.passwords", "panzoto.crypto.derivation"},
    "cryptography": {
        "panzoto.crypto",
        "panzoto.lifecycle.open_recordings",
        "deploy.smoke_test",
    },
    "av": {
        "panzoto.media.demuxing",
        "panzoto.media.cutting",
        "panzoto.media.amr_decoding",
        "deploy.local.speech.listener",
    },
    "psycopg": {
        "migrations_from_rds.source",
        "migrations_from_rds.source_queries",
        "migrations_from_rds.source_schema",
    },
    "dotenv": {"panzoto.config", "deploy.serving.supervisor"},
    "structlog": {"panzoto.telemetry.logs"},
    "opentelemetry": {"panzoto.telemetry.tracing", "panzoto.telemetry.span_export"},
    "prometheus_client": {"panzoto.telemetry.metrics", "deploy.serving.gunicorn.conf"},
    "gunicorn": {"deploy.serving"},
    "marshmallow": {"panzoto.blueprints"},
    "flask_smorest": {"panzoto.blueprints"},
    "flask_cors": {"panzoto.edge.cors"},
    # What composes the application or plugs commands into it knows the framework, too.
    "flask": {"panzoto", "panzoto.blueprints", "panzoto.edge", "panzoto.operations"},
    "werkzeug": {"panzoto.blueprints", "panzoto.edge", "deploy.local.speech.form"},
    "faster_whisper": {"deploy.local.speech.listener"},
    "webargs": {"panzoto.blueprints"},
    "orjson": {"panzoto.models.wire", "panzoto.edge.answer_json", "panzoto.transcripts.document"},
    "regex": {"panzoto.transcripts.words"},
}


@cache
def imports(tree: ast.Module) -> frozenset[str]:
    """The dotted name of everything imported, wherever and however; `from a import b` may mean a.b."""
    return frozenset(imported_by(tree))


def imported_by(tree: ast.Module) -> Iterator[str]:
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (name := imported_by_call(node)) is not None:
            yield name


def imported_by_call(node: ast.AST) -> str | None:
    """The module that a call of `importlib.import_module` or `__import__` names."""
    if not isinstance(node, ast.Call):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if called not in ("import_module", "__import__"):
        return None
    named = node.args[0] if node.args else None
    assert isinstance(named, ast.Constant), (
        f"line {node.lineno}: what is imported must be readable in the source"
    )
    return str(named.value)


@cache
def ours(imported: str) -> str | None:
    """The module of the project that an import leads to, if it leads to one."""
    while imported:
        if imported in modules():
            return imported
        imported = imported.rpartition(".")[0]
    return None


def place(module: str) -> tuple[int, str] | None:
    """The floor of a module, counted from the roof, and its room."""
    for floor, rooms in enumerate(HOUSE):
        for room in rooms:
            if module == room or (room != "panzoto" and within(module, (room,))):
                return floor, room
    return None


def arrows() -> Iterator[tuple[str, str]]:
    """Yield each module with each module that it imports."""
    for name, tree in modules().items():
        yield from (
            (name, target) for target in set(filter(None, map(ours, imports(tree)))) if target != name
        )


def circle_in(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is left of a graph once whoever imports nothing that is left is taken away, again and again."""
    while removable := {name for name, targets in graph.items() if not targets & set(graph)}:
        graph = {name: targets for name, targets in graph.items() if name not in removable}
    return graph


class TestImports:
    @pytest.mark.parametrize("library", OWNERS)
    def test_every_library_has_its_owners_and_they_use_it(self, library: str) -> None:
        using = {
            name for name, tree in modules().items() if any(within(i, (library,)) for i in imports(tree))
        }
        owners = OWNERS[library]
        # Of the package itself only `create_app` is meant, not all that is in it.
        owned = {name for name in using if name in owners or within(name, tuple(owners - {"panzoto"}))}
        assert using - owned == set()
        assert {owner for owner in owners if not any(within(name, (owner,)) for name in using)} == set()

    def test_every_module_has_its_place(self) -> None:
        assert {name for name in modules() if place(name) is None} == set()
        rooms = [room for floor in HOUSE for room in floor]
        assert {room for room in rooms if not any(within(name, (room,)) for name in modules())} == set()

    def test_the_root_holds_ten_modules_at_most(self) -> None:
        assert len(list((ROOT / "panzoto").glob("*.py"))) <= 10

    def test_they_point_down_only(self) -> None:
        upward = {
            (name, target)
            for name, target in arrows()
            if (above := place(target)) and (here := place(name)) and above[0] < here[0]
        }
        assert upward == set()

    def test_rooms_form_no_circle(self) -> None:
        graph: dict[str, set[str]] = {}
        for name, target in arrows():
            (_, here), (_, there) = place(name) or (0, name), place(target) or (0, target)
            graph.setdefault(there, set())
            graph.setdefault(here, set()).update({there} - {here})
        assert circle_in(graph) == {}

    def test_modules_form_no_circle(self) -> None:
        graph: dict[str, set[str]] = {name: set() for name in modules()}
        for name, target in arrows():
            graph[name].add(target)
        assert circle_in(graph) == {}

    def test_none_is_hidden_inside_a_function(self) -> None:
        hidden = [
            (name, inner.lineno)
            for name, tree in modules().items()
            for outer in nodes(tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(outer)
            if isinstance(inner, ast.Import | ast.ImportFrom)
        ]
        assert hidden == []

    def test_no_module_only_passes_on_what_another_holds(self) -> None:
        """A package's `__init__` may: what it gathers is what the package offers."""
        packages = {name.rpartition(".")[0] for name in modules()}
        passing = [
            name
            for name, tree in modules().items()
            if name not in packages
            if all(
                isinstance(node, ast.Import | ast.ImportFrom)
                or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
                for node in tree.body
            )
            if imports(tree)
        ]
        assert passing == []

    def test_nothing_imports_the_migration(self) -> None:
        importing = {name for name, target in arrows() if within(target, ("migrations_from_rds",))}
        assert {name for name in importing if not within(name, ("migrations_from_rds",))} == set()

    def test_the_environment_has_one_reader(self) -> None:
        """Programs under deploy/ that run by themselves read their own; the service reads it in one place."""
        reading = {
            (name, node.lineno)
            for name, tree in modules().items()
            for node in nodes(tree)
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv")
            if isinstance(node.value, ast.Name) and node.value.id == "os"
        }
        imported = {
            name
            for name, tree in modules().items()
            if any(i in ("os.environ", "os.environb", "os.getenv", "os.putenv") for i in imports(tree))
        }
        readers = {name for name, _ in reading} | imported
        assert {name for name in readers if not within(name, ("deploy",))} == {"panzoto.config"}


ROOT = Path(__file__).resolve().parents[1]

# What removes objects in the bucket, by the names of S3's calls and of the storage's own.
S3_REMOVALS = ("delete_object", "delete_objects", "abort_multipart_upload")
STORAGE_REMOVALS = ("remove", "remove_folder", "drop", "abort_parts")
CLAIMS = ("email#", "s3key#", "client#")
LAYOUT = ("users/", "audio_upload/", "sittings/", "aside/", ".v2")
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the project by its dotted name."""
    files = [ROOT / "wsgi.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    return {name_of(file): tree_of(file) for file in files}


def name_of(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, families: tuple[str, ...]) -> bool:
    return any(name == family or name.startswith(family + ".") for family in families)


class TestRemoval:
    def test_one_module_alone_removes_objects(self) -> None:
        removing = {
            name
            for name, tree in modules().items()
            for node in nodes(tree)
            if isinstance(node, ast.Attribute) and node.attr in STORAGE_REMOVALS
            if holder(node.value).endswith("storage")
        }
        assert removing == {"panzoto.removal"}

    def test_s3_is_told_to_remove_by_the_storage_alone(self) -> None:
        telling = {
            name
            for name, tree in modules().items()
            for node in nodes(tree)
            if isinstance(node, ast.Attribute) and node.attr in S3_REMOVALS
        }
        # The latter takes down the whole bucket, after two sentences that somebody types.
        assert telling == {"panzoto.storage", "deploy.aws.removal"}

    def test_the_layout_of_the_bucket_is_spelled_in_one_place(self) -> None:
        spelling = {
            (name, node.value)
            for name, tree in modules().items()
            # What a policy says of tables begins like a folder.
            if not within(name, ("deploy.aws.cloudformation.policy",))
            for node in nodes(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if node.value.startswith(LAYOUT) and " " not in node.value
        }
        assert {name for name, _ in spelling} == {"panzoto.object_keys"}


def test_claims_get_their_names_in_one_place() -> None:
    naming = {
        name
        for name, tree in modules().items()
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(CLAIMS)
    }
    assert naming == {"panzoto.models.claim"}


def holder(node: ast.expr) -> str:
    """The last name of what an attribute is taken from: `self._storage` is `_storage`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


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
            if not within(
                name,
                (
                    "panzoto.blueprints",
                    "panzoto.blueprints.requests",
                    "panzoto.blueprints.answers",
                    "panzoto.errors",
                ),
            )
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
    from panzoto import blueprints  # noqa: PLC0415
    from panzoto.edge import http  # noqa: PLC0415

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
