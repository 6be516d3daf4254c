"""Describe the device and resolve each of its names."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import torch

from daso.engine.environment import choose_device, choose_precision, describe_environment
from daso.machine import cores
from tools.gpu import results
from tools.gpu.cases import DEVICE, DRY_RUN


def main() -> None:
    """Append one row for the device and one for each name."""
    with results.row("device", dry=DRY_RUN, date=f"{datetime.now(UTC):%Y-%m-%d}") as row:
        row |= {**describe_environment(DEVICE), "cores": cores(), "cuda": torch.version.cuda}
        row["precision"] = choose_precision("auto", DEVICE)
        row["driver"] = os.environ.get("GPU_DRIVER", "")
        if DEVICE.type == "cuda":
            row["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            row["memory_gib"] = round(torch.cuda.mem_get_info()[1] / 2**30, 1)
    for name in ("auto", "cpu") if DRY_RUN else ("auto", "cuda", "cuda:0"):
        with results.row("name", name=name) as row:
            row["device"] = str(choose_device(name))


if __name__ == "__main__":
    main()
