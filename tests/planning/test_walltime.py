"""Wall times worked by hand from measurements that are made up."""

from pathlib import Path

import pytest

from daso.config.resolve import Run
from daso.data.files import checksummed
from daso.planning.walltime import WallTimes

PLACE = ("cifar10-lt", "n500-m4000-l100-u100", "paper")
DAY = 24 * 60
pytestmark = pytest.mark.usefixtures("nowhere")


def measured(run, seconds, device="cuda: H"):
    path = Path("metrics", f"{run.id}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = {"device": device, "threads": 1, "precision": "bf16", "mode": "graph"}
    path.write_bytes(checksummed({"speed": {"steps_per_second": 1 / seconds}, "provenance": origin}))


def test_the_slowest_device_of_the_kind_tells_twice_and_a_start_more(params):
    """250,000 steps of 12 ms: 50 minutes, so 5 + 100 of them; of a CPU, 1.2 s: 5,000, so 5 + 10,000."""
    run = Run(*PLACE, "fixmatch", 0)
    for seed, (seconds, device) in enumerate([(0.012, "cuda: slow"), (0.004, "cuda: fast"), (1.2, "cpu: X")]):
        measured(run._replace(seed=seed), seconds, device)
    times = WallTimes(params, cuda=True)
    assert [times.minutes(run, attempt) for attempt in (1, 2, 3)] == [105, 210, 315]
    assert WallTimes(params, cuda=False).minutes(run) == 10_005


def test_a_part_of_a_minute_is_one(params):
    """50,000 steps of a generation at 6.001 ms: 300.05 s, 10.002 minutes twice, 15.002 with the start: 16."""
    measured(Run(*PLACE, "fixmatch_crest", 0), 0.006001)
    assert WallTimes(params, cuda=True).minutes(Run(*PLACE, "fixmatch_crest.g1", 2)) == 16


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_where_nothing_readable_was_measured_a_day_is_asked_for(params, text):
    run = Run(*PLACE, "fixmatch", 0)
    if text:
        Path("metrics", *PLACE, "fixmatch").mkdir(parents=True)
        Path("metrics", f"{run.id}.json").write_text(text)
    times = WallTimes(params, cuda=True)
    assert (times.minutes(run), times.minutes(run, 2), times.short(run)) == (DAY, 2 * DAY, False)


def test_known_short_runs_that_wait_for_none_share_a_job(params):
    """250,000 steps of 7.2 ms are half an hour. A generation of 50,000 is 6 minutes; the second waits for the first."""
    half, long = Run(*PLACE, "fixmatch", 0), Run(*PLACE, "supervised", 0)
    first, second = (Run(*PLACE, f"fixmatch_crest.g{number}", 0) for number in (1, 2))
    measured(half, 0.0072)
    measured(long, 0.0073)
    measured(Run(*PLACE, "fixmatch_crest", 0), 0.0072)
    times = WallTimes(params, cuda=True)
    assert [times.short(run) for run in (half, long, first, second)] == [True, False, True, False]


def test_files_are_read_once_for_a_method(params):
    run = Run(*PLACE, "fixmatch", 0)
    measured(run, 0.012)
    times = WallTimes(params, cuda=True)
    assert times.minutes(run) == 105
    measured(run, 12.0)
    assert times.minutes(run._replace(seed=1)) == 105
