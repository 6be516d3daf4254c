"""Report of a suite of params/, from the metrics of this project's runs."""

from __future__ import annotations

from pathlib import Path

from daso.config.keys import ARCHIVE, Keys
from daso.config.load import load
from daso.config.resolve import expand_suite, runs
from daso.report.render import build_report
from daso.report.results.published import PUBLISHED
from daso.report.results.reference import read_reference
from daso.report.tables import planned


def write_report(suite: str, out: Path) -> None:
    """Write a suite's report into `out`; metrics of a configuration other than that in params/ are left out as stale.

    Reads `params/`, `metrics/`, `runs/`, `scratch/`, `journal/plans/`, `reports/measured/` and `reports/reference/` in
    the working folder. Raises ParamsError for an unknown suite and DataError for an unusable file.
    """
    params = load()
    keys = Keys(params)
    build_report(
        expand_suite(params, suite),
        metrics=Path("metrics"),
        runs=Path("runs"),
        scratch=Path("scratch"),
        archived=Path(ARCHIVE),
        published=PUBLISHED,
        out=out,
        plan=planned.read_plan(suite),
        reference=read_reference(suite),
        expected_keys={run.id: keys.train(run) for run in runs(params, suite)},
    )
