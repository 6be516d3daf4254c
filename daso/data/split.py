"""Splits of the train part as files: made by a setting, saved, read and compared with the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daso.data.class_sizes import Counts, required_images, setting_kind
from daso.data.draw_split import draw, draw_natural, draw_share, order_of_classes
from daso.data.files import CHECKSUM, atomic_write, canonical, digest, read_checksummed
from daso.data.store import Store
from daso.data.validate import COUNT, Number, OneOf, schema_error
from daso.errors import DataError
from daso.paths import rebuild_hint
from daso.records import IntArray, Split

PARTS = ("labeled", "unlabeled", "validation")
ROW = Number(-(2**62), 2**62, whole=True)
PLACE = {"dataset": str, "seed": Number(0, 2**32 - 1, whole=True)}
FORM = {
    **{**PLACE, "setting": str, "config_sha256": str, "source_sha256": str, "class_order": [COUNT]},
    **{"counts": {name: [COUNT] for name in PARTS}, **{name: [ROW] for name in PARTS}},
}
TAIL = {"name": str, "n1": Number(1, whole=True), "gamma_l": Number(1)}
CONFIG = {
    **{**PLACE, "num_classes": Number(2, whole=True), "holdout": COUNT, "class_order": str},
    "setting": OneOf(
        (
            {**TAIL, "m1": COUNT, "gamma_u": Number(1), "reversed": bool},
            {**TAIL, "m1": "all"},
            {**TAIL, "m1": "train"},
            {"name": str, "n": Number(1, whole=True), "gamma": Number(1), "share": Number(0, 1)},
            {"name": str, "labeled": Number(0, 1)},
        )
    ),
}


class SavedSplit(NamedTuple):
    """A split with what its file says of it."""

    dataset: str
    setting: str
    seed: int
    config_sha256: str  # of the configuration it was drawn by
    source_sha256: str  # of the store it was drawn from
    class_order: Counts  # the class of every rank, most frequent labeled one first
    counts: dict[str, Counts]  # labeled, unlabeled, validation images by class
    split: Split
    sha256: str  # over everything else
    drawn_sha256: str  # the same, or of the split as drawn, of which a stage of a plan has made this one
    derivation: Mapping[str, Any] | None = None  # and how


def check_setting(config: Mapping[str, Any], classes: Sequence[str], sizes: Sequence[int]) -> None:
    """Raise DataError, naming every class that has too few images; `sizes` (K,) counts the train part.

    Every class must fill both pools and the hold-out, n1 + m1 + holdout // K images, rare ones too: the tails are cut
    out of the pools (where m1 is a word, n1 + holdout // K; where a share is labeled, n + holdout // K). Where the
    natural sizes are kept, one image is enough, and the ranks must be those of the sizes.
    """
    setting, held = config["setting"], config["holdout"] // config["num_classes"]
    where, file = f"{config['dataset']}/{setting['name']}", f"params/datasets/{config['dataset']}.yaml"
    natural, sizes_of = (
        setting_kind(setting) == "natural",
        {"tails": "n1 + m1", "share": "n"}.get(setting_kind(setting), "n1"),
    )
    if natural and config["class_order"] != "size":
        raise DataError(f"{where}: `labeled` keeps the natural sizes of the classes; say class_order: size in {file}")
    need = required_images(setting) + (0 if natural else held)
    short = ", ".join(f"class {k} ({classes[k]}) has {size}" for k, size in enumerate(sizes) if size < need)
    if short and natural:
        raise DataError(f"{where}: {short}; every class wants an image in the train part")
    if short:
        fits = min(sizes) - held
        mend = f"lower {sizes_of} to at most {fits}" if fits > 0 else "add images or lower holdout"
        raise DataError(
            f"{where}: a class wants {need} images ({held} of them held out), and {short}; "
            f"{mend} in {file}, or keep the natural sizes with `labeled`"
        )


def make_split(config: Mapping[str, Any], store: Store, out: Path) -> SavedSplit:
    """Draw a split of a store and save it atomically.

    `config` has dataset, setting {name, n1, m1, gamma_l, gamma_u, reversed}, {name, n, gamma, share} or
    {name, labeled}, seed, num_classes, holdout and class_order. Raises DataError when the store is of another dataset,
    a class has too few images, or m1 is `all` and every image has a label.
    """
    k, seed, labels = config["num_classes"], config["seed"], store.labels("train")
    if store.dataset != config["dataset"] or len(store.classes) != k:
        raise DataError(
            f"{store.folder}: the store of {store.dataset} with {len(store.classes)} classes, and the split is of "
            f"{config['dataset']} with {k}; give the store of {config['dataset']}"
        )
    sizes, setting = _per_class(labels, k), config["setting"]
    check_setting(config, store.classes, sizes)
    if setting.get("m1") == "all" and labels.min() >= 0:
        raise DataError(
            f"{config['dataset']}/{setting['name']}: m1: all is every image without a label, and {store.folder} has "
            f"none; say how many in params/datasets/{config['dataset']}.yaml"
        )
    order = order_of_classes(config["class_order"], sizes, seed)
    ranks = np.where(labels >= 0, np.argsort(order)[labels], -1)
    how: dict[str, int] = {"num_classes": k, "holdout": config["holdout"], "seed": seed}
    if setting_kind(setting) == "natural":
        split = draw_natural(ranks, setting["labeled"], **how)
    else:
        split = (draw_share if setting_kind(setting) == "share" else draw)(ranks, setting, **how)
    head = {
        "dataset": config["dataset"],
        "setting": setting["name"],
        "seed": seed,
        "config_sha256": digest(config),
        "source_sha256": store.sha256,
        "class_order": order.tolist(),
    }
    return save_split(head, split, labels, out)


def save_split(head: Mapping[str, Any], split: Split, labels: IntArray, out: Path) -> SavedSplit:
    """Save a split atomically; `head` says what it is of, `labels` (n,) are those of the train part."""
    k = len(head["class_order"])
    tree: dict[str, Any] = {
        **head,
        "counts": {name: list(_per_class(labels_of(split, name, labels), k)) for name in split.parts},
        **{name: rows.tolist() for name, rows in split.parts.items()},
    }
    if len(split.pseudo_labeled):
        tree["guessed"] = split.pseudo_labeled.tolist()
    tree[CHECKSUM] = digest(tree)
    lines = ",\n".join(f'"{name}": {canonical(tree[name])}' for name in sorted(tree))
    with atomic_write(out) as file:
        file.write(f"{{\n{lines}\n}}\n".encode())
    return load_split(out)


def load_split(path: Path) -> SavedSplit:
    """Read a split; raises DataError when the file is missing, damaged or not what its digest says."""
    tree = read_checksummed(path, "split")
    said = tree.pop(CHECKSUM)
    if wrong := schema_error(tree, FORM) or schema_error(tree.get("guessed", []), [COUNT], "guessed"):
        raise DataError(f"{path}: not a split ({wrong}); {rebuild_hint(path)}")
    try:
        return SavedSplit(
            dataset=tree["dataset"],
            setting=tree["setting"],
            seed=tree["seed"],
            config_sha256=tree["config_sha256"],
            source_sha256=tree["source_sha256"],
            class_order=tuple(tree["class_order"]),
            counts={name: tuple(tree["counts"][name]) for name in PARTS},
            split=Split(
                **{name: np.array(tree[name], np.int64) for name in PARTS},
                pseudo_labeled=np.array(tree.get("guessed", []), np.int64),
            ),
            sha256=said,
            drawn_sha256=tree.get("drawn_sha256", said),
            derivation=tree.get("way"),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: not a split ({error!r}); {rebuild_hint(path)}") from error


def check_split(path: Path, store: Store, config_sha256: str | None = None) -> SavedSplit:
    """Read a split and compare it with the store it is to be used with, and with the configuration it should be of.

    Raises DataError for the first of: a wrong digest, another configuration, another source, a row that is not there,
    a row used twice, counts that are not those of the store's labels.
    """
    saved, labels = load_split(path), store.labels("train")
    if config_sha256 not in (None, saved.config_sha256):
        whole = None if saved.derivation is None else "it and the split it was made from"
        raise DataError(
            f"{path}: a split {saved.setting} of seed {saved.seed} that another configuration has drawn than the one "
            f"asked for; {rebuild_hint(path, whole)}"
        )
    if saved.source_sha256 != store.sha256:
        raise DataError(
            f"{path}: drawn from data with SHA-256 {saved.source_sha256[:16]}, {store.folder} has {store.sha256[:16]}; "
            "rows mean other images there: draw the split again, or give the store it was drawn from"
        )
    if sorted(saved.class_order) != list(range(len(store.classes))):
        raise DataError(f"{path}: class_order does not name each of the {len(store.classes)} classes once")
    split, rows = saved.split, saved.split.rows
    if rows.size and not 0 <= rows.min() <= rows.max() < len(labels):
        outside = rows.min() if rows.min() < 0 else rows.max()
        raise DataError(f"{path}: there is no row {outside}, the train part has {len(labels)} images")
    added = split.labeled[len(split.labeled) - len(split.pseudo_labeled) :]  # they go on being unlabeled images too
    if np.isin(split.labeled, split.unlabeled).all():  # as a setting may have it of all labeled images, not of some
        added = split.labeled
    once = [split.labeled, split.unlabeled[~np.isin(split.unlabeled, added)], split.validation]
    seen, times = np.unique(np.concatenate(once), return_counts=True)
    if (times > 1).any():
        row = int(seen[times > 1][0])
        parts = [name for name, mine in split.parts.items() for _ in range(int((mine == row).sum()))]
        raise DataError(f"{path}: row {row} is used more than once ({', '.join(parts)}); draw the split again")
    for name in split.parts:
        found = _per_class(labels_of(split, name, labels), len(store.classes))
        if found != saved.counts[name]:
            raise DataError(f"{path}: {name} images by class are {found}, the file says {saved.counts[name]}")
    return saved


def labels_of(split: Split, part: str, labels: IntArray) -> IntArray:
    """The labels (n,) of a part's images by those of the train part; a plan's guesses stand for those it has made."""
    mine, pseudo_labeled = labels[split.parts[part]], split.pseudo_labeled
    return np.concatenate([mine[: len(mine) - len(pseudo_labeled)], pseudo_labeled]) if part == "labeled" else mine


def _per_class(labels: IntArray, num_classes: int) -> Counts:
    return tuple(np.bincount(labels[labels >= 0], minlength=num_classes).tolist())
