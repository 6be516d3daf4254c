"""Time of a run by stage."""

import pytest
import torch

from daso.engine import stopwatch
from daso.engine.stopwatch import STEP_PARTS, RunTime, Stopwatch
from tests.engine.fakes import Event, fakes  # noqa: F401 - a fixture
from tests.engine.world import trainer


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by a list of times."""
    times = []
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: times.pop(0))
    return times


def test_time_between_two_steps_belongs_to_no_stage(clock):
    """Forward 10-12 and 20-21, backward 12-15 and 21-25; 15-20 is not counted."""
    clock += [10.0, 12.0, 15.0, 20.0, 21.0, 25.0]
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        watch.start_step()
        watch.lap("forward")
        watch.lap("backward")
    assert watch.read() == {"augmentation": 0, "forward": 3.0, "backward": 7.0, "update": 0, "evaluation": 0}


def test_run_time_is_summed_over_resumptions(monkeypatch):
    """Clock 100 to 104 to 110, then 500 to 503: 13 s. Processor 7 to 9 to 12, then 1 to 2.5: 6.5 s."""
    wall, processor = [100.0, 104.0, 110.0, 500.0, 503.0], [7.0, 9.0, 12.0, 1.0, 2.5]
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: wall.pop(0))
    monkeypatch.setattr(stopwatch.time, "process_time", lambda: processor.pop(0))
    first = RunTime()
    first.start()
    first.update()
    assert (first.wall, first.processor) == (4.0, 2.0)
    first.update()
    resumed = RunTime(first.wall, first.processor)
    resumed.start()
    resumed.update()
    assert (resumed.wall, resumed.processor) == (13.0, 6.5)


def test_parts_outside_of_steps(clock):
    clock += [1.0, 1.5, 3.0, 7.0]
    watch = Stopwatch(torch.device("cpu"))
    with watch.measure("augmentation"):
        pass
    with watch.measure_host("evaluation"):
        pass
    assert watch.read() == {"augmentation": 0.5, "forward": 0, "backward": 0, "update": 0, "evaluation": 4.0}


def test_every_stage_of_a_run_is_counted_and_none_twice(tmp_path):
    run = trainer()
    list(run.fit(scratch=tmp_path / "state.pt", on_step=lambda t: None, on_evaluation=lambda row: None))
    seconds = run.stopwatch.read()
    assert set(seconds) == set(STEP_PARTS)
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) < run.time.wall
    resumed = trainer()
    resumed.restore(tmp_path / "state.pt")
    assert resumed.stopwatch.seconds["forward"] == torch.load(tmp_path / "state.pt")["stages"]["forward"]
    assert resumed.stopwatch.seconds["forward"] > 0
    assert (resumed.time.wall, resumed.time.processor) == (run.time.wall, run.time.processor)
    assert run.time.processor > 0


def test_parts_of_replays_add_up_to_their_time(fakes):  # noqa: F811
    """Two sampled steps of 6, 3 and 1 ms; then two spans of replays, 20 and 30 ms, with 5 ms between them.

    So forward is 0.6 x 50 ms = 30 ms, backward 15 ms, update 5 ms.
    """
    watch = Stopwatch(torch.device("cuda"))

    def step():
        watch.start_step()
        for stage, ms in (("forward", 6.0), ("backward", 3.0), ("update", 1.0)):
            Event.clock += ms
            watch.lap(stage)

    watch.sample(step, 2)
    assert watch.read() == dict.fromkeys(STEP_PARTS, 0.0)
    for span, gap in ((20.0, 5.0), (30.0, 0.0)):
        for _ in range(4):
            watch.start_span()
            Event.clock += span / 4
        watch.end_span()
        Event.clock += gap
    seconds = watch.read()
    assert seconds == pytest.approx(
        {"augmentation": 0, "forward": 0.030, "backward": 0.015, "update": 0.005, "evaluation": 0}
    )
    assert sum(seconds.values()) == pytest.approx(0.050)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_sampled_proportions_hold_for_later_steps():
    watch, x = Stopwatch(torch.device("cuda")), torch.randn(2048, 2048, device="cuda")

    def step():
        watch.start_step()
        for _ in range(20):
            x @ x
        watch.lap("forward")
        x @ x
        watch.lap("backward")

    step()
    watch.sample(step, 5)
    assert watch.read() == dict.fromkeys(STEP_PARTS, 0.0)
    watch.start_span()
    step()
    step()
    watch.end_span()
    assert watch.read()["forward"] > 5 * watch.read()["backward"] > 0
