"""Wall times computed by hand from made-up measurements."""

from pathlib import Path

import pytest

from daso.config.resolve import Run
from daso.data.files import checksummed
from daso.planning.walltime import WallTimes

PLACE = ("cifar10-lt", "n500-m4000-l100-u100", "paper")
DAY = 24 * 60
pytestmark = pytest.mark.usefixtures("nowhere")


def write_metrics(run, seconds, device="cuda: H"):
    path = Path("metrics", f"{run.id}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = {"device": device, "threads": 1, "precision": "bf16", "mode": "graph"}
    path.write_bytes(checksummed({"speed": {"steps_per_second": 1 / seconds}, "provenance": origin}))


def test_wall_time_is_start_up_plus_twice_the_slowest_device(params):
    """250,000 steps of 12 ms: 50 minutes, so 5 + 100 minutes; 1.2 s on a CPU: 5,000 minutes, so 5 + 10,000."""
    run = Run(*PLACE, "fixmatch", 0)
    for seed, (seconds, device) in enumerate([(0.012, "cuda: slow"), (0.004, "cuda: fast"), (1.2, "cpu: X")]):
        write_metrics(run._replace(seed=seed), seconds, device)
    times = WallTimes(params, cuda=True)
    assert [times.minutes(run, attempt) for attempt in (1, 2, 3)] == [105, 210, 315]
    assert WallTimes(params, cuda=False).minutes(run) == 10_005


def test_wall_time_is_rounded_up_to_a_minute(params):
    """50,000 steps of a generation at 6.001 ms: 300.05 s, 10.002 minutes twice, 15.002 with the start: 16."""
    write_metrics(Run(*PLACE, "fixmatch_crest", 0), 0.006001)
    assert WallTimes(params, cuda=True).minutes(Run(*PLACE, "fixmatch_crest.g1", 2)) == 16


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_wall_time_without_readable_measurements_is_a_day(params, text):
    run = Run(*PLACE, "fixmatch", 0)
    if text:
        Path("metrics", *PLACE, "fixmatch").mkdir(parents=True)
        Path("metrics", f"{run.id}.json").write_text(text)
    times = WallTimes(params, cuda=True)
    assert (times.minutes(run), times.minutes(run, 2), times.short(run)) == (DAY, 2 * DAY, False)


def test_known_short_runs_without_upstream_runs_share_a_job(params):
    """250,000 steps of 7.2 ms are half an hour. A generation of 50,000 is 6 minutes; the second loads the first."""
    half, long = Run(*PLACE, "fixmatch", 0), Run(*PLACE, "supervised", 0)
    first, second = (Run(*PLACE, f"fixmatch_crest.g{number}", 0) for number in (1, 2))
    write_metrics(half, 0.0072)
    write_metrics(long, 0.0073)
    write_metrics(Run(*PLACE, "fixmatch_crest", 0), 0.0072)
    times = WallTimes(params, cuda=True)
    assert [times.short(run) for run in (half, long, first, second)] == [True, False, True, False]


def test_measurements_are_read_once_for_a_method(params):
    run = Run(*PLACE, "fixmatch", 0)
    write_metrics(run, 0.012)
    times = WallTimes(params, cuda=True)
    assert times.minutes(run) == 105
    write_metrics(run, 12.0)
    assert times.minutes(run._replace(seed=1)) == 105
