"""Table of the classes of the recommended models and their controls, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from daso.aliases import IntArray, Tree
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.results.controls import UnlabeledVerdict
from daso.report.tables.table import ABSENT, Column, Table

NOT_MEASURED = "not measured"
CLASSES_DEFINITIONS = (
    ("Test images", "of one seed."),
    ("Recall, Precision", "of the final model, mean ± sample standard deviation over seeds, in percent."),
    ("Most often taken for", "the most frequent wrong prediction, with its share of the test images of all seeds."),
)


def classes_table(cells: Sequence[Cell], verdicts: Sequence[UnlabeledVerdict], titles: Mapping[str, str]) -> Table:
    """Return a row for each class of the recommended model of each setting, the class with the most labels first."""
    by_name = {(cell.setting, cell.method): cell for cell in cells}
    rows, compared = [], False
    for verdict in verdicts:
        method, control = verdict.recommendation.method, verdict.control
        models = [method] if method == control else [method, control]
        compared = compared or len(models) > 1
        name = titles[method] + (f", control {titles[control]}" if len(models) > 1 else "")
        for row in _rows([by_name[verdict.setting, each] for each in models], verdict.not_measured):
            rows.append([verdict.setting, name, *row])
    columns = [
        *(Column(name, "text") for name in ("Setting", "Model", "Class")),
        *(Column(name) for name in ("Labels", "Test images", "Recall", "Precision")),
        Column("Most often taken for", "text"),
        *([Column("Control: recall"), Column("Control: precision")] if compared else []),
    ]
    rows = [[*row, *[ABSENT] * (len(columns) - len(row))] for row in rows]
    caption = "Classes of the recommended model" + (" and of its control" if compared else "") + "."
    return Table("classes", "Classes", caption, columns, rows, groups=2, definitions=CLASSES_DEFINITIONS)


def _rows(models: Sequence[Cell], not_measured: Sequence[str]) -> Iterator[list[str]]:
    """Yield the classes of a model and, if there are two, of its control."""
    runs, *of_control = [list(cell.done.values()) for cell in models]
    names, counts = runs[0]["classes"], np.sum([run["confusion"] for run in runs], axis=0)
    for k in np.argsort([-labels for labels in runs[0]["counts"]["labeled"]], kind="stable").tolist():
        yield [
            names[k],
            _span([run["counts"]["labeled"][k] for run in runs]),
            _span([sum(run["confusion"][k]) for run in runs]),
            *_recall_and_precision(runs, k, names[k] in not_measured),
            _most_confused(counts[k], k, names),
            *(text for control in of_control for text in _recall_and_precision(control, k, names[k] in not_measured)),
        ]


def _recall_and_precision(runs: Sequence[Tree], k: int, not_measured: bool) -> tuple[str, str]:
    if not_measured:
        return NOT_MEASURED, ABSENT
    recall, precision = (
        mean_std([100 * run[name][k] for run in runs if run[name][k] is not None]) for name in ("recall", "precision")
    )
    return (
        format_mean_std(*recall) if recall else NOT_MEASURED,
        format_mean_std(*precision) if precision and recall else ABSENT,
    )


def _most_confused(predicted: IntArray, k: int, names: Sequence[str]) -> str:
    """Return the class that the images of class k are most often taken for; `predicted` (K,) counts its images."""
    wrong = predicted.copy()
    wrong[k] = 0
    other = int(wrong.argmax())
    return f"{names[other]} ({100 * wrong[other] / predicted.sum():.0f} %)" if wrong[other] else ABSENT


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
