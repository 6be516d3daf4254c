"""Table of the accuracy and calibration of each method after corrections of its trained models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from daso.aliases import Tree
from daso.report.results.collect import Cell, format_mean_std, mean_std
from daso.report.tables.gains import signed_points
from daso.report.tables.table import ABSENT, Column, Table

CORRECTIONS_TITLES = {
    "uncorrected": "none",
    "logit_adjustment": "LA, τ from held-out labels",
    "blank": "blank image",
    "without_bias": "head without bias",
    "prior_shift": "shift to the unlabeled classes",
}
CORRECTIONS_MEASURES = ("accuracy", "balanced_accuracy", "ece")
CORRECTIONS_DEFINITIONS = (
    (
        "LA, τ from held-out labels",
        "logits minus τ times the log of the class shares of the labeled images (Menon et al. 2021). Of −1, "
        "−0.75, ..., 3, τ has the least class-balanced log loss on the held-out images, whose labels no other row "
        "uses.",
    ),
    ("Blank image", "logits minus those of an image of one colour (Lee and Kim 2024)."),
    ("Head without bias", "logits without the bias of the evaluated head (Tian et al. 2026)."),
    (
        "Shift to the unlabeled classes",
        "predictions for images whose classes are distributed as those of the unlabeled images, estimated by "
        "expectation maximisation from the predictions for these (Saerens et al. 2002). It helps on images distributed "
        "so, and harms on test images that are not. The shares are off by half the sum of their absolute differences "
        "to the true ones, where the classes of all unlabeled images are known. Images are those of the split that a "
        "run was trained on.",
    ),
    ("Difference", "mean difference of the balanced accuracy of the same runs to that without correction, in points."),
    ("ECE", "expected calibration error on the test images, in points."),
)


def corrections_table(cells: Iterable[Cell], titles: Mapping[str, str]) -> Table:
    """Return a row for each correction of each method whose runs have been corrected."""
    rows = [row for cell in cells for row in _rows(cell, titles[cell.method])]
    columns = [
        *(Column(name, "text") for name in ("Setting", "Method", "Correction")),
        *(Column(name) for name in ("n", "Accuracy", "Balanced accuracy", "Difference", "ECE")),
        Column("Note", "text"),
    ]
    caption = (
        "Corrections after training: a vector is added to the logits of the trained models, and no run is trained "
        "again. In percent on the test images by the final models, mean ± sample standard deviation over n seeds. No "
        "correction is compared with published numbers."
    )
    title, definitions = "Corrections after training", CORRECTIONS_DEFINITIONS
    return Table("corrections", title, caption, columns, rows, groups=2, definitions=definitions)


def _rows(cell: Cell, title: str) -> Iterator[list[str]]:
    runs = [run for run in cell.done.values() if "corrections" in run]
    for name, label in CORRECTIONS_TITLES.items() if runs else ():
        entries = [(run["corrections"][name], run) for run in runs]
        done = [(entry, run) for entry, run in entries if "reason" not in entry]
        values = [mean_std([100 * entry[measure] for entry, _ in done]) for measure in CORRECTIONS_MEASURES]
        accuracy, balanced, ece = (format_mean_std(*value) if value else ABSENT for value in values)
        reasons = dict.fromkeys(entry["reason"] for entry, _ in entries if "reason" in entry)
        notes = [*reasons, _tau(done), _error_of_shares(done)]
        difference = ABSENT if name == "uncorrected" else _difference(done)
        note = "; ".join(filter(None, notes))
        yield [cell.setting, title, label, str(len(done)), accuracy, balanced, difference, ece, note]


def _difference(done: Sequence[tuple[Tree, Tree]]) -> str:
    """Return the mean difference of the balanced accuracy to that without correction."""
    pairs = [(entry, run["corrections"]["uncorrected"]) for entry, run in done]
    mean = mean_std([100 * (entry["balanced_accuracy"] - before["balanced_accuracy"]) for entry, before in pairs])
    return signed_points(mean.mean) if mean else ABSENT


def _tau(done: Sequence[tuple[Tree, Tree]]) -> str:
    """Return the fitted values of tau; empty if nothing was fitted."""
    taus = sorted({entry["tau"] for entry, _ in done if "tau" in entry})
    return f"τ {' to '.join(f'{tau:g}' for tau in dict.fromkeys([*taus[:1], *taus[-1:]]))}" if taus else ""


def _error_of_shares(done: Sequence[tuple[Tree, Tree]]) -> str:
    """Return the difference of estimated and true shares, half the sum over the classes; empty if these are unknown."""
    errors = []
    for entry, run in done:
        counts = run["counts"]["unlabeled"]
        if entry.get("images") == sum(counts) > 0:  # not with images of no class, or of unknown ones
            differences = (share - count / sum(counts) for share, count in zip(entry["shares"], counts, strict=True))
            errors.append(50 * sum(map(abs, differences)))
    mean = mean_std(errors)
    return f"estimated shares are {mean.mean:.1f} points off" if mean else ""
