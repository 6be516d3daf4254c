"""Models: what predictions and exports of finished runs need, apart from the weights of a frozen network.

A model is `model.json`, its record, and `model.safetensors`, its tensors; the runs of a suite may change later, a model
never does. Its id is `<name>@<first digits of its digest>`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from daso.config.build import encoder_of, load_encoder
from daso.config.network import encoder_weights
from daso.config.registry import trains_on_features
from daso.data.files import canonical_json, checksummed, read_checksummed, write_file
from daso.deploy.network import Classifier
from daso.deploy.super_class_head import SUPER_CLASS_HEAD, SuperClassAdjusted
from daso.errors import DataError
from daso.models.features import COSINE_SCALE, CosineClassifier, FeatureEncoder
from daso.models.network import ENCODER, Encoder, Preprocessing

RECORD_FILE, TENSORS_FILE = "model.json", "model.safetensors"
ID_DIGITS = 12  # of the digest, in the id of a model
MEMBER = "member"  # first part of the names of tensors `member.<seed>.<name>`; others are `encoder.<name>`


class Model(NamedTuple):
    """Record and tensors of a model.

    The record has `name`, `method`, `title`, `runs` (id, key, seed and tau of logit adjustment of each), `classes`,
    `reading` (image_size, fit and bits of the stored squares), `dataset` (image_size and augment of their views),
    `network` (options), `preprocessing` (mean, std, interpolation), `temperature`, `calibration` (how it was fitted),
    `abstain_below`, `unlike_above`, `prior` (that of the probabilities, and the shares of labeled images by class),
    `accuracy` (balanced, recall and precision by class), `versions` and `digest`, `super_classes`, the super-class of
    each class, if the dataset has such, and `cosine_scale` of a cosine classifier. Tensors are `mean` and `std` (D,) by
    which features are standardised, the features `labeled` (N, D), and the weights of each member.
    """

    record: dict[str, Any]
    tensors: dict[str, Tensor]

    def member(self, seed: int) -> dict[str, Tensor]:
        """Return the state dict of a member."""
        return _below(self.tensors, f"{MEMBER}.{seed}.")


def model_id(record: Mapping[str, Any]) -> str:
    """Return the name of a model with the first digits of its digest."""
    return f"{record['name']}@{record['digest'][:ID_DIGITS]}"


def with_digest(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    """Return the model of a record and tensors, whose digest covers both."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    result = hashlib.sha256(canonical_json(record).encode())
    result.update(save(contiguous))
    return Model({**record, "digest": result.hexdigest()}, contiguous)


def save_model(model: Model, folder: Path) -> None:
    """Write the two files of a model, the record last."""
    write_file(folder / TENSORS_FILE, save(model.tensors))
    write_file(folder / RECORD_FILE, checksummed({"record": model.record}))


def read_model(folder: Path) -> Model:
    """Read the model of a folder; raises DataError if it is missing or damaged."""
    record = read_checksummed(folder / RECORD_FILE, "record of a model", "export the model again")["record"]
    path = folder / TENSORS_FILE
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a readable file of tensors ({error}); export the model again") from error
    model = with_digest({name: value for name, value in record.items() if name != "digest"}, tensors)
    if model.record["digest"] != record["digest"]:
        raise DataError(f"{path}: not the tensors of {folder / RECORD_FILE}; export the model again")
    return model


def with_encoder(model: Model) -> Model:
    """Return a model with the weights of its frozen network as tensors too, so that no other file is needed."""
    if not trains_on_features(model.record["network"]):
        return model
    tensors = {f"{ENCODER}{name}": tensor for name, tensor in _frozen_encoder(model).state_dict().items()}
    record = {name: value for name, value in model.record.items() if name != "digest"}
    return with_digest(record, {**model.tensors, **tensors})


def classifier_of(model: Model) -> Classifier:
    """Return the network of a model.

    Raises DasoError if the weights of its frozen network are missing, or its cosine classifier had another scale.
    """
    record, tensors = model.record, model.tensors
    network = record["network"]
    if network.get("head") == "cosine" and (scale := record.get("cosine_scale")) != COSINE_SCALE:
        raise DataError(
            f"{model_id(record)}: expected a cosine classifier with the scale {COSINE_SCALE:g}, got "
            f"{'none' if scale is None else f'{scale:g}'}; train its runs again, then export it again"
        )
    shared = _frozen_encoder(model) if trains_on_features(network) else None
    members = [_member(network, model.member(run["seed"]), shared) for run in record["runs"]]
    statistics = (tensors["mean"], tensors["std"]) if shared else None
    preprocessing = Preprocessing(**record["preprocessing"])
    return Classifier(shared, members, preprocessing, statistics, tensors["labeled"], record["temperature"])


def _frozen_encoder(model: Model) -> Encoder:
    """Return the shared encoder with the weights among the tensors or, if there are none, of their own file."""
    network = model.record["network"]
    encoder = encoder_of(network)
    if state := _below(model.tensors, ENCODER):
        encoder.load_state_dict(state)
    elif weights := encoder_weights(network):
        load_encoder(encoder, weights, {})
    return encoder


def _member(
    network: Mapping[str, Any], state: Mapping[str, Tensor], shared: Encoder | None
) -> tuple[Encoder, nn.Module]:
    """Return encoder and classifier of a member with its weights."""
    classes = len(state["classifier.weight"])
    if shared is None:
        encoder = encoder_of(network, classes)
    else:
        encoder = FeatureEncoder(shared.feature_dim, neck=network.get("neck"))
    kind = CosineClassifier if network.get("head") == "cosine" else nn.Linear
    classifier = kind(encoder.feature_dim, classes)
    encoder.load_state_dict(_below(state, ENCODER))
    classifier.load_state_dict(_below(state, "classifier."))
    super_class = _below(state, SUPER_CLASS_HEAD)
    return encoder, SuperClassAdjusted(classifier, super_class) if super_class else classifier


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
