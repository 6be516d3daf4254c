"""Peak memory of each contender, in a separate process because a process may keep memory that it once allocated."""

from __future__ import annotations

import torch

from daso.aliases import Config
from tools.bench.contenders import REFERENCE, contender_names
from tools.bench.results import Cell, Section, Table
from tools.bench.setup import Bench, title
from tools.bench.worker import start_workers


def measure(bench: Bench) -> Section:
    """Measure each configuration; return a table of each."""
    return Section([_table(bench, config) for config in bench.configs], [], [], {})


def _table(bench: Bench, config: Config) -> Table:
    rows = list[tuple[Cell, ...]]()
    for name in contender_names(bench):
        if name == REFERENCE:  # its loaders are separate processes
            continue
        request = {"name": name, "config": config, "device": str(bench.device), "seconds": 0.0}
        with start_workers([request], torch.get_num_threads()) as [(_, reply)]:
            rows.append((name, reply["peak_mib"], reply["base_mib"], reply["loaded_mib"] - reply["base_mib"]))
    on_cuda = bench.device.type == "cuda"
    what = "Memory allocated on the device" if on_cuda else "Resident memory of the process"
    how = (
        f"{what} at its highest, over building {title(config)} and some steps with 12,000 random images, one process "
        "for each. What PyTorch holds before anything is built, and the images, are a part of it"
        f"{'; the reference keeps its images on the host' if on_cuda else ''}."
    )
    columns = ("", "peak MiB", "MiB before", "MiB of images")
    return Table(f"Peak memory of {title(config)}", how, columns, rows)
