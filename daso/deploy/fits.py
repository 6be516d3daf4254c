"""Fits of the splits of finished runs: out-of-fold predictions of labeled images, and distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from daso import paths
from daso.aliases import Tree
from daso.config.fit import temperature_name
from daso.data.files import file_digest, read_checksummed
from daso.deploy.calibration import OutOfFold
from daso.errors import DataError

# Array of a fit with the out-of-fold predictions of each recipe that has a temperature.
LOGITS = {"temperature": "logits", "self_training_temperature": "self_training_logits"}


def fit_arrays(config: Tree) -> dict[str, Any]:
    """Return the arrays of the fit of a run; {} if it has none. Raises DataError if it is missing or another one."""
    if "fit" not in config["plan"]:
        return {}
    path = paths.input_files(config["run"], config["plan"])["fit"]
    record, arrays = read_checksummed(path, "fit of a split"), path.with_suffix(".npz")
    digest = file_digest(arrays, "sha256") if arrays.exists() else ""
    if (record["key"], record["arrays_sha256"]) != (config["plan"]["fit"]["key"], digest):
        raise DataError(f"{path}: not the fit of {config['run']}; {paths.rebuild_hint(path)}")
    with np.load(arrays, allow_pickle=False) as content:
        return dict(content)


def out_of_fold(config: Tree) -> OutOfFold | str:
    """Return the out-of-fold predictions of a run's recipe, or the reason why there are none."""
    arrays = fit_arrays(config)
    if not arrays:
        return f"the protocol {config['protocol']['name']} has no fit"
    name = temperature_name(config)
    if name is None:
        return "only supervised + LA and self-training + LA have out-of-fold predictions"
    logits = arrays[LOGITS[name]]
    if np.isnan(logits).all():
        return "too few labels"
    return OutOfFold(arrays["rows"], arrays["labels"], logits)
