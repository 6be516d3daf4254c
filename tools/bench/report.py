"""Weight of reports with fabricated numbers: bytes, elements, processor time, and first contentful paint."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from daso.errors import DasoError
from tools.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
LOADS = 5  # the median is reported
CASES = (("cifar10-lt-main", 0), ("quickstart", 30), ("paper-table-1", 288))  # suite and number of finished runs
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)"
ELEMENTS = "document.getElementsByTagName('*').length"


class Weight(NamedTuple):
    """Weight of one report."""

    suite: str
    runs: int
    size: int  # bytes of index.html
    elements: int
    seconds: float  # processor time of `daso report`
    paint: float  # milliseconds until the first contentful paint, median of LOADS


def measure(cases: Iterable[tuple[str, int]] = CASES) -> Iterator[Weight]:
    """Yield the weight of each suite's report with this number of fabricated runs.

    Raises DasoError if Chromium is not installed or a report cannot be written.
    """
    from tests.report.fabricated import fabricate

    with chromium() as browser:
        for suite, runs in cases:
            with TemporaryDirectory() as name:
                folder = fabricate(Path(name), suite, limit=runs)
                seconds = _write_report(folder, suite)
                page = folder / "out/index.html"
                yield Weight(suite, runs, page.stat().st_size, *_load(browser, page, seconds))


def _write_report(folder: Path, suite: str) -> float:
    """Write the report of a suite into `folder`/out; return the processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "daso", "report", "--suite", suite, "--out", "out"]
    result = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if result.returncode:
        raise DasoError(f"{' '.join(command[1:])}: exit status {result.returncode}; its error is above")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _load(browser: Browser, page: Path, seconds: float) -> tuple[int, float, float]:
    """Return elements, `seconds` and the median time of the first contentful paint in milliseconds."""
    paints, elements = [], 0
    for _ in range(LOADS):
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(page.as_uri())
        tab.wait_for_function(f"{PAINTED}.length")
        paints += tab.evaluate(PAINTED)
        elements = tab.evaluate(ELEMENTS)
        tab.close()
    return elements, seconds, statistics.median(paints)


def markdown(weights: Iterable[Weight]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| suite | runs | MB | elements | processor time, s | first contentful paint, ms |"
    yield "| --- | --: | --: | --: | --: | --: |"
    for w in weights:
        yield f"| {w.suite} | {w.runs} | {w.size / 1e6:.2f} | {w.elements:,} | {w.seconds:.1f} | {w.paint:.0f} |"
