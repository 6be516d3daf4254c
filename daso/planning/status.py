"""Return the status of each run from its files and the keys of params/ and the code."""

from __future__ import annotations

from collections.abc import Iterable

from daso.config.inventory import KINDS, inventory
from daso.config.keys import Keys
from daso.config.params import Params, did_you_mean
from daso.config.resolve import Run, runs, with_upstream
from daso.errors import ParamsError
from daso.workspace.current import Current

TO_DO = ("stale", "running", "missing")  # the workflow trains these; a damaged run is left to its owner


def run_statuses(keys: Keys, runs: Iterable[Run]) -> dict[str, str]:
    """Return by run id: `done`, `stale` (other parameters or code), `damaged`, `running` or `missing`."""
    current = Current(keys)
    return {run.id: current.status(run) for run in runs}


def format_list(params: Params, what: str, suite: str | None = None) -> str:
    """What exists of a kind, or the runs of a suite with their states; the name of a suite stands for its runs.

    Raises ParamsError when the words name nothing.
    """
    if what in KINDS and suite is None:
        return inventory(params, what)
    if what in params.suites and suite is None:
        what, suite = "runs", what
    if what != "runs":
        known = [*KINDS, "runs", *params.suites]
        hint = "; only `runs` is followed by a suite" if what in known else did_you_mean(what, known)
        raise ParamsError(f"list: there is no '{' '.join(filter(None, (what, suite)))}'{hint}")
    these = with_upstream(params, runs(params, suite or params.suite))
    return "".join(f"{run}\t{state}\n" for run, state in run_statuses(Keys(params), these).items())
