"""Assemble a model from finished runs of one method that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from daso import paths
from daso.aliases import Colour, IntArray, Tree
from daso.augment.packed import Normalize, pack
from daso.augment.views import Augmentation
from daso.config.build import build_encoder, with_upstream_options
from daso.config.fit import option_values
from daso.config.network import evaluated_model, states_preprocessing
from daso.config.registry import ADDONS, LEARNERS, import_component
from daso.config.signature import attribute
from daso.config.super_classes import super_class_of_each_class
from daso.data.features import Features, load_features
from daso.data.files import read_checksummed, read_json
from daso.data.run_files import FinishedRun, load_finished_run
from daso.data.split import SavedSplit, check_split
from daso.data.store import Store, load_store
from daso.deploy.calibration import calibrate
from daso.deploy.fits import out_of_fold
from daso.deploy.model import MEMBER, Model, with_digest
from daso.deploy.record import record_of_runs
from daso.deploy.super_class_head import super_class_tensors
from daso.engine.checkpoint import load_checkpoint
from daso.engine.feature_pool import standardised_blanks
from daso.errors import DasoError, DataError
from daso.methods.base import Trained
from daso.models.network import ENCODER, Encoder, Preprocessing
from daso.ops.novelty import unlike_other_groups, unlike_threshold

ENCODED_AT_ONCE = 64  # images encoded at once


class Labeled(NamedTuple):
    """Labeled images of a model, with the features of their plain views."""

    labels: Tensor  # (N,)
    groups: Tensor  # (N,)
    features: Tensor  # (N, D)
    statistics: dict[str, Tensor]  # mean and deviation (D,) by which features of a frozen network are standardised


def recommended_model(suite: str) -> Model:
    """Return the recommended model of a suite; raises DasoError if its report has none, or several."""
    return model_of_runs(suite, recommended_runs(suite))


def recommended_runs(suite: str) -> list[str]:
    """Return the ids of the runs of a suite's recommended model; raises DasoError if there is none, or several."""
    path = paths.report_folder(suite) / "tables" / paths.RECOMMENDED_FILE
    if not path.exists():
        raise DataError(
            f"{path}: missing recommended model; run `snakemake --config suite={suite}`, or name a run: a suite "
            "recommends a model if its table has `controls` and its protocol keeps predictions"
        )
    models = read_json(path, "recommended model")["models"]
    if len(models) != 1:
        choices = ", ".join(model["runs"][0] for model in models)
        raise DasoError(f"{suite}: recommends {len(models)} models; name a run instead, such as {choices}")
    runs: list[str] = models[0]["runs"]
    return runs


def model_of_runs(name: str, run_ids: Sequence[str]) -> Model:
    """Return the model of finished runs of one method, which averages their logits.

    Raises DasoError if a run or one of its inputs is missing, or has changed since it was trained.
    """
    runs = [load_finished_run(paths.run_folder(run), name=run) for run in run_ids]
    configs = [run.config for run in runs]
    config, store = configs[0], load_store(paths.store(run_ids[0]))
    for run, each in zip(runs, configs, strict=True):
        if run.result["provenance"]["data_sha256"] != store.sha256:
            raise _changed(run, store.folder)
        if any(each[part] != config[part] for part in ("method", "protocol", "optimizer", "dataset", "setting")):
            raise _changed(run, runs[0].folder)
        if each["plan"].get("features") != config["plan"].get("features"):
            raise _changed(run, runs[0].folder)
    splits = [_drawn_split(run, store, each) for run, each in zip(runs, configs, strict=True)]
    features = _features(config, store) if "features" in config["plan"] else None
    tensors = {
        f"{MEMBER}.{each['seed']}.{part}": tensor
        for run, each in zip(runs, configs, strict=True)
        for part, tensor in _weights(run, each, features).items()
    }
    preprocessing, labeled = _labeled(config, store, splits, tensors, features)
    calibration = calibrate([out_of_fold(each) for each in configs])
    tensors |= {**labeled.statistics, "labeled": labeled.features.half()}
    record = record_of_runs(name, runs, configs, store, preprocessing, calibration)
    distances = unlike_other_groups(labeled.features, labeled.groups)
    threshold = unlike_threshold(distances, labeled.labels, labeled.groups)
    record["unlike_above"] = None if threshold is None else round(threshold, 6)
    return with_digest(record, tensors)


def _changed(run: FinishedRun, path: Path) -> DataError:
    fix = f"run `snakemake {run.folder}/{paths.RESULT_FILE}`"
    return DataError(f"{path}: has changed since {run.folder} was trained; {fix}")


def _drawn_split(run: FinishedRun, store: Store, config: Tree) -> SavedSplit:
    path = paths.drawn_split(config["run"])
    split = check_split(path, store, config["split_config_sha256"])
    if split.sha256 != run.result["provenance"]["drawn_sha256"]:
        raise _changed(run, path)
    return split


def _weights(run: FinishedRun, config: Tree, features: Features | None) -> dict[str, Tensor]:
    """Return the encoder and the evaluated head of the evaluation model, the head as `classifier`.

    What the components of the method add to the logits of every image in evaluation is added to its biases. Raises
    DasoError for a head of several layers, or without biases if something is added.
    """
    run.read(paths.WEIGHTS_FILE)  # verifies the checksum
    saved = load_checkpoint(run.folder / paths.WEIGHTS_FILE, run.key)
    state = saved[evaluated_model(config)]
    head, parts = "classifier", _parts(run, config)
    for spec, options in parts:
        name = attribute(spec, "evaluation_head", options)
        head = f"heads.{name}" if name else head
    names = [name for name in state if name.startswith((ENCODER, f"{head}."))]
    weights = {name.replace(f"{head}.", "classifier.", 1): state[name] for name in names}
    if "classifier.weight" not in weights:
        raise DasoError(f"{config['run']}: its evaluated head has several layers; name a run of another method")
    blank_logits = partial(_blank_logits, config, features, weights)
    super_classes = super_class_of_each_class(config["dataset"], run.result["classes"])
    trained = Trained(run.result["counts"]["labeled"], saved["learner"], blank_logits, super_classes)
    components = [(import_component(spec), options) for spec, options in parts]
    shifts = [component.evaluation_shift(options, trained) for component, options in components]
    if added := [shift for shift in shifts if shift is not None]:
        if "classifier.bias" not in weights:
            raise DasoError(
                f"{config['run']}: its evaluated head has no biases, to which '{config['method']['name']}' adds; name "
                "a run of another method or network"
            )
        weights["classifier.bias"] = weights["classifier.bias"] + torch.stack(added).sum(0)
    heads = (addon.evaluation_super_classes(options, trained) for addon, options in components[1:])
    return weights | super_class_tensors(next(filter(None, heads), None), state)


def _parts(run: FinishedRun, config: Tree) -> list[tuple[str, dict[str, Any]]]:
    """Return "module:Class" and options, with those that a fit has set, of the learner and of each add-on of a run."""
    method, fitted = config["method"], option_values(config["plan"], run.result["provenance"].get("fit", {}))
    parts = [(LEARNERS, method["learner"]), *((ADDONS, addon) for addon in method["addons"])]
    return [(registry[part["name"]], with_upstream_options(part, fitted)) for registry, part in parts]


@torch.inference_mode()
def _blank_logits(config: Tree, features: Features | None, weights: Mapping[str, Tensor], colour: Colour) -> Tensor:
    """Return the logits (K,) of the evaluated head for a blank image."""
    if features:
        blank = standardised_blanks(features, torch.device("cpu"))[colour]
    else:
        preprocessing = _preprocessing(config)
        side = plain_view(config, preprocessing).view_size
        blank = Normalize(preprocessing.mean, preprocessing.std).blank(colour, side)
    encoded = _encoder(build_encoder(config, blank.shape[-1]), weights, ENCODER)(blank)
    return F.linear(encoded, weights["classifier.weight"], weights.get("classifier.bias"))[0]


def _features(config: Tree, store: Store) -> Features:
    manifest = paths.features_manifest(store.dataset, config["protocol"]["name"])
    return load_features(manifest, config["plan"]["features"]["key"], store)


def _encoder(encoder: Encoder, tensors: Mapping[str, Tensor], prefix: str) -> Encoder:
    """Return an encoder with the weights among `tensors` whose names begin with `prefix`, in evaluation mode."""
    encoder.load_state_dict({n.removeprefix(prefix): each for n, each in tensors.items() if n.startswith(prefix)})
    return encoder.eval().to(memory_format=encoder.layout)


def _labeled(
    config: Tree, store: Store, splits: Sequence[SavedSplit], tensors: Mapping[str, Tensor], features: Features | None
) -> tuple[Preprocessing, Labeled]:
    """Return the preprocessing of a model, and the labeled images of all its seeds with their features."""
    rows = np.unique(np.concatenate([split.split.labeled for split in splits]))
    groups = torch.from_numpy(store.groups("train")[rows] if store.has_groups else rows)
    labels = torch.from_numpy(store.labels("train")[rows])
    if features:
        manifest = paths.features_manifest(store.dataset, config["protocol"]["name"])
        stated = read_checksummed(manifest, "manifest of features")["preprocessing"]
        raw = torch.from_numpy(features.read("train", rows)[:, 0])
        statistics = {"mean": torch.from_numpy(features.mean), "std": torch.from_numpy(features.std)}
        return Preprocessing(**stated), Labeled(labels, groups, raw.float(), statistics)
    preprocessing = _preprocessing(config)
    raw = _encoded(config, store, rows, preprocessing, tensors)
    return preprocessing, Labeled(labels, groups, raw, {})


def _preprocessing(config: Tree) -> Preprocessing:
    """Return mean, std and filter of a network that is trained on images."""
    if states_preprocessing(config["protocol"]["network"]):
        stated = build_encoder(config).preprocessing
        assert stated is not None
        return stated
    dataset = config["dataset"]
    return Preprocessing(tuple(dataset["mean"]), tuple(dataset["std"]), "bilinear")


@torch.inference_mode()
def _encoded(
    config: Tree, store: Store, rows: IntArray, preprocessing: Preprocessing, tensors: Mapping[str, Tensor]
) -> Tensor:
    """Return the features (N, D) of plain views by the encoder of the first seed."""
    encoder = _encoder(build_encoder(config), tensors, f"{MEMBER}.{config['seed']}.{ENCODER}")
    view, normalize = plain_view(config, preprocessing), Normalize(preprocessing.mean, preprocessing.std)
    blocks = [rows[first : first + ENCODED_AT_ONCE] for first in range(0, len(rows), ENCODED_AT_ONCE)]
    images = (pack(torch.from_numpy(np.ascontiguousarray(store.images("train", block)))) for block in blocks)
    return torch.cat([encoder(normalize(view.plain(block))).float() for block in images])


def plain_view(config: Mapping[str, Any], preprocessing: Preprocessing) -> Augmentation:
    """Return the augmentation whose plain view a model of this record or configuration predicts."""
    dataset = config["dataset"]
    options = {**dataset["augment"], "interpolation": preprocessing.interpolation}
    return Augmentation(size=dataset["image_size"], **options)
