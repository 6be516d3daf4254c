"""A process of its own for a contender: memory that no other has touched, threads of its own, several at once.

It reads JSON lines and answers each with one: first what to build, then how many steps to take, until there are none.
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
    """A contender in a process of its own; `begin` does not wait, `end` does."""

    def __init__(self, order: dict[str, Any], threads: int) -> None:
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
        self.begin(order)

    def begin(self, line: Any) -> None:
        """Tell it what to do next."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def end(self) -> Reply:
        """What it answers; raises DasoError when it has ended instead."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise DasoError(f"bench: a measuring process ended with status {self.process.wait()}; see above for why")
        reply: Reply = json.loads(line)
        return reply

    def run(self, steps: int) -> Reply:
        """Take so many steps."""
        self.begin(steps)
        return self.end()

    def close(self) -> None:
        """Let it end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()


@contextmanager
def workers(orders: Sequence[dict[str, Any]], threads: int) -> Iterator[list[tuple[Worker, Reply]]]:
    """Contenders that are ready, each with its first answer: built one after the other, so that none disturbs."""
    with ExitStack() as stack:
        found = []
        for order in orders:
            worker = Worker(order, threads)
            stack.callback(worker.close)
            found.append((worker, worker.end()))
        yield found


def _serve() -> None:
    from daso.engine.environment import choose_device
    from tools.bench.contenders import named

    order = json.loads(sys.stdin.readline())
    device = choose_device(order["device"])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    base = _memory(device)
    data = _data(order, device)
    loaded = _memory(device)
    contender = named(order["name"], order["config"], device, data)
    steps = contender.warm_up(order["seconds"])
    _answer({"steps": steps, "base_mib": base, "loaded_mib": loaded, "now_mib": _memory(device), **_peak(device)})
    for line in sys.stdin:
        seconds = contender.run(json.loads(line))
        _answer({"seconds": seconds, "now_mib": _memory(device), **_peak(device)})


def _data(order: dict[str, Any], device: torch.device) -> Any:
    """The images that the order names: random ones in memory, or those of a store."""
    from daso.planning.synthetic import random_data
    from tools.bench.stores import opened

    if "store" in order:
        return opened(Path(order["store"]), device, order["memory"])
    return random_data(order["config"], device)


def _memory(device: torch.device) -> float:
    """MiB that this process holds now: of the device, or of its own; pages of files, which can be dropped, apart."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        _, resident, shared, *_ = (int(pages) for pages in Path("/proc/self/statm").read_text("ascii").split())
    except OSError:  # not Linux
        return float(_peak(device)["peak_mib"])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak(device: torch.device) -> Reply:
    """The most MiB so far. A new process inherits the peak of its parent in what getrusage says, but not this one."""
    from daso.engine.environment import peak_memory

    return {"peak_mib": peak_memory(device)}


def _answer(reply: Reply) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
