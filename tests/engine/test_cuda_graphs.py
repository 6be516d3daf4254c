"""Modes of carrying out steps, the state that a step writes, phases, and runs that take turns."""

import gc
import weakref

import pytest
import torch

from daso.engine.cuda_graphs import choose_mode
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
}
WITH_DASO = CONFIG["method"] | {"addons": [DASO]}
METHODS = pytest.mark.parametrize("method", [SUPERVISED, CONFIG["method"], WITH_DASO], ids=["sup", "fix", "daso"])


def bits(run):
    return {name: tensor.clone() for name, tensor in run.written().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@METHODS
def test_all_that_a_step_writes_is_named(method):
    """Put back what `written` names, and the same step gives the same bits: nothing else had changed.

    A captured step is warmed up so; what it wrote elsewhere would stay.
    """
    run = trainer(method=method)
    run.advance(2)
    before = bits(run)
    (batch,) = batches(run, 2, 3)
    run.training_step(batch)
    after = bits(run)
    assert not same(before, after)
    for name, tensor in run.written().items():
        tensor.copy_(before[name])
    run.training_step(batch)
    assert same(bits(run), after)


def test_a_step_leaves_every_tensor_where_it_is():
    """A graph reads and writes the addresses it was captured with, also after a resume and an evaluation."""
    run, other = trainer(method=WITH_DASO), trainer(method=WITH_DASO)
    run.advance(1)
    places = {name: tensor.data_ptr() for name, tensor in run.written().items()}
    momenta = [run.optimizer.state[weight]["momentum_buffer"] for weight in run.models.student.parameters()]
    other.advance(2)
    run.evaluate()
    run.models.student.load_state_dict(other.models.student.state_dict())
    run.monitor.restore(other.monitor.state(), other.monitor.record())
    run.advance(3)
    assert {name: tensor.data_ptr() for name, tensor in run.written().items()} == places
    assert [momentum.data_ptr() for momentum in momenta] == [tensor.data_ptr() for tensor in run.momentum.values()]
    assert run.optimizer.param_groups[0]["lr"] is run.rate


def test_work_that_is_undone():
    """Three steps are undone to the bit, sums that only they brought are zero, and the next step reads its own slot."""
    straight, run = trainer(method=WITH_DASO), trainer(method=WITH_DASO)
    straight.advance(3)
    run.program.begin(run.loader.chunks(0, 3))
    before = bits(run)
    run.program._run_and_restore(lambda: run.program._repeat_current_step(3))
    after = bits(run)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert {float(after[name].abs().max()) for name in after.keys() - before.keys()} == {0.0}
    for t in range(3):
        run.program.run_step(run.learner.set_phase(t))
    assert same(bits(run), bits(straight))


def test_room_for_a_chunk_holds_shorter_ones():
    """As graphs read it: always the same memory, whose first steps are those of the chunk."""
    straight, run = trainer(), trainer()
    straight.advance(5)
    run.program.captures = True  # only `_load` reads it
    for start, end in ((0, 2), (2, 5)):
        for chunk in run.loader.chunks(start, end):
            run.program._load(chunk)
            assert {len(tensor) for tensor in run.program.chunk.tensors()} == {run.loader.chunk}
            place = run.program.chunk.u["strong"].data_ptr()
            for _ in chunk.t:
                run.program._run_and_advance()
        if start == 0:
            first = place
    assert place == first
    assert same(bits(run), bits(straight))


def test_chunks_of_any_length_are_the_same_steps():
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
def test_modes(name, device, mode):
    assert choose_mode(name, torch.device(device)) == mode


@pytest.mark.parametrize(
    ("name", "message"), [("grpah", "choose one of auto, eager"), ("graph", "needs a CUDA device")]
)
def test_modes_that_are_not_there(name, message):
    with pytest.raises(DasoError, match=message):
        choose_mode(name, CPU)


@pytest.mark.slow
def test_compiled_networks_train_alike_and_resume_bit_for_bit(tmp_path):
    """Compiled kernels round elsewhere: weights after six steps agree to 1e-4, far less than one step moves them."""
    from daso.config.build import build

    def run(mode):
        return build(CONFIG | {"method": WITH_DASO}, trainer().data, CPU, mode)

    eager, straight, first, second = run("eager"), run("compiled"), run("compiled"), run("compiled")
    start = eager.models.student.classifier.weight.clone()
    eager.advance(6)
    straight.advance(6)
    moved = (eager.models.student.classifier.weight - start).abs().max()
    assert moved > 1e-2
    for name, value in eager.models.student.state_dict().items():
        assert torch.allclose(value, straight.models.student.state_dict()[name], atol=1e-4), name
    assert eager.evaluate()["test_top1"] == straight.evaluate()["test_top1"]
    first.advance(3)
    first.save(tmp_path / "state.pt")
    second.restore(tmp_path / "state.pt")
    second.advance(6)
    straight = run("compiled")
    straight.advance(6)
    assert same(bits(second), bits(straight))


class Parity(AddOn):
    """An add-on with two phases."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def phase(self, t):
        return "odd" if t % 2 else "even"

    def commit(self, step, memo):
        self.seen.append((int(step.batch.t), self.now))


def test_the_host_tells_each_step_its_phase():
    run, addon = trainer(), Parity()
    run.learner.addons.append(addon)
    phases = []
    take = run.program.take
    run.program.take = lambda phase: (phases.append(phase), take(phase))
    run.advance(3)
    assert addon.seen == [(0, "even"), (1, "odd"), (2, "even")]
    assert phases == [("even",), ("odd",), ("even",)]


def test_runs_that_take_turns_are_what_they_are_alone():
    alone = [trainer(method=method, seed=seed) for method, seed in ((WITH_DASO, 0), (SUPERVISED, 1), (WITH_DASO, 2))]
    turns = [trainer(method=method, seed=seed) for method, seed in ((WITH_DASO, 0), (SUPERVISED, 1), (WITH_DASO, 2))]
    for run in alone:
        run.advance(5)
    advance_together(turns, 5)
    assert [run.t for run in turns] == [5, 5, 5]
    assert all(same(bits(one), bits(two)) for one, two in zip(alone, turns, strict=True))
    assert not same(bits(turns[0]), bits(turns[2]))


def test_no_run_at_a_time_is_an_error():
    from daso.runs.train import Execution, train

    with pytest.raises(DasoError, match="--replicas 0: at least one run"):
        train([], Execution(CPU, replicas=0))


def test_turns():
    """Three courses of 1, 3 and 2 pieces, two at a time: the third takes the place of the first."""
    log = []

    def course(name, pieces):
        for piece in range(pieces):
            log.append(f"{name}{piece}")
            yield piece

    round_robin((course(name, pieces) for name, pieces in (("a", 1), ("b", 3), ("c", 2))), 2, CPU)
    assert log == ["a0", "b0", "c0", "b1", "c1", "b2"]


def test_when_one_stops_the_others_save_themselves(tmp_path):
    first, second = trainer(), trainer(seed=1)

    def stop(t):
        if t == 3:
            raise StoppedError("now")

    courses = [
        run.fit(scratch=tmp_path / name, on_step=on_step, on_evaluation=lambda row: None)
        for run, name, on_step in ((first, "first.pt", stop), (second, "second.pt", lambda t: None))
    ]
    first.loader.chunk = second.loader.chunk = 1
    with pytest.raises(StoppedError):
        round_robin(courses, 2, CPU)
    saved = {name: torch.load(tmp_path / f"{name}.pt", weights_only=True)["t"] for name in ("first", "second")}
    assert saved["first"] == 3
    assert saved["second"] in (2, 3)


def test_an_error_while_one_is_closed_hides_nothing():
    """The first run fails, the second cannot be closed; the third is closed, and the first error is told."""
    closed = []

    def course(name, error=None, at_the_end=None):
        try:
            yield 1
            if error:
                raise error
            yield 2
        finally:
            closed.append(name)
            if at_the_end:
                raise at_the_end

    courses = (course("a", ValueError("the cause")), course("b", None, OSError("full")), course("c"))
    with pytest.raises(ValueError, match="the cause"):
        round_robin(courses, 3, CPU)
    assert closed == ["a", "b", "c"]


def test_a_closed_run_is_let_go():
    """At once, without the garbage collector, and with it the memory of its graphs."""
    run = trainer()
    run.advance(2)
    run.program.close()
    gone = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnAGpu:
    """What graphs and streams must not change."""

    @staticmethod
    def run(mode, seed=0, precision="fp32"):
        from daso.config.build import build
        from daso.engine.resident import Pool, Resident

        device = torch.device("cuda")
        data = Resident(*(Pool(pool.images.to(device), pool.labels.to(device)) for pool in trainer().data))
        protocol = CONFIG["protocol"] | {"precision": precision}
        return build(CONFIG | {"method": WITH_DASO, "seed": seed, "protocol": protocol}, data, device, mode)

    def test_a_graph_is_bit_for_bit_its_eager_step(self):
        eager, graph = self.run("eager"), self.run("graph")
        for run in (eager, graph):
            run.advance(6)
        assert (eager.mode, graph.mode) == ("eager", "graph")  # neither fell back
        assert same(bits(eager), bits(graph))

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    @pytest.mark.parametrize("mode", ["eager", "compiled", "graph", "compiled_graph"])
    def test_six_steps_are_three_and_three(self, mode, precision, tmp_path):
        straight, first, second = (self.run(mode, precision=precision) for _ in range(3))
        straight.advance(6)
        first.advance(3)
        first.save(tmp_path / "state.pt")
        second.advance(1)  # captured before it is restored
        second.restore(tmp_path / "state.pt")
        second.advance(6)
        assert straight.mode == second.mode == mode
        assert same(bits(straight), bits(second))

    def test_modes_agree(self):
        runs = [self.run(mode) for mode in ("eager", "compiled", "compiled_graph")]
        for run in runs:
            run.advance(6)
        for other in runs[1:]:
            for name, value in runs[0].models.student.state_dict().items():
                assert torch.allclose(value, other.models.student.state_dict()[name], atol=1e-4), name

    def test_replicas_are_their_solo_runs(self):
        alone, together = ([self.run("graph", seed) for seed in range(3)] for _ in range(2))
        for run in alone:
            run.advance(6)
        advance_together(together, 6)
        torch.cuda.synchronize()
        assert all(same(bits(one), bits(two)) for one, two in zip(alone, together, strict=True))

    def test_an_evaluation_between_two_steps_changes_nothing(self):
        straight, other = self.run("graph"), self.run("graph")
        straight.advance(6)
        other.advance(3)
        other.evaluate()
        other.advance(6)
        assert same(straight.weights()["student"], other.weights()["student"])
        assert same(straight.weights()["learner"], other.weights()["learner"])
