"""Table of the calibration of each method on the test images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from daso.aliases import Tree
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.tables.table import ABSENT, Column, Table

NOT_CALIBRATED = "not calibrated"
CALIBRATION_DEFINITIONS = (
    (
        "ECE",
        "expected calibration error: mean difference, in points, of the confidence and the accuracy of predictions "
        "with similar confidence, in up to 15 bins of equally many test images, at least 10.",
    ),
    ("By chance", "the ECE that a perfectly calibrated model has on average on as many test images."),
    ("Log loss", "mean of −log of the probability of the true class, over test images."),
    (
        "Temperature",
        "divides the logits. It is fitted on labeled images by predictions of models that were not trained on them, "
        "never on test images; with too few labels it is 1. Methods with another recipe than the fitted ones are not "
        "calibrated.",
    ),
)


def calibration_table(cells: Iterable[Cell], titles: Mapping[str, str]) -> Table:
    """Return the calibration of each method over its seeds, before and after the fitted temperature."""
    rows = []
    for cell in cells:
        if runs := [run["calibration"] for run in cell.done.values() if "calibration" in run]:
            before, after = [run["before"] for run in runs], [run["after"] for run in runs if run["after"]]
            temperatures = [run["temperature"] for run in runs if run["temperature"]]
            rows.append(
                [
                    *(cell.setting, titles[cell.method], _two_decimals(temperatures) or NOT_CALIBRATED),
                    *(_points(part, "error") for part in (before, after)),
                    _points(after or before, "chance"),
                    *(_two_decimals([run["log_loss"] for run in part]) or ABSENT for part in (before, after)),
                ]
            )
    columns = [
        *(Column("Setting", "text"), Column("Method", "text"), Column("Temperature", "text")),
        *(Column(name) for name in ("ECE before", "ECE after", "By chance", "Log loss before", "Log loss after")),
    ]
    caption = (
        "Calibration of the predictions of single seeds on test images, before and after the temperature: mean ± "
        "sample standard deviation over seeds."
    )
    return Table("calibration", "Calibration", caption, columns, rows, groups=1, definitions=CALIBRATION_DEFINITIONS)


def _points(runs: Sequence[Tree], name: str) -> str:
    """Return a share of runs in points, mean ± standard deviation."""
    values = mean_std([100 * run[name] for run in runs])
    return format_mean_std(*values) if values else ABSENT


def _two_decimals(values: list[float]) -> str:
    known = mean_std(values)
    if known is None:
        return ""
    return f"{known.mean:.2f}" if known.std is None else f"{known.mean:.2f} ± {known.std:.2f}"
