"""Table of all measures of a section's cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daso.report.results.collect import BEST_ON_TEST, MEASURES, Cell, format_mean_std
from daso.report.tables.table import ABSENT, Column, Table

GROUP_SHARES = {  # by `groups` of a dataset
    None: "the 30 % of classes with the most labels, the middle 40 %, and the 30 % with the fewest",
    "thirds": "the third of the classes with the most labels, the middle third, and the third with the fewest",
}
ONLY_BESIDE_MEAN = ("mean", "geometric_mean")  # printed where the main measure is the mean, instead of the median
MEASURES_DEFINITIONS = (
    ("Mean", "of the accuracies of the last evaluations."),
    ("Last", "accuracy at the last evaluation."),
    ("Best", "test accuracy at the evaluation with the best validation accuracy."),
    ("Balanced", "recall of the final model, mean over classes."),
    ("Geometric mean", "of these recalls; 1 / (100 C) replaces a recall of zero, C classes (Lee and Kim 2024)."),
    (
        "Many, Medium, Few",
        "mean recall of the final model on {groups}.",
    ),
    ("Adjusted", "median accuracy with logits adjusted by the labeled class prior at test time."),
)


def measures_table(cells: Iterable[Cell], titles: Mapping[str, str], division: str | None = None) -> Table:
    """Return every measure of each cell with a done run: mean and standard deviation over seeds, in percent.

    `division` is that of `daso.ops.confusion.group_names`. runs.csv has the measures that are left out.
    """
    done = [cell for cell in cells if cell.done]
    left_out = {BEST_ON_TEST, *(("median",) if done and done[0].main == "mean" else ONLY_BESIDE_MEAN)}
    shown = {name: name.capitalize().replace("_", " ") for name in MEASURES if name not in left_out}
    rows = []
    for cell in done:
        statistics = [cell.mean_std(name) for name in shown]
        values = [format_mean_std(*value) if value else ABSENT for value in statistics]
        rows.append([cell.setting, titles[cell.method], str(len(cell.done)), *values])
    columns = [
        *(Column("Setting", "text"), Column("Method", "text"), Column("n")),
        *map(Column, shown.values()),
    ]
    definitions = [
        (name, text.format(groups=GROUP_SHARES[division]))
        for name, text in MEASURES_DEFINITIONS
        if name.partition(",")[0] in shown.values()
    ]
    caption = "All measures of the same runs, in percent: mean ± sample standard deviation over n seeds."
    return Table("measures", "All measures", caption, columns, rows, groups=1, definitions=definitions)
