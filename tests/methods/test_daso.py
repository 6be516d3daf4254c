import pytest
import torch

from daso.errors import ParamsError
from daso.methods.addons.daso import DASO
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.base import forward_jointly
from tests.methods.conftest import DASO_OPTIONS, fixmatch

PROTOTYPES = torch.tensor([[1.0, 0], [0.6, 0.8], [0, -1]])


def daso(env, **changes):
    """Return DASO with constant PROTOTYPES and a published histogram of (6, 3, 1)."""
    addon = DASO(env, **(DASO_OPTIONS | changes))
    addon.histogram.published.copy_(torch.tensor([6, 3, 1]))
    addon.queue.prototypes = lambda queue: PROTOTYPES
    return addon


@pytest.mark.parametrize(
    ("changes", "t", "confidence", "labels", "mask", "consistency", "alignment", "total"),
    [
        ({}, 500, [0.997410, 0.986580, 0.998320, 0.980926, 0.955627], [0, 1, 2, 1, 1], [1, 1, 1, 1, 1],
         0.445499, 0.277961, 0.998729),
        ({"dist_temperature": 0.3}, 500, [0.997410, 0.967333, 0.997597, 0.980926, 0.891986], [0, 1, 2, 1, 1],
         [1, 1, 1, 1, 0], 0.301952, 0.277961, 0.855182),
        ({"weight": 2.0}, 500, [0.997410, 0.986580, 0.998320, 0.980926, 0.955627], [0, 1, 2, 1, 1], [1, 1, 1, 1, 1],
         0.445499, 0.555922, 1.276690),
        ({"blend": 0.5}, 500, [0.983953, 0.981867, 0.998795, 0.710105, 0.940044], [0, 1, 2, 1, 1], [1, 1, 1, 0, 0],
         0.097170, 0.277961, 0.650400),
        ({}, 100, [0.997410, 0.986580, 0.998320, 0.980926, 0.955627], [0, 1, 2, 1, 1], [1, 1, 1, 1, 1],
         0.445499, 0.277961, 0.998729),
        ({}, 99, [0.970496, 0.963735, 0.997591, 0.536544, 0.880090], [0, 1, 2, 0, 1], [1, 1, 1, 0, 0],
         0.097170, 0.0, 0.372439),
    ],
)  # fmt: skip
def test_losses_of_a_step(env, batch, models, changes, t, confidence, labels, mask, consistency, alignment, total):
    """The fourth image flips from class 0 to 1: class 0 is the most frequent, so its blend is semantic alone."""
    learner = fixmatch(env, daso(env, **changes))
    losses, step = learner.step(batch._replace(t=torch.tensor(t)), models)
    assert step.targets.amax(-1).tolist() == pytest.approx(confidence, abs=1e-5)
    assert step.targets.sum(-1).tolist() == pytest.approx([1.0] * 5, abs=1e-6)
    assert step.targets.argmax(-1).tolist() == labels
    assert step.mask.int().tolist() == mask
    assert losses["supervised"].item() == pytest.approx(0.275269, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-5)
    assert losses["alignment"].item() == pytest.approx(alignment, abs=1e-5)
    assert sum(losses.values()).item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "p", "expected"),
    [
        (1.5, [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]),  # class 0 has v = 1: the semantic pseudo-label
        (1.5, [0.05, 0.15, 0.80], [0.118319, 0.190991, 0.690690]),
        (0.3, [0.05, 0.15, 0.80], [0.050381, 0.150229, 0.799390]),
    ],
)
def test_blend_uses_share_of_linear_class(env, batch, models, temperature, p, expected):
    addon = DASO(env, **(DASO_OPTIONS | {"dist_temperature": temperature}))
    addon.histogram.published.copy_(torch.tensor([70, 20, 10]))
    q = torch.tensor([0.1, 0.2, 0.7] if p[0] == 0.6 else [0.3, 0.3, 0.4])
    addon.similarity = lambda features, prototypes: q.log().expand(len(features), 3)
    step = fixmatch(env).begin(batch, models, forward_jointly(models.student, weak=batch.u["weak"]))
    step = step._replace(out=step.out | {"labeled_teacher": models.teacher(batch.x["weak"])})
    blended, _ = addon.refine(torch.tensor([p] * 5), step)
    assert blended[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_raw_confidence_is_that_before_blending(env, batch, models):
    """Blending lifts the fourth image from .536544 to .980926 and the fifth from .880090 to .955627; neither counts."""
    learner = fixmatch(env, daso(env), confidence="raw")
    _, step = learner.step(batch, models)
    assert step.mask.int().tolist() == [1, 1, 1, 0, 0]
    assert step.targets.argmax(-1).tolist() == [0, 1, 2, 1, 1]


def test_alignment_loss_has_gradient_for_strong_view_alone(env, batch, models):
    for images in batch.u.values():
        images.requires_grad_(True)
    losses, _ = fixmatch(env, daso(env)).step(batch, models)
    inputs = [models.student.classifier.weight, batch.u["weak"], batch.u["strong"]]
    classifier, weak, strong = torch.autograd.grad(losses["alignment"], inputs, allow_unused=True)
    assert classifier is None or not classifier.any()
    assert weak is None or not weak.any()
    assert strong.any()


def test_state_changes_only_by_commit(env, batch, models):
    addon = daso(env)
    learner = fixmatch(env, addon)
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    _, step = learner.step(batch, models)
    assert all(torch.equal(buffer, before[name]) for name, buffer in learner.named_buffers())
    learner.commit(step)
    assert addon.histogram.counts.tolist() == [1, 3, 1]
    assert addon.queue.size.tolist() == [1, 1, 0]
    assert addon.queue.bank[:2].tolist() == [[2, 0], [0, 1]]


def test_histogram_counts_pseudo_labels_below_the_threshold_too(env, batch, models):
    """With shares of one half the classes are 0 1 2 1 1, the last two below the threshold: counts 1, 3 and 1."""
    addon = daso(env, blend=0.5)
    learner = fixmatch(env, addon)
    _, step = learner.step(batch, models)
    learner.commit(step)
    assert step.mask.int().tolist() == [1, 1, 1, 0, 0]
    assert addon.histogram.counts.tolist() == [1, 3, 1]


def test_window_publishes_counts_except_at_the_last_step(env, batch, models):
    """Windows of one step count the linear pseudo-labels 0 1 2 0 1 of warm-up."""
    addon = DASO(env, **(DASO_OPTIONS | {"period": 1}))
    learner = fixmatch(env, addon)
    for t, published in ((999, [1, 1, 1]), (0, [2, 2, 1])):
        learner.commit(learner.step(batch._replace(t=torch.tensor(t)), models)[1])
        assert addon.histogram.published.tolist() == published
        addon.histogram.counts.zero_()


def test_prototypes_include_the_current_batch_during_warmup(env, batch, models):
    addon = DASO(env, **DASO_OPTIONS)
    step = fixmatch(env, addon).step(batch._replace(t=torch.tensor(0)), models)[1]
    _, prototypes, _ = step.memos[0]
    assert prototypes.tolist() == [[2, 0], [0, 1], [0, 0]]


def test_queue_options_select_encoder_and_capacity(env, batch, models):
    addon = DASO(env, **(DASO_OPTIONS | {"queue_encoder": "student", "queue_capacity": "proportional"}))
    assert addon.needs == {"labeled", "weak", "strong"}
    assert addon.queue.capacity.tolist() == [35, 10, 5]  # five times the labeled counts
    assert DASO(env, **DASO_OPTIONS).queue.capacity.tolist() == [1, 1, 1]
    learner = fixmatch(env, addon)
    assert "labeled_teacher" not in learner.step(batch, models)[1].out


def test_logit_adjustment_changes_labeled_loss_alone(env, batch, models):
    alone, _ = fixmatch(env, daso(env)).step(batch, models)
    la = LogitAdjustment(env, tau=1.0, roles=["supervised"])
    both, _ = fixmatch(env, la, daso(env)).step(batch, models)
    assert torch.equal(alone["alignment"], both["alignment"])
    assert torch.equal(alone["consistency"], both["consistency"])
    assert alone["supervised"] != both["supervised"]


def test_warmup_shorter_than_period_raises(env):
    with pytest.raises(ParamsError, match="warmup 5 is shorter than period 10"):
        DASO(env, **(DASO_OPTIONS | {"warmup": 5}))
    DASO(env, **(DASO_OPTIONS | {"warmup": 10}))  # equal is allowed


def test_pseudo_labels_of_both_classifiers_are_returned_by_name(env, batch, models):
    """The final pseudo-labels are the mean of linear and semantic ones with a blend of .5."""
    learner = fixmatch(env, daso(env, blend=0.5))
    _, step = learner.step(batch._replace(t=torch.tensor(500)), models)
    pseudo_labels = learner.pseudo_labels(step)
    assert list(pseudo_labels) == ["linear", "semantic", "final"]
    assert torch.allclose(pseudo_labels["linear"], step.out["weak"].logits.softmax(-1))
    assert torch.allclose((pseudo_labels["linear"] + pseudo_labels["semantic"]) / 2, pseudo_labels["final"], atol=1e-6)
    assert not any(probs.requires_grad for probs in pseudo_labels.values())
