"""Worker process of a contender, for separate memory and threads, and to run several at once.

It reads JSON lines and writes one reply to each: first the contender to build, then numbers of steps, until stdin ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from daso.errors import DasoError

Reply = dict[str, Any]


class Worker:
    """Contender in a separate process; `send` returns at once, `receive` waits for the reply."""

    def __init__(self, request: dict[str, Any], threads: int) -> None:
        paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "OMP_NUM_THREADS": str(threads),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.send(request)

    def send(self, line: Any) -> None:
        """Write one line to the worker."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def receive(self) -> Reply:
        """Return the worker's next reply; raises DasoError if the process has ended instead."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise DasoError(f"bench: a worker process exited with status {self.process.wait()}; see its error above")
        reply: Reply = json.loads(line)
        return reply

    def run(self, steps: int) -> Reply:
        """Take `steps` steps and return the reply."""
        self.send(steps)
        return self.receive()

    def close(self) -> None:
        """Close the worker's pipes and wait until it exits."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()


@contextmanager
def start_workers(requests: Sequence[dict[str, Any]], threads: int) -> Iterator[list[tuple[Worker, Reply]]]:
    """Start workers one by one, so that they do not disturb each other's warm-up; yield each with its first reply."""
    with ExitStack() as stack:
        started = []
        for request in requests:
            worker = Worker(request, threads)
            stack.callback(worker.close)
            started.append((worker, worker.receive()))
        yield started


def _serve() -> None:
    from daso.engine.environment import choose_device
    from tools.bench.contenders import create

    request = json.loads(sys.stdin.readline())
    device = choose_device(request["device"])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    base = _memory(device)
    data = _data(request, device)
    loaded = _memory(device)
    contender = create(request["name"], request["config"], device, data)
    steps = contender.warm_up(request["seconds"])
    _reply({"steps": steps, "base_mib": base, "loaded_mib": loaded, "now_mib": _memory(device), **_peak(device)})
    for line in sys.stdin:
        seconds = contender.run(json.loads(line))
        _reply({"seconds": seconds, "now_mib": _memory(device), **_peak(device)})


def _data(request: dict[str, Any], device: torch.device) -> Any:
    """Return the images of a request: from its store if it names one, else random."""
    from daso.planning.synthetic import random_data
    from tools.bench.stores import open_store

    if "store" in request:
        return open_store(Path(request["store"]), device, request["memory"])
    return random_data(request["config"], device)


def _memory(device: torch.device) -> float:
    """Return the MiB in use: allocated on a CUDA device, or else resident in this process without file pages."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        _, resident, shared, *_ = (int(pages) for pages in Path("/proc/self/statm").read_text("ascii").split())
    except OSError:  # not Linux
        return float(_peak(device)["peak_mib"])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak(device: torch.device) -> Reply:
    """Return this process's peak MiB; getrusage is unsuitable, because a new process inherits its parent's value."""
    from daso.engine.environment import peak_memory

    return {"peak_mib": peak_memory(device)}


def _reply(reply: Reply) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
