"""Messages of `snakemake` on the terminal: jobs to run, a line for each finished run, failures with their logs.

Snakemake's own messages, about 15 lines a job, are in `.snakemake/log/`; DASO_MESSAGES=snakemake prints them instead.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from daso.data.files import read_json
from daso.errors import DasoError
from daso.paths import CONFIG_FILE, HISTORY_FILE, RESULT_FILE, run_folder
from daso.planning.forecast import Preview

NOTHING_TO_DO, STOPPED = "Nothing to be done", "Terminating processes on user request"
NOISE = (  # beginnings of Snakemake's messages that report neither a result nor an error
    *("Building DAG of jobs", "Using shell", "Select jobs", "Group jobs: inactive", "Removing output files of failed"),
    *("Shutting down", "Complete log", "Elapsed time", "Reasons:", "SLURM run ID", "Job ", "This was a dry-run"),
)
REPEATED = (  # beginnings of errors that repeat the printed error of a failed job
    *("Exiting because a job execution failed", "WorkflowError:\nAt least one job did not complete"),
    "RuleException:\nCalledProcessError",
)
LOG_LINES = 20  # last lines of a failed job's log
REASONS = {  # beginning of Snakemake's reason -> ours; the first one counts
    "Forced execution": "forced",
    "Missing output files": "missing",
    "Updated input files": "stale: params/, code or inputs have changed",
    "Input files updated by another job": "its inputs will change",
}


class CallProgress:
    """Count of finished runs, and an estimate of the time that the others need.

    `costs` are the expected costs of training all runs by run id, in any unit. Finished runs of the same method give
    the seconds of a unit, or all finished runs if the method has none; start-up takes every run the same time.
    """

    def __init__(self, costs: Mapping[str, float]) -> None:
        self.costs = costs
        self.started: dict[str, float] = {}  # times of running runs
        self.seconds: dict[str, float] = {}  # training times of finished runs
        self.start_up = 0.0  # sum of their other times
        self.failed: set[str] = set()
        self._at_once = 1

    def start(self, run: str, now: float) -> None:
        """Record the start of a run at a time in seconds."""
        self.started[run] = now
        self.failed.discard(run)
        self._at_once = max(self._at_once, len(self.started))

    def finish(self, run: str, now: float, training: float | None = None) -> None:
        """Record the end of a run, and the seconds of its job that were training if they are known."""
        duration = now - self.started.pop(run, now)
        self.seconds[run] = duration if training is None else min(training, duration)
        self.start_up += duration - self.seconds[run]

    def fail(self, run: str) -> None:
        """Record that a run has failed; it starts again only if the profile retries it."""
        self.started.pop(run, None)
        self.failed.add(run)

    def seconds_left(self, now: float) -> float:
        """Return the seconds that all other runs are expected to need, as many at once as have run at once so far."""
        ended = self.seconds.keys() | self.failed
        start_up = self.start_up / max(len(self.seconds), 1)
        rest = {run: start_up + cost * self._pace(run) for run, cost in self.costs.items() if run not in ended}
        left = [max(own - (now - self.started.get(run, now)), 0.0) for run, own in rest.items()]
        return max([sum(left) / self._at_once, *left], default=0.0)

    def _pace(self, run: str) -> float:
        """Return the seconds of a unit of cost of this run."""
        same_method = [other for other in self.seconds if other.split("/")[3:4] == run.split("/")[3:4]]
        finished = same_method or list(self.seconds)
        return sum(self.seconds[other] for other in finished) / sum(self.costs[other] for other in finished)


def run_line(run: str, progress: CallProgress, accuracy: float | None, now: float) -> str:
    """Return the line of a run that has just finished: `12/30  <run id>  80.1 %, 8 min left`."""
    done, total = len(progress.seconds), len(progress.costs)
    width = max(map(len, progress.costs))
    percent = "" if accuracy is None else f"{100 * accuracy:.1f} %"
    seconds = progress.seconds_left(now)
    left = f"{format_left(seconds)} left" if seconds else ""
    return f"{done:>{len(str(total))}}/{total}  {run:<{width}}  {', '.join(filter(None, (percent, left)))}".rstrip()


def format_left(seconds: float) -> str:
    """Return a remaining time, rounded up to minutes below two hours."""
    if seconds < 7200:
        return f"{max(math.ceil(seconds / 60), 1)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def job_line(rule: str, outputs: Iterable[str], reason: str) -> str:
    """Return the line of a job in a dry run: its rule, its run or first output, and its reason."""
    why = next((ours for theirs, ours in REASONS.items() if theirs in reason), reason)
    return f"{rule:<8}  {_main_output(rule, list(outputs))}  ({why})"


def log_lines(logs: Iterable[str]) -> list[str]:
    """Return the last lines of the logs of a failed job, below the path of each."""
    lines = []
    for log in logs:
        try:
            text = Path(log).read_text(errors="replace").splitlines()
        except OSError as error:
            lines.append(f"  {log}: {error.strerror}")
            continue
        left_out = f", last {LOG_LINES} of {len(text)} lines" if len(text) > LOG_LINES else ""
        lines += [f"  {log}{left_out}:", *(f"    {line}" for line in text[-LOG_LINES:])]
    return lines


def accuracy(folder: Path) -> float | None:
    """Return the test accuracy of the finished run in a folder, the median of its last evaluations; None if unknown."""
    try:
        number = read_json(folder / CONFIG_FILE, "configuration")["protocol"]["evaluation"]["median_of"]
        with (folder / HISTORY_FILE).open(newline="") as file:
            return statistics.median([float(row["test_top1"]) for row in csv.DictReader(file)][-number:])
    except (DasoError, OSError, KeyError, ValueError):
        return None  # the evaluation of the run reports the error


def training_seconds(folder: Path) -> float | None:
    """Return the seconds from the first to the last step of the finished run in a folder; None if unknown."""
    try:
        return float(read_json(folder / RESULT_FILE, "result of a run")["speed"]["seconds"])
    except (DasoError, OSError, KeyError, TypeError, ValueError):
        return None


def _main_output(rule: str, outputs: list[str]) -> str:
    """Return the run id of a run's training or metrics, else the first output."""
    trained = [path for path in outputs if path.startswith("runs/") and path.endswith(f"/{RESULT_FILE}")]
    if trained:
        return str(Path(*Path(trained[0]).parts[1:-1]))
    return outputs[0] if outputs else rule


class Messages(logging.Handler):
    """Handler that prints our lines in place of Snakemake's; warnings and unknown messages go to `default`.

    `preview` and `results` return the lines of the beginning and of the end; they are called when they are due.
    """

    def __init__(
        self,
        default: logging.StreamHandler[Any],
        preview: Callable[[], Preview],
        results: Callable[[], Iterable[str]],
        *,
        dry_run: bool,
    ) -> None:
        super().__init__()
        self.default, self.preview, self.results, self.dry_run = default, preview, results, dry_run
        self.progress: CallProgress | None = None
        self.runs: dict[int, str] = {}  # job id -> run id
        self.failed: dict[str, None] = {}  # failed jobs, in order
        self.stopped = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print the lines of one message; `--quiet` suppresses the same messages as without this handler."""
        if not self.default.filter(record):
            return
        event, text = getattr(getattr(record, "event", None), "value", None), str(record.msg or "")
        if event in ("job_info", "job_finished", "job_error", "run_info"):
            getattr(self, f"_{event}")(record.__dict__)
        elif record.levelno >= logging.WARNING:
            if not text.startswith(REPEATED):
                self.default.handle(record)
        elif event is None and text.startswith(NOTHING_TO_DO):
            self.write(text)
            if not self.dry_run:
                self.finish(succeeded=True)
        elif event is None and not text.startswith(NOISE):
            self.stopped |= text.startswith(STOPPED)
            self.default.handle(record)

    def write(self, *lines: str) -> None:
        """Print lines on the stream of Snakemake's messages."""
        self.default.stream.write("".join(f"{line}\n" for line in lines))
        self.default.flush()

    def finish(self, *, succeeded: bool) -> None:
        """Print the results after the last job, or else how many runs have finished and which jobs failed."""
        if succeeded:
            self.write(*self.results())
        elif self.progress:
            done, total = len(self.progress.seconds), len(self.progress.costs)
            count = f"{done} of {total} runs finished" if total else ""
            failed = f"failed: {', '.join(self.failed)}" if self.failed else ""
            self.write("; ".join(filter(None, (count, failed, "run the same command again to continue"))))

    def _run_info(self, message: Mapping[str, Any]) -> None:
        if self.progress is None:
            preview = self.preview()
            self.progress = CallProgress(preview.costs)
            self.write(*preview.lines)
        else:  # the second one ends a dry run
            self.write("", str(message["msg"]).rstrip())

    def _job_info(self, message: Mapping[str, Any]) -> None:
        rule, outputs = message["rule_name"], message["output"]
        if self.dry_run and outputs:
            self.write(job_line(rule, outputs, message["reason"]))
        elif self.progress and (run := _main_output(rule, outputs)) in self.progress.costs:
            self.runs[message["jobid"]] = run
            self.progress.start(run, time.monotonic())

    def _job_finished(self, message: Mapping[str, Any]) -> None:
        if self.progress and (run := self.runs.pop(message["job_id"], None)):
            now = time.monotonic()
            folder = run_folder(run)
            self.progress.finish(run, now, training_seconds(folder))
            self.failed.pop(f"train {run}", None)  # an earlier attempt
            self.write(run_line(run, self.progress, accuracy(folder), now))

    def _job_error(self, message: Mapping[str, Any]) -> None:
        if self.stopped:  # all jobs end with an error
            return
        name = f"{message['rule_name']} {_main_output(message['rule_name'], message['output'])}"
        self.failed[name] = None
        if self.progress and (run := self.runs.pop(message["jobid"], None)):
            self.progress.fail(run)
        why = str(message.get("rule_msg") or "").strip()  # such as the error of a cluster's queue
        self.write(f"FAILED {name}", *([f"  {why}"] if why else []), *log_lines(message["log"]))


def install(
    logger: logging.Logger, preview: Callable[[], Preview], results: Callable[[], Iterable[str]], *, dry_run: bool
) -> Messages | None:
    """Replace the handler of Snakemake's terminal; return None if there is none, or if its messages are requested."""
    default = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    if not isinstance(default, logging.StreamHandler) or os.environ.get("DASO_MESSAGES") == "snakemake":
        return None
    messages = Messages(default, preview, results, dry_run=dry_run)
    logger.removeHandler(default)
    logger.addHandler(messages)
    return messages
