"""Compare two weak and two strong views, with DebiasPL, with numbers computed independently."""

import pytest
import torch

import daso.methods.learners.multi_view as multi_view
from daso.methods.addons.cld import CLD
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
    """Return a learner for one image with LOGITS; its mean is updated from (.5, .3, .2) to (.48, .31, .21)."""
    outs = {
        name: Output(torch.tensor([row[:2]]), torch.tensor([row], requires_grad=True), {})
        for name, row in LOGITS.items()
    }
    monkeypatch.setattr(multi_view, "forward_jointly", lambda network, **images: {name: outs[name] for name in images})
    debias = Debias(env, strength=0.4, momentum=0.9, margin="updated")
    debias.mean.commit(torch.tensor([0.5, 0.3, 0.2]))
    monkeypatch.setattr(debias, "updated", lambda step: torch.tensor([0.48, 0.31, 0.21]))
    return MultiView(env, [debias], threshold=0.4, weight=2.0)


@pytest.fixture
def views(batch):
    image = batch.x["weak"][:1]
    return batch._replace(x={"weak": image}, y=batch.y[:1], u={name: image for name in LOGITS if name != "labeled"})


def test_consistency_loss_is_the_mean_of_six_terms(learner, views, models):
    """Pseudo-labels 0, 2 and, of the mean, 2, with confidences .58936, .524955 and .477594.

    Losses of both strong views: .372687 and 1.287676 for class 0, 1.703358 and .818347 for class 2; their mean is
    (.372687 + 1.287676 + 2 (1.703358 + .818347)) / 6.
    """
    losses, step = learner.step(views, models)
    assert losses["consistency"].item() == pytest.approx(2 * 1.117295, abs=1e-5)
    assert step.targets[0].tolist() == pytest.approx([0.299539, 0.222867, 0.477594], abs=1e-5)
    assert step.out["weak"].logits[0].tolist() == pytest.approx([1.0, 0.5, 1.1])
    assert step.out["weak"].features[0].tolist() == pytest.approx([1.0, 0.5])


def test_each_pseudo_label_is_compared_with_the_threshold(learner, views, models):
    """At .55 only the first view reaches it: (.372687 + 1.287676) / 6."""
    learner.threshold = 0.55
    losses, step = learner.step(views, models)
    assert losses["consistency"].item() == pytest.approx(2 * (0.372687 + 1.287676) / 6, abs=1e-5)
    assert step.mask.tolist() == [False]  # mask of the mean view


def test_weak_views_have_no_gradient(learner, views, models):
    losses, _ = learner.step(views, models)
    sum(losses.values()).backward()
    outs = multi_view.forward_jointly(None, weak=None, weak2=None, strong=None, strong2=None)
    has_gradient = {name: out.logits.grad is not None for name, out in outs.items()}
    assert has_gradient == {"weak": False, "weak2": False, "strong": True, "strong2": True}


def test_addons_read_the_mean_logits_of_both_views(env, batch, models, monkeypatch):
    """CLD of two images in the groups of classes 0 and 1, at temperature .5.

    Exponents of logits: mean weak views (6, 2, 2) and (1, 8, 1), mean strong views (4, 2, 1) and (2, 4, 2).
    Products with centres (.6, .2, .2), (.1, .8, .1), 0: of (4, 2, 1) / 7 .428571, .3, 0; of (1, 2, 1) / 4 .3, .45, 0.
    Losses log(e^.857143 + e^.6 + 1) - .857143 = .787380 and log(e^.6 + e^.9 + 1) - .9 = .764252, mean .775816.
    With the mean of both softmaxes it would be .794371, with the first strong view .790757, with the second .842071.
    """
    exponents = {
        "labeled": [[1.0, 1, 1], [1, 1, 1]],
        "weak": [[12.0, 2, 4], [1, 16, 1]],
        "weak2": [[3.0, 2, 1], [1, 4, 1]],
        "strong": [[8.0, 1, 1], [1, 1, 2]],
        "strong2": [[2.0, 4, 1], [4, 16, 2]],
    }
    outs = {name: Output(torch.zeros(2, 2), torch.tensor(rows).log(), {}) for name, rows in exponents.items()}
    monkeypatch.setattr(multi_view, "forward_jointly", lambda network, **images: {name: outs[name] for name in images})
    learner = MultiView(env, [CLD(env, weight=1.0, temperature=0.5, group="likeliest")], threshold=0.5, weight=1.0)
    batch = batch._replace(u=dict.fromkeys(learner.views.u, batch.x["weak"]))
    assert learner.step(batch, models)[0]["cld"].item() == pytest.approx(0.775816, abs=1e-6)
