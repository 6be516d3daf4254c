"""What a run costs: its seconds put together by hand, its bytes beside those that it really writes."""

import pytest
import torch

from daso.engine import checkpoint
from daso.planning import pace
from daso.planning.synthetic import random_data, trainer
from daso.report import sizes
from tests.configs import CPU, DASO, config

IMAGES = {"unlabeled": 300, "validation": 40, "test": 60}


def test_a_step_pays_its_share_of_the_evaluations(monkeypatch):
    """Steps of 0.5 s. 2,000 images evaluated in 3 s: 10,000 in 15 s, every 1,000 steps: 0.015 s a step."""
    asked = []
    monkeypatch.setattr(pace, "advance", lambda run, steps: asked.append(steps) or 0.5)
    monkeypatch.setattr(pace, "timed", lambda work, units, device: 3.0)
    found = pace.seconds_per_step(config(DASO), CPU, {"unlabeled": 300, "validation": 2000, "test": 8000})
    assert found == pytest.approx(0.515)
    assert asked[-1] == 4  # of 2 seconds


@pytest.mark.parametrize("steps", [3, 60])
def test_steps_are_taken_from_the_middle_of_the_run_and_no_more_than_there_are(steps, monkeypatch):
    tree, taken = config(DASO), []
    tree["protocol"]["steps"] = steps
    monkeypatch.setattr(pace, "SECONDS", 0.05)
    real = pace.advance
    monkeypatch.setattr(pace, "advance", lambda run, n: taken.append((run.t, n)) or real(run, n))
    assert pace.seconds_per_step(tree, CPU, IMAGES) > 0
    assert taken[0] == (0, 2)
    assert taken[1][0] == max(2, steps // 2)
    assert all(first + n <= steps for first, n in taken)


def test_what_other_runs_lend_is_made_up():
    """An encoder, which trains no more, and an estimate of the classes' sizes."""
    tree = config({"name": "darp", "start": 0.0, "period": 2, "alpha": 2.0, "sweeps": 2, "prior": "estimated"})
    tree["plan"] = {"estimate": {"of": "r", "into": "darp.estimate"}, "encoder": {"of": "r", "statistics": "kept"}}
    assert pace.seconds_per_step(tree, CPU, IMAGES) > 0
    run = trainer(tree, CPU, "auto")
    assert {name.split(".")[0] for name in run.momentum} == {"classifier"}


def test_bytes_are_those_that_a_run_writes():
    """Its weights and its state as they are saved, but for the names and frames: 5 %, or 24 kB."""
    tree = config(DASO)
    tree["setting"] |= {"n1": 100, "m1": 75, "gamma_l": 1, "gamma_u": 1}
    run = trainer(tree, CPU, "auto", random_data(tree, CPU, unlabeled=300, test=60))
    weights, state = (len(checkpoint.dump(part)) for part in (run.weights(), run.state()))
    found = sizes.bytes_of(tree, IMAGES)
    predictions, numbers = 60 * (4 * 4 + 8), 1 * (8 + 4 * 3)  # four classes; one evaluation
    assert found.results - predictions - sizes.NUMBER * numbers == pytest.approx(weights, rel=0.05, abs=24_000)
    assert found.state == pytest.approx(state, rel=0.05, abs=24_000)
    assert found.events == sizes.EVENT * numbers
    tree["plan"] = {"answers": True}
    assert sizes.bytes_of(tree, IMAGES).results - found.results == 300 * 4 * 4


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_as_many_at_once_as_are_asked_for():
    """Two processes; each waits for the other, so that one alone would never end."""
    threads = torch.get_num_threads()
    found = list(pace.seconds_at_once([(config(), IMAGES), (config(DASO), IMAGES)], CPU, 2))
    assert len(found) == 2
    assert min(found) > 0
    assert torch.get_num_threads() == threads
