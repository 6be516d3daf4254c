"""Write the reference of a suite from its finished runs."""

from __future__ import annotations

from pathlib import Path

from daso.config.keys import Keys
from daso.config.load import load
from daso.config.resolve import expand_suite, runs
from daso.data.files import checksummed, write_file
from daso.report.results.collect import collect
from daso.report.results.reference import reference_content, reference_path


def write_reference(suite: str) -> Path:
    """Write `reports/reference/<suite>.json` from the metrics of a suite's runs; return its path.

    Raises ParamsError for an unknown suite, and DataError, with nothing written, if a run is missing or stale, or if
    the runs were not trained on one device with the same versions.
    """
    params = load()
    keys = Keys(params)
    expected = {run.id: keys.train(run) for run in runs(params, suite)}
    cells = collect(expand_suite(params, suite), Path("metrics"), Path("scratch"), expected)
    path, content = reference_path(suite), reference_content(suite, cells)
    write_file(path, checksummed(content))
    return path
