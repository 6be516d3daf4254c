"""Status of runs, from their files and their keys by params/ and the code."""

from __future__ import annotations

from collections.abc import Iterable

from daso.config.inventory import LISTS, inventory
from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import Run, runs, with_upstream
from daso.errors import ParamsError, close_match
from daso.workspace.current import Current

TO_DO = ("stale", "running", "missing")  # the workflow trains these; a damaged run is for the user to fix


def run_statuses(keys: Keys, runs: Iterable[Run]) -> dict[str, str]:
    """Return the status of each run id: `done`, `stale` (params or code changed), `damaged`, `running` or `missing`."""
    current = Current(keys)
    return {run.id: current.status(run) for run in runs}


def format_list(params: Params, what: str, suite: str | None = None) -> str:
    """Return a line for each entry of a kind, or for each run of a suite with its status.

    `what` is a kind, `runs`, or a suite, whose runs are then listed. Raises ParamsError for any other arguments.
    """
    if what in LISTS and suite is None:
        return inventory(params, what)
    if what in params.suites and suite is None:
        what, suite = "runs", what
    if what != "runs":
        known = [*LISTS, "runs", *params.suites]
        if what in known:
            raise ParamsError(f"list: '{suite}' is not allowed with '{what}'; give a suite only after `runs`")
        hint = close_match(what, known) or f"; choose one of {', '.join(LISTS)}, runs or a suite"
        raise ParamsError(f"list: unknown kind or suite '{what}'{hint}")
    listed = with_upstream(params, runs(params, suite or params.suite))
    return "".join(f"{run}\t{status}\n" for run, status in run_statuses(Keys(params), listed).items())
