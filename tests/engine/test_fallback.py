"""Replays on fake CUDA, and the simpler modes to which a run falls back."""

import gc
import logging
import os

import pytest
import torch

from daso.engine.compiled import COMPILED_FUNCTIONS, Compiled
from daso.engine.step_runner import StepRunner
from daso.methods.base import AddOn
from tests.engine.fakes import fakes  # noqa: F401 - a fixture
from tests.engine.test_cuda_graphs import WITH_DASO, Parity, bits, same
from tests.engine.world import SUPERVISED, trainer


def two_phases(method=WITH_DASO):
    run = trainer(method=method)
    run.learner.addons.append(Parity())
    return run


@pytest.fixture
def eager():
    run = two_phases()
    run.advance(6)
    return run


def test_replays_give_the_bits_of_eager_steps(fakes, eager):  # noqa: F811
    run = fakes.on_cuda(two_phases())
    run.advance(6)
    assert same(bits(run), bits(eager))
    assert (fakes.captures, fakes.replays, run.mode) == (2, 6, "graph")


@pytest.mark.parametrize(("failing", "replays"), [(0, 0), (1, 1)], ids=["first phase", "second phase"])
def test_failed_capture_falls_back_to_eager_once(fakes, eager, caplog, failing, replays):  # noqa: F811
    run = fakes.on_cuda(two_phases())
    fakes.failing = failing
    assert gc.isenabled()
    run.advance(6)
    assert gc.isenabled()
    assert same(bits(run), bits(eager))
    assert (fakes.captures, fakes.replays, run.mode) == (failing + 1, replays, "eager")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "mode graph: a step cannot be captured, continuing in mode eager: "
        "operation not permitted when stream is capturing"
    ]
    assert run.numerics_fingerprint == eager.numerics_fingerprint


@pytest.mark.parametrize("after_end", [False, True], ids=["before its end", "after its end"])
@pytest.mark.parametrize("failing", [0, 1], ids=["first phase", "second phase"])
def test_failed_capture_leaves_no_memory_in_use(fakes, failing, after_end):  # noqa: F811
    """The allocator serves no pool and none is in use; otherwise torch would free no memory afterwards."""
    run = fakes.on_cuda(two_phases())
    pool, fakes.failing, fakes.fails_after_end = run.runner.pool, failing, after_end
    run.advance(6)
    fakes.error = None  # its traceback refers to the graph
    gc.collect()
    assert (run.mode, fakes.captures, fakes.served, fakes.uses[pool]) == ("eager", failing + 1, [], 0)


def test_out_of_memory_in_a_capture_is_raised(fakes):  # noqa: F811
    run = fakes.on_cuda(trainer(method=WITH_DASO))
    fakes.failing, fakes.error = 0, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises(torch.OutOfMemoryError):
        run.advance(1)
    assert run.mode == "graph"


def test_captures_use_streams_of_high_priority(monkeypatch):
    streams = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device, **options: streams.append(options))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    run = trainer()
    StepRunner(run.training_step, run.written_tensors, run.loader, run.stopwatch, "graph")
    assert streams == [{"priority": -1}]


def test_resumed_run_keeps_the_mode_of_its_fallback(fakes, tmp_path, caplog):  # noqa: F811
    first = fakes.on_cuda(trainer(method=WITH_DASO))
    fakes.failing = 0
    first.advance(3)
    first.save(tmp_path / "state.pt")
    caplog.clear()
    second = fakes.on_cuda(trainer(method=WITH_DASO))
    second.restore(tmp_path / "state.pt")
    assert (second.mode, second.runner.uses_graphs, caplog.records) == ("eager", False, [])
    second.advance(6)
    assert fakes.captures == 1


def test_garbage_collection_is_off_during_a_capture(fakes, monkeypatch):  # noqa: F811
    run, enabled = fakes.on_cuda(trainer(method=SUPERVISED)), []
    run_and_advance = run.runner._run_and_advance
    monkeypatch.setattr(run.runner, "_run_and_advance", lambda: (enabled.append(gc.isenabled()), run_and_advance()))
    run.advance(2)
    assert enabled == [False, True, True]  # the capture, then two replays


def test_closed_program_can_be_closed_again_and_runs_no_step():
    run = trainer()
    run.advance(1)
    run.runner.close()
    run.runner.close()
    with pytest.raises(RuntimeError, match="step runner of this run is closed"):
        run.runner.step(None)


def test_compiled_functions_give_the_bits_of_eager_and_compile_for_two_shapes_only():
    """Two networks, one shape each: 4 labeled images with 2 x 8 unlabeled ones in one forward, 4 images of the teacher.

    Twelve runs of one process compile no more than the first two, though dynamo's default limit is 8 variants.
    """
    shapes = []

    def keep(graph, inputs):
        shapes.extend(tuple(tensor.shape) for tensor in inputs if tensor.ndim == 4 and tensor.shape[1] == 3)
        return graph.forward

    torch._dynamo.reset()
    plain = trainer(method=WITH_DASO)
    plain.advance(4)
    counts = []
    for _ in range(12):
        run = trainer(method=WITH_DASO)
        run.runner.mode, run.runner.compiled = "compiled", Compiled(run.models, run.learner, backend=keep)
        run.advance(4)
        assert (run.mode, same(bits(run), bits(plain))) == ("compiled", True)
        run.evaluate()
        counts.append(len(shapes))
        run.runner.close()
    assert counts[0] > 0
    assert counts[-1] == counts[1]
    images = {shape for shape in shapes if shape[2:] == (4, 4)}
    assert images == {(20, 3, 4, 4), (4, 3, 4, 4)}
    assert os.environ["TORCHINDUCTOR_DETERMINISTIC"] == "1"
    assert torch._inductor.config.deterministic


def test_failed_compilation_falls_back_to_eager(caplog):
    def broken(graph, inputs):
        raise OSError("no C++ compiler")

    torch._dynamo.reset()
    plain, run = trainer(method=WITH_DASO), trainer(method=WITH_DASO)
    run.runner.mode, run.runner.compiled = "compiled", Compiled(run.models, run.learner, backend=broken)
    plain.advance(4)
    run.advance(4)
    assert same(bits(run), bits(plain))
    assert (run.mode, run.runner.compiled) == ("eager", None)
    assert not set(COMPILED_FUNCTIONS) & vars(run.learner).keys()
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("mode compiled: a step cannot be compiled, continuing in mode eager: ")
    assert "no C++ compiler" in line
    assert run.numerics_fingerprint.endswith("fp32, eager")


class Sharpen(AddOn):
    """Add-on that sharpens pseudo-labels in every other step."""

    def phase(self, t):
        return "sharp" if t % 2 else "plain"

    def refine(self, probs, step):
        probs = probs.square() if self.current_phase == "sharp" else probs
        return probs / probs.sum(-1, keepdim=True), ()


def test_compilation_that_fails_in_a_later_phase_ends_it_for_all_phases(fakes, caplog):  # noqa: F811
    """The first phase is compiled and captured; when the second fails, both are captured again, uncompiled."""
    failed = []

    def compile_first_phase(graph, inputs):
        if run.runner.compiled_phases:
            failed.append(run.t)
            raise OSError("C++ compiler removed")
        return graph.forward

    torch._dynamo.reset()
    plain, run = trainer(), fakes.on_cuda(trainer(), "compiled_graph")
    for trained in (plain, run):
        trained.learner.addons.append(Sharpen())
    plain.advance(6)
    run.runner.compiled = Compiled(run.models, run.learner, backend=compile_first_phase)
    first = run.runner.pool
    run.advance(6)
    gc.collect()
    assert failed == [1]  # step 0 was a replay in the first phase
    assert same(bits(run), bits(plain))
    assert (run.mode, run.runner.compiled, fakes.captures, fakes.replays) == ("graph", None, 3, 6)
    assert not set(COMPILED_FUNCTIONS) & vars(run.learner).keys()
    assert fakes.uses == {first: 0, run.runner.pool: 2}
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("mode compiled_graph: a step cannot be compiled, continuing in mode graph: ")
    assert "C++ compiler removed" in line
