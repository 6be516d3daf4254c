"""All parts of the benchmark, and the page they make."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from daso.engine.cuda_graphs import MODES, choose_mode
from daso.engine.environment import choose_device, describe
from daso.errors import DasoError
from daso.machine import cores
from daso.planning.synthetic import Config
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
    """Measure parts, all of them unless some are named, and write `<machine>.md` and `.json` under `out`.

    `configs` are resolved configurations of FixMatch with or without DASO; parts that measure one take the last.
    `modes` are the engine's, by default eager on a CPU and all on CUDA. `command` is what brought here, without the
    options that are arguments here. What is finished is written at once. `quick` only shows that everything runs: its
    page has another name and no targets. Raises DasoError for parts or modes that are none.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise DasoError(f"bench: there is no part '{unknown[0]}'; choose from {', '.join(PARTS)}")
    if not configs or repeats < 1:
        raise DasoError("bench: give at least one configuration and one repetition")
    place = choose_device(device)
    chosen = tuple(modes) or (("eager",) if place.type == "cpu" else MODES)
    for mode in chosen:
        choose_mode(mode, place)
    bench = Bench([tiny(config) if quick else config for config in configs], place, repeats, chosen, quick)
    made_with = {**describe(place), "repeats": repeats}
    options = f" --device {device}" if device != "auto" else ""
    options += f" --repeats {repeats}" if repeats != REPEATS else ""
    options += f" --modes {','.join(modes)}" if modes else ""
    options += " --quick" if quick else ""
    machine = {"device": made_with["device"], "cores": cores(), "quick": quick}
    page = out
    for part in parts or PARTS:
        logging.info("bench: %s", part)
        tree = PARTS[part](bench).tree()
        gc.collect()  # a graph that ends late takes the cuBLAS workspace of its stream from the graphs of the next part
        section = {"command": f"{command} --parts {part}{options}", "made_with": made_with, **tree}
        page = table.write(out, machine, {part: section}, list(PARTS))
    logging.info("%s", page)
    return page
