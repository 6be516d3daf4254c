"""Digests of short runs of every method of `params/methods`; `python -m tests.golden.runs` rewrites the record."""

from __future__ import annotations

import hashlib
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from daso.runs.short_run import lower_threshold
from tests.test_methods import METHODS, built, resolved

RECORD = Path(__file__).parent / "runs.json"
STEPS = 5  # past the warm-ups and the first windows of tests/test_methods.py


def made_with() -> dict[str, Any]:
    """Return the environment that determines a run's bits, besides configuration and code."""
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processor": _processor(),
    }


def _processor() -> list[str]:
    """Return the lines that identify a processor: libraries choose kernels and block sizes by its model and caches."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return sorted(set(re.findall(r"^(?:vendor_id|cpu family|model|stepping|cache size)\s*:.*$", text, re.MULTILINE)))


def digests(method: str) -> dict[str, str]:
    """Take a few steps in fp32; return digests of networks, momentum and method state, and of the history row.

    Thresholds are lowered, because an untrained network would not reach them.
    """
    config = deepcopy(resolved(method))
    config["protocol"]["precision"] = "fp32"
    for part in (config["method"]["learner"], *config["method"]["addons"]):
        lower_threshold(part, config["dataset"]["num_classes"])
    run = built(config, torch.device("cpu"))
    run.advance(STEPS)
    state = run.written_tensors()
    weights = hashlib.sha256()
    for name in sorted(name for name in state if not name.startswith("monitor.")):
        weights.update(name.encode())
        weights.update(state[name].detach().contiguous().cpu().numpy().tobytes())
    history = hashlib.sha256(json.dumps(run.evaluate(), sort_keys=True).encode())
    return {"weights": weights.hexdigest()[:16], "history": history.hexdigest()[:16]}


def main() -> None:
    """Write the record."""
    runs = {method: digests(method) for method in METHODS}
    record = {"made_with": made_with(), "runs": runs}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
