"""Properties that every method must have, for every file in params/methods.

Properties that depend on the code alone are tested for recipes, and for ablations that change more than numbers.
"""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from daso.config.build import UpstreamResults, build
from daso.config.keys import Keys
from daso.config.resolve import Run
from daso.engine.compiled import COMPILED_FUNCTIONS, Compiled
from daso.engine.resident import Pool, Resident
from daso.engine.round_robin import advance_together
from daso.engine.trainer import Trainer
from daso.models.network import Network, initialise
from daso.models.small_convnet import SmallConvNet
from tests.covering import covering
from tests.engine.world import batches
from tests.fake_tensors import faked
from tests.repository import PARAMS
from tests.resumed import assert_resumed_equals_whole
from tools.gpu.prepare import changes_text_or_disables

KEYS = Keys(PARAMS)
CPU = torch.device("cpu")
COUNTS = [20, 14, 10, 7, 5, 3, 2, 2, 1, 1]
NAMES = torch.arange(10)
SHORT = {  # options of learners and add-ons that make them active within a few steps
    "usadtm": {"warmup": 2},
    "simmatch": {"instance_start": 3},
    "simpro": {"period": 2},
    "daso": {"warmup": 2, "period": 2},
    "adello": {"warmup": 2},
    "cdmad": {"warmup": 2},
    "class_balanced": {"start": 0.04},
    "ldam": {"start": 0.04},
    "acr": {"warmup": 2, "period": 2},
    "ccl": {"warmup": 2, "period": 2, "energy": 0.0},
    "darp": {"start": 0.04, "period": 2},
}


def pool(counts: list[int], seed: int, names: torch.Tensor) -> Pool:
    """Return random images of 8 x 8 pixels, counts[k] of class k; the label of class k is names[k]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(names, torch.tensor(counts))
    return Pool(torch.randint(0, 2**24, (len(labels), 8, 8), generator=generator, dtype=torch.int32), labels)


@cache
def resolved(method: str) -> dict:
    return KEYS.resolved(Run("digits", "n20-m80-l20-u10r", "smoke", method, 0))


def trainer(
    method: str, device: torch.device = CPU, mode: str = "auto", names: torch.Tensor = NAMES, **protocol: object
) -> Trainer:
    config = deepcopy(resolved(method))
    config["protocol"] |= protocol
    return built(config, device, mode, names)


def built(config: dict, device: torch.device, mode: str = "auto", names: torch.Tensor = NAMES) -> Trainer:
    """Return the trainer of a resolved configuration with short warm-ups and periods."""
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        part |= SHORT.get(part["name"], {})
    if super_classes := config["dataset"].get("super_classes"):
        named = {name: [str(int(names[int(k)])) for k in classes] for name, classes in super_classes.items()}
        config["dataset"]["super_classes"] = named
    pools = (pool(counts, i, names) for i, counts in enumerate((COUNTS, COUNTS[::-1], [2] * 10, [3] * 10)))
    data = Resident(*(Pool(part.images.to(device), part.labels.to(device)) for part in pools))
    return build(config, data, device, mode, upstream(config, names))


def upstream(config: dict, names: torch.Tensor) -> UpstreamResults:
    """Return results of upstream runs for a plan: an encoder of random weights, the sizes of the unlabeled classes."""
    encoder, options, plan = None, {}, config["plan"]
    if "encoder" in plan:
        network = Network(SmallConvNet(channels=[16, 32, 64], strides=[1, 2, 1]), 10, {})
        initialise(network, 1)
        encoder = network.state_dict()
    if "estimate" in plan:
        sizes = dict(zip(names.tolist(), COUNTS[::-1], strict=True))
        options[plan["estimate"]["into"]] = [sizes[k] for k in range(10)]
    return UpstreamResults(encoder, options)


# Methods that change a frozen network, and alpha-TIM, train only on features: tests/config/test_on_features.py.
ON_FEATURES = {"network.neck", "network.head"}
METHODS = sorted(
    name
    for name, tree in PARAMS.methods.items()
    if not ON_FEATURES & tree.get("change", {}).keys() and tree["learner"]["name"] != "alpha_tim"
)
RECIPES = [name for name in METHODS if changes_text_or_disables(PARAMS.methods, name)]
# A processor without bfloat16 emulates it slowly, so only one recipe, with a teacher and queues, is tested there.
NATIVE = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
IN_BF16 = RECIPES if NATIVE else ["fixmatch_daso"]
COMPILED = covering({name: PARAMS.methods[name] for name in RECIPES})  # `make endurance` compiles the others


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


def test_training_changes_weights_with_finite_losses(method):
    run = trainer(method)
    before = run.models.student.classifier.weight.clone()
    run.advance(3)
    assert not torch.equal(run.models.student.classifier.weight, before)
    row = run.evaluate()
    assert all(value == value for name, value in row.items() if name.startswith("loss_"))  # no NaN
    assert float(run.optimizer.rate) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("method", "precision"), [(name, "fp32") for name in METHODS] + [(name, "bf16") for name in IN_BF16]
)
def test_resumed_run_equals_whole_run(method, precision, tmp_path):
    assert trainer(method, precision=precision).precision == precision
    assert_resumed_equals_whole(lambda: trainer(method, precision=precision), tmp_path / "state.pt")


def test_two_runs_in_one_process_equal_a_run_trained_alone(recipe):
    alone, one, two = trainer(recipe), trainer(recipe), trainer(recipe)
    alone.advance(4)
    advance_together([one, two], 4)
    weights = [run.models.student.state_dict() for run in (alone, one, two)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
        assert torch.equal(value, weights[2][name])


def test_only_commit_writes_state_and_targets_are_distributions(method):
    run = trainer(method)
    run.advance(3)
    (batch,) = batches(run, 3, 4)
    run.learner.set_phase(3)
    before = {name: buffer.clone() for name, buffer in run.learner.named_buffers()}
    _, step = run.learner.step(batch, run.models)
    assert all(torch.equal(buffer, before[name]) for name, buffer in run.learner.named_buffers())
    if step.targets.numel():
        assert torch.allclose(step.targets.sum(-1), torch.ones(len(step.targets)), atol=1e-5)
        assert not step.targets.requires_grad
    pseudo_labels = run.learner.pseudo_labels(step)
    assert ("final" in pseudo_labels) == (step.targets.numel() > 0)
    for probs in pseudo_labels.values():
        assert probs.shape == step.targets.shape
        assert torch.allclose(probs.sum(-1), torch.ones(len(probs)), atol=1e-5)
        assert not probs.requires_grad
    assert all(torch.equal(buffer, before[name]) for name, buffer in run.learner.named_buffers())


def test_permuting_the_classes_permutes_the_predictions(method):
    """Two runs differ in the names of classes only: in the images' labels and in the rows of the output layers.

    The weights stay fixed, so that rounding errors do not grow; momenta are compared instead.
    """
    names = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    one, two = trainer(method), trainer(method, names=names)
    for run, order in ((one, NAMES), (two, names.argsort())):
        with torch.no_grad():
            for weight in (weight for network in run.models for weight in network.parameters() if len(weight) == 10):
                weight.copy_(20 * weight[order])  # large enough for confident pseudo-labels
        run.rates.zero_()
        run.advance(4)
    momenta = two.optimizer.state["momentum"]
    for name, first in one.optimizer.state["momentum"].items():
        second = momenta[name][names] if len(first) == 10 else momenta[name]
        assert (first - second).abs().max() <= 1e-4 * first.abs().max(), name
    for first, second in zip(*(run.predict(run.data.test) for run in (one, two)), strict=True):
        assert torch.allclose(first, second[:, names], atol=1e-4)


def test_step_has_no_host_device_synchronization(recipe):
    """With fake tensors, which have shapes and no values, any `.item()` or value-dependent shape is an error.

    The whole step runs with them, from the selection of its batch to the monitor.
    """
    run = trainer(recipe)
    with faked(run) as batch:
        for t in {run.learner.set_phase(t): t for t in range(6)}.values():  # a step of each phase
            run.learner.set_phase(t)
            run.training_step(batch())
    assert isinstance(run.monitor.steps, FakeTensor)
    assert isinstance(run.rate, FakeTensor)


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name in COMPILED else pytest.mark.endurance) for name in RECIPES]
)
def test_compilation_gives_a_fixed_number_of_graphs_and_the_bits_of_eager(recipe):
    """All graphs of the networks and of the learner's compiled functions exist after one step of each phase.

    There is at most one for each kind of forward (network, shape of the images, with or without gradients) and one for
    each compiled function in each phase; a run has at most three phases, and an evaluation compiles nothing.
    """
    run, plain, graphs, forwards = trainer(recipe), trainer(recipe), [], set()
    for network in plain.models:
        network.encoder.register_forward_pre_hook(
            lambda encoder, images: forwards.add((encoder, images[0].shape, torch.is_grad_enabled()))
        )
    phases = {run.learner.set_phase(t) for t in range(run.steps)}
    plain.advance(10)

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    run.runner.mode, run.runner.compiled = "compiled", Compiled(run.models, run.learner, backend=keep)
    run.advance(4)
    first = len(graphs)
    run.evaluate()
    run.advance(10)
    assert len(forwards) <= first == len(graphs) <= len(forwards) + len(phases) * len(COMPILED_FUNCTIONS)
    assert run.mode == "compiled"
    expected = plain.weights()["student"]
    assert all(torch.equal(weight, expected[name]) for name, weight in run.weights()["student"].items())
    assert len(phases) <= 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_resumed_run_equals_whole_run_on_a_gpu(recipe, mode, tmp_path):
    """No step synchronizes host and device either."""
    device = torch.device("cuda")
    whole, first, second = (trainer(recipe, device=device, mode=mode) for _ in range(3))
    whole.advance(6)
    first.advance(1)  # compilation, sampling and capture may synchronize
    torch.cuda.set_sync_debug_mode("error")
    try:
        first.advance(3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    first.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    second.advance(6)
    for module in ("student", "teacher", "learner"):
        one, two = whole.state()[module], second.state()[module]
        assert all(torch.equal(one[name], two[name]) for name in one), module


@pytest.mark.parametrize(
    ("method", "bn", "drifts"),
    [
        ("fixmatch", "authors", False),
        ("pseudo_label", "authors", False),
        ("usadtm", "authors", False),
        ("fixmatch_daso", "authors", True),
        ("mean_teacher", "authors", True),
        ("mean_teacher_daso", "authors", True),
        ("fixmatch_daso", "pure_average", False),
        ("mean_teacher", "pure_average", False),
        ("mean_teacher_daso", "pure_average", False),
    ],
)
def test_teacher_statistics(method, bn, drifts):
    """Forwards of the teacher in training mode, as in DASO and MeanTeacher, make its BN statistics drift from the
    average of the student's from the second step on; without such forwards, or with `pure_average`, they do not."""
    run = trainer(method, teacher={"decay": 0.99, "bn": bn})
    teacher, student = (m.encoder.layers[1].running_mean for m in (run.models.teacher, run.models.student))
    errors = []
    for batch in batches(run, 0, 5):
        before = teacher.clone()
        run.training_step(batch)
        decay = run.decays[batch.t]
        errors.append(float((teacher - (decay * before + (1 - decay) * student)).abs().max()))
    assert errors[0] < 1e-7
    if drifts:
        assert min(errors[1:]) > 1e-3
    else:
        assert max(errors) < 1e-7
