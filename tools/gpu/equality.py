"""Compare bit for bit: eager = graph = graph, two processes, a resumed run; compare compiled steps within a tolerance.

`python -m tools.gpu.equality methods I/N PRECISION | compiled I/N PRECISION | process TAG PRECISION | resume PRECISION`
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from daso.planning.synthetic import random_data, require_requested_mode, synchronize, trainer, with_changes
from tools.gpu import results
from tools.gpu.cases import (
    DEVICE,
    compared_methods,
    copy_of_state,
    differing,
    digest,
    mode_of,
    size,
    small_config,
    wide_config,
)
from tools.gpu.results import Row
from tools.gpu.single_steps import differences

STEPS, WINDOW = size(50, 6), size(10, 3)
COMPARED = size(12, 2)  # compare every n-th eager step with a compiled one, so that each phase of a method is compared


def train(name: str, precision: str, mode: str) -> tuple[dict[str, Tensor], list[Row]]:
    """Train a method for `STEPS` steps; return its state and the mean losses of each window of steps."""
    config = small_config(name, precision, STEPS)
    run, losses = trainer(config, DEVICE, mode_of(mode), random_data(config, DEVICE)), list[Row]()
    for end in range(WINDOW, STEPS + 1, WINDOW):
        run.advance(end)
        losses.append({name: value for name, value in run.monitor.drain().items() if name.startswith("loss_")})
    require_requested_mode(run)
    state = copy_of_state(run)
    run.runner.close()
    return state, losses


def methods(share: str, precision: str) -> None:
    """Compare eager with graph and graph with graph bit for bit, for a share of the methods."""
    for name in _share(share):
        with results.row("method", method=name, precision=precision) as row:
            (eager, _), (graph, losses), (repeat, _) = (train(name, precision, m) for m in ("eager", "graph", "graph"))
            row["eager_is_graph"] = not differing(eager, graph)
            row["graph_is_graph"] = not differing(graph, repeat)
            row["different"] = differing(eager, graph)[:8]
            row["finite"] = all(abs(value) < 1e6 for window in losses for value in window.values())
            row["digest"] = digest(graph)


def compiled(share: str, precision: str) -> None:
    """Compare single steps of compiled graphs and of eager runs, for a share of the methods."""
    for name in _share(share)[: size(64, 1)]:  # a compilation on a CPU takes half a minute
        with results.row("compiled", method=name, precision=precision) as row:
            config = small_config(name, precision, STEPS)
            modes = (mode_of(mode) for mode in ("eager", "compiled_graph"))
            eager, run = (trainer(config, DEVICE, mode, random_data(config, DEVICE)) for mode in modes)
            row.update(differences(eager, run, range(0, STEPS, COMPARED)))
            require_requested_mode(run)
            for one in (eager, run):
                one.runner.close()


def process(tag: str, precision: str) -> None:
    """Report the digest of the wide network's state in graph mode, for comparison with a second process."""
    with results.row("process", tag=tag, precision=precision) as row:
        for mode in ("graph", "eager") if tag == "b" else ("graph",):
            config = wide_config(precision=precision)
            run = trainer(config, DEVICE, mode_of(mode), random_data(config, DEVICE))
            run.advance(size(50, 4))
            require_requested_mode(run)
            row[f"digest_{mode}"] = digest(copy_of_state(run))
            run.runner.close()


def resume(precision: str) -> None:
    """Compare an uninterrupted run with one that is killed between two checkpoints and resumed: bits must be equal."""
    folder = results.folder() / f"resume_{precision}"
    folder.mkdir()

    def child(name: str, kill: int, tag: str) -> int:
        command = [sys.executable, "-m", "tools.gpu.equality", "child", str(folder / name), precision, str(kill), tag]
        return subprocess.run(command, check=False).returncode

    with results.row("resume", precision=precision) as row:
        row["codes"] = [
            child("killed.pt", size(23, 7), "killed"),
            child("killed.pt", 0, "resumed"),
            child("straight.pt", 0, "straight"),
        ]
        rows = {one["tag"]: one for one in results.read() if one["kind"] == "child" and one["precision"] == precision}
        row["from"] = rows["resumed"]["from"]
        row["same"] = all(rows["straight"][part] == rows["resumed"][part] for part in ("digest", "history"))


def child(checkpoint: str, precision: str, kill: str, tag: str) -> None:
    """Train with checkpoints and evaluations, from a checkpoint if it exists; kill this process at step `kill`."""
    protocol = {"steps": size(60, 12), "checkpoint_every": size(7, 5), "evaluation.every": size(20, 4)}
    changes = {"key": "gpu-check", **{f"protocol.{name}": value for name, value in protocol.items()}}
    config = with_changes(wide_config(precision=precision), changes)
    data = random_data(config, DEVICE, validation=200, test=400)
    run, path = trainer(config, DEVICE, mode_of("graph"), data), Path(checkpoint)
    if path.exists():
        run.restore(path)
    start = run.t

    def on_step(t: int) -> None:
        if t == int(kill):
            os.kill(os.getpid(), signal.SIGKILL)

    list(run.fit(scratch=path, on_step=on_step, on_evaluation=lambda row: None))
    synchronize(DEVICE)
    history = sha256(json.dumps(run.history, sort_keys=True).encode()).hexdigest()[:16]
    results.add(
        "child", tag=tag, precision=precision, **{"from": start}, digest=digest(copy_of_state(run)), history=history
    )


def _share(share: str) -> list[str]:
    """Return the methods of worker i of n, counted from 0: "2/6" is the third of six."""
    first, step = map(int, share.split("/"))
    return compared_methods()[first::step]


COMMANDS: dict[str, Callable[..., None]] = {
    "methods": methods,
    "compiled": compiled,
    "process": process,
    "resume": resume,
    "child": child,
}


def main(arguments: Sequence[str]) -> None:
    """Run one comparison."""
    COMMANDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
