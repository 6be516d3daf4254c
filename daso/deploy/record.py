"""Record of a model, from the finished runs of which it is assembled."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daso import paths
from daso.aliases import Tree
from daso.config.controls import balanced_parts
from daso.config.load import load_params
from daso.config.resolve import data_config
from daso.data.files import read_checksummed, read_json
from daso.data.run_files import FinishedRun
from daso.data.store import Store
from daso.data.super_classes import super_class_names
from daso.deploy.calibration import Calibration
from daso.errors import DataError
from daso.models.features import COSINE_SCALE
from daso.models.network import Preprocessing


def record_of_runs(
    name: str,
    runs: Sequence[FinishedRun],
    configs: Sequence[Tree],
    store: Store,
    preprocessing: Preprocessing,
    calibration: Calibration,
) -> dict[str, Any]:
    """Return the record of a model, see `Model`, but for `unlike_above` and `digest`."""
    params, config = load_params(), configs[0]
    metrics = [_metrics(run, each) for run, each in zip(runs, configs, strict=True)]
    network = config["protocol"]["network"]
    reading = read_json(store.folder / paths.MANIFEST, "manifest").get("reading", {})
    classes = list(runs[0].result["classes"])
    groups = config["dataset"].get("super_classes") or params.datasets[store.dataset].get("super_classes")
    return {
        "name": name,
        "method": config["method"]["name"],
        "title": params.methods[config["method"]["name"].partition(".")[0]]["title"],
        "runs": [
            {"id": each["run"], "key": each["key"], "seed": each["seed"], "tau": _tau(run, each)}
            for run, each in zip(runs, configs, strict=True)
        ],
        "classes": classes,
        **({"super_classes": super_class_names(groups, classes)} if groups else {}),
        "reading": {
            "image_size": store.image_size,
            "fit": data_config(params, store.dataset).get("fit", "squash"),
            "bits": reading.get("bits", 16),
        },
        "dataset": {"image_size": config["dataset"]["image_size"], "augment": config["dataset"]["augment"]},
        "network": network,
        **({"cosine_scale": COSINE_SCALE} if network.get("head") == "cosine" else {}),
        "preprocessing": preprocessing._asdict(),
        "temperature": calibration.temperature,
        "abstain_below": calibration.abstain_below,
        "calibration": calibration.note,
        "prior": {
            "implied": "uniform" if balanced_parts(config["method"]) else "train",
            "train": torch.stack([_prior(run) for run in runs]).mean(0).tolist(),
        },
        "accuracy": {
            "balanced": float(np.mean([each["balanced_accuracy"] for each in metrics])),
            **{part: _mean([each[part] for each in metrics]) for part in ("recall", "precision")},
        },
        "versions": {"torch": torch.__version__, **({"timm": version("timm")} if network["name"] == "timm" else {})},
    }


def _prior(run: FinishedRun) -> Tensor:
    """Return the shares (K,) of the labeled images by class."""
    counts = torch.tensor(run.result["counts"]["labeled"], dtype=torch.float32)
    return counts / counts.sum()


def _metrics(run: FinishedRun, config: Tree) -> Tree:
    path = paths.metrics_file(config["run"])
    metrics = read_checksummed(path, "metrics of a run")
    if metrics["key"] != run.key:
        raise DataError(f"{path}: not the metrics of {run.folder}; run `snakemake {path}`")
    return metrics


def _tau(run: FinishedRun, config: Tree) -> float | None:
    """Return the strength of a run's logit adjustment, fitted or that of its method; None without it."""
    addons = config["method"]["addons"]
    own: float | None = next((addon["tau"] for addon in addons if addon["name"] == "logit_adjustment"), None)
    fitted: float | None = run.result["provenance"].get("fit", {}).get("tau")
    return own if fitted is None else fitted


def _mean(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the mean of each class over the seeds that have a value."""
    values = np.array(columns, dtype=np.float64)
    return [float(np.nanmean(each)) if not np.isnan(each).all() else None for each in values.T]
