"""Tables as LaTeX."""

from dataclasses import replace

from daso.report.tables.accuracy import FormattedCell
from daso.report.tables.latex import escape_latex, format_latex
from daso.report.tables.table import Column, Table

CELL = FormattedCell("a/b/c", "done", "76.0 ± 0.40", "n = 3", "", "76.0 ± 0.37", "●", "agrees", "0.0", "", [])


def accuracy(*rows):
    columns = [Column("Method", "text"), Column("n500_u100", "text", ("N₁ = 500", "γₗ = 100"))]
    return Table("accuracy", "Accuracy", "Accuracy in `%`, mean ± deviation.", columns, rows)


def test_accuracy_table_has_ours_and_published_with_the_best_in_bold():
    absent = replace(CELL, ours="", published="")
    table = accuracy(["A & B", replace(CELL, best=frozenset({"ours"}))], ["C_1", absent])
    assert format_latex(table, "main-accuracy", "Not comparable: short.") == "\n".join(
        (
            r"% requires \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            r"\caption{Accuracy in \%, mean $\pm$ deviation. Not comparable: short.}",
            r"\label{tab:main-accuracy}",
            r"\begin{tabular}{lcc}",
            r"\toprule",
            r"& \multicolumn{2}{c}{n500\_u100} \\",
            r"& \multicolumn{2}{c}{N$_1$ = 500} \\",
            r"& \multicolumn{2}{c}{$\gamma_l$ = 100} \\",
            r"\cmidrule(lr){2-3}",
            r"Method & ours & published \\",
            r"\midrule",
            r"A \& B & \textbf{76.0} $\pm$ 0.40 & 76.0 $\pm$ 0.37 \\",
            r"C\_1 & -- & -- \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def test_accuracy_table_without_published_numbers_has_one_column_a_setting():
    text = format_latex(accuracy(["A", replace(CELL, published="")]), "x")
    assert r"\begin{tabular}{lc}" in text
    assert "published" not in text


def test_table_of_text_has_its_columns_and_groups():
    columns = [Column("Setting", "text"), Column("Method", "text"), Column("n")]
    lines = format_latex(Table("measures", "M", "C.", columns, [["s", "m", "3"]], groups=1), "x").splitlines()
    body = [r"\toprule", r"Setting & Method & n \\", r"\midrule", r"s & m & 3 \\", r"\bottomrule"]
    assert lines[5:11] == [r"\begin{tabular}{llr}", *body]


def test_special_characters_are_escaped():
    assert escape_latex(r"50 % & $1 #2 a_b {c} ~ ^ \x") == (
        r"50 \% \& \$1 \#2 a\_b \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{}x"
    )
    assert escape_latex("−1.0 ± 2 × 3 ≤ 4") == r"$-$1.0 $\pm$ 2 $\times$ 3 $\le$ 4"
