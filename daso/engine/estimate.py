"""Combine the evaluations of a survey into one estimate of the unlabeled classes' sizes; only numpy is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daso.data.run_files import load_finished_run
from daso.engine.metrics import read_history
from daso.errors import EstimateError
from daso.ops.estimation import mean_sizes


def survey_result(run: Path, key: str, run_key: str | None = None) -> dict[str, Any]:
    """Return the estimate of the finished survey in a folder: {run, key, sizes (K,), reliable, evaluations}.

    `key` is the key of the estimate, `run_key` the key of the run. Raises DataError if the run is damaged or has a
    different key; EstimateError if it is not a survey or none of its evaluations has reliable sizes.
    """
    survey = load_finished_run(run, run_key)
    config, history = survey.config, read_history(survey)
    classes = range(config["dataset"]["num_classes"])
    if "size_0" not in history[0]:
        raise EstimateError(f"{run}: not a survey of unlabeled classes; name a run of a method whose plan is a survey")
    rows = [np.array([row[f"size_{k}"] for k in classes]) for row in history]
    estimates = [None if np.isnan(sizes).any() else sizes for sizes in rows]
    try:
        sizes = mean_sizes(estimates)
    except EstimateError as error:
        raise EstimateError(f"{run}: {error}") from error
    reliable = sum(sizes is not None for sizes in estimates)
    return {"run": config["run"], "key": key, "sizes": sizes.tolist(), "reliable": reliable, "evaluations": len(rows)}
