"""Table of imbalance, divergence and errors of pseudo-labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from daso.report.results import pseudo_labels
from daso.report.results.collect import Cell
from daso.report.tables.table import ABSENT, Column, Table

INDEX_HEADINGS = {  # heading -> name of the index
    "Max/min": "imbalance",
    "Unpredicted": "unpredicted",
    "KL to uniform": "divergence",
    "Entropy": "evenness",
    "KL to truth": "truth",
    "Recall": "recall",
    "Precision": "precision",
    "Top-1 errors": "top1",
    "Top-2 errors": "top2",
}
PSEUDO_LABEL_DEFINITIONS = (
    ("Max/min", "pseudo-labels of the most frequent class over those of the least frequent one."),
    ("Unpredicted", "number of classes without a pseudo-label."),
    ("KL to uniform", "KL divergence of the pseudo-labels' class distribution from the uniform one, in nats."),
    ("Entropy", "of that distribution, divided by its maximum: 1 if uniform."),
    (
        "KL to truth",
        "KL divergence of that distribution from the true classes of all unlabeled images, in nats: 0 if the class "
        "frequencies are right.",
    ),
    ("Recall, Precision", "mean over classes, in percent; above the threshold, of those pseudo-labels alone."),
    (
        "Top-1, Top-2 errors",
        "share of a class's errors in its one or two most frequent wrong classes, in percent.",
    ),
)


def pseudo_label_table(cells: Sequence[Cell], titles: Mapping[str, str]) -> Table:
    """Return a row for each kind of pseudo-label of each method, and one for the true classes of each setting."""
    rows = [[*names, *(values[index] for index in INDEX_HEADINGS.values())] for names, values in _rows(cells, titles)]
    columns = [
        *(Column("Setting", "text"), Column("Method", "text"), Column("Pseudo-label", "text"), Column("n")),
        *map(Column, INDEX_HEADINGS),
    ]
    caption = (
        "Class distribution of pseudo-labels in the last window of training, whether or not above the threshold, by "
        "source; `final model`: predictions of the final model on all unlabeled images. Means over seeds."
    )
    title = "Class distribution of pseudo-labels"
    return Table("pseudo-labels", title, caption, columns, rows, groups=1, definitions=PSEUDO_LABEL_DEFINITIONS)


def _rows(cells: Sequence[Cell], titles: Mapping[str, str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    settings_with_truth = set[str]()
    for cell in cells:
        runs = pseudo_labels.run_analyses(cell)
        if not runs:
            continue
        truth = pseudo_labels.true_indices(runs)
        if truth and cell.setting not in settings_with_truth:
            settings_with_truth.add(cell.setting)
            yield [cell.setting, "Unlabeled images", "true classes", ABSENT], truth
        kinds, confused_kind = pseudo_labels.common_kinds(runs), runs[0].analysis["of"]
        for kind in kinds:
            names = [cell.setting, titles[cell.method], pseudo_labels.kind_title(kind, kinds), str(len(runs))]
            yield names, pseudo_labels.indices(runs, kind, confused_kind)
