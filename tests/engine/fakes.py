"""Fake CUDA streams, events and graphs on a CPU: the replay of a graph runs the captured step again."""

from collections import Counter
from contextlib import contextmanager

import pytest
import torch


class Stream:
    device = torch.device("cpu")

    def wait_stream(self, other):
        assert isinstance(other, Stream)

    def record_event(self):
        return Event()

    def synchronize(self):
        pass


class Event:
    """Event that reads a clock set by the test, in ms."""

    clock = 0.0

    def __init__(self, **options):
        self.time = None

    def record(self, *stream):
        self.time = Event.clock

    def synchronize(self):
        pass

    def elapsed_time(self, later):
        return later.time - self.time


class OnCuda:
    """CPU loader that reports a CUDA device."""

    device = torch.device("cuda", 3)

    def __init__(self, loader):
        self.loader = loader

    def __getattr__(self, name):
        return getattr(self.loader, name)


class Fakes:
    """Fake CUDA that makes a CPU run capture its steps; capture number `failing`, counted from 0, raises an error.

    With `fails_after_end` the error is raised after the end of the capture. The allocator serves a pool from the start
    of a capture to its end, and keeps its memory while the pool is in use: by a graph until it is deleted, or by a
    capture that failed before its end until the pool is released.
    """

    def __init__(self, monkeypatch):
        self.captures, self.replays, self.failing, self.fails_after_end = 0, 0, None, False
        self.served, self.uses = [], Counter()
        self.error = RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")
        current = [Stream()]

        @contextmanager
        def stream(side):
            current.append(side)
            try:
                yield
            finally:
                current.pop()

        monkeypatch.setattr(torch.cuda, "stream", stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda *device: current[-1])
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: None)
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
        monkeypatch.setattr(Event, "clock", 0.0)
        pools = iter(range(100))
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, next(pools)))
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", self.release, raising=False)
        self.set = monkeypatch.setattr

    def end(self, index, pool):
        """Stop serving a pool; raise an error if it is not served, as torch's allocator does."""
        assert index == OnCuda.device.index
        if pool not in self.served:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.served.remove(pool)

    def release(self, index, pool):
        """Remove one use of a pool."""
        assert index == OnCuda.device.index
        self.uses[pool] -= 1

    def on_cuda(self, run, mode="graph"):
        """Make a CPU run behave as on CUDA, and return it; only one run at a time."""
        runner, fakes = run.runner, self
        run.stopwatch.on_cpu, run.requested_mode, runner.mode, runner.loader = (
            False,
            mode,
            mode,
            OnCuda(runner.loader),
        )
        runner.uses_graphs, runner.capture_stream, runner.parts_sampled = True, Stream(), False
        runner.pool = torch.cuda.graph_pool_handle()

        def written_tensors():
            return {**run.written_tensors(), "step_index": runner.step_index, "rate": run.rate}

        class Graph:
            pool = None  # set when the capture ends

            def __del__(self):
                if self.pool:
                    fakes.uses[self.pool] -= 1

            def replay(self):
                fakes.replays += 1
                for addon, current_phase in zip(run.learner.chain, self.current_phase, strict=True):
                    addon.current_phase = current_phase
                runner._run_and_advance()

        @contextmanager
        def graph(graph, pool, stream):
            assert (pool, stream) == (runner.pool, runner.capture_stream)
            fakes.served.append(pool)
            fakes.uses[pool] += 1
            before, graph.current_phase = (
                {name: tensor.clone() for name, tensor in written_tensors().items()},
                [addon.current_phase for addon in run.learner.chain],
            )
            yield
            assert written_tensors().keys() == before.keys()  # a capture creates no tensor
            with torch.no_grad():
                for name, tensor in written_tensors().items():
                    tensor.copy_(before[name])
            fakes.captures += 1
            fails = fakes.captures - 1 == fakes.failing
            if not fails or fakes.fails_after_end:
                fakes.served.remove(pool)
                graph.pool = pool
            if fails:
                raise fakes.error

        self.set(torch.cuda, "CUDAGraph", Graph)
        self.set(torch.cuda, "graph", graph)
        return run


@pytest.fixture
def fakes(monkeypatch):
    return Fakes(monkeypatch)
