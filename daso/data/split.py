"""Splits of the train part: draw by a setting, save, load and check against the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.aliases import IntArray
from daso.data.class_sizes import Counts, has_natural_sizes, required_images, setting_kind
from daso.data.dataset_schemas import SplitConfig
from daso.data.draw_split import draw, draw_lists, draw_natural, draw_share, order_of_classes
from daso.data.files import CHECKSUM, canonical_json, digest, read_checksummed, write_file
from daso.data.held_out import hold_out_test
from daso.data.open_set import open_store, with_outside_images
from daso.data.split_rows import Split
from daso.data.store import Store
from daso.errors import DataError
from daso.paths import rebuild_hint
from daso.schema import schema_error

SPLIT_PARTS = ("labeled", "unlabeled", "validation", "test")  # a file without a part `test` has none


class SavedSplit(NamedTuple):
    """A split and the other fields of its file."""

    dataset: str
    setting: str
    seed: int
    config_sha256: str  # digest of the configuration of the draw
    source_sha256: str  # digest of the store
    class_order: Counts  # class of every rank, the class with most labeled images first
    counts: dict[str, Counts]  # labeled, unlabeled, validation, maybe test images by class
    split: Split
    sha256: str  # checksum over all other fields of the file
    drawn_sha256: str  # `sha256` of the drawn split: this one, or the split from which a plan derived it
    derivation: Mapping[str, Any] | None = None  # options of the derivation, see `derive`; None for a drawn split
    outside: Mapping[str, Any] | None = None  # of the setting; then classes and rows are those of `open_store`


def split_config_error(config: Mapping[str, Any]) -> str | None:
    """Return the first error in the resolved configuration of a split; None if it is valid."""
    return schema_error(config, SplitConfig) or schema_error(config["setting"].get("name"), str, "setting.name")


def check_setting(config: Mapping[str, Any], classes: Sequence[str], sizes: Sequence[int]) -> None:
    """Raise DataError that names all classes with too few images; `sizes` (K,) are the class sizes of the train part.

    Every class, even a rare one, needs n1 + m1 + holdout // K images, since tails are cut from full pools; n1 + holdout
    // K if m1 is a word, n + holdout // K if a share is labeled. With natural sizes one image is enough, and
    class_order must be `size`.
    """
    setting, held = config["setting"], config["holdout"] // config["num_classes"]
    where, file = f"{config['dataset']}/{setting['name']}", f"params/datasets/{config['dataset']}.yaml"
    kind = setting_kind(setting)
    natural, options = has_natural_sizes(setting), {"tails": "n1 + m1", "share": "n"}.get(kind, "n1")
    if natural and config["class_order"] != "size":
        raise DataError(f"{where}: `labeled` keeps the natural class sizes; set class_order: size in {file}")
    need = required_images(setting) + (0 if natural else held)
    short = ", ".join(f"class {k} ({classes[k]}) has {size}" for k, size in enumerate(sizes) if size < need)
    if short and natural:
        raise DataError(f"{where}: each class needs at least one training image, but {short}; add images")
    if short:
        fits = min(sizes) - held
        fix = f"lower {options} to at most {fits}" if fits > 0 else "add images or lower holdout"
        raise DataError(
            f"{where}: each class needs {need} images ({held} of them held out), but {short}; "
            f"{fix} in {file}, or keep the natural sizes with `labeled`"
        )


def make_split(config: Mapping[str, Any], store: Store, out: Path) -> SavedSplit:
    """Draw a split of a store and save it atomically.

    `config` has dataset, setting ({name, n1, m1, gamma_l, gamma_u, reversed}, {name, n, gamma, share}, {name, labeled}
    or {name, labeled, unlabeled}; `draw` has further keys), seed, num_classes, holdout and class_order. The unlabeled
    images of a setting with `outside` are drawn with `open_store`. Raises DataError if the store has a different
    dataset, a class has too few images, or the unlabeled images of the setting are missing in the store.
    """
    k, seed, setting = config["num_classes"], config["seed"], config["setting"]
    store = open_store(store, setting.get("outside"))
    labels = store.labels("train")
    if store.dataset != config["dataset"] or len(store.classes) != k:
        raise DataError(
            f"{store.folder}: expected the store of {config['dataset']} with {k} classes, got the store of "
            f"{store.dataset} with {len(store.classes)}; give the store of {config['dataset']}"
        )
    held = hold_out_test(config, store)
    sizes = _per_class(np.delete(labels, held.test), k)
    check_setting(config, store.classes, sizes)
    without_labels = np.setdiff1d(_rows_without_labels(config, store), held.copies, assume_unique=True)
    order = order_of_classes(config["class_order"], sizes, seed)
    ranks = np.r_[np.argsort(order), k, -1][labels]  # images of no class have rank k, images without a label rank -1
    ranks[np.concatenate([held.test, held.copies])] = k  # never drawn either
    options: dict[str, int] = {"num_classes": k, "holdout": config["holdout"], "seed": seed}
    match setting_kind(setting):
        case "natural":
            split = draw_natural(ranks, setting["labeled"], **options)
        case "lists":
            split = draw_lists(ranks, without_labels, **options)
        case "share":
            split = draw_share(ranks, setting, **options)
        case _:
            split = draw(ranks, setting, **options)
    split = with_outside_images(split, labels, setting, k, seed)._replace(test=held.test)
    head: dict[str, Any] = {"outside": setting["outside"]} if "outside" in setting else {}
    head |= {
        "dataset": config["dataset"],
        "setting": setting["name"],
        "seed": seed,
        "config_sha256": digest(config),
        "source_sha256": store.sha256,
        "class_order": order.tolist(),
    }
    return save_split(head, split, labels, out)


def _rows_without_labels(config: Mapping[str, Any], store: Store) -> IntArray:
    """Return the rows without a label that a setting uses; empty if it uses none.

    Raises DataError if the store has no such rows, or lacks a subset of them.
    """
    setting, where = config["setting"], f"{config['dataset']}/{config['setting']['name']}"
    names, file = setting.get("unlabeled", setting.get("m1")), f"params/datasets/{config['dataset']}.yaml"
    if names == "all":
        rows: IntArray = np.flatnonzero(store.labels("train") < 0)
        if not len(rows):
            add = "add such images, in an image folder below unlabeled/"
            option, fix = ("unlabeled", add) if "unlabeled" in setting else ("m1", "set m1 to a number")
            raise DataError(
                f"{where}: {option}: all selects the images without a label, and {store.folder} has none; "
                f"{fix} in {file}"
            )
        return rows
    empty = np.empty(0, np.int64)
    if not isinstance(names, list):
        return empty
    if missing := [name for name in names if name not in store.subsets]:
        known = f"it has {', '.join(store.subsets)}" if store.subsets else "it has none"
        raise DataError(f"{where}: unknown subset '{missing[0]}' of {store.folder}, {known}; correct {file}")
    return np.concatenate([empty, *(np.arange(*store.subsets[name], dtype=np.int64) for name in names)])


def save_split(head: Mapping[str, Any], split: Split, labels: IntArray, out: Path) -> SavedSplit:
    """Save a split atomically; `head` holds the other fields of its file, `labels` (n,) belong to the train part."""
    k = len(head["class_order"])
    tree: dict[str, Any] = {
        **head,
        "counts": {name: list(_per_class(labels_of(split, name, labels), k)) for name in split.parts},
        **{name: rows.tolist() for name, rows in split.parts.items()},
    }
    if len(split.pseudo_labeled):
        tree["pseudo_labeled"] = split.pseudo_labeled.tolist()
    tree[CHECKSUM] = digest(tree)
    lines = ",\n".join(f'"{name}": {canonical_json(tree[name])}' for name in sorted(tree))
    write_file(out, f"{{\n{lines}\n}}\n".encode())
    return load_split(out)


def load_split(path: Path) -> SavedSplit:
    """Load a split; raises DataError if the file is missing or damaged."""
    tree = read_checksummed(path, "split")
    checksum = tree.pop(CHECKSUM)
    return SavedSplit(
        **{name: tree[name] for name in ("dataset", "setting", "seed", "config_sha256", "source_sha256")},
        class_order=tuple(tree["class_order"]),
        counts={name: tuple(counts) for name, counts in tree["counts"].items()},
        split=Split(
            **{name: np.array(tree[name], np.int64) for name in SPLIT_PARTS if name in tree},
            pseudo_labeled=np.array(tree.get("pseudo_labeled", []), np.int64),
        ),
        sha256=checksum,
        drawn_sha256=tree.get("drawn_sha256", checksum),
        derivation=tree.get("derivation"),
        outside=tree.get("outside"),
    )


def check_split(path: Path, store: Store, config_sha256: str | None = None) -> SavedSplit:
    """Load a split and check that it was drawn from a store and, if given, with the configuration of a digest.

    Raises DataError for a damaged file, different configuration or different source.
    """
    saved = load_split(path)
    if config_sha256 not in (None, saved.config_sha256):
        delete = None if saved.derivation is None else "it and the split it was derived from"
        raise DataError(
            f"{path}: drawn with a different configuration (setting {saved.setting}, seed {saved.seed}) than "
            f"expected; {rebuild_hint(path, delete)}"
        )
    store = open_store(store, saved.outside)
    if saved.source_sha256 != store.sha256:
        raise DataError(
            f"{path}: drawn from data with SHA-256 {saved.source_sha256[:16]}, but {store.folder} has "
            f"{store.sha256[:16]}; draw the split again, or give the store it was drawn from"
        )
    return saved


def labels_of(split: Split, part: str, labels: IntArray) -> IntArray:
    """Return the labels (n,) of a part: pseudo-labels for images that a plan added, else labels of the train part.

    If the unlabeled images have no labels, copies of labeled images get label -1 too.
    """
    own, drawn = labels[split.parts[part]], len(split.labeled) - len(split.pseudo_labeled)
    if part == "labeled":
        return np.concatenate([own[:drawn], split.pseudo_labeled])
    if part == "unlabeled" and (own < 0).any():
        return np.where(np.isin(split.unlabeled, split.labeled[:drawn]), -1, own)
    return own


def _per_class(labels: IntArray, num_classes: int) -> Counts:
    return tuple(np.bincount(labels[labels >= 0], minlength=num_classes)[:num_classes].tolist())
