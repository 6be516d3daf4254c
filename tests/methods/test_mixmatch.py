import pytest
import torch

from daso.draw import Draw
from daso.methods.addons.logit_adjustment import LogitAdjustment
from daso.methods.addons.sharpen import Sharpen
from daso.methods.learners.mixmatch import MixMatch
from tests.methods.conftest import daso

OPTIONS = {"alpha": 0.5, "weight": 100.0, "ramp_up": 0.016, "mixed_batches": "interleave"}


def mixmatch(env, *addons, **changes):
    """Return a learner whose mixing weight is 3/4 in every step."""
    learner = MixMatch(env, addons, **(OPTIONS | changes))
    learner.mix.fill_(0.75)
    return learner


@pytest.mark.parametrize("batches", ["interleave", "joint"])
@pytest.mark.parametrize(
    ("addons", "targets", "supervised", "consistency"),
    [
        (
            [],
            [[0.648994, 0.323401, 0.027605], [0.239148, 0.736146, 0.024707], [0.156077, 0.100598, 0.743325]],
            0.742018,
            1.319257,
        ),
        (
            ["sharpen"],
            [[0.799921, 0.198632, 0.001447], [0.095365, 0.903617, 0.001018], [0.041498, 0.017240, 0.941262]],
            0.741202,
            2.653437,
        ),
        (
            ["sharpen", "daso"],
            [[0.019074, 0.980926, 0.000000], [0.035291, 0.964332, 0.000377], [0.028930, 0.012019, 0.959051]],
            0.816381,
            8.939331,
        ),
    ],
)
def test_losses_of_a_step(env, mixed_batch, models, addons, batches, targets, supervised, consistency):
    """Rows x0 x1 x2 u0 u1 u2 v0 v1 v2 have the partners u1 x2 v0 x0 v2 u0 x1 u2 v1, with weight 1/4.

    The first is .75 (2, 0) + .25 (1, 3) = (1.75, .75), its label (.75, 0, 0) + a quarter of u1's target. Sharpened, the
    cross-entropies of the first three are .550621 .931838 .741148, the squared errors of the others .026140 .026716
    .020648 .003829 .030166 .051706. DASO's v is (1, .629961, .302853), its semantic pseudo-labels equal the ones of the
    first weak view, and the first target is semantic alone: (.565119 + .931838 + .952185) / 3, and 100 times the mean
    of .101188 .030574 .017163 .284008 .043965 .059462.
    """
    make = {"sharpen": lambda: Sharpen(env, temperature=0.5), "daso": lambda: daso(env)}
    learner = mixmatch(env, *(make[name]() for name in addons), mixed_batches=batches)
    losses, step = learner.step(mixed_batch, models)
    assert step.targets.flatten().tolist() == pytest.approx(sum(targets, []), abs=1e-6)
    assert losses.keys() == {"supervised", "consistency"}
    assert losses["supervised"].item() == pytest.approx(supervised, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(consistency, abs=1e-4)


@pytest.mark.parametrize(("t", "ramp_factor"), [(0, 0), (8, 0.5), (16, 1), (999, 1)])
def test_only_unlabeled_loss_is_ramped_up(env, mixed_batch, models, t, ramp_factor):
    """The ramp takes .016 of 1,000 steps."""
    losses, _ = mixmatch(env).step(mixed_batch._replace(t=torch.tensor(t)), models)
    assert losses["supervised"].item() == pytest.approx(0.742018, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(ramp_factor * 1.319257, abs=1e-4)


def test_mixing_weights_are_indexed_by_step_and_drawn_from_the_seed(env, mixed_batch, models):
    """With weight one nothing is mixed: the labeled loss is (.142932 + .407606 + .024745) / 3."""
    learner = mixmatch(env)
    learner.mix[500] = 1.0
    losses, _ = learner.step(mixed_batch, models)
    assert losses["supervised"].item() == pytest.approx(0.191761, abs=1e-5)
    tables = [MixMatch(env._replace(seed=seed), **OPTIONS).mix for seed in (0, 0, 1)]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_weak_views_and_mixed_chunks_are_forwarded_separately(env, mixed_batch, models, forwards):
    """Two weak views without gradient; then three chunks, each with an image of every part, or one joint pass."""
    learner = mixmatch(env)
    learner.mix.fill_(1.0)
    learner.step(mixed_batch, models)
    parts = (mixed_batch.x["weak"], mixed_batch.u["weak"], mixed_batch.u["weak2"])
    x, u, v = (part[:, 0, 0].tolist() for part in parts)
    assert forwards == [
        ("student", u, False),
        ("student", v, False),
        ("student", [x[0], u[1], v[2]], True),
        ("student", [u[0], x[1], u[2]], True),
        ("student", [v[0], v[1], x[2]], True),
    ]
    forwards.clear()
    mixmatch(env, daso(env), mixed_batches="joint").step(mixed_batch, models)
    assert [(name, len(rows), grad) for name, rows, grad in forwards] == [
        ("student", 3, False),
        ("student", 3, False),
        ("teacher", 3, False),
        ("student", 9, True),
    ]
    assert forwards[2][1] == x


@pytest.mark.parametrize(("batches", "updates"), [("interleave", 5), ("joint", 3)])
def test_updates_of_running_statistics(env, mixed_batch, models, batch_norm_models, batches, updates):
    """DASO adds one update of the teacher's statistics and none of the student's."""
    learner = mixmatch(env, mixed_batches=batches)
    learner.step(mixed_batch, batch_norm_models)
    assert batch_norm_models.student.encoder.norm.num_batches_tracked == updates
    assert batch_norm_models.teacher.encoder.norm.num_batches_tracked == 0
    mixmatch(env, daso(env), mixed_batches=batches).step(mixed_batch, batch_norm_models)
    assert batch_norm_models.student.encoder.norm.num_batches_tracked == 2 * updates
    assert batch_norm_models.teacher.encoder.norm.num_batches_tracked == 1


def test_daso_counts_blended_pseudo_labels(env, mixed_batch, models):
    """The classes are 0 1 2 in warm-up and 1 1 2 after blending."""
    for t, counts in ((500, [0, 2, 1]), (98, [1, 1, 1])):
        learner = mixmatch(env, Sharpen(env, temperature=0.5), daso(env))
        _, step = learner.step(mixed_batch._replace(t=torch.tensor(t)), models)
        learner.commit(step)
        assert learner.chain[1].histogram.counts.tolist() == counts
        assert learner.chain[1].queue.size.tolist() == [1, 1, 1]


def test_logit_adjustment_changes_labeled_loss_alone(env, mixed_batch, models):
    plain, _ = mixmatch(env).step(mixed_batch, models)
    adjusted, _ = mixmatch(env, LogitAdjustment(env, tau=1.0, roles=["supervised"])).step(mixed_batch, models)
    assert adjusted["supervised"] > plain["supervised"] + 0.1
    assert adjusted["consistency"] == plain["consistency"]


def test_losses_use_weights_of_addons(env, mixed_batch, models, first_image_only):
    """With the first images alone: .533923 / 3, and 100 (.005857 + .019283) / 6 of the two views."""
    losses, _ = mixmatch(env, first_image_only).step(mixed_batch, models)
    assert losses["supervised"].item() == pytest.approx(0.177974, abs=1e-5)
    assert losses["consistency"].item() == pytest.approx(0.419000, abs=1e-4)


def test_unlabeled_batch_can_be_larger_than_labeled_batch(env, mixed_batch, models, forwards):
    """With twice as many unlabeled images there are five chunks of three."""
    u = {view: images.repeat(2, 1, 1, 1) for view, images in mixed_batch.u.items()}
    draw = Draw(0, "step", mixed_batch.t)
    mixmatch(env).step(mixed_batch._replace(u=u, u_index=torch.arange(6), draw=draw), models)
    assert [len(rows) for _, rows, _ in forwards] == [6, 6, 3, 3, 3, 3, 3]
