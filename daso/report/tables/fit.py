"""Table of the values that were fitted on the labeled images of each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daso.report.results.collect import Cell
from daso.report.tables.table import ABSENT, Column, Table

SHOWN_VALUES = ("weight_decay", "tau", "temperature", "note")
FIT_DEFINITIONS = (
    ("Temperature", "calibrates the probabilities of these methods; others are not calibrated."),
    ("Note", "the reason why the values are defaults that were not fitted."),
)


def fit_table(cells: Iterable[Cell], titles: Mapping[str, str]) -> Table:
    """Return the fitted values of each setting and seed; methods with the same values share a row."""
    cells = list(cells)
    settings = list(dict.fromkeys(cell.setting for cell in cells))
    methods: dict[tuple[str, int, tuple[tuple[str, str], ...]], list[str]] = {}
    for cell in cells:
        for seed, run in cell.done.items():
            if values := tuple(_values(run.get("fit") or {})):
                methods.setdefault((cell.setting, seed, values), []).append(titles[cell.method])
    names = list(dict.fromkeys(name for _, _, values in methods for name, _ in values))
    rows = [
        [setting, str(seed), *(dict(values).get(name, ABSENT) for name in names), "; ".join(titled)]
        for (setting, seed, values), titled in sorted(
            methods.items(), key=lambda item: (settings.index(item[0][0]), item[0][1])
        )
    ]
    columns = [
        *(Column("Setting", "text"), Column("Seed")),
        *(Column(name.replace("_", " ").capitalize()) for name in names),
        Column("Methods", "text"),
    ]
    caption = "Values fitted on out-of-fold predictions of the labeled images of each seed, never on test images."
    definitions = [each for each in FIT_DEFINITIONS if each[0].lower() in names]
    return Table("fit", "Fitted values", caption, columns, rows, groups=1, definitions=definitions)


def _values(fit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the values of a fit, without those that are absent or empty."""
    for name in SHOWN_VALUES:
        if (value := fit.get(name)) not in (None, ""):
            yield name, f"{value:.3g}" if isinstance(value, float) else str(value)
