"""Commands that exchange labels with labeling tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from daso.commands.data import resolved_data
from daso.commands.options import PATH, command, files_of
from daso.errors import DasoError

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
    update = plan_labels(_folder(dataset, config, "label"), labels, change_test=change_test)
    for line in describe_update(update, dataset, config["num_classes"]):
        click.echo(line)
    if not update.content:
        click.echo(f"{update.table}: no label changes, nothing written")
    elif dry_run:
        click.echo(f"{update.table}: would be written; leave --dry-run out")
    else:
        update.write()
        click.echo(f"{update.table}: written")


def _folder(dataset: str, config: dict[str, Any], command_name: str) -> Path:
    """Return the folder of a dataset; raises DasoError if it has none."""
    from daso.data.folder_digest import source_path

    if config["source"]["kind"] != "image_folder":
        raise DasoError(f"{command_name}: '{dataset}' is not a folder of one's own images; name such a dataset")
    return Path(source_path(config["source"])).expanduser()
