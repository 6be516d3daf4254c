"""Disk space that runs need, from their configurations and the sizes of their datasets."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from daso.aliases import Config
from daso.config.cache import cached, source_files
from daso.config.keys import Keys
from daso.config.open_sets import stores_of
from daso.config.params import Params
from daso.config.resolve import Run, split_config
from daso.data.class_sizes import class_sizes, copied_images, outside_images, unlabeled_without_labels
from daso.data.files import canonical_json, read_json
from daso.paths import MANIFEST, split_file, store_folder
from daso.planning.sizes import FileSizes, file_sizes
from daso.report.tables.speed import format_significant

IMAGE_PARTS = ("train", "unlabeled", "test")
ASSUMED_IMAGES = {"train": 10_000, "unlabeled": 0, "test": 1_000}  # assumed for an image folder before it is read
INDEX_BYTES = 8  # bytes per image index in the file of a split


def disk_lines(params: Params, keys: Keys, todo: Sequence[Run], at_once: int) -> Iterator[str]:
    """Yield the bytes that runs need, `at_once` of them at a time, and the free bytes."""
    places = {(run.dataset, run.setting, run.seed) for run in todo}
    stores, unknown = 0, []
    for name in dict.fromkeys(name for run in todo for name in stores_of(params, run.dataset, run.setting)):
        tree, stored = params.datasets[name], (store_folder(name) / MANIFEST).exists()
        if not stored and "images" in tree:
            images = sum(tree["images"][part] for part in IMAGE_PARTS)
            stores += images * 3 * tree["image_size"] ** 2 + tree.get("download_bytes", 0)
        elif not stored:
            unknown.append(name)
    missing = [place for place in places if not split_file(*place).exists()]
    rows = {name: sum(_all_images(params, name)[part] for part in ("train", "unlabeled")) for name, *_ in places}
    splits = sum(INDEX_BYTES * rows[name] for name, *_ in missing)
    samples = {(run.dataset, run.method): run for run in sorted(todo, reverse=True)}
    inputs = [(keys.resolved(run), images_of(params, run)) for run in samples.values()]
    size = dict(zip(samples, _cached_sizes(params.root.parent, inputs), strict=True))
    sizes = [size[run.dataset, run.method] for run in todo]
    largest = max((run.state for run in sizes), default=0)
    parts = {
        "images": stores,
        "splits": splits,
        "results": sum(run.results for run in sizes),
        "TensorBoard": sum(run.events for run in sizes),
        "checkpoints": 2 * at_once * largest,  # a new one is complete before the old one is deleted
    }
    needed, free = sum(parts.values()), shutil.disk_usage(Path.cwd()).free
    listed = ", ".join(f"{name} {_mb(part)}" for name, part in parts.items() if part)
    yield f"disk: {_mb(needed)} needed{f' ({listed})' if listed else ''}, {_mb(free)} free"
    if unknown:
        yield f"disk: images of {', '.join(unknown)} not stored yet, size unknown"
    if needed > free:
        yield f"WARNING: not enough disk space: {_mb(needed - free)} more needed; free it before you start"


def _cached_sizes(project: Path, inputs: Sequence[tuple[Config, dict[str, int]]]) -> list[FileSizes]:
    """Return the sizes of runs' files from configurations and images; cached, because `file_sizes` imports torch."""

    def make() -> list[list[int]]:
        return [list(file_sizes(config, images)) for config, images in inputs]

    return [FileSizes(*size) for size in cached(project, "sizes", source_files, make, canonical_json(inputs))]


def _all_images(params: Params, dataset: str) -> dict[str, int]:
    """Return the numbers of images by IMAGE_PARTS: of the params file, else of the store, else a default."""
    tree, store = params.datasets[dataset], store_folder(dataset)
    known, labels = tree.get("images", {}), store / "train_labels.npy"
    if not known and (store / MANIFEST).exists():
        parts = read_json(store / MANIFEST, "manifest of a store")["parts"]
        unlabeled = int((np.load(labels) < 0).sum()) if labels.exists() else 0
        known = {"train": parts["train"]["images"] - unlabeled, "unlabeled": unlabeled, "test": parts["test"]["images"]}
    images = {**ASSUMED_IMAGES, **known}
    if share := tree.get("test_share"):
        images["test"] = math.ceil(share * images["train"])
    return images


def images_of(params: Params, run: Run) -> dict[str, int]:
    """Return the unlabeled, validation and test images of a run, from the sizes of its setting."""
    config, images = split_config(params, run.dataset, run.setting, run.seed), _all_images(params, run.dataset)
    setting, classes, holdout = config["setting"], config["num_classes"], config["holdout"]
    tail = class_sizes(setting, classes)[1]
    without_labels = images["unlabeled"]
    if isinstance(names := setting.get("unlabeled"), list):
        without_labels = sum(params.datasets[run.dataset]["subsets"][name] for name in names)
    rest = without_labels if unlabeled_without_labels(setting) else images["train"] - holdout
    inside = rest + copied_images(setting, classes) if tail is None else sum(tail)
    unlabeled = inside + outside_images(setting, inside)
    return {"unlabeled": unlabeled, "validation": holdout // classes * classes, "test": images["test"]}


def _mb(size: int) -> str:
    return f"{format_significant(size / 1e9)} GB" if size >= 1e9 else f"{format_significant(size / 1e6)} MB"
