"""Show the progress of a run (bar, a line for each evaluation, TensorBoard events) and stop it on a signal."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from daso.errors import StoppedError


class Stop(ExitStack):
    """Context that records SIGINT and SIGTERM instead of ending the process; `signal` is the last one received."""

    def __enter__(self) -> Self:
        self.signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            self.callback(signal.signal, number, signal.signal(number, self._record))
        return self

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.signal = number


class Progress(ExitStack):
    """Context that shows a run's progress on stderr and stops it between two steps after a signal."""

    def __init__(self, run: str, *, start: int, steps: int, events: Path, stop: Stop) -> None:
        super().__init__()
        self.run, self.steps, self.stop = run, steps, stop
        bar = tqdm(total=steps, initial=start, desc=run, unit="step", disable=not sys.stderr.isatty())
        self.bar = self.enter_context(bar)
        self.events = self.enter_context(SummaryWriter(str(events), purge_step=start))

    def on_step(self, t: int) -> None:
        """Move the bar to step `t`; raise StoppedError after a signal."""
        self.bar.update(t - self.bar.n)
        if self.stop.signal is not None and t < self.steps:
            name = signal.Signals(self.stop.signal).name
            raise StoppedError(f"{self.run}: stopped at step {t} by {name}; run again to resume")

    def on_evaluation(self, row: dict[str, Any]) -> None:
        """Print one line and write one set of events."""
        losses = {name.removeprefix("loss_"): value for name, value in row.items() if name.startswith("loss_")}
        line = f"{self.run} step {row['step']}/{self.steps} test {row['test_top1']:.4f}"
        line += f" val {row['val_top1']:.4f}" if "val_top1" in row else ""
        line += "".join(f" {name} {value:.4f}" for name, value in losses.items())
        self.bar.write(line, file=sys.stderr)
        for name, value in row.items():
            if value is not None and name != "step":
                self.events.add_scalar(name.replace("_", "/", 1), value, row["step"])
