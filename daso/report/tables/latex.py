r"""Tables of a report as LaTeX, which requires only `\usepackage{booktabs}`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from daso.report.tables.accuracy import FormattedCell
from daso.report.tables.table import ABSENT, Table

ESCAPES = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "–": "--", "∞": r"$\infty$"},
    **{"≤": r"$\le$", "≥": r"$\ge$", "γ": r"$\gamma$", "λ": r"$\lambda$", "τ": r"$\tau$"},
    **{"₀": "$_0$", "₁": "$_1$", "₂": "$_2$", "ₗ": "$_l$", "ᵤ": "$_u$", "²": "$^2$"},
}
ADJACENT = re.compile(r"(?<!\\)\$\$")  # between two formulas


def escape_latex(text: str) -> str:
    """Return text for LaTeX, with special characters escaped and symbols as mathematics."""
    return ADJACENT.sub("", "".join(ESCAPES.get(char, char) for char in text))


def format_latex(table: Table, label: str, note: str = "") -> str:
    r"""Return a table as LaTeX with this `\label`; `note` is added to its caption.

    In the accuracy table each setting has two columns, ours and published, with the best of each in bold.
    """
    if table.name == "accuracy":
        alignment, head, body = _accuracy(table)
    else:
        alignment = "".join("r" if column.kind == "number" else "l" for column in table.columns)
        head = [_line(escape_latex(column.title) for column in table.columns)]
        body = [_line(map(escape_latex, row)) for row in table.rows]
    caption = escape_latex(table.caption.replace("`", "") + (f" {note}" if note else ""))
    lines = [
        *("% requires \\usepackage{booktabs}", r"\begin{table}", r"\centering"),
        *(f"\\caption{{{caption}}}", f"\\label{{tab:{label}}}", f"\\begin{{tabular}}{{{alignment}}}"),
        *(r"\toprule", *head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"),
    ]
    return "\n".join(lines) + "\n"


def _accuracy(table: Table) -> tuple[str, list[str], list[str]]:
    """Return alignment, head and body of the accuracy table."""
    settings, rows = table.columns[1:], [row[1:] for row in table.rows]
    parts = ("ours", "published") if any(cell.published for row in rows for cell in row) else ("ours",)
    columns = [[_number(cell, part) for cell in column] for column in zip(*rows, strict=True) for part in parts]
    titles = [escape_latex(str(row[0])) for row in table.rows]
    width, head = len(parts), []
    for texts in zip(*((setting.title, *setting.lines) for setting in settings), strict=True):
        head.append(_line(["", *(f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(text)}}}" for text in texts)]))
    starts = range(2, 2 + width * len(settings), width)
    head.append(" ".join(f"\\cmidrule(lr){{{start}-{start + width - 1}}}" for start in starts))
    head.append(_line([escape_latex(table.columns[0].title), *parts * len(settings)]))
    return "l" + "c" * len(columns), head, [_line(row) for row in zip(titles, *columns, strict=True)]


def _number(cell: FormattedCell, part: str) -> str:
    """Return our number or the published one as LaTeX, its mean in bold if it is among the best of its column."""
    mean, space, rest = (str(getattr(cell, part)) or ABSENT).partition(" ")
    return (f"\\textbf{{{mean}}}" if part in cell.best else escape_latex(mean)) + space + escape_latex(rest)


def _line(values: Iterable[str]) -> str:
    return " & ".join(values).strip() + r" \\"
