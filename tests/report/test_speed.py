"""Speeds of the runs of a cell: medians and shares worked by hand, and nothing pooled that ran differently."""

import pytest

from daso.report.collect import Cell
from daso.report.speed import Pace, paces, shares, three_digits

CPU = {"device": "cpu: made up", "threads": 1, "precision": "bf16", "mode": "eager"}
GPU = {"device": "cuda: made up", "threads": 8, "precision": "bf16", "mode": "graph"}
SHARES = {"augmentation": 0.08, "forward": 0.25, "backward": 0.5, "update": 0.1, "evaluation": 0.05}
TITLES = {"fixmatch": "FixMatch", "supervised": "Supervised"}


def speed(steps, images, memory, **more):
    return {
        "seconds": 60.0,
        "steps_per_second": steps,
        "images_per_second": images,
        "share": SHARES,
        "peak_memory_mib": memory,
        "replicas": 1,
        **more,
    }


def cell(*runs, method="fixmatch", setting="s"):
    """The cell of finished runs, each its speed and its provenance."""
    done = {seed: {"speed": fast, "provenance": origin} for seed, (fast, origin) in enumerate(runs)}
    return Cell("t", setting, method, f"d/{setting}/p/{method}", tuple(done), done)


def test_medians_of_three_seeds_by_hand():
    """Steps 4, 9, 5: 5. Images 400, 900, 1500: 900. Memory 300, 310.4, 500: 310.4. Rest: 100 less 98: 2."""
    runs = [(speed(4.0, 400, 300.0), CPU), (speed(9.0, 900, 310.4), CPU), (speed(5.0, 1500, 500.0), CPU)]
    assert paces([cell(*runs)], TITLES) == [
        Pace(
            setting="s",
            method="FixMatch",
            device="cpu: made up, 1 thread",
            how="bf16, eager",
            n="3",
            steps="5.00",
            images="900",
            shares=dict(zip([*SHARES, "rest"], ("8.0", "25.0", "50.0", "10.0", "5.0", "2.0"), strict=True)),
            memory="310",
        )
    ]


def test_the_median_of_two_is_their_middle():
    """Steps 4 and 9: 6.5. Forward 25 % and 35 %: 30 %. Rest 2 % and 12 %: 7 %, of the runs and not of the medians."""
    other = {**SHARES, "forward": 0.35, "backward": 0.3}
    (pace,) = paces([cell((speed(4.0, 1, 1), CPU), (speed(9.0, 1, 1, share=other), CPU))], TITLES)
    assert (pace.steps, pace.shares["forward"]) == ("6.50", "30.0")
    assert (pace.shares["backward"], pace.shares["rest"]) == ("40.0", "7.0")


def test_shares_that_overlap_leave_no_rest():
    """8 + 25 + 50 + 20 + 5 = 108."""
    found = shares(speed(1, 1, 1, share={**SHARES, "update": 0.2}))
    assert found is not None
    assert (found["update"], found["rest"]) == (pytest.approx(20.0), 0.0)


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
def test_runs_that_were_carried_out_differently_are_not_pooled(other):
    found = paces([cell((speed(4.0, 1, 1), CPU), other, (speed(6.0, 1, 1), CPU))], TITLES)
    assert [(pace.n, pace.steps) for pace in found] == [("2", "5.00"), ("1", "8.00")]


def test_how_a_run_was_carried_out_is_told():
    found = paces([cell((speed(4.0, 1, 1, replicas=4), GPU), (speed(4.0, 1, 1), {**CPU, "threads": 2}))], TITLES)
    assert [(pace.device, pace.how) for pace in found] == [
        ("cuda: made up", "bf16, graph, 4 at once"),
        ("cpu: made up, 2 threads", "bf16, eager"),
    ]


def test_of_a_setting_the_rows_of_a_device_stand_together():
    runs = (speed(4.0, 1, 1), CPU), (speed(8.0, 1, 1), GPU)
    cells = [cell(*runs, method=method, setting=setting) for setting in ("b", "a") for method in TITLES]
    assert [(pace.setting, pace.device[:4], pace.method) for pace in paces(cells, TITLES)] == [
        (setting, device, method)
        for setting in ("b", "a")
        for device in ("cpu:", "cuda")
        for method in ("FixMatch", "Supervised")
    ]


def test_what_older_metrics_lack_is_a_dash():
    old = {"seconds": 60.0, "steps_per_second": 16.7, "images_per_second": 900.0}
    (pace,) = paces([cell((old, {"device": "cpu: made up", "precision": "fp32"}))], TITLES)
    assert (pace.device, pace.how, pace.steps, pace.memory) == ("cpu: made up", "fp32, –", "16.7", "–")
    assert set(pace.shares.values()) == {"–"}
    (pace,) = paces([cell((None, None))], TITLES)
    assert (pace.device, pace.how, pace.steps, pace.images) == ("unknown", "–, –", "–", "–")


def test_no_run_has_no_row():
    assert paces([cell()], TITLES) == []
    assert paces([], TITLES) == []


def test_three_digits():
    values = [0.01234, 8.5678, 16.71, 99.94, 99.96, 1371.4]
    assert [three_digits(value) for value in values] == ["0.0123", "8.57", "16.7", "99.9", "100", "1,371"]
