"""Writes the CloudFormation templates: `python -m deploy.aws.cloudformation.generate`.

Names of tables and queue are those of the settings, so
`USERS_TABLE=other-users … --output FOLDER` makes templates for other names.

`--existing panzoto-users panzoto-audio-files Bucket --output FOLDER` writes
what imports tables and a bucket that are there already; see docs/deploy.md.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from deploy.aws.cloudformation.data import data_template, existing
from deploy.aws.cloudformation.pipeline import pipeline_template
from deploy.aws.cloudformation.policy import named
from deploy.aws.cloudformation.service import service_template
from deploy.aws.cloudformation.standing import standing
from deploy.aws.cloudformation.template import Json
from panzoto.config import Settings
from panzoto.models import bind_models
from panzoto.operations.table_definitions import all_definitions

FOLDER = Path(__file__).resolve().parent
# What `flask panzoto cost` knows of the stacks.
STANDING = FOLDER.parents[2] / "panzoto" / "operations" / "standing.json"


def templates(settings: Settings) -> dict[str, Json]:
    """Return each template by its file's name."""
    # Binding the models makes a client, which must not look for credentials on this machine's network.
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    bind_models(settings)
    return {
        "data.json": data_template(settings, all_definitions()),
        "service.json": service_template(settings),
        "pipeline.json": pipeline_template(settings),
    }


def main() -> None:
    """Write every template into the folder."""
    parser = argparse.ArgumentParser(description="Write the CloudFormation templates.")
    parser.add_argument("--output", type=Path, default=FOLDER, help="The folder to write into.")
    parser.add_argument(
        "--existing",
        nargs="+",
        metavar="NAME",
        help="Write the import of these tables, or of Bucket, instead.",
    )
    arguments = parser.parse_args()
    settings = named()
    files: dict[str, Any] = templates(settings)
    if arguments.existing:
        if arguments.output == FOLDER:
            parser.error("--existing needs --output: a folder of its own")
        try:
            template, listed = existing(files["data.json"], arguments.existing, settings.bucket)
        except KeyError as error:
            parser.error(f"there is no {error.args[0]} in the data stack")
        files = {"import.json": template, "resources-to-import.json": listed}
    where = {arguments.output / name: content for name, content in files.items()}
    if arguments.output == FOLDER:
        where[STANDING] = standing(files)
    for path, content in where.items():
        path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        print(path)


if __name__ == "__main__":
    main()
