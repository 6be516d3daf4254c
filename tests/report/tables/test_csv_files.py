"""Files of numbers beside the page: `cells.csv` alone rebuilds every verdict, `runs.csv` every cell."""

import csv
import math
import statistics

import pytest


def read(out, name):
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def verdict_of(row):
    """Return the verdict by the rule of the page, from the columns of `cells.csv`."""
    if row["n"] == "0":
        return "not run"
    if row["not_comparable"] or not row["published"]:
        return "not comparable"
    difference = float(row["mean"]) - float(row["published"])
    assert float(row["difference"]) == pytest.approx(difference, abs=1e-4)
    size = abs(difference)
    if not row["published_std"]:
        return "within 1 point" if size <= 1 else "no published spread"
    s_p, n_p, n_o = float(row["published_std"]), int(row["published_n"]), int(row["n"])
    s_o = float(row["std"]) if row["std"] else s_p
    band = 2 * math.sqrt(s_p**2 / n_p + s_o**2 / n_o)
    assert float(row["band"]) == pytest.approx(band, abs=1e-4)
    if size <= band:
        return "one run" if n_o == 1 else "agrees" if size + band <= 2 else "not contradicted"
    return "within 1 point" if size <= 1 else "above" if difference > 0 else "below"


def test_cells_csv_rebuilds_every_verdict(verdicts):
    rows = {row["method"].replace("_", " "): row for row in read(verdicts.out, "cells.csv")}
    assert {name: row["verdict"] for name, row in rows.items()} == {name: name for name in verdicts.levels}
    assert {name: verdict_of(row) for name, row in rows.items()} == {name: name for name in verdicts.levels}
    assert rows["not comparable"]["not_comparable"] == "no published number"
    assert rows["one run"]["remarks"] == "1 run against 3 published"


def test_cells_csv_names_the_cell_of_the_paper(verdicts):
    """DASO is the sixth row of table 1; the columns begin with gamma 100, N1 500."""
    agrees, *_ = read(verdicts.out, "cells.csv")
    assert (agrees["source"], agrees["cell"]) == ("Oh et al. 2022", "table 1, row 6, column 1")
    assert (agrees["published"], agrees["published_std"], agrees["published_n"]) == ("76.0", "0.37", "3")
    assert (agrees["device"], agrees["status"]) == ("cpu: made up", "done")


def test_runs_csv_rebuilds_the_cells(verdicts):
    runs, cells = read(verdicts.out, "runs.csv"), read(verdicts.out, "cells.csv")
    assert len(runs) == sum(len(levels) for _, levels in verdicts.levels.values()) + 1
    for cell in cells:
        values = [float(run["median"]) for run in runs if (run["method"], run["status"]) == (cell["method"], "done")]
        assert len(values) == int(cell["n"])
        if len(values) > 1:
            assert float(cell["mean"]) == pytest.approx(statistics.mean(values), abs=1e-4)
            assert float(cell["std"]) == pytest.approx(statistics.stdev(values), abs=1e-4)


def test_runs_csv_has_every_measure_and_the_provenance_of_a_run(verdicts):
    """A run at 75.6 % has 75.5 at its last evaluation, 75.8 at its best, 76.6 with adjusted logits."""
    first, archived = (
        row for row in read(verdicts.out, "runs.csv") if row["method"] == "agrees" and row["seed"] == "0"
    )
    values = [first[name] for name in ("median", "last", "best", "adjusted")]
    assert values == ["75.6000", "75.5000", "75.8000", "76.6000"]
    assert float(first["many"]) > float(first["medium"]) > float(first["few"])
    assert (first["run"], first["key"]) == (f"cifar10-lt/{verdicts.setting}/paper/agrees/s0", "k" * 16)
    assert (first["commit"], first["precision"], first["seconds"]) == ("abcdef123456", "fp32", "60.0")
    assert first["versions"] == "python 3.11.9, torch 2.11.0"
    assert (first["status"], archived["status"], archived["median"]) == ("done", "archived", "75.6000")


def test_table_csv_has_the_printed_values(verdicts):
    with (verdicts.out / "tables/table-A-accuracy.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    assert header[:3] == ["Method", f"{verdicts.setting}: ours", f"{verdicts.setting}: count"]
    assert first == ["FixMatch + DASO", "76.0 ± 0.45", "n = 3", "76.0 ± 0.37 (table 1)", "0.0 (band ±0.7)", "agrees"]
    with (verdicts.out / "tables/table-A-runs.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    assert (header[:2], first[:2]) == (["Run", "Median"], [f"cifar10-lt/{verdicts.setting}/paper/agrees/s0", "75.6"])


def test_only_tables_of_an_earlier_report_are_deleted(project, make_suite):
    suite = make_suite(methods=("supervised",), settings=("n500-m4000-l100-u100",))
    folder = project.out / "tables"
    folder.mkdir(parents=True)
    for name in ("table-A-gains.tex", "table-1.tex"):
        (folder / name).write_text("")
    project.build(suite)
    assert not (folder / "table-A-gains.tex").exists()
    assert (folder / "table-1.tex").exists()
