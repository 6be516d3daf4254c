"""Refuse runs that a GPU cannot finish within a budget: `python -m tools.gpu.fits RUN ... --budget SECONDS`.

A method's pace is its pace on the slowest GPU in docs/benchmarks/ and metrics/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from daso.config.load import load_params
from daso.config.params import Params
from daso.config.resolve import Run, parse_run
from daso.errors import DasoError, error_line
from daso.planning.cost import StepTime, Work, measured_steps

RESERVE = 60  # seconds reserved for start-up, graph capture and packing


def pace(params: Params, run: Run, replicas: int) -> StepTime | None:
    """Return the pace of a run's method on the slowest GPU, with `replicas` runs at once if that was measured."""
    at_once, by_device = f"{replicas} at once", dict[str, StepTime]()
    for timing in measured_steps(params, run, every_mode=True):
        in_graphs = "graph" in timing.how.split(", ")  # the mode that `auto` chooses
        if timing.device.startswith("cuda") and in_graphs and (at_once in timing.how or "at once" not in timing.how):
            known = by_device.get(timing.device)
            if known is None or (at_once in timing.how and at_once not in known.how):
                by_device[timing.device] = timing
    return max(by_device.values(), key=lambda timing: timing.seconds, default=None)


def fit(params: Params, runs: Sequence[Run], budget: float, replicas: int, *, unknown: bool) -> str:
    """Return one line about the runs' time; raises DasoError if they exceed the budget, or if a pace is unknown."""
    steps = sum(Work.of(params, run).steps for run in runs)
    needed = f"{steps:,} steps fit {budget:.0f} s at {1000 * (budget - RESERVE) / steps:.3g} ms per step or faster"
    paces = {run: pace(params, run, replicas) for run in runs}
    if missing := [run.method_file for run, timing in paces.items() if timing is None]:
        line = f"{', '.join(missing)}: no pace of a GPU in docs/benchmarks/; {needed}"
        if unknown:
            return line
        raise DasoError(f"{line}; record a GPU check, or continue with UNKNOWN_PACE=1")
    known = {run: timing for run, timing in paces.items() if timing}
    seconds = sum(Work.of(params, run).steps * timing.seconds for run, timing in known.items())
    listed = "; ".join(
        f"{run.method_file} {1000 * timing.seconds:.3g} ms per step on {timing}" for run, timing in known.items()
    )
    if seconds > budget - RESERVE:
        raise DasoError(
            f"{len(runs)} runs take {seconds:,.0f} s, but {budget - RESERVE:.0f} s are available: {listed}; {needed}"
        )
    return f"{len(runs)} runs take {seconds:,.0f} s of {budget - RESERVE:.0f} s: {listed}"


def main() -> int:
    """Print the line, or the error on stderr; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.fits", description="Check that runs fit a budget.")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--budget", type=float, required=True, help="GPU seconds available")
    parser.add_argument("--replicas", type=int, default=2, help="runs at once")
    parser.add_argument("--unknown-pace", action="store_true", help="continue if a pace is unknown")
    args = parser.parse_args()
    params = load_params()
    try:
        runs = [parse_run(params, run) for run in args.runs]
        sys.stdout.write(f"{fit(params, runs, args.budget, args.replicas, unknown=args.unknown_pace)}\n")
    except DasoError as error:
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
