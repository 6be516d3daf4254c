"""Commands that list images of one's own by the predictions of a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daso.commands.options import PATH, command, files_of, run_ids

if TYPE_CHECKING:  # commands import their modules when they are called
    from daso.deploy.list_inputs import ListInputs

suite_or_run = click.argument(
    "name",
    help="A suite, whose recommended model is used, or a run id.",
    shell_complete=lambda *start: [*files_of("suites")(*start), *run_ids(*start)],
)
out_option = click.option("--out", type=PATH, help="CSV file; default: drafts/NAME/<command>.csv.")


def count_option(default: int | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option of the number of rows."""
    shown = "all" if default is None else str(default)
    return click.option(
        "--count", type=click.IntRange(1), default=default, help=f"Largest number of rows; default: {shown}."
    )


@command("daso pseudo-labels photos")
@suite_or_run
@out_option
def pseudo_labels(name: str, out: Path | None) -> None:
    """List the predicted class of each unlabeled image.

    Rows are sorted by path. `agreement` is the share of seeds that predict this class, `unlike` the distance to the
    labeled images.
    """
    from daso.deploy.lists import PSEUDO_LABEL_COLUMNS, pseudo_label_rows

    _write("pseudo-labels", name, out, PSEUDO_LABEL_COLUMNS, pseudo_label_rows)


@command("daso suspects photos --count 40")
@suite_or_run
@out_option
@count_option(None)
def suspects(name: str, out: Path | None, count: int | None) -> None:
    """List labels that are perhaps wrong.

    Models that were not trained on an image predict another class than its label. The most suspect labels come first.
    """
    from daso.deploy.lists import SUSPECT_COLUMNS, suspect_rows

    _write("suspects", name, out, SUSPECT_COLUMNS, lambda inputs: suspect_rows(inputs)[:count])


@command("daso next photos --count 50", name="next")
@suite_or_run
@out_option
@count_option(50)
def next_(name: str, out: Path | None, count: int) -> None:
    """List the images to label next.

    They are uncertain, of classes with few labels, and different from each other. Fill in the column `label`.
    """
    from daso.deploy.choose_next import NEXT_COLUMNS, next_rows

    _write("next", name, out, NEXT_COLUMNS, lambda inputs: next_rows(inputs, count))


@command("daso outliers photos --count 100")
@suite_or_run
@out_option
@count_option(None)
def outliers(name: str, out: Path | None, count: int | None) -> None:
    """List unlabeled images that are unlike the labeled ones.

    The most unlike images come first; `is_unlike` marks those farther from the labeled images than 95 % of these are
    from each other.
    """
    from daso.deploy.lists import OUTLIER_COLUMNS, outlier_rows

    _write("outliers", name, out, OUTLIER_COLUMNS, lambda inputs: outlier_rows(inputs)[:count])


def _write(
    list_name: str,
    name: str,
    out: Path | None,
    columns: Sequence[str],
    rows_of: Callable[[ListInputs], Sequence[Sequence[str]]],
) -> None:
    """Write a list of a suite's images and print its file."""
    from daso.deploy.list_files import write_list
    from daso.deploy.list_inputs import load_list_inputs
    from daso.paths import DRAFTS

    inputs = load_list_inputs(name)
    rows, path = rows_of(inputs), out or Path(DRAFTS, name, f"{list_name}.csv")
    write_list(path, columns, rows, inputs.known_labels)
    click.echo(f"{path}: {len(rows)} images")
