"""Modes, tensors that a step writes, phases, and runs trained in alternation."""

import gc
import weakref

import pytest
import torch

from daso.engine.environment import choose_mode
from daso.engine.round_robin import advance_together, round_robin
from daso.errors import DasoError, StoppedError
from daso.methods.base import AddOn
from tests.engine.world import CONFIG, CPU, SUPERVISED, batches, trainer

DASO = {
    "name": "daso",
    "proto_temperature": 0.05,
    "dist_temperature": 1.0,
    "queue_length": 4,
    "period": 2,
    "warmup": 2,
    "weight": 1.0,
    "blend": "distribution",
    "queue_encoder": "teacher",
    "queue_capacity": "equal",
}
WITH_DASO = CONFIG["method"] | {"addons": [DASO]}
METHODS = pytest.mark.parametrize("method", [SUPERVISED, CONFIG["method"], WITH_DASO], ids=["sup", "fix", "daso"])


def bits(run):
    return {name: tensor.clone() for name, tensor in run.written_tensors().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@METHODS
def test_every_tensor_that_a_step_writes_is_listed(method):
    """With the listed tensors restored, the same step gives the same bits, so the step has written nothing else.

    The warm-up of a capture restores these tensors only.
    """
    run = trainer(method=method)
    run.advance(2)
    before = bits(run)
    (batch,) = batches(run, 2, 3)
    run.training_step(batch)
    after = bits(run)
    assert not same(before, after)
    for name, tensor in run.written_tensors().items():
        tensor.copy_(before[name])
    run.training_step(batch)
    assert same(bits(run), after)


def test_step_resume_and_evaluation_keep_the_addresses_of_tensors():
    """A graph always reads and writes the addresses of its capture."""
    run, other = trainer(method=WITH_DASO), trainer(method=WITH_DASO)
    run.advance(1)
    addresses = {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()}
    other.advance(2)
    run.evaluate()
    run.models.student.load_state_dict(other.models.student.state_dict())
    run.monitor.restore(other.monitor.state(), other.monitor.record())
    run.advance(3)
    assert {name: tensor.data_ptr() for name, tensor in run.written_tensors().items()} == addresses
    assert run.optimizer.rate is run.rate


def test_run_and_restore_undoes_steps():
    """Three steps are undone bit for bit, tensors created by them are zero, and further steps equal a plain run's."""
    plain, run = trainer(method=WITH_DASO), trainer(method=WITH_DASO)
    plain.advance(3)
    run.runner.begin(run.loader.chunks(0, 3))
    before = bits(run)
    run.runner._run_and_restore(lambda: run.runner._repeat_current_step(3))
    after = bits(run)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert {float(after[name].abs().max()) for name in after.keys() - before.keys()} == {0.0}
    for t in range(3):
        run.runner.run_step(run.learner.set_phase(t))
    assert same(bits(run), bits(plain))


def test_chunks_for_graphs_are_loaded_to_the_same_memory():
    """A shorter chunk is copied to the start of the same memory."""
    plain, run = trainer(), trainer()
    plain.advance(5)
    run.runner.uses_graphs = True  # only `_load` reads it
    for start, end in ((0, 2), (2, 5)):
        for chunk in run.loader.chunks(start, end):
            run.runner._load(chunk)
            assert {len(tensor) for tensor in run.runner.chunk.tensors()} == {run.loader.chunk}
            address = run.runner.chunk.u["strong"].data_ptr()
            for _ in chunk.t:
                run.runner._run_and_advance()
        if start == 0:
            first = address
    assert address == first
    assert same(bits(run), bits(plain))


def test_steps_do_not_depend_on_the_length_of_chunks():
    runs = [trainer(method=WITH_DASO) for _ in range(3)]
    for run, length in zip(runs, (1, 2, 5), strict=True):
        run.loader.chunk = length
        run.advance(6)
    assert same(bits(runs[0]), bits(runs[1]))
    assert same(bits(runs[0]), bits(runs[2]))


@pytest.mark.parametrize(
    ("name", "device", "mode"),
    [("auto", "cpu", "eager"), ("auto", "cuda", "graph"), ("compiled", "cpu", "compiled"), ("eager", "cuda", "eager")],
)
def test_auto_mode_is_graph_on_cuda_and_eager_on_the_cpu(name, device, mode):
    assert choose_mode(name, torch.device(device)) == mode


@pytest.mark.parametrize(
    ("name", "message"),
    [("grpah", "unknown mode 'grpah'; choose one of auto, eager"), ("graph", "needs a CUDA device")],
)
def test_unknown_and_unsupported_modes_are_errors(name, message):
    with pytest.raises(DasoError, match=message):
        choose_mode(name, CPU)


@pytest.mark.slow
def test_compiled_run_is_close_to_eager_and_resumes_bit_for_bit(tmp_path):
    """Compiled kernels round differently: weights after six steps agree to 1e-4, far less than a step changes them."""
    from daso.config.build import build

    def run(mode):
        return build(CONFIG | {"method": WITH_DASO}, trainer().data, CPU, mode)

    eager, whole, first, second = run("eager"), run("compiled"), run("compiled"), run("compiled")
    start = eager.models.student.classifier.weight.clone()
    eager.advance(6)
    whole.advance(6)
    change = (eager.models.student.classifier.weight - start).abs().max()
    assert change > 1e-2
    for name, value in eager.models.student.state_dict().items():
        assert torch.allclose(value, whole.models.student.state_dict()[name], atol=1e-4), name
    assert eager.evaluate()["test_top1"] == whole.evaluate()["test_top1"]
    first.advance(3)
    first.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    second.advance(6)
    whole = run("compiled")
    whole.advance(6)
    assert same(bits(second), bits(whole))


class Parity(AddOn):
    """Add-on with two phases: even and odd steps."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def phase(self, t):
        return "odd" if t % 2 else "even"

    def commit(self, step, memo):
        self.seen.append((int(step.batch.t), self.current_phase))


def test_each_step_runs_in_its_phase():
    run, addon = trainer(), Parity()
    run.learner.addons.append(addon)
    phases = []
    run_step = run.runner.run_step
    run.runner.run_step = lambda phase: (phases.append(phase), run_step(phase))[1]
    run.advance(3)
    assert addon.seen == [(0, "even"), (1, "odd"), (2, "even")]
    assert phases == [("even",), ("odd",), ("even",)]


def test_runs_trained_together_equal_runs_trained_alone():
    methods_and_seeds = ((WITH_DASO, 0), (SUPERVISED, 1), (WITH_DASO, 2))
    alone, together = ([trainer(method=method, seed=seed) for method, seed in methods_and_seeds] for _ in range(2))
    for run in alone:
        run.advance(5)
    advance_together(together, 5)
    assert [run.t for run in together] == [5, 5, 5]
    assert all(same(bits(one), bits(two)) for one, two in zip(alone, together, strict=True))
    assert not same(bits(together[0]), bits(together[2]))


def test_round_robin_trains_one_chunk_of_each_run_in_turn():
    """Three runs of 1, 3 and 2 chunks, two at a time: the third starts when the first ends."""
    log = []

    def run(name, chunks):
        for chunk in range(chunks):
            log.append(f"{name}{chunk}")
            yield chunk

    round_robin((run(name, chunks) for name, chunks in (("a", 1), ("b", 3), ("c", 2))), 2, CPU)
    assert log == ["a0", "b0", "c0", "b1", "c1", "b2"]


def test_when_one_run_stops_the_others_save_checkpoints(tmp_path):
    first, second = trainer(), trainer(seed=1)

    def stop(t):
        if t == 3:
            raise StoppedError("now")

    runs = [
        run.fit(scratch=tmp_path / name, on_step=on_step, on_evaluation=lambda row: None)
        for run, name, on_step in ((first, "first.pt", stop), (second, "second.pt", lambda t: None))
    ]
    first.loader.chunk = second.loader.chunk = 1
    with pytest.raises(StoppedError):
        round_robin(runs, 2, CPU)
    saved = {name: torch.load(tmp_path / f"{name}.pt", weights_only=True)["t"] for name in ("first", "second")}
    assert saved["first"] == 3
    assert saved["second"] in (2, 3)


def test_first_error_is_raised_although_closing_another_run_fails():
    """The first run fails, the second fails while it is closed; the third is closed, and the first error is raised."""
    closed = []

    def run(name, error=None, error_on_close=None):
        try:
            yield 1
            if error:
                raise error
            yield 2
        finally:
            closed.append(name)
            if error_on_close:
                raise error_on_close

    runs = (run("a", ValueError("the cause")), run("b", None, OSError("full")), run("c"))
    with pytest.raises(ValueError, match="the cause"):
        round_robin(runs, 3, CPU)
    assert closed == ["a", "b", "c"]


def test_closed_run_is_freed_without_the_garbage_collector():
    """Otherwise the memory of its graphs would stay in use."""
    run = trainer()
    run.advance(2)
    run.runner.close()
    reference = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnAGpu:
    """Results that graphs and streams must not change."""

    @staticmethod
    def run(mode, seed=0, precision="fp32"):
        from daso.config.build import build
        from daso.engine.resident import Pool, Resident

        device = torch.device("cuda")
        data = Resident(*(Pool(pool.images.to(device), pool.labels.to(device)) for pool in trainer().data))
        protocol = CONFIG["protocol"] | {"precision": precision}
        return build(CONFIG | {"method": WITH_DASO, "seed": seed, "protocol": protocol}, data, device, mode)

    def test_replays_equal_eager_steps_bit_for_bit(self):
        eager, graph = self.run("eager"), self.run("graph")
        for run in (eager, graph):
            run.advance(6)
        assert (eager.mode, graph.mode) == ("eager", "graph")  # neither fell back
        assert same(bits(eager), bits(graph))

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    @pytest.mark.parametrize("mode", ["eager", "compiled", "graph", "compiled_graph"])
    def test_resumed_run_equals_whole_run(self, mode, precision, tmp_path):
        whole, first, second = (self.run(mode, precision=precision) for _ in range(3))
        whole.advance(6)
        first.advance(3)
        first.save(tmp_path / "state.pt")
        second.advance(1)  # captured before it is restored
        second.restore(tmp_path / "state.pt")
        second.advance(6)
        assert whole.mode == second.mode == mode
        assert same(bits(whole), bits(second))

    def test_modes_agree(self):
        runs = [self.run(mode) for mode in ("eager", "compiled", "compiled_graph")]
        for run in runs:
            run.advance(6)
        for other in runs[1:]:
            for name, value in runs[0].models.student.state_dict().items():
                assert torch.allclose(value, other.models.student.state_dict()[name], atol=1e-4), name

    def test_replicas_equal_runs_trained_alone(self):
        alone, together = ([self.run("graph", seed) for seed in range(3)] for _ in range(2))
        for run in alone:
            run.advance(6)
        advance_together(together, 6)
        torch.cuda.synchronize()
        assert all(same(bits(one), bits(two)) for one, two in zip(alone, together, strict=True))

    def test_evaluation_between_two_steps_changes_nothing(self):
        plain, evaluated = self.run("graph"), self.run("graph")
        plain.advance(6)
        evaluated.advance(3)
        evaluated.evaluate()
        evaluated.advance(6)
        assert same(plain.weights()["student"], evaluated.weights()["student"])
        assert same(plain.weights()["learner"], evaluated.weights()["learner"])
