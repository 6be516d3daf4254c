"""Two weak and two strong views, with DebiasPL, against numbers worked out apart from it."""

import pytest
import torch

import daso.methods.learners.multi_view as multi_view
from daso.errors import ParamsError
from daso.methods.addons.debias import Debias
from daso.methods.learners.multi_view import MultiView
from daso.records import Output

LOGITS = {
    "weak": [2.0, 0.0, 1.0],
    "weak2": [0.0, 1.0, 1.2],
    "strong": [1.5, 0.0, 0.5],
    "strong2": [0.2, 0.4, 1.0],
    "labeled": [0.0, 0.0, 0.0],
}


@pytest.fixture
def learner(env, monkeypatch):
    """One unlabeled image, whose views have the logits above; the mean goes from (.5, .3, .2) to (.48, .31, .21)."""
    outs = {
        name: Output(torch.tensor([row[:2]]), torch.tensor([row], requires_grad=True), {})
        for name, row in LOGITS.items()
    }
    monkeypatch.setattr(multi_view, "joint", lambda network, **images: {name: outs[name] for name in images})
    debias = Debias(env, strength=0.4, momentum=0.9)
    debias.mean.copy_(torch.tensor([0.5, 0.3, 0.2]))
    monkeypatch.setattr(debias, "updated", lambda step: torch.tensor([0.48, 0.31, 0.21]))
    return MultiView(env, [debias], threshold=0.4, weight=2.0)


@pytest.fixture
def views(batch):
    one = batch.x["weak"][:1]
    return batch._replace(x={"weak": one}, y=batch.y[:1], u={name: one for name in LOGITS if name != "labeled"})


def test_six_terms(learner, views, models):
    """Labels 0, 2 and, of the mean, 2, at .58936, .524955 and .477594; losses of both strong views by class:

    of class 0 .372687 and 1.287676, of class 2 1.703358 and .818347; (.372687 + 1.287676 + 2 (1.703358 + .818347)) / 6.
    """
    losses, step = learner.step(views, models)
    assert losses["consistency"].item() == pytest.approx(2 * 1.117295, abs=1e-5)
    assert step.targets[0].tolist() == pytest.approx([0.299539, 0.222867, 0.477594], abs=1e-5)
    assert step.out["weak"].logits[0].tolist() == pytest.approx([1.0, 0.5, 1.1])
    assert step.out["weak"].features[0].tolist() == pytest.approx([1.0, 0.5])


def test_each_guess_has_to_reach_the_threshold_by_itself(learner, views, models):
    """At .55 only the first view does: (.372687 + 1.287676) / 6."""
    learner.threshold = 0.55
    losses, step = learner.step(views, models)
    assert losses["consistency"].item() == pytest.approx(2 * (0.372687 + 1.287676) / 6, abs=1e-5)
    assert step.mask.tolist() == [False]  # the one of the mean


def test_the_weak_views_do_not_learn(learner, views, models):
    losses, step = learner.step(views, models)
    sum(losses.values()).backward()
    assert step.out["strong"].logits.grad.abs().sum() > 0
    outs = multi_view.joint(None, weak=None, weak2=None)
    assert all(out.logits.grad is None for out in outs.values())


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"weight": -1.0}])
def test_impossible_options(env, options):
    with pytest.raises(ParamsError, match="learner 'multi_view'"):
        MultiView(env, **{"threshold": 0.5, "weight": 1.0} | options)
