"""How long a cluster should give to the job of a run, by what steps of its method have taken so far."""

from __future__ import annotations

import math

from daso.config.params import Params
from daso.config.resolve import Run, upstream_runs
from daso.errors import DataError
from daso.planning.cost import Work, timed

STARTUP = 5.0  # minutes for Python, the images, a graph's capture and a slow file system
SAFETY = 2.0  # a busy node, a slower device of the same kind
UNKNOWN = 24 * 60  # minutes, where no step has been measured
SHORT = 30  # minutes up to which a run may share its job with others


class WallTimes:
    """Wall times of the runs of one state of params/; what was measured is read once for each method and protocol."""

    def __init__(self, params: Params, cuda: bool) -> None:
        self.params, self.kind = params, "cuda" if cuda else "cpu"
        self._seconds: dict[tuple[str, str, int], float | None] = {}

    def minutes(self, run: Run, attempt: int = 1) -> int:
        """What to ask for, more with every attempt: a run resumes, so nothing of an earlier one is lost.

        Start-up and the run's steps, at the pace of the slowest device of the kind that any was measured on, twice.
        """
        seconds = self.seconds(run)
        if seconds is None:
            return attempt * UNKNOWN
        return attempt * math.ceil(STARTUP + SAFETY * seconds / 60)

    def short(self, run: Run) -> bool:
        """Whether a run may share its job: it is known to be short and waits for no other run."""
        seconds = self.seconds(run)
        return seconds is not None and seconds <= 60 * SHORT and not upstream_runs(self.params, run)

    def seconds(self, run: Run) -> float | None:
        """All steps of a run at the slowest pace that was measured; None where none was."""
        pace = self._pace(run)
        return None if pace is None else Work.of(self.params, run).steps * pace

    def _pace(self, run: Run) -> float | None:
        what = run.recipe, run.protocol, self.params.datasets[run.dataset]["image_size"]
        if what not in self._seconds:
            try:
                found = [one.seconds for one in timed(self.params, run) if one.device.startswith(self.kind)]
            except DataError:  # whoever needs the damaged file says so; a wall time does not
                found = []
            self._seconds[what] = max(found, default=None)
        return self._seconds[what]
