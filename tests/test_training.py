"""What a training says at its start."""

import logging

import pytest
import torch

import daso.training as training
from daso.engine.environment import choose_device
from daso.engine.progress import Stop
from daso.engine.resident import Resident
from daso.errors import DasoError, DivergedError
from daso.training import Data, Job, Way
from tests.engine.world import CONFIG, CPU, SUPERVISED, pool

SAYS = "tiny: classes of the unlabeled images unknown: no pseudo-label recall or precision"


@pytest.fixture
def said(tmp_path, monkeypatch, caplog):
    """The lines that the training of a run says, given its method and the labels of its unlabeled images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "write_run", lambda *results: None)
    monkeypatch.setattr(training, "describe", lambda device: {})
    caplog.set_level(logging.INFO)

    def train(method, labels, resume=None):
        resident = Resident(pool([0] * 6 + [1] * 3, 0), pool(labels, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
        job = Job({**CONFIG, "method": method}, *(tmp_path / name for name in ("store", "split", "out", "scratch")))
        data = Data(None, None, resident, training.Lent())
        with Stop() as stop:
            list(training._course(job, data, Way(CPU, resume=resume), stop, []))
        return [record.getMessage() for record in caplog.records]

    return train


def test_that_unlabeled_classes_are_unknown_is_said_once(said):
    assert said(CONFIG["method"], [-1] * 16) == [SAYS]


def test_one_unknown_class_is_enough(said):
    assert said(CONFIG["method"], [0, 1] * 7 + [0, -1]) == [SAYS]


@pytest.mark.parametrize("method", [CONFIG["method"], SUPERVISED], ids=["known", "not read"])
def test_nothing_is_said_where_they_are_known_or_not_read(said, method):
    assert said(method, [0, 1] * 8 if method is not SUPERVISED else [-1] * 16) == []


def test_a_resumed_training_does_not_say_it_again(said, tmp_path, monkeypatch):
    kept = tmp_path / "kept.pt"
    stop = training.Progress.on_step

    def copy(self, t):
        if t == 2:
            kept.write_bytes((tmp_path / "scratch" / "k.pt").read_bytes())
        stop(self, t)

    monkeypatch.setattr(training.Progress, "on_step", copy)
    said(CONFIG["method"], [-1] * 16)
    assert torch.load(kept, weights_only=True)["t"] == 2
    assert said(CONFIG["method"], [-1] * 16, resume=kept) == [SAYS, "tiny: resumes at step 2 of 6"]


def test_a_run_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = []
    resident = Resident(pool([0] * 6 + [1] * 3, 0), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    monkeypatch.setattr(training, "check_code", lambda config: None)
    monkeypatch.setattr(training, "_load", lambda jobs, _: [Data(None, None, resident, training.Lent()) for _ in jobs])
    monkeypatch.setattr(training, "write_run", lambda out, *rest: ended.append(out.name))
    monkeypatch.setattr(training, "describe", lambda device: {})
    wild = {"run": "wild", "optimizer": {**CONFIG["optimizer"], "lr": 1e30, "warmup": 0}}
    jobs = [
        Job({**CONFIG, **changes}, tmp_path, tmp_path, tmp_path / changes["run"], tmp_path / "scratch" / changes["run"])
        for changes in (wild, {"run": "calm"})
    ]
    with pytest.raises(DivergedError, match="^wild: loss_[a-z]+ is (nan|inf) at step"):
        training.train(jobs, Way(CPU))
    assert ended == ["calm"]


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "xpu"])
def test_a_device_that_is_none(name):
    with pytest.raises(DasoError, match=rf"device '{name}': choose auto, cpu, cuda or cuda:N"):
        choose_device(name)
