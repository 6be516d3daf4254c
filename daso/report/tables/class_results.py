"""Table of the classes of the recommended models and their controls, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from daso.aliases import IntArray, Tree
from daso.ops.confusion import group_names
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.results.controls import UnlabeledVerdict
from daso.report.tables.measures import GROUP_SHARES
from daso.report.tables.table import ABSENT, Column, Table

NOT_MEASURED = "not measured"
MOST_CONFUSED = 3  # classes, at most, for which a class is taken
CLASSES_DEFINITIONS = (
    ("Test images", "of one seed."),
    ("Recall, Precision", "of the final model, mean ± sample standard deviation over seeds, in percent."),
    ("Taken for", "the three most frequent wrong predictions, with their shares of the test images of all seeds."),
)
GROUPS_DEFINITIONS = (
    ("Balanced accuracy", "recall of the final model, mean over the classes of the group, ± over seeds, in percent."),
    ("Head, Middle, Tail", "{groups}; of those, the classes with test images count."),
)
GROUP_TITLES = {"many": "Head", "medium": "Middle", "few": "Tail"}


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
        Column("Taken for", "text"),
        *([Column("Control: recall"), Column("Control: precision")] if compared else []),
    ]
    rows = [[*row, *[ABSENT] * (len(columns) - len(row))] for row in rows]
    caption = "Classes of the recommended model" + (" and of its control" if compared else "") + "."
    return Table("classes", "Classes", caption, columns, rows, groups=2, definitions=CLASSES_DEFINITIONS)


def class_groups_table(
    cells: Sequence[Cell],
    verdicts: Sequence[UnlabeledVerdict],
    titles: Mapping[str, str],
    division: str | None = None,
) -> Table:
    """Return the accuracy of head, middle and tail of the recommended model and its control in each setting.

    A setting with equally many labels in all classes has no such groups. `division` is that of `group_names`.
    """
    by_name, rows = {(cell.setting, cell.method): cell for cell in cells}, []
    for verdict in verdicts:
        for method in dict.fromkeys([verdict.recommendation.method, verdict.control]):
            runs = list(by_name[verdict.setting, method].done.values())
            rows += [[verdict.setting, titles[method], *row] for row in _group_rows(runs, division)]
    columns = [
        *(Column(name, "text") for name in ("Setting", "Model", "Group")),
        *(Column(name) for name in ("Classes", "Labels", "Balanced accuracy")),
    ]
    caption = "Head, middle and tail: groups of classes by their number of labels."
    definitions = [(term, text.format(groups=GROUP_SHARES[division])) for term, text in GROUPS_DEFINITIONS]
    return Table("class-groups", "Head, middle and tail", caption, columns, rows, groups=2, definitions=definitions)


def _group_rows(runs: Sequence[Tree], division: str | None) -> Iterator[list[str]]:
    """Yield title, number of classes, labels of a class, and accuracy of each group."""
    ranked = [[run["counts"]["labeled"][k] for k in run["class_order"]] for run in runs]
    names = np.array(group_names(len(ranked[0]), division))
    for name, title in GROUP_TITLES.items() if any(len(set(labels)) > 1 for labels in ranked) else ():
        ranks = np.flatnonzero(names == name).tolist()
        accuracy = mean_std([100 * run["groups"][name] for run in runs if run["groups"][name] is not None])
        if ranks:
            labels = span([labels[rank] for labels in ranked for rank in ranks])
            yield [title, str(len(ranks)), labels, format_mean_std(*accuracy) if accuracy else NOT_MEASURED]


def _rows(models: Sequence[Cell], not_measured: Sequence[str]) -> Iterator[list[str]]:
    """Yield the classes of a model and, if there are two, of its control."""
    runs, *of_control = [list(cell.done.values()) for cell in models]
    names, counts = runs[0]["classes"], np.sum([run["confusion"] for run in runs], axis=0)
    for k in np.argsort([-labels for labels in runs[0]["counts"]["labeled"]], kind="stable").tolist():
        yield [
            names[k],
            span([run["counts"]["labeled"][k] for run in runs]),
            span([sum(run["confusion"][k]) for run in runs]),
            *_recall_and_precision(runs, k, names[k] in not_measured),
            most_confused(counts[k], k, names),
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


def most_confused(predicted: IntArray, k: int, names: Sequence[str], number: int = MOST_CONFUSED) -> str:
    """Return the classes that the images of class k are most often taken for; `predicted` (K,) counts its images."""
    wrong = predicted.copy()
    wrong[k] = 0
    others = [j for j in np.argsort(-wrong, kind="stable")[:number].tolist() if wrong[j]]
    return "; ".join(f"{names[j]} ({100 * wrong[j] / predicted.sum():.0f} %)" for j in others) or ABSENT


def span(numbers: Sequence[int]) -> str:
    """Return numbers of several seeds as `5`, or as `5 to 7` if they differ."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
