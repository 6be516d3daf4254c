"""Fit values to the labeled images of a split, from files to files."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from daso.data.features import load_features
from daso.data.files import checksummed, write_file
from daso.data.open_set import open_store
from daso.data.split import check_split
from daso.data.split_rows import Split
from daso.data.store import verify_store
from daso.engine.feature_pool import FeaturePool, load_feature_pools
from daso.engine.fit import fit_labels
from daso.engine.self_training import MappedFeaturePool
from daso.engine.unlike import measure_unlike

CPU = torch.device("cpu")


def fit_split(config: Mapping[str, Any], store_folder: Path, split: Path, features: Path, out: Path) -> None:
    """Fit the values of a configuration to a drawn split; write `out` and, before it, its arrays as .npz.

    The arrays of labeled images are `rows` of the store, `labels`, those of `fit_labels`, and `labeled_unlike`; those
    of unlabeled images are `unlabeled_rows` and `unlabeled_unlike`. Raises DataError if the files do not belong
    together.
    """
    store = verify_store(store_folder)
    saved = check_split(split, store, config["split_config_sha256"])
    store = open_store(store, saved.outside, verify_store)
    rows, unlabeled, none = saved.split.labeled, saved.split.unlabeled, np.empty(0, np.int64)
    loaded = load_features(features, config["plan"]["features"]["key"], store)
    (data,) = load_feature_pools(loaded, store, [Split(rows, none, none)], CPU)
    groups = store.groups("train")[rows] if store.has_groups else rows
    assert isinstance(data.labeled, FeaturePool)
    pool_of = partial(MappedFeaturePool, loaded, np.concatenate([rows, unlabeled]))
    record, arrays = fit_labels(config, data.labeled, groups, len(unlabeled), pool_of)
    labels = data.labeled.labels.numpy()
    distances, novelty = measure_unlike(loaded, rows, labels, groups, unlabeled)
    arrays |= {**novelty, "rows": rows, "labels": labels, "unlabeled_rows": unlabeled}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    head = {"dataset": store.dataset, "setting": saved.setting, "seed": saved.seed, "key": config["key"]}
    head |= {"protocol": config["protocol"]["name"], "split_sha256": saved.sha256}
    head["arrays_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    write_file(out.with_suffix(".npz"), buffer.getvalue())
    write_file(out, checksummed({**head, **record, **distances}))
    if not record["note"]:
        values = ", ".join(f"{name} {record[name]:.4g}" for name in ("weight_decay", "tau", "temperature"))
        logging.info("%s: %s, by %d labels in %d folds", out, values, record["scored"], record["folds"])
