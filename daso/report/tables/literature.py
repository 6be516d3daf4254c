"""Texts of the page of contradictions: names of methods and settings, places of a number, and rows of its CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from daso.report.results.contradictions import LiteratureCell, Printed
from daso.report.results.sources import PublishedSource, Row
from daso.report.words import numbered

DATASETS = {
    **{"cifar10-lt": "CIFAR10-LT", "cifar100-lt": "CIFAR100-LT", "stl10-lt": "STL10-LT", "semi-aves": "Semi-Aves"},
    **{"imagenet127-32": "ImageNet-127, 32 × 32 pixels", "imagenet127-64": "ImageNet-127, 64 × 64 pixels"},
    **{"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"},
}
NAMES = {  # of learners and add-ons that are not written in capitals
    **{"fixmatch": "FixMatch", "remixmatch": "ReMixMatch", "mixmatch": "MixMatch", "flexmatch": "FlexMatch"},
    **{"softmatch": "SoftMatch", "freematch": "FreeMatch", "simmatch": "SimMatch", "adamatch": "AdaMatch"},
    **{"comatch": "CoMatch", "crmatch": "CRMatch", "meanteacher": "MeanTeacher", "pseudolabel": "PseudoLabel"},
    **{"supervised": "Supervised", "fullysupervised": "Fully supervised", "pimodel": "Π-Model", "dash": "Dash"},
    **{"crest": "CReST", "crest+": "CReST+", "crt": "cRT", "cossl": "CoSSL", "debiaspl": "DebiasPL"},
    **{"simpro": "SimPro", "bacon": "BaCon", "openclip": "OpenCLIP", "loft": "LoFT", "loft-ow": "LoFT-OW"},
    **{"dytrim": "DyTrim", "defixmatch": "DeFixMatch", "acr:no-anchors": "ACR without anchors"},
}
CSV_COLUMNS = (
    *("cell", "dataset", "gamma_l", "gamma_u", "n1", "m1", "unlabeled", "shape", "base", "addons"),
    *("difference", "spread", "number", "relation", "accuracy", "std", "source", "table"),
    *("citation", "link", "read", "note"),
)


def method_title(row: Row) -> str:
    """Return the name of a method, such as "FixMatch + DARP"."""
    return " + ".join(NAMES.get(name, name.upper()) for name in (row["base"], *row["addons"].split(";")) if name)


def setting_title(row: Row) -> str:
    """Return the sizes and distributions of a cell, such as "N₁ 500, M₁ 4000, γ 100, unlabeled reversed"."""
    parts = []
    if row["n1"] and row["gamma_l"] == "1" and row["m1"] == "all":
        parts.append(f"{row['n1']} labels a class")
    elif row["n1"]:
        parts += [f"N₁ {row['n1']}", "all unlabeled images" if row["m1"] == "all" else f"M₁ {row['m1']}"]
        parts.append(f"γ {row['gamma_l']}")
    if row["shape"] not in ("natural", "long-tailed") and row["gamma_l"] != "1":
        parts.append(f"unlabeled {row['shape']}")
    elif row["gamma_u"] and row["gamma_u"] != row["gamma_l"]:
        parts.append(f"unlabeled γ {row['gamma_u']}")
    if row["unlabeled"]:
        other = "also of other classes" if row["unlabeled"] == "in+out" else "of its classes"
        parts.append(f"unlabeled images {other}")
    return ", ".join(parts)


def cell_title(cell: LiteratureCell) -> str:
    """Return method, dataset and setting of a cell."""
    row = cell.row
    return ", ".join(filter(None, (method_title(row), DATASETS[row["dataset"]], setting_title(row))))


def places(number: Sequence[Printed]) -> list[tuple[PublishedSource, str]]:
    """Return the sources that print a number, each with its tables as text, in order of publication."""
    tables: dict[str, tuple[PublishedSource, list[str]]] = {}
    for printed in number:
        tables.setdefault(printed.source.source, (printed.source, []))[1].append(printed.table)
    numbers = [(source, [name for name in names if name.isdecimal()]) for source, names in tables.values()]
    return [(source, numbered("table", names) if names else "") for source, names in numbers]


def csv_rows(cells: Iterable[LiteratureCell]) -> Iterator[dict[str, object]]:
    """Yield a row for each print of each cell, the largest difference first."""
    for index, cell in enumerate(cells, start=1):
        fields = {name: cell.row[name] for name in CSV_COLUMNS[1:10]}
        size = {"difference": f"{cell.difference:.2f}", "spread": "" if cell.spread is None else f"{cell.spread:g}"}
        for number, prints in enumerate(cell.numbers, start=1):
            for printed in prints:
                relation = "same number" if printed is not prints[0] else "first" if number == 1 else "other number"
                yield {
                    "cell": index,
                    **fields,
                    **size,
                    **{"number": number, "relation": relation},
                    **{"accuracy": printed.mean, "std": "" if printed.std is None else printed.std},
                    **{name: getattr(printed.source, name) for name in ("source", "citation", "link", "read")},
                    **{"table": printed.table, "note": printed.note},
                }
