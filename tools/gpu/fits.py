"""Refuse runs that a GPU cannot finish in the time there is: `python -m tools.gpu.fits RUN ... --budget SECONDS`.

The pace is the measured one in docs/benchmarks/ and metrics/, of the slowest GPU that has measured the method.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from daso.config.load import load
from daso.config.params import Params
from daso.config.resolve import Run, parse_run
from daso.errors import DasoError, error_line
from daso.planning.cost import Timed, Work, timed

RESERVE = 60  # seconds of a budget for starting, capturing and packing


def pace(params: Params, run: Run, replicas: int) -> Timed | None:
    """Return the pace of a run's method: of each GPU, with as many runs at once as asked or else alone; the slowest."""
    at_once, found = f"{replicas} at once", dict[str, Timed]()
    for one in timed(params, run, every_mode=True):
        in_graphs = "graph" in one.how.split(", ")  # the mode that `auto` chooses
        if one.device.startswith("cuda") and in_graphs and (at_once in one.how or "at once" not in one.how):
            known = found.get(one.device)
            if known is None or (at_once in one.how and at_once not in known.how):
                found[one.device] = one
    return max(found.values(), key=lambda one: one.seconds, default=None)


def fit(params: Params, runs: Sequence[Run], budget: float, replicas: int, *, unknown: bool) -> str:
    """Return one line on the time of the runs; raises DasoError if they do not fit, or if a pace is unknown."""
    steps = sum(Work.of(params, run).steps for run in runs)
    needed = f"{steps:,} steps fit {budget:.0f} s at {1000 * (budget - RESERVE) / steps:.3g} ms a step or faster"
    paces = {run: pace(params, run, replicas) for run in runs}
    if lacking := [run.recipe for run, one in paces.items() if one is None]:
        words = f"{', '.join(lacking)}: no GPU's pace is in docs/benchmarks/; {needed}"
        if unknown:
            return words
        raise DasoError(f"{words}; record a GPU check, or continue with UNKNOWN_PACE=1")
    known = {run: one for run, one in paces.items() if one}
    seconds = sum(Work.of(params, run).steps * one.seconds for run, one in known.items())
    listed = "; ".join(f"{run.recipe} {1000 * one.seconds:.3g} ms a step on {one}" for run, one in known.items())
    if seconds > budget - RESERVE:
        raise DasoError(
            f"{len(runs)} runs take {seconds:,.0f} s, {budget - RESERVE:.0f} s are there: {listed}; {needed}"
        )
    return f"{len(runs)} runs take {seconds:,.0f} s of {budget - RESERVE:.0f} s: {listed}"


def main() -> int:
    """Print the line, or the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.fits", description="Do these runs fit a budget?")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--budget", type=float, required=True, help="seconds of the GPU")
    parser.add_argument("--replicas", type=int, default=2, help="runs at once")
    parser.add_argument("--unknown-pace", action="store_true", help="continue if a pace is unknown")
    args = parser.parse_args()
    params = load()
    try:
        runs = [parse_run(params, run) for run in args.runs]
        sys.stdout.write(f"{fit(params, runs, args.budget, args.replicas, unknown=args.unknown_pace)}\n")
    except DasoError as error:
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
