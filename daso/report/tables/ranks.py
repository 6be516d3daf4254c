"""Table of the ranks of methods by setting, ours beside the published ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from daso.aliases import Tree
from daso.report.results.judged import JudgedCell
from daso.report.results.ranks import Ranks, table_ranks
from daso.report.tables.table import ABSENT, Column, Table
from daso.report.words import with_noun

RANKS_DEFINITIONS = (
    ("Rank", "1 for the highest mean accuracy; the published rank, among the same methods, in parentheses."),
    ("Mean of settings", "over the settings in which the method has a rank."),
    (
        "Kendall's τ",
        "τ-b of our means and the published ones: 1 for the same order, −1 for the reverse, 0 for no association.",
    ),
)


def ranks_table(table: Tree, judged_cells: Sequence[JudgedCell]) -> Table:
    """Return a row for each method with a rank, and a last row with Kendall's tau-b; a column for each setting.

    Settings with fewer than three comparable cells have no ranks.
    """
    ranked = table_ranks(table, judged_cells)
    rows = [
        [str(method["title"]), *values]
        for method in table["methods"]
        if (values := _row(str(method["name"]), list(ranked.values())))
    ]
    if ranked:
        taus = [ABSENT if ranks.tau is None else _signed(ranks.tau) for ranks in ranked.values()]
        rows.append(["Kendall's τ", *taus, ABSENT])
    columns = [Column("Method", "text"), *map(Column, ranked), Column("Mean of settings")]
    caption = "Ranks of the methods by setting, over the methods with our number and a published one."
    return Table("ranks", "Ranks", caption, columns, rows, definitions=RANKS_DEFINITIONS)


def ranks_line(ranked: Sequence[Ranks]) -> str:
    """Return the range of Kendall's tau over settings in one line; empty without one."""
    known = sorted(ranks.tau for ranks in ranked if ranks.tau is not None)
    if not known:
        return ""
    values, settings = dict.fromkeys(map(_signed, (known[0], known[-1]))), with_noun(len(known), "setting")
    return f"Kendall's τ of our order of methods and the published one: {' to '.join(values)} in {settings}"


def _row(method: str, settings: Sequence[Ranks]) -> list[str]:
    """Return our rank and the published one in each setting and their means; empty without any rank."""
    pairs = [(ranks.ours[method], ranks.published[method]) if method in ranks.ours else None for ranks in settings]
    known = [pair for pair in pairs if pair]
    if not known:
        return []
    ours, published = (statistics.fmean(column) for column in zip(*known, strict=True))
    return [*(f"{pair[0]} ({pair[1]})" if pair else ABSENT for pair in pairs), f"{ours:.1f} ({published:.1f})"]


def _signed(tau: float) -> str:
    return f"{tau:.2f}".replace("-", "−")
