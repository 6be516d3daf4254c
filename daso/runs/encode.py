"""Encode the images of a dataset by a frozen network, from files to files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from daso.augment.views import Augmentation
from daso.config.build import encoder_of, load_encoder
from daso.config.network import encoder_weights
from daso.data.features import FeatureRows, write_features
from daso.data.store import verify_store
from daso.engine.encode import encode_blanks, encode_store
from daso.errors import DataError, ParamsError
from daso.locks import lock_folder
from daso.models.network import Preprocessing


def encode_dataset(config: Mapping[str, Any], store_folder: Path, out: Path, device: torch.device) -> None:
    """Encode the images of a store that have not been encoded before, and write the features of the dataset.

    `config` has dataset, network, image_size, augment, key and rows; the rows are kept in `<rows>` in a folder beside
    those of the datasets. A killed call resumes. Raises DasoError if weights or images do not fit the configuration.
    """
    store = verify_store(store_folder)
    if store.dataset != config["dataset"]:
        raise DataError(f"{store_folder}: expected the store of {config['dataset']}, got that of {store.dataset}")
    weights, encoder = encoder_weights(config["network"]), encoder_of(config["network"])
    if weights is None or encoder.preprocessing is None:
        raise ParamsError(f"network '{config['network']['name']}': missing weights; set weights and sha256")
    digest = load_encoder(encoder, weights, dataset={})
    stated: Preprocessing = encoder.preprocessing
    augmentation = Augmentation(size=config["image_size"], interpolation=stated.interpolation, **config["augment"])
    folder = out.parents[1] / "rows" / config["rows"]
    with lock_folder(folder):
        rows = FeatureRows(folder, encoder.feature_dim)
        numbers = encode_store(encoder.to(device), stated, augmentation, store, rows)
        blanks = encode_blanks(encoder, stated, augmentation)
        record = {name: config[name] for name in ("dataset", "key", "rows", "network", "augment")}
        record |= {"store_sha256": store.sha256, "weights_sha256": digest, "preprocessing": stated._asdict()}
        record |= {"timm": version("timm"), "license": encoder.license}
        write_features(out, rows, numbers, blanks, record)
    logging.info("%s: features of %d images, %s", store.dataset, store.images_total, out)
