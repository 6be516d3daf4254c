"""Decay of the student's whole state after each step, also with Adam, in the modes of a GPU as far as a CPU shows."""

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from daso.config.fit import fit_errors
from daso.config.network import without_defaults
from daso.config.schedule_checks import optimizer_errors
from daso.engine.optimizer import StateDecay
from daso.models.network import Network
from daso.models.small_convnet import SmallConvNet
from tests.configs import SMALL
from tests.engine.fakes import fakes  # noqa: F401 - a fixture
from tests.engine.test_cuda_graphs import bits, same
from tests.engine.world import batches, trainer
from tests.fake_tensors import faked
from tests.repository import PARAMS

CONSTANT = {"lr": 0.0015, "warmup": 0, "milestones": [], "factor": 1.0}
ADAM = {"algorithm": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, **CONSTANT}
SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0005, **CONSTANT, "lr": 0.1}
DECAYED = {"adam": ADAM | {"state_decay": 0.04}, "sgd": SGD | {"state_decay": 0.5}}
ALGORITHMS = pytest.mark.parametrize("optimizer", DECAYED.values(), ids=DECAYED)


def made(optimizer):
    return trainer(optimizer=optimizer)


def floats(run):
    """Return copies of the floating tensors of student and EMA model."""
    return [
        {name: value.clone() for name, value in network.state_dict().items() if value.is_floating_point()}
        for network in run.models
    ]


def test_five_hundred_steps_decay_the_state_as_in_the_authors_code():
    """lr .0015 and .04 give 1 - 6e-5 in a step; 500 steps log(.99994) = -.0300009 give exp(-.03) = .970445."""
    network = Network(SmallConvNet(channels=[4], strides=[1]), 2, {"other": 3})
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(1)
    decay, rate = StateDecay(network, 0.04), torch.tensor(0.0015)
    decay.apply(rate)
    norm = network.encoder.layers[1]
    assert float(norm.running_var[0]) == pytest.approx(0.99994, abs=1e-7)
    for _ in range(499):
        decay.apply(rate)
    for name, value in network.state_dict().items():
        if "num_batches_tracked" in name:
            assert value.item() == 1
        else:
            assert value.unique().tolist() == pytest.approx([0.970445] * len(value.unique()), abs=2e-5), name
    assert len(decay.tensors) == 9  # a convolution, four of its norm, weight and bias of the classifier and of the head


@ALGORITHMS
def test_student_decays_after_optimizer_and_ema_model(optimizer):
    """The EMA model averages the student before its decay, which is the only difference from a step without it."""
    plain, decayed = made({key: value for key, value in optimizer.items() if key != "state_decay"}), made(optimizer)
    for run in (plain, decayed):
        run.advance(1)
    (student, teacher), (smaller, same_teacher) = floats(plain), floats(decayed)
    assert all(torch.equal(teacher[name], same_teacher[name]) for name in teacher)
    factor = {"adam": 1 - 6e-5, None: 0.95}[optimizer.get("algorithm")]  # 1 - .1 * .5 of SGD
    assert any("running_mean" in name for name in student)
    for name, value in student.items():
        assert smaller[name].flatten().tolist() == pytest.approx((value * factor).flatten().tolist(), rel=2e-7), name
        assert not value.any() or not torch.equal(smaller[name], value), name


def test_decay_follows_the_learning_rate_of_the_step():
    """A warm-up over two steps has the rates 0 and .05: 1 and 1 - .05 * .5 = .975."""
    run = made(SGD | {"warmup": 2, "state_decay": 0.5})
    assert run.rates[:2].tolist() == pytest.approx([0, 0.05])
    factors = []
    run.state_decay.tensors = [torch.ones(1)]
    for _ in range(2):
        run.advance(run.t + 1)
        factors.append(float(run.state_decay.tensors[0]))
    assert factors == pytest.approx([1.0, 0.975])


def test_frozen_tensors_of_the_encoder_are_left_out():
    """A frozen convolution keeps its bits; an encoder without a trained weight keeps them all, heads decay."""
    network = Network(SmallConvNet(channels=[4, 4], strides=[1, 1]), 2, {})
    network.encoder.frozen = frozenset(name for name in network.encoder.state_dict() if name.startswith("layers.0"))
    before = copy.deepcopy(network.state_dict())
    StateDecay(network, 1.0).apply(torch.tensor(0.5))
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert "encoder.layers.0.weight" in before
    assert not {name for name in changed if name.startswith("encoder.layers.0")}
    assert {"encoder.layers.1.weight", "encoder.layers.1.running_var", "classifier.weight"} <= changed
    network.encoder.frozen = frozenset()
    network.freeze_encoder(before, "batch")
    StateDecay(network, 1.0).apply(torch.tensor(0.5))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items() if "encoder" in name)


@ALGORITHMS
def test_every_tensor_that_a_step_writes_is_listed_and_keeps_its_address(optimizer):
    run = made(optimizer)
    run.advance(1)
    before, addresses = bits(run), {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()}
    (batch,) = batches(run, 1, 2)
    run.training_step(batch)
    after = bits(run)
    for name, tensor in run.written_tensors().items():
        tensor.copy_(before[name])
    run.training_step(batch)
    assert same(bits(run), after)
    assert {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()} == addresses


@ALGORITHMS
def test_replays_give_the_bits_of_eager_steps(optimizer, fakes):  # noqa: F811
    eager, replayed = made(optimizer), fakes.on_cuda(made(optimizer))
    for run in (eager, replayed):
        run.advance(4)
    assert same(bits(replayed), bits(eager))
    assert (fakes.replays, replayed.mode) == (4, "graph")


@ALGORITHMS
def test_step_has_no_host_device_synchronization(optimizer):
    run = made(optimizer)
    with faked(run) as batch:
        run.optimizer.rate = run.rate
        run.training_step(batch())
    assert isinstance(run.rate, FakeTensor)


@ALGORITHMS
def test_resumed_run_equals_an_uninterrupted_one(optimizer, tmp_path):
    whole, second = made(optimizer), made(optimizer)
    whole.advance(3)
    whole.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    for run in (whole, second):
        run.advance(6)
    assert same(bits(whole), bits(second))


def test_without_the_option_a_step_decays_nothing_and_the_key_is_unchanged():
    assert made(SGD).state_decay is None
    assert without_defaults(SGD | {"state_decay": 0}) == SGD
    assert without_defaults(SGD | {"state_decay": 0.04}) == SGD | {"state_decay": 0.04}


def test_errors_of_state_decay():
    assert list(optimizer_errors(SGD | {"state_decay": 10}, SMALL)) == [
        "optimizer.state_decay: 10 times lr 0.1 is not below 1; lower one of them"
    ]
    assert not list(optimizer_errors(DECAYED["adam"], SMALL))
    protocol = PARAMS.protocols["photos"] | {"optimizer": SGD | {"state_decay": 0.04}}
    assert list(fit_errors(protocol, PARAMS.methods)) == [
        "fit: trains its classifiers without optimizer.state_decay; remove one of them"
    ]
