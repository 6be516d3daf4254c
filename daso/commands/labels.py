"""Commands that exchange labels with labeling tools."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from daso.commands.data import resolved_data
from daso.commands.options import PATH, command, files_of
from daso.errors import DasoError

SERVE, ENABLE = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"

dataset_argument = click.argument(
    "dataset", help="Name of a dataset of one's own images in params/datasets.", shell_complete=files_of("datasets")
)


@command("daso label photos next.csv", "daso label photos export.json --dry-run")
@dataset_argument
@click.argument("labels", type=PATH, help="CSV file with a path and a label in each row, or export of Label Studio.")
@click.option("--test", "change_test", is_flag=True, help="Also change the labels of test photos.")
@click.option("--dry-run", is_flag=True, help="Print what would change; write nothing.")
def label(dataset: str, labels: Path, change_test: bool, dry_run: bool) -> None:
    """Write labels made elsewhere into a folder's labels.csv.

    Photos are neither moved nor deleted. A folder without labels.csv gets one that lists its labeled photos. If any
    entry is wrong, such as a file that may be several photos, all errors are printed and nothing is written.
    """
    from daso.workspace.labels import describe_update, plan_labels

    config = resolved_data(dataset, "label")
    nested = config["source"].get("super_class_folders", False)
    folder = _folder(dataset, config, "label")
    update = plan_labels(folder, labels, change_test=change_test, super_class_folders=nested)
    for line in describe_update(update, dataset, config["num_classes"]):
        click.echo(line)
    if not update.content:
        click.echo(f"{update.table}: no label changes, nothing written")
    elif dry_run:
        click.echo(f"{update.table}: would be written; leave --dry-run out")
    else:
        update.write()
        click.echo(f"{update.table}: written")


@command("daso label-studio photos next.csv --out tasks.json")
@dataset_argument
@click.argument("list_", metavar="LIST", type=PATH, help="CSV file with a path in each row, such as that of `next`.")
@click.option("--out", type=PATH, help="File for the tasks; default: drafts/DATASET/tasks.json.")
def label_studio(dataset: str, list_: Path, out: Path | None) -> None:
    """Write the photos of a list as tasks of Label Studio.

    The classes and probabilities of the list become pre-annotations. The labeling interface, with the classes of the
    dataset, is written beside the tasks. `daso label` reads the export of the labeled tasks.
    """
    from daso.data.files import write_file
    from daso.deploy.label_studio import labeling_interface, tasks
    from daso.paths import DRAFTS
    from daso.workspace.labels import tasks_of_list

    config = resolved_data(dataset, "label-studio")
    folder = _folder(dataset, config, "label-studio").resolve()
    nested = config["source"].get("super_class_folders", False)
    rows, classes = tasks_of_list(folder, list_, super_class_folders=nested)
    out = out or Path(DRAFTS, dataset, "tasks.json")
    interface = out.with_suffix(".xml")
    write_file(
        out,
        f"{json.dumps(tasks(rows, folder.name), indent=1, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace"),
    )
    write_file(interface, labeling_interface(classes).encode("utf-8", "surrogateescape"))
    click.echo(f"{out}: {len(rows)} tasks; {interface}: labeling interface with {len(classes)} classes")
    click.echo(f"start: {SERVE}={shlex.quote(str(folder.parent))} {ENABLE}=true label-studio start")
    click.echo(f"storage: add Local files with the path {folder} to the project, then import {out}")


def _folder(dataset: str, config: dict[str, Any], command_name: str) -> Path:
    """Return the folder of a dataset; raises DasoError if it has none."""
    from daso.data.folder_digest import source_path

    if config["source"]["kind"] != "image_folder":
        raise DasoError(f"{command_name}: '{dataset}' is not a folder of one's own images; name such a dataset")
    return Path(source_path(config["source"])).expanduser()
