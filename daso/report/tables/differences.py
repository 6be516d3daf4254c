"""Known differences from the paper that touch the methods of a section, from docs/fidelity.md."""

from __future__ import annotations

from collections.abc import Iterable

from daso.aliases import Tree
from daso.config.fidelity import method_tags, read_ledger, run_tags
from daso.report.tables.table import Column, Table

HEADINGS = ("Difference", "Methods", "Paper", "Authors' code", "Here", "Switch or effect")


def differences_table(table: Tree, protocol: Tree, runs: Iterable[Tree]) -> Table:
    """Return a row for each difference that touches a table: its methods, dataset, protocol or `runs`."""
    tags = {str(method["title"]): method_tags(method) for method in table["methods"] if "learner" in method}
    bf16 = any(run.get("provenance", {}).get("precision") == "bf16" for run in runs)
    shared = run_tags(table["dataset"], table["settings"], protocol, bf16=bf16)
    tags = {title: [*own, *shared] for title, own in tags.items()}
    rows = []
    for tag, difference in read_ledger().items():
        methods = [title for title, own in tags.items() if tag in own]
        if methods:
            touched = "all" if len(methods) == len(tags) else ", ".join(methods)
            rows.append([f"[{tag}](fidelity.md#{tag})", touched, *difference])
    columns = [Column(heading, "markdown") for heading in HEADINGS]
    caption = f"Known differences from the paper that affect these methods: {len(rows)}"
    return Table("differences", "Known differences from the paper", caption, columns, rows)
