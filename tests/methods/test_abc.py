import pytest
import torch
from torch import nn

from daso.draw import Draw
from daso.methods.addons.abc import ABC
from daso.methods.addons.daso import DASO
from daso.methods.addons.logit_adjustment import LogitAdjustment
from tests.methods.conftest import DASO_OPTIONS, fixmatch

OPTIONS = {"threshold": 0.95, "epochs": 10, "targets": "refined"}
PROTOTYPES = torch.tensor([[1.0, 0], [0.6, 0.8], [0, -1]])


class FixedDraw(Draw):
    """Fixed uniform numbers."""

    def __call__(self, name):
        return self._replace(stream=name)

    def uniform(self, *shape):
        return torch.tensor({"labeled": [0.1, 0.6], "unlabeled": [0.5, 0.8, 0.9, 0.7, 0.7]}[self.stream])


@pytest.fixture
def models(models):
    """Add a balanced head that weighs the second feature more than the classifier does."""
    for network in models:
        network.heads["balanced"] = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            network.heads["balanced"].weight.copy_(torch.tensor([[1.0, 0], [0, 2], [-1, -1]]))
    return models


@pytest.fixture
def batch(batch):
    return batch._replace(draw=FixedDraw(0, "step", batch.t))


def daso(env):
    """Return DASO with PROTOTYPES and a published histogram of (6, 3, 1)."""
    addon = DASO(env, **DASO_OPTIONS)
    addon.histogram.published.copy_(torch.tensor([6, 3, 1]))
    addon.queue.prototypes = lambda queue: PROTOTYPES
    return addon


def test_sampling_shares_of_a_long_tail(env):
    counts = (500, 299, 179, 107, 64, 38, 23, 13, 8, 5)
    addon = ABC(env._replace(num_classes=10, counts=counts, steps=250_000), **(OPTIONS | {"epochs": 500}))
    expected = [0.01, 0.016722, 0.027933, 0.046729, 0.078125, 0.131579, 0.217391, 0.384615, 0.625, 1]
    assert addon.rarity.tolist() == pytest.approx(expected, abs=1e-5)
    for t, share in ((0, 1), (499, 1), (500, 0.99802), (125_000, 0.505), (125_499, 0.505), (249_999, 0.01198)):
        shares = addon.share(torch.tensor(t))
        assert shares[[0, 9]].tolist() == pytest.approx([share, 1], abs=1e-5), t


def test_sampling_shares_change_after_each_epoch(env):
    """Counts (7, 2, 1), ten epochs of 100 steps: half-way 1 - (1 - 1/7) / 2 = 4/7 and 1 - (1 - 1/2) / 2 = 3/4."""
    addon = ABC(env, **OPTIONS)
    for t in (500, 599):
        assert addon.share(torch.tensor(t)).tolist() == pytest.approx([4 / 7, 3 / 4, 1])
    assert addon.share(torch.tensor(99)).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("threshold", "unlabeled"), [(0.95, 0.211297), (0.5, 0.365335), (0.995, 0.005114)])
def test_losses_of_a_step(env, batch, models, threshold, unlabeled):
    """Of the labeled images only the first is sampled: .1 < 1/7, but .6 >= 1/2; its loss, .142932, over two images.

    The head's predictions are 0 1 2 1 1 with confidences .952390 .998865 .998424 .658347 .993262. At step 500 the
    shares are (4/7, 3/4, 1): the second image is not sampled, .8 >= 3/4. The soft cross-entropies of the strong view
    are .697479 .025166 .025572 .770189 .333436, so (.697479 + .025572 + .333436) / 5 = .211297; with threshold .5 also
    the fourth, .365335, and with .995 the third alone.
    """
    losses, step = fixmatch(env, ABC(env, **(OPTIONS | {"threshold": threshold}))).step(batch, models)
    assert losses["abc_labeled"].item() == pytest.approx(0.071466, abs=1e-6)
    assert losses["abc_unlabeled"].item() == pytest.approx(unlabeled, abs=1e-6)
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-6)  # the main head's losses are unchanged
    assert losses["consistency"].item() == pytest.approx(0.097170, abs=1e-6)
    assert step.targets.argmax(-1).tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("threshold", "targets", "unlabeled"),
    [(0.95, "refined", 0.209843), (0.85, "refined", 0.359242), (0.95, "raw", 0.211297), (0.85, "raw", 0.211297)],
)
def test_daso_blends_pseudo_labels_of_the_balanced_head(env, batch, models, threshold, targets, unlabeled):
    """DASO's v = (1, .629961, .302853), by the head's own classes 0 1 2 1 1, not by the classifier's 0 1 2 0 1.

    Blended confidences .997410 .999580 .998901 .861559 .997505: the fourth image has v = .629961; by the classifier's
    class it would be 1 and the confidence .980926. Soft cross-entropies .696510 .022278 .023596 .746994 .329108; with
    threshold .85 also the fourth, (.696510 + .023596 + .746994 + .329108) / 5.
    """
    addon = ABC(env, threshold=threshold, epochs=10, targets=targets)
    for chain in ([addon, daso(env)], [daso(env), addon]):
        losses, step = fixmatch(env, *chain).step(batch, models)
        assert losses["abc_unlabeled"].item() == pytest.approx(unlabeled, abs=1e-6)
        assert losses["consistency"].item() == pytest.approx(0.445499, abs=1e-5)  # equal to DASO alone
        assert losses["alignment"].item() == pytest.approx(0.277961, abs=1e-5)
        assert step.targets.argmax(-1).tolist() == [0, 1, 2, 1, 1]


def test_daso_counts_pseudo_labels_of_the_classifier(env, batch, models):
    """In warm-up DASO's pseudo-labels are 0 1 2 0 1, and the balanced head's are 0 1 2 1 1."""
    blend = daso(env)
    learner = fixmatch(env, ABC(env, **OPTIONS), blend)
    _, step = learner.step(batch._replace(t=torch.tensor(50)), models)
    learner.commit(step)
    assert blend.histogram.counts.tolist() == [2, 2, 1]


def test_balanced_head_has_gradient_for_the_encoder_but_not_for_weak_view_or_classifier(env, batch, models):
    batch = batch._replace(x={"weak": batch.x["weak"].float()})
    for images in (*batch.x.values(), *batch.u.values()):
        images.requires_grad_(True)
    losses, _ = fixmatch(env, ABC(env, **OPTIONS)).step(batch, models)
    inputs = [batch.x["weak"], batch.u["strong"], batch.u["weak"], models.student.classifier.weight]
    total = losses["abc_labeled"] + losses["abc_unlabeled"]
    labeled, strong, weak, classifier = torch.autograd.grad(total, inputs, allow_unused=True)
    assert labeled.any()
    assert strong.any()
    assert weak is None or not weak.any()
    assert classifier is None or not classifier.any()


def test_balanced_head_of_the_teacher_is_evaluated(env, batch, models):
    with torch.no_grad():
        models.student.heads["balanced"].weight.zero_()
    learner = fixmatch(env, ABC(env, **OPTIONS))
    plain, adjusted = learner.predict(batch.x["weak"], models)
    assert plain.tolist() == adjusted.tolist() == [[2, 0, -2], [0, 2, -1]]
    adjust = LogitAdjustment(env, tau=1.0, roles=["eval"])
    _, adjusted = fixmatch(env, adjust, ABC(env, **OPTIONS)).predict(batch.x["weak"], models)
    assert (plain - adjusted)[1].tolist() == pytest.approx([-0.356675, -1.609438, -2.302585], abs=1e-5)


def test_samples_are_drawn_from_seed_and_step(env, batch, models):
    """Near the end of the run, one in seven pseudo-labels of class 0 is sampled."""
    addon, many = ABC(env, threshold=0.5, epochs=1000, targets="refined"), batch.u["weak"][:1].repeat(2000, 1, 1, 1)
    u = {"weak": many, "strong": many}
    step = batch._replace(u=u, u_index=torch.arange(2000))
    values = []
    for t in (999, 999, 998):
        current = step._replace(t=torch.tensor(t), draw=Draw(0, "step", torch.tensor(t)))
        losses, state = fixmatch(env, addon).step(current, models)
        logits = state.out["weak"].heads["balanced"]
        entropies = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
        values.append((losses["abc_unlabeled"] / entropies[0]).item())
    assert values[0] == values[1] != values[2]
    assert values == pytest.approx([1 / 7] * 3, abs=0.03)  # 1 - .999 * 6/7 = .1437, of 2,000 images
