"""Known differences from the paper that touch the methods of a section, from docs/fidelity.md."""

from __future__ import annotations

from collections.abc import Iterable

from daso.aliases import Tree
from daso.config.fidelity import method_tags, read_ledger
from daso.report.tables.table import Column, Table

HEADINGS = ("Difference", "Methods", "Paper", "Authors' code", "Here", "Switch or effect")


def differences_table(table: Tree, runs: Iterable[Tree]) -> Table:
    """Return a row for each difference that touches a method of a suite's table, its dataset, or one of its `runs`."""
    tags = {str(method["title"]): method_tags(method) for method in table["methods"] if "learner" in method}
    if table["dataset"].get("augment", {}).get("resize"):
        tags |= {title: [*own, "resize"] for title, own in tags.items()}
    if table["dataset"].get("fit") == "crop":
        tags |= {title: [*own, "store-crop"] for title, own in tags.items()}
    if any(run.get("provenance", {}).get("precision") == "bf16" for run in runs):
        tags |= {title: [*own, "precision"] for title, own in tags.items()}
    rows = []
    for tag, difference in read_ledger().items():
        methods = [title for title, own in tags.items() if tag in own]
        if methods:
            touched = "all" if len(methods) == len(tags) else ", ".join(methods)
            rows.append([f"[{tag}](fidelity.md#{tag})", touched, *difference])
    columns = [Column(heading, "markdown") for heading in HEADINGS]
    caption = f"Known differences from the paper that affect these methods: {len(rows)}"
    return Table("differences", "Known differences from the paper", caption, columns, rows)
