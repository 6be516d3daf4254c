"""Table of unlabeled images of the classes, of no class and of named subsets, each in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from daso.aliases import Tree
from daso.engine.open_set import DEFAULT_THRESHOLD
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.tables.table import ABSENT, Column, Table

TITLES = {"inside": "of the classes", "outside": "of no class"}  # other subsets have the names of the dataset's
OPEN_SET_MEASURES = {"Mask rate": "mask_rate", "Confident": "above_threshold", "Accuracy": "accuracy"}
DEFINITIONS = (
    ("Mask rate", "share of the pseudo-labels above the threshold in the last window of training, in percent."),
    (
        "Confident",
        "share of the images whose prediction by the final model has at least the confidence of the threshold, "
        f"{DEFAULT_THRESHOLD} for a method without a threshold, in percent.",
    ),
    ("Accuracy", "of the final model on the images of a known class, in percent."),
)


def open_set_table(cells: Iterable[Cell], titles: Mapping[str, str]) -> Table:
    """Return a row for each subset of the unlabeled images of each method whose runs report them."""
    rows = [row for cell in cells for row in _rows(cell, titles[cell.method])]
    columns = [
        *(Column(name, "text") for name in ("Setting", "Method", "Unlabeled images")),
        *(Column(name) for name in ("n", "Images", *OPEN_SET_MEASURES)),
    ]
    caption = (
        "Unlabeled images of the classes and of no class, mean ± sample standard deviation over n seeds. Elsewhere, a "
        "pseudo-label of an image of no class is wrong for the precision of its class; recall and the true classes of "
        "the unlabeled images leave these images out."
    )
    return Table("open-set", "Open set", caption, columns, rows, groups=1, definitions=DEFINITIONS)


def _rows(cell: Cell, title: str) -> Iterator[list[str]]:
    runs = [metrics["open_set"]["subsets"] for metrics in cell.done.values() if metrics.get("open_set")]
    for name in dict.fromkeys(name for subsets in runs for name in subsets):
        values = [subsets[name] for subsets in runs if name in subsets]
        images = " to ".join(f"{n:,}" for n in sorted({value["images"] for value in values}))
        measures = [_format(values, measure) for measure in OPEN_SET_MEASURES.values()]
        yield [cell.setting, title, TITLES.get(name, f"subset {name}"), str(len(values)), images, *measures]


def _format(values: Sequence[Tree], measure: str) -> str:
    result = mean_std([100 * float(value[measure]) for value in values if value[measure] is not None])
    return format_mean_std(*result) if result else ABSENT
