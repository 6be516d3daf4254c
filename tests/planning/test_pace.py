"""Measured seconds of a step, computed by hand; estimated bytes of a run against the bytes that it writes."""

import pytest
import torch

from daso.engine import checkpoint
from daso.planning import pace, sizes
from daso.planning.synthetic import random_data, trainer
from tests.configs import CPU, DASO, config

IMAGES = {"unlabeled": 300, "validation": 40, "test": 60}


def test_seconds_per_step_include_a_share_of_the_evaluations(monkeypatch):
    """Steps of 0.5 s. 2,000 images evaluated in 3 s: 10,000 in 15 s, every 1,000 steps: 0.015 s per step."""
    steps_of_calls = []
    monkeypatch.setattr(pace, "advance", lambda run, steps: steps_of_calls.append(steps) or 0.5)
    monkeypatch.setattr(pace, "seconds_per_unit", lambda work, units, device: 3.0)
    seconds = pace.seconds_per_step(config(DASO), CPU, {"unlabeled": 300, "validation": 2000, "test": 8000})
    assert seconds == pytest.approx(0.515)
    assert steps_of_calls[-1] == 4  # in 2 seconds


@pytest.mark.parametrize("steps", [3, 60])
def test_measured_steps_start_in_the_middle_of_the_run_and_end_with_it(steps, monkeypatch):
    tree, calls = config(DASO), []
    tree["protocol"]["steps"] = steps
    monkeypatch.setattr(pace, "SECONDS", 0.05)
    real = pace.advance
    monkeypatch.setattr(pace, "advance", lambda run, n: calls.append((run.t, n)) or real(run, n))
    assert pace.seconds_per_step(tree, CPU, IMAGES) > 0
    assert calls[0] == (0, 2)
    assert calls[1][0] == max(2, steps // 2)
    assert all(first + n <= steps for first, n in calls)


def test_upstream_results_are_synthetic():
    """The plan has a frozen encoder and an estimate of class sizes."""
    tree = config({"name": "darp", "start": 0.0, "period": 2, "alpha": 2.0, "sweeps": 2, "prior": "estimated"})
    tree["plan"] = {"estimate": {"of": "r", "into": "darp.estimate"}, "encoder": {"of": "r", "statistics": "frozen"}}
    assert pace.seconds_per_step(tree, CPU, IMAGES) > 0
    run = trainer(tree, CPU, "auto")
    assert {name.split(".")[0] for name in run.optimizer.state["momentum"]} == {"classifier"}


def test_estimated_bytes_are_those_that_a_run_writes():
    """Saved weights and checkpoint, except for names and framing: 5 %, or 24 kB."""
    tree = config(DASO)
    tree["setting"] |= {"n1": 100, "m1": 75, "gamma_l": 1, "gamma_u": 1}
    run = trainer(tree, CPU, "auto", random_data(tree, CPU, unlabeled=300, test=60))
    weights, state = (len(checkpoint.dump(part)) for part in (run.weights(), run.state()))
    estimated = sizes.file_sizes(tree, IMAGES)
    predictions, numbers = 60 * (4 * 4 + 8), 1 * (8 + 4 * 3)  # four classes; one evaluation
    assert estimated.results - predictions - sizes.NUMBER_BYTES * numbers == pytest.approx(
        weights, rel=0.05, abs=24_000
    )
    assert estimated.state == pytest.approx(state, rel=0.05, abs=24_000)
    assert estimated.events == sizes.EVENT_BYTES * numbers
    tree["plan"] = {"predictions": True}
    assert sizes.file_sizes(tree, IMAGES).results - estimated.results == 300 * 4 * 4


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_number_of_processes_at_once():
    """Each of two processes waits for the other, so one process alone would never end."""
    threads = torch.get_num_threads()
    seconds = list(pace.seconds_at_once([(config(), IMAGES), (config(DASO), IMAGES)], CPU, 2))
    assert len(seconds) == 2
    assert min(seconds) > 0
    assert torch.get_num_threads() == threads
