"""Streams, events and graphs of CUDA on a CPU: a graph's replay repeats the step that was captured."""

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
    """Reads a clock that a test sets, in ms."""

    clock = 0.0

    def __init__(self, **options):
        self.time = None

    def record(self, *stream):
        self.time = Event.clock

    def synchronize(self):
        pass

    def elapsed_time(self, later):
        return later.time - self.time


class Fakes:
    """Makes a run of the CPU capture its steps; `failing` is the number of the capture that raises, from 0 on."""

    def __init__(self, monkeypatch):
        self.captures, self.replays, self.failing = 0, 0, None
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
        self.set = monkeypatch.setattr

    def capturing(self, run, mode="graph"):
        """The run, as it would be on CUDA; one at a time."""
        program, fakes = run.program, self
        run.watch.on_cpu, run.chosen, program.mode = False, mode, mode
        program.captures, program.pool, program.side, program.sampled = True, "pool", Stream(), False

        def written():
            return {**run.written(), "slot": program.slot, "rate": run.rate}

        class Graph:
            def replay(self):
                fakes.replays += 1
                for addon, now in zip(run.learner.chain, self.now, strict=True):
                    addon.now = now
                program._once_and_on()

        @contextmanager
        def graph(graph, pool, stream):
            assert (pool, stream) == ("pool", program.side)
            before, graph.now = (
                {name: tensor.clone() for name, tensor in written().items()},
                [addon.now for addon in run.learner.chain],
            )
            yield
            assert written().keys() == before.keys()  # nothing is made while capturing
            with torch.no_grad():
                for name, tensor in written().items():
                    tensor.copy_(before[name])
            fakes.captures += 1
            if fakes.captures - 1 == fakes.failing:
                raise fakes.error

        self.set(torch.cuda, "CUDAGraph", Graph)
        self.set(torch.cuda, "graph", graph)
        return run


@pytest.fixture
def fakes(monkeypatch):
    return Fakes(monkeypatch)
