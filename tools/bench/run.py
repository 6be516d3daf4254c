"""Run the parts of the speed benchmark and write its page."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from daso.aliases import Config
from daso.engine.environment import MODES, choose_device, choose_mode, describe_environment
from daso.errors import DasoError
from daso.machine import cores
from tools.bench import augmentation, growth, memory, replicas, roofline, steps, table
from tools.bench.results import Section
from tools.bench.setup import Bench, tiny

PARTS: dict[str, Callable[[Bench], Section]] = {
    "augmentation": augmentation.measure,
    "steps": steps.measure,
    "ceiling": roofline.measure,
    "replicas": replicas.measure,
    "memory": memory.measure,
    "growth": growth.measure,
}
REPEATS = 5


def run(
    configs: Sequence[Config],
    out: Path,
    device: str = "auto",
    parts: Sequence[str] = (),
    repeats: int = REPEATS,
    *,
    modes: Sequence[str] = (),
    quick: bool = False,
    command: str = "python -m tools.bench speed",
) -> Path:
    """Measure parts, by default all, and write `<machine>.md` and `<machine>.json` under `out`; return the page's path.

    `configs` are resolved configurations of FixMatch with or without DASO; parts that measure one use the last.
    `modes` are engine modes, by default eager on a CPU and all on CUDA. `command` is the command line to print, without
    the options that are arguments of this function. Each part is written as soon as it is done. `quick` only tests that
    everything runs: its page has another name and no targets. Raises DasoError for unknown parts or modes.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise DasoError(f"bench: unknown part '{unknown[0]}'; choose one of {', '.join(PARTS)}")
    if not configs:
        raise DasoError("bench: no configuration; give at least one")
    if repeats < 1:
        raise DasoError(f"bench: repeats: {repeats} is below the minimum 1; set it to 1 or more")
    torch_device = choose_device(device)
    chosen = tuple(modes) or (("eager",) if torch_device.type == "cpu" else MODES)
    for mode in chosen:
        choose_mode(mode, torch_device)
    bench = Bench([tiny(config) if quick else config for config in configs], torch_device, repeats, chosen, quick)
    made_with = {**describe_environment(torch_device), "repeats": repeats}
    options = f" --device {device}" if device != "auto" else ""
    options += f" --repeats {repeats}" if repeats != REPEATS else ""
    options += f" --modes {','.join(modes)}" if modes else ""
    options += " --quick" if quick else ""
    machine = {"device": made_with["device"], "cores": cores(), "quick": quick}
    page = out
    for part in parts or PARTS:
        logging.info("bench: %s", part)
        tree = PARTS[part](bench).tree()
        gc.collect()  # a graph freed later would free its stream's cuBLAS workspace, which the next part's graphs use
        section = {"command": f"{command} --parts {part}{options}", "made_with": made_with, **tree}
        page = table.write(out, machine, {part: section}, list(PARTS))
    logging.info("%s", page)
    return page
