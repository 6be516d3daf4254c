import copy

import pytest
import torch

from daso.augment.packed import pack
from daso.config.build import UpstreamResults, build
from daso.config.feasibility import given_options
from daso.config.registry import LEARNERS
from daso.config.signature import attribute
from daso.engine.loader import Loader
from daso.engine.resident import Pool
from daso.engine.trainer import Trainer
from daso.errors import CheckpointError, DivergedError
from daso.methods.base import Views
from tests.engine.world import CONFIG, CPU, SUPERVISED, batches, pool, trainer
from tests.repository import PARAMS


def pixels(run: Trainer, images: torch.Tensor) -> torch.Tensor:
    """Return red and green of the first pixel of the network's input, undoing the normalisation: 255 (.25 x + .5)."""
    return ((images[:, :2, 0, 0] * 0.25 + 0.5) * 255).round().long()


def test_batches_hold_the_images_and_labels_of_their_rows():
    run = trainer()
    for batch in batches(run, 0, 3):
        red, green = pixels(run, batch.x["weak"]).T
        assert torch.equal(red, batch.x_index)
        assert torch.equal(green, batch.y)
        for view in ("weak", "strong"):
            assert torch.equal(pixels(run, batch.u[view])[:, 0] - 100, batch.u_index)
        assert len(batch.y) == 4
        assert len(batch.u_index) == 8
    packed = pack(torch.tensor([7, 1, 0], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 4, 4))
    assert torch.equal(run.loader.inputs.normalize(packed)[0, :, 0, 0], torch.tensor([7, 1, 0]) / 255 / 0.25 - 2)


def test_views_of_one_step_are_drawn_independently():
    """Without operations and Cutout both weak and strong views are crops, drawn independently."""
    run = trainer(dataset=CONFIG["dataset"] | {"augment": CONFIG["dataset"]["augment"] | {"pad": 2}})
    images = torch.arange(16, dtype=torch.int32).view(1, 4, 4).expand(16, 4, 4).contiguous()
    run.loader.data = run.data._replace(unlabeled=Pool(images, run.data.unlabeled.labels))
    same = [
        torch.equal(*pair)
        for batch in batches(run, 0, 4)
        for pair in zip(batch.u["weak"], batch.u["strong"], strict=True)
    ]
    assert sum(same) < 8  # of 32; with 25 possible crops, one in 25 is equal on average


def test_updates_are_nesterov_sgd_with_the_schedule_on_every_parameter():
    """Sutskever et al. 2013 in PyTorch's form: g += wd w; b = m b + g; w -= lr (g + m b), by hand. The rates are 0.1
    times 0, 1/2, 1, 1, 1/10, 1/10, so the first step changes nothing."""
    run = trainer(method=SUPERVISED)
    names = [name for name, _ in run.models.student.named_parameters()]
    weights = {name: w.detach().clone() for name, w in run.models.student.named_parameters()}
    momenta = {name: torch.zeros_like(w) for name, w in weights.items()}
    for t, batch in enumerate(batches(run, 0, 6)):
        model = copy.deepcopy(run.models.student)
        torch.nn.functional.cross_entropy(model(batch.x["weak"]).logits, batch.y).backward()
        rate = [0, 0.05, 0.1, 0.1, 0.01, 0.01][t]
        for name, parameter in model.named_parameters():
            gradient = parameter.grad + 0.01 * weights[name]
            momenta[name] = gradient if t == 0 else 0.9 * momenta[name] + gradient
            weights[name] = weights[name] - rate * (gradient + 0.9 * momenta[name])
        run.training_step(batch)
        for name, parameter in run.models.student.named_parameters():
            assert torch.allclose(parameter, weights[name], atol=1e-6), (t, name)
    assert "encoder.layers.1.bias" in names  # weight decay and momentum apply to batch norm and biases too


def test_teacher_is_averaged_with_the_decay_of_the_step():
    """Decay min(1 - 1/(t+1), .9): 0 (a copy) in step 0, 1/2 in step 1, 2/3 in step 2."""
    run = trainer()
    for t, batch in enumerate(batches(run, 0, 3)):
        before = run.models.teacher.classifier.weight.clone()
        run.training_step(batch)
        decay = [0, 1 / 2, 2 / 3][t]
        expected = decay * before + (1 - decay) * run.models.student.classifier.weight
        assert torch.allclose(run.models.teacher.classifier.weight, expected, atol=1e-7)


EMA = {**CONFIG["protocol"], "evaluation": {**CONFIG["protocol"]["evaluation"], "model": "ema"}}


@pytest.mark.parametrize(
    ("method", "protocol", "evaluated"),
    [
        (CONFIG["method"], CONFIG["protocol"], "teacher"),
        (SUPERVISED, CONFIG["protocol"], "student"),
        (SUPERVISED, EMA, "teacher"),
    ],
)
def test_predictions_are_of_the_evaluation_model_in_evaluation_mode(method, protocol, evaluated):
    run = trainer(method=method, protocol=protocol)
    for batch in batches(run, 0, 3):
        run.training_step(batch)
    images = run.loader.inputs.normalize(run.data.test.images)
    network = copy.deepcopy(getattr(run.models, evaluated)).eval()
    with torch.no_grad():
        expected = network(images).logits
    assert torch.equal(run.predict(run.data.test)[1], expected)
    assert run.models.student.training
    assert run.models.teacher.training


def test_images_are_resized_in_training_and_evaluation():
    """Images of one colour keep their colour at half their size."""
    run = trainer(dataset=CONFIG["dataset"] | {"augment": CONFIG["dataset"]["augment"] | {"resize": 2}})
    for batch in batches(run, 0, 3):
        assert {images.shape[1:] for images in (*batch.x.values(), *batch.u.values())} == {(3, 2, 2)}
        assert torch.equal(pixels(run, batch.x["weak"])[:, 0], batch.x_index)
        assert torch.equal(pixels(run, batch.u["strong"])[:, 0] - 100, batch.u_index)
    network = copy.deepcopy(run.models.teacher).eval()
    with torch.no_grad():
        expected = network(run.loader.inputs.normalize(run.data.test.images[:, :2, :2])).logits
    assert torch.equal(run.predict(run.data.test)[1], expected)


def test_blank_image_has_the_size_of_the_views():
    """White is (1 - .5) / .25 = 2 after normalisation; views are resized from 4 to 2 pixels."""
    run = trainer(dataset=CONFIG["dataset"] | {"augment": CONFIG["dataset"]["augment"] | {"resize": 2}})
    assert torch.equal(run.loader.blank("white"), torch.full((1, 3, 2, 2), 2.0))
    assert torch.equal(run.loader.blank("ones"), torch.ones(1, 3, 2, 2))


@pytest.mark.parametrize("name", list(LEARNERS))
def test_only_remixmatch_resizes_before_the_operations(name):
    """FixMatch and USADTM apply operations before the resize, ReMixMatch after it."""
    learner = next(tree["learner"] for tree in PARAMS.methods.values() if tree["learner"]["name"] == name)
    views = attribute(LEARNERS[name], "views", {**given_options(learner), "Views": Views})
    assert views.operations == ("after" if name == "remixmatch" else "before")
    dataset = CONFIG["dataset"] | {"augment": CONFIG["dataset"]["augment"] | {"resize": 2}}
    data = trainer().data
    loader = Loader(data, CONFIG | {"dataset": dataset}, views, torch.device("cpu"))
    assert loader.inputs.augmentation.side == (2 if name == "remixmatch" else 4)
    chunk = next(loader.chunks(0, 1))
    assert {images.shape[2:] for images in (*chunk.x.values(), *chunk.u.values())} == {(3, 2, 2)}


def test_fit_calls_back_and_saves_at_its_intervals(tmp_path):
    run, steps, rows = trainer(), [], []
    list(run.fit(scratch=tmp_path / "state.pt", on_step=steps.append, on_evaluation=rows.append))
    assert steps == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert rows == run.history
    assert torch.load(tmp_path / "state.pt", weights_only=True)["t"] == 6


def test_accuracies_of_known_predictions():
    """Test labels 0, 0, 1 and predictions 0, 1, 1. The log prior of (6, 3) is (log 2/3, log 1/3): subtracting it adds
    log 2 = .693 to class 1 relative to class 0, more than the margin .5 of class 0, so all predictions become 1."""
    run = trainer()
    logits = torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.0, 1.0]])
    run.predict = lambda pool: (logits[: len(pool.labels)],) * 2  # type: ignore[method-assign]
    (batch,) = batches(run, 0, 1)
    run.training_step(batch)
    row = run.evaluate()
    assert row["val_top1"] == 1.0  # labels 0, 1
    assert row["test_top1"] == pytest.approx(2 / 3)
    assert [row["test_recall_0"], row["test_recall_1"]] == [0.5, 1.0]
    assert row["test_balanced"] == 0.75
    assert row["test_top1_la"] == pytest.approx(1 / 3)


def with_pseudo_labels(*addons):
    """Return a run on 6 and 3 drawn labels and six pseudo-labels of class 1 from its plan."""
    labeled = pool([0] * 6 + [1] * 9, 0)
    labeled.pseudo_labeled = 6
    method = CONFIG["method"] | {"addons": list(addons)}
    return build({**CONFIG, "method": method}, trainer().data._replace(labeled=labeled), CPU)


def test_pseudo_labels_of_a_plan_count_in_the_prior_of_the_labeled_loss_only():
    """Drawn labels (6, 3), so 2/3 and 1/3; with the pseudo-labels (6, 9), so .4 and .6."""
    run = with_pseudo_labels(
        {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised"]},
        {"name": "distribution_alignment", "window": 1, "temperature": 1.0, "prior": "labeled"},
    )
    adjustment, alignment = run.learner.chain
    assert adjustment.log_prior.exp().tolist() == pytest.approx([0.4, 0.6])
    assert alignment.target.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert run.log_prior.exp().tolist() == pytest.approx([2 / 3, 1 / 3])


def test_adjusted_accuracy_is_by_the_prior_of_drawn_labels():
    """A margin of .5 for class 0 falls by log 2 = .693, as above; with the pseudo-labels it would grow by .405.

    `test_top1_la` is of the plain logits; `test_top1` is of those adjusted by the add-ons, here with a margin of 2.
    """
    run = with_pseudo_labels()
    run.predict = lambda pool: tuple(torch.tensor([[margin, 0]]).expand(len(pool), 2) for margin in (0.5, 2.0))
    row = run.evaluate()
    assert row["test_top1"] == pytest.approx(2 / 3)  # labels 0, 0, 1
    assert row["test_top1_la"] == pytest.approx(1 / 3)


def with_predictions(run, unlabeled):
    """Predict (.8, .2) and (.3, .7) for held-out images of class 0 and 1, and `unlabeled` for each unlabeled image."""
    logits = {
        run.data.validation: torch.tensor([[0.8, 0.2], [0.3, 0.7]]).log(),
        run.data.unlabeled: torch.tensor([unlabeled]).log().expand(16, 2),
        run.data.test: torch.eye(2)[[1, 0, 1]],
    }
    run.predict = lambda pool: (logits[pool], logits[pool] + torch.tensor([1.0, 0]))
    return run


@pytest.mark.parametrize(("unlabeled", "sizes"), [([0.675, 0.325], [12, 4]), ([0.9, 0.1], [None, None])])
def test_survey_estimates_sizes_in_every_evaluation(unlabeled, sizes):
    """12 and 4 images have the mass .8 * 12 + .3 * 4 = 10.8 and .2 * 12 + .7 * 4 = 5.2: sixteenths .675 and .325.

    Sixteen predictions (.9, .1) would give (.7 * 14.4 - .3 * 1.6) / .5 = 19.2 images of class 0 and -3.2 of class 1, so
    the estimate is unreliable. Plain predictions are used; the adjusted ones are biased to class 0 here.
    """
    row = with_predictions(trainer(plan={"survey": True}), unlabeled).evaluate()
    assert [row["size_0"], row["size_1"]] == [size and pytest.approx(size, abs=1e-5) for size in sizes]
    assert not [name for name in with_predictions(trainer(), unlabeled).evaluate() if name.startswith("size_")]


def test_weights_batches_and_mixing_depend_on_the_draw_seed():
    """Generations of one seed have different draw seeds."""
    mixmatch = {"name": "mixmatch", "alpha": 0.5, "weight": 1.0, "ramp_up": 0.5, "mixed_batches": "interleave"}
    method = {"name": "m", "unlabeled_ratio": 1, "learner": mixmatch, "addons": []}

    def start(seed, draw_seed):
        run = build({**CONFIG, "method": method, "seed": seed, "draw_seed": draw_seed}, trainer().data, CPU)
        rows = [batch.u_index.tolist() for batch in batches(run, 0, 3)]
        return run.models.student.classifier.weight.tolist(), rows, run.learner.mix.tolist()

    assert start(0, 5) == start(1, 5)
    assert not any(one == other for one, other in zip(start(0, 5), start(0, 6), strict=True))


@pytest.mark.parametrize("statistics", ["frozen", "batch"])
def test_frozen_encoder_of_an_upstream_run_stays_unchanged(statistics):
    weights = trainer(seed=7).models.student.state_dict()
    config = {**CONFIG, "method": SUPERVISED, "plan": {"encoder": {"of": "r", "key": "e", "statistics": statistics}}}
    run = build(config, trainer().data, CPU, upstream=UpstreamResults(weights, {}))
    for batch in batches(run, 0, 3):
        run.training_step(batch)
    for network in run.models:
        encoder = dict(network.encoder.named_parameters())
        assert all(torch.allclose(encoder[name], weights[f"encoder.{name}"], atol=1e-6) for name in encoder)
        assert not torch.equal(network.classifier.weight, weights["classifier.weight"])
    assert torch.equal(run.models.student.encoder.layers[0].weight, weights["encoder.layers.0.weight"])


def test_cosine_annealing_of_the_learning_rate():
    """After half of the steps that follow a warm-up of 2: .1 cos(7 pi / 32) = .0773010."""
    plain = {**CONFIG["optimizer"], "warmup": 2, "milestones": []}
    run, constant = trainer(optimizer=plain | {"anneal": "cosine"}), trainer(optimizer=plain)
    assert run.steps % 2 == 0
    half = 2 + (run.steps - 2) // 2
    assert run.rates[[2, half]].tolist() == pytest.approx([0.1, 0.0773010])
    assert constant.rates[[2, half]].tolist() == pytest.approx([0.1, 0.1])


def test_diverged_run_is_an_error():
    run = trainer(optimizer=CONFIG["optimizer"] | {"lr": 1e30, "warmup": 0, "milestones": []})
    with pytest.raises(DivergedError, match="loss_supervised is nan"):
        for batch in batches(run, 0, 6):
            run.training_step(batch)
        run.evaluate()


def test_checkpoint_without_optimizer_state_cannot_be_resumed(tmp_path):
    from daso.engine import checkpoint

    run = trainer()
    checkpoint.save(tmp_path / "final.pt", {"key": "k"} | run.weights())
    before = run.models.student.classifier.weight.clone()
    with pytest.raises(CheckpointError, match=r"momentum.* missing; resume from a checkpoint in scratch/ instead"):
        run.restore(tmp_path / "final.pt")
    assert torch.equal(run.models.student.classifier.weight, before)


def test_resuming_in_another_environment_is_logged(tmp_path, caplog, monkeypatch):
    run = trainer()
    run.save(tmp_path / "state.pt")
    run.restore(tmp_path / "state.pt")
    assert not caplog.messages
    monkeypatch.setattr("daso.engine.trainer.numerics_fingerprint", lambda *of_a_run: "torch 1.0 on abacus, 10 threads")
    run.restore(tmp_path / "state.pt")
    assert caplog.messages[0].endswith("continued with torch 1.0 on abacus, 10 threads")
