"""Logits of a blank image, and what methods add to all logits, become biases of a model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daso.data.features import Features
from daso.deploy import assemble
from daso.errors import DasoError
from daso.methods.addons.cdmad import CDMAD
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.base import Trained

WEIGHT = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
OPTIONS = {"name": "cdmad", "colour": "zeros", "mode": "evaluation", "warmup": 0}
CONFIG = {
    "run": "flowers/all/photos/cdmad/s0",
    "plan": {"features": {"key": "k"}},
    "method": {"name": "cdmad", "learner": {"name": "fixmatch"}, "addons": [OPTIONS]},
    "protocol": {"network": {"name": "timm", "train": "head"}, "evaluation": {}},
    "dataset": {},
}


@pytest.fixture
def weights(monkeypatch):
    """Return a function of the final state of a run's classifier on features; the blank ones are (0, 2) for zeros.

    Mean 0, deviation 1 and norm 5 make (0, 5) of it.
    """
    blanks = np.array([[3, 4], [0, 2], [1, 0], [-4, 3]], np.float16)
    features = Features(None, {}, np.zeros(2, np.float32), np.ones(2, np.float32), blanks, "")

    def of_state(config=CONFIG, **state):
        saved = {"teacher": {f"classifier.{name}": each for name, each in state.items()}, "learner": {}}
        monkeypatch.setattr(assemble, "load_checkpoint", lambda path, key: saved)
        run = SimpleNamespace(read=lambda name: b"", folder=assemble.Path("runs"), key="k")
        provenance = {"fit": {"weight_decay": 0.002, "tau": 2.0}}
        run.result = {"counts": {"labeled": [3, 1]}, "classes": ["rose", "tulip"], "provenance": provenance}
        return assemble._weights(run, config, features)

    return of_state


def test_biases_lose_the_logits_of_the_blank_features(weights):
    """(1, 2) and (3, 4) times (0, 5), and the biases: (10.5, 21). The new biases are (.5, 1) - (10.5, 21)."""
    result = weights(weight=WEIGHT, bias=torch.tensor([0.5, 1.0]))
    assert result["classifier.bias"].tolist() == pytest.approx([-10, -20], abs=1e-4)
    assert torch.equal(result["classifier.weight"], WEIGHT)


def test_head_without_biases_is_refused(weights):
    with pytest.raises(DasoError) as error:
        weights(weight=WEIGHT)
    assert str(error.value) == (
        "flowers/all/photos/cdmad/s0: its evaluated head has no biases, to which 'cdmad' adds; name a run of another "
        "method or network"
    )


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        ({"weight_decay": "optimizer.weight_decay", "tau": "logit_adjustment.tau"}, [1.075364, 3.772589]),
        ({"weight_decay": "optimizer.weight_decay"}, [0.787682, 2.386294]),  # an ablation sets tau
    ],
)
def test_logit_adjustment_has_the_tau_that_the_run_had(weights, into, expected):
    """The method has tau 1, the fit 2: (.5, 1) - tau log(.75, .25)."""
    addon = {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised", "eval"]}
    method = {"name": "fixmatch_la", "learner": {"name": "fixmatch"}, "addons": [addon]}
    config = CONFIG | {"method": method, "plan": {"features": {"key": "k"}, "fit": {"into": into}}}
    result = weights(config, weight=WEIGHT, bias=torch.tensor([0.5, 1.0]))
    assert result["classifier.bias"].tolist() == pytest.approx(expected, abs=1e-5)


def test_shifts_of_logit_adjustment_and_of_cdmad():
    """- 2 log(.75, .25) = (.575364, 2.772589) for the role eval, none for others; the blank image's logits are lost."""
    trained = Trained([3, 1], {}, lambda colour: torch.tensor([1.0, -2.0]) if colour == "zeros" else None)
    shift = LogitAdjustment.evaluation_shift({"tau": 2.0, "roles": ["supervised", "eval"]}, trained)
    assert shift.tolist() == pytest.approx([0.575364, 2.772589], abs=1e-6)
    assert LogitAdjustment.evaluation_shift({"tau": 2.0, "roles": ["supervised"]}, trained) is None
    assert CDMAD.evaluation_shift(OPTIONS, trained).tolist() == [-1, 2]
