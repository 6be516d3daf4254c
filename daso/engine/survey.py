"""A survey's evaluations -> one estimate of the unlabeled classes' sizes; numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daso.data.run_files import load_finished_run
from daso.engine.metrics import read_history
from daso.errors import EstimateError
from daso.ops.estimation import mean_sizes


def survey_result(run: Path, key: str, trained: str | None = None) -> dict[str, Any]:
    """What the finished survey in a folder says: {run, key, sizes (K,), trusted, evaluations}; `key` is the estimate's.

    Raises DataError when the run is not that of the key `trained`, where that is given, or is damaged; EstimateError
    when it is no survey, or when none of its evaluations gave sizes that can be trusted.
    """
    survey = load_finished_run(run, trained)
    config, history = survey.config, read_history(survey)
    classes = range(config["dataset"]["num_classes"])
    if "size_0" not in history[0]:
        raise EstimateError(f"{run}: is no survey of unlabeled classes; name the run of a method whose plan is one")
    rows = [np.array([row[f"size_{k}"] for k in classes]) for row in history]
    estimates = [None if np.isnan(sizes).any() else sizes for sizes in rows]
    try:
        sizes = mean_sizes(estimates)
    except EstimateError as error:
        raise EstimateError(f"{run}: {error}") from error
    trusted = sum(sizes is not None for sizes in estimates)
    return {"run": config["run"], "key": key, "sizes": sizes.tolist(), "trusted": trusted, "evaluations": len(rows)}
