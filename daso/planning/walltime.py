"""Wall time to request from a cluster for the job of a run, from measured steps of its method."""

from __future__ import annotations

import math

from daso.config.params import Params
from daso.config.resolve import Run, upstream_runs
from daso.errors import DataError
from daso.planning.cost import Work, measured_steps

STARTUP = 5.0  # minutes to load Python, images, graph capture and a slow file system
SAFETY = 2.0  # factor for a busy node or a slower device of the same kind
UNKNOWN_MINUTES = 24 * 60  # minutes, if no step has been measured
SHORT = 30  # minutes up to which a run may share its job with others


class WallTimes:
    """Wall times of runs; measurements are read once for each method, protocol and image size."""

    def __init__(self, params: Params, cuda: bool) -> None:
        self.params, self.kind = params, "cuda" if cuda else "cpu"
        self._seconds: dict[tuple[str, str, int], float | None] = {}

    def minutes(self, run: Run, attempt: int = 1) -> int:
        """Return the minutes to request: start-up plus `SAFETY` times the steps at the slowest measured pace.

        They grow with every attempt; a run resumes, so an attempt that hits the limit is not lost.
        """
        seconds = self.seconds(run)
        if seconds is None:
            return attempt * UNKNOWN_MINUTES
        return attempt * math.ceil(STARTUP + SAFETY * seconds / 60)

    def short(self, run: Run) -> bool:
        """Return True if a run may share its job: it is known to be short and has no upstream run."""
        seconds = self.seconds(run)
        return seconds is not None and seconds <= 60 * SHORT and not upstream_runs(self.params, run)

    def seconds(self, run: Run) -> float | None:
        """Return the seconds of all steps of a run at the slowest measured pace; None if nothing was measured."""
        pace = self._pace(run)
        return None if pace is None else Work.of(self.params, run).steps * pace

    def _pace(self, run: Run) -> float | None:
        group = run.method_file, run.protocol, self.params.datasets[run.dataset]["image_size"]
        if group not in self._seconds:
            try:
                seconds = [
                    step.seconds for step in measured_steps(self.params, run) if step.device.startswith(self.kind)
                ]
            except DataError:  # readers that need the damaged file raise this; a wall time does not need it
                seconds = []
            self._seconds[group] = max(seconds, default=None)
        return self._seconds[group]
