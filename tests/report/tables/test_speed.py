"""Speeds of a cell's runs: medians and shares computed by hand; different environments are not pooled."""

import pytest

from daso.engine.stopwatch import STEP_PARTS
from daso.report.results.collect import Cell
from daso.report.tables.speed import PHASES, format_significant, speed_table, time_shares

CPU = {"device": "cpu: made up", "threads": 1, "precision": "bf16", "mode": "eager"}
GPU = {"device": "cuda: made up", "threads": 8, "precision": "bf16", "mode": "graph"}
SHARES = {"augmentation": 0.08, "forward": 0.25, "backward": 0.5, "update": 0.1, "evaluation": 0.05}
TITLES = {"fixmatch": "FixMatch", "supervised": "Supervised"}


def speed(steps, images, memory, **changes):
    return {
        "seconds": 60.0,
        "steps_per_second": steps,
        "images_per_second": images,
        "share": SHARES,
        "peak_memory_mib": memory,
        "replicas": 1,
        **changes,
    }


def cell(*runs, method="fixmatch", setting="s"):
    """Return a cell of done runs, each given as its speed and its provenance."""
    done = {seed: {"speed": speed, "provenance": provenance} for seed, (speed, provenance) in enumerate(runs)}
    return Cell("t", setting, method, f"d/{setting}/p/{method}", tuple(done), done)


def speed_rows(*cells):
    """Return the rows of the table as dictionaries by heading."""
    table = speed_table(cells, TITLES)
    return [dict(zip((column.title for column in table.columns), row, strict=True)) for row in table.rows]


def test_phases_are_the_parts_that_the_stopwatch_measures():
    assert PHASES == STEP_PARTS


def test_medians_of_three_seeds():
    """Steps 4, 9, 5: 5. Images 400, 900, 1500: 900. Memory 300, 310.4, 500: 310.4. Rest: 100 less 98: 2."""
    runs = [(speed(4.0, 400, 300.0), CPU), (speed(9.0, 900, 310.4), CPU), (speed(5.0, 1500, 500.0), CPU)]
    assert speed_rows(cell(*runs)) == [
        {
            **{"Setting": "s", "Device": "cpu: made up, 1 thread", "Method": "FixMatch", "n": "3"},
            **{"Steps/s": "5.00", "Images/s": "900", "Share of a core": "–"},
            **{"Augmentation": "8.0", "Forward": "25.0", "Backward": "50.0", "Update": "10.0"},
            **{"Evaluation": "5.0", "Rest": "2.0", "Memory": "310", "Precision, mode": "bf16, eager"},
        }
    ]


def test_median_of_two_seeds_is_their_mean():
    """Steps 4 and 9: 6.5. Forward 25 % and 35 %: 30 %. Rest 2 % and 12 %: 7 %, the median over the runs' rests."""
    other = {**SHARES, "forward": 0.35, "backward": 0.3}
    (row,) = speed_rows(cell((speed(4.0, 1, 1), CPU), (speed(9.0, 1, 1, share=other), CPU)))
    assert (row["Steps/s"], row["Forward"]) == ("6.50", "30.0")
    assert (row["Backward"], row["Rest"]) == ("40.0", "7.0")


def test_row_of_a_shared_machine_is_faint():
    """58.5, 54 and 60 s of processor time in 60 s: 97.5, 90 and 100 % of a core, so 90; with 53.9 s 89.8, below 90."""
    runs = [(speed(4.0, 1, 1, processor_seconds=seconds), CPU) for seconds in (58.5, 54.0, 60.0)]
    table = speed_table([cell(*runs), cell(*runs, (speed(4.0, 1, 1, processor_seconds=53.9), CPU))], TITLES)
    assert [column.title for column in table.columns] == [
        *("Setting", "Device", "Method", "n", "Steps/s", "Images/s", "Share of a core"),
        *("Augmentation", "Forward", "Backward", "Update", "Evaluation", "Rest", "Memory", "Precision, mode"),
    ]
    alone, shared = table.rows
    assert (alone[6], alone[-1], hasattr(alone, "style")) == ("90.0", "bf16, eager", False)
    assert (shared[6], shared[-1], shared.style) == ("89.8", "bf16, eager, machine was shared", "faint")
    ((_, grouped),) = table.grouped
    assert [getattr(row, "style", "") for row in grouped] == ["", "faint"]


def test_overlapping_phases_leave_no_rest():
    """8 + 25 + 50 + 20 + 5 = 108."""
    shares = time_shares(speed(1, 1, 1, share={**SHARES, "update": 0.2}))
    assert shares is not None
    assert (shares["update"], shares["rest"]) == (pytest.approx(20.0), 0.0)


@pytest.mark.parametrize(
    "other",
    [
        (speed(8.0, 1, 1), GPU),
        (speed(8.0, 1, 1), {**CPU, "threads": 2}),
        (speed(8.0, 1, 1), {**CPU, "precision": "fp32"}),
        (speed(8.0, 1, 1), {**CPU, "mode": "compiled"}),
        (speed(8.0, 1, 1, replicas=4), CPU),
    ],
    ids=["device", "threads", "precision", "mode", "replicas"],
)
def test_runs_in_different_environments_are_not_pooled(other):
    rows = speed_rows(cell((speed(4.0, 1, 1), CPU), other, (speed(6.0, 1, 1), CPU)))
    assert [(row["n"], row["Steps/s"]) for row in rows] == [("2", "5.00"), ("1", "8.00")]


def test_environment_is_printed():
    rows = speed_rows(cell((speed(4.0, 1, 1, replicas=4), GPU), (speed(4.0, 1, 1), {**CPU, "threads": 2})))
    assert [(row["Device"], row["Precision, mode"]) for row in rows] == [
        ("cuda: made up", "bf16, graph, 4 at once"),
        ("cpu: made up, 2 threads", "bf16, eager"),
    ]


def test_rows_are_grouped_by_setting_and_device():
    runs = (speed(4.0, 1, 1), CPU), (speed(8.0, 1, 1), GPU)
    cells = [cell(*runs, method=method, setting=setting) for setting in ("b", "a") for method in TITLES]
    assert [(row["Setting"], row["Device"][:4], row["Method"]) for row in speed_rows(*cells)] == [
        (setting, device, method)
        for setting in ("b", "a")
        for device in ("cpu:", "cuda")
        for method in ("FixMatch", "Supervised")
    ]


def test_missing_values_are_dashes():
    old = {"seconds": 60.0, "steps_per_second": 16.7, "images_per_second": 900.0}
    (row,) = speed_rows(cell((old, {"device": "cpu: made up", "precision": "fp32"})))
    assert list(row.values()) == ["s", "cpu: made up", "FixMatch", "1", "16.7", "900", *8 * ["–"], "fp32, –"]
    (row,) = speed_rows(cell((None, None)))
    assert list(row.values()) == ["s", "unknown", "FixMatch", "1", *10 * ["–"], "–, –"]


def test_no_row_without_a_done_run():
    assert speed_rows(cell()) == []
    assert speed_rows() == []


def test_three_significant_digits():
    values = [0.01234, 8.5678, 16.71, 99.94, 99.96, 1371.4]
    assert [format_significant(value) for value in values] == ["0.0123", "8.57", "16.7", "99.9", "100", "1,371"]
