"""Predictions of a suite's recommended model for its images, read from finished runs and fits."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from daso import paths
from daso.aliases import FloatArray, IntArray, Tree
from daso.config.fit import temperature_name
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import parse_run, suite_of
from daso.data.features import load_features
from daso.data.open_set import open_store
from daso.data.run_files import FinishedRun, load_finished_run
from daso.data.split import check_split
from daso.data.store import FILES, Store, load_store
from daso.deploy.assemble import recommended_runs
from daso.deploy.calibration import calibrate
from daso.deploy.fits import LOGITS, fit_arrays, out_of_fold
from daso.deploy.seed_images import LabeledImages, SeedImages, UnlabeledImages, labeled_images, unlabeled_images
from daso.errors import DasoError, DataError
from daso.ops.novelty import unlike_threshold


class ListInputs(NamedTuple):
    """Predictions of a model for the images of a dataset, and the files of these."""

    classes: Sequence[str]
    files: Mapping[int, str]  # by row of the train part, relative to the folder of the images
    temperature: float
    labeled: LabeledImages
    unlabeled: UnlabeledImages
    features: Callable[[IntArray], Tensor] | None  # of plain views by a frozen network; None if it is trained

    @property
    def unlike_above(self) -> float | None:
        """Return the distance above which an image is unlike the labeled ones; None if it was not measured."""
        labeled = self.labeled
        if np.isnan(labeled.unlike).any():
            return None
        return unlike_threshold(*map(torch.from_numpy, (labeled.unlike, labeled.labels, labeled.groups)))

    @property
    def known_labels(self) -> set[tuple[str, str]]:
        """Return path and label of each labeled image."""
        pairs = zip(self.labeled.rows, self.labeled.labels, strict=True)
        return {(self.files[row], self.classes[label]) for row, label in pairs}

    @property
    def probabilities(self) -> FloatArray:
        """Return the calibrated probabilities (M, K) of the unlabeled images."""
        return calibrated(self.unlabeled.logits, self.temperature)


def calibrated(logits: FloatArray, temperature: float) -> FloatArray:
    """Return the probabilities (n, K) of logits at a temperature."""
    result: FloatArray = (torch.from_numpy(logits) / temperature).softmax(-1).numpy()
    return result


def load_list_inputs(name: str) -> ListInputs:
    """Load the predictions of the recommended model of a suite, or of a run, by their name.

    Raises DasoError if a run or one of its inputs is missing or stale, or if its images are not files.
    """
    params = load_params()
    if "/" not in name:
        suite_of(params, name)
    ids = [parse_run(params, name).id] if "/" in name else recommended_runs(name)
    keys = Keys(params)
    runs = [_current_run(keys, run, name) for run in ids]
    configs = [run.config for run in runs]
    store, files = _store_and_files(configs[0])
    seeds = [_seed_images(run, config, store) for run, config in zip(runs, configs, strict=True)]
    temperature = calibrate([out_of_fold(config) for config in configs]).temperature
    labels = store.labels("train")
    groups = store.groups("train") if store.has_groups else np.arange(len(labels))
    labeled, unlabeled = labeled_images(seeds, labels, groups), unlabeled_images(seeds, groups)
    return ListInputs(store.classes, files, temperature, labeled, unlabeled, _features_of(configs[0], store))


def _current_run(keys: Keys, run_id: str, name: str) -> FinishedRun:
    """Return a finished run of a suite, or of its own id; raises DataError if it is missing or stale."""
    run = load_finished_run(paths.run_folder(run_id), name=run_id)
    if run.key != keys.train(parse_run(keys.params, run_id)):
        target = run.folder / paths.RESULT_FILE if "/" in name else f"--config suite={name}"
        stale = "stale: images, params/ or code have changed since it was trained"
        raise DataError(f"{run.folder}: {stale}; run `snakemake {target}`")
    return run


def _store_and_files(config: Tree) -> tuple[Store, dict[int, str]]:
    """Return the images of a run, and the files of the train part by row."""
    store = load_store(paths.store(config["run"]))
    path = store.folder / FILES
    if not path.exists():
        raise DasoError(f"{store.dataset}: its images were not read from files; lists need images in folders")
    outside = config["setting"].get("outside")
    if outside and "dataset" in outside:
        raise DasoError(f"{config['run']}: lists are not possible with images of another dataset (outside.dataset)")
    table = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline=""))
    return open_store(store, outside), {int(row["row"]): row["file"] for row in table if row["part"] == "train"}


def _seed_images(run: FinishedRun, config: Tree, store: Store) -> SeedImages:
    """Return the images of the split of a run with its predictions, and those of the fit if there is one."""
    split = check_split(paths.drawn_split(config["run"]), load_store(store.folder), config["split_config_sha256"]).split
    if "unlabeled" not in run.array_names():
        raise DasoError(
            f"{config['run']}: has no predictions of unlabeled images; set evaluation.predictions: true in its "
            f"protocol and run `snakemake {run.folder}/{paths.RESULT_FILE}`"
        )
    (logits,) = run.arrays("unlabeled")
    unknown = np.full((max(len(split.labeled), len(split.unlabeled)), len(store.classes)), np.nan)
    fit = fit_arrays(config)
    return SeedImages(
        split.labeled,
        fit.get(LOGITS[temperature_name(config) or "temperature"], unknown[: len(split.labeled)]),
        fit.get("labeled_unlike", unknown[: len(split.labeled), 0]),
        split.unlabeled,
        logits,
        fit.get("unlabeled_unlike", unknown[: len(split.unlabeled), 0]),
    )


def _features_of(config: Tree, store: Store) -> Callable[[IntArray], Tensor] | None:
    """Return the function from rows of the train part to features; None if the network is trained."""
    if "features" not in config["plan"]:
        return None
    manifest = paths.features_manifest(store.dataset, config["protocol"]["name"])
    features = load_features(manifest, config["plan"]["features"]["key"], store)
    return lambda rows: torch.from_numpy(features.rows.read(features.numbers["train"][rows, 0])).float()
