"""Disk space that runs need, from their configurations and the sizes of their datasets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from daso.config.keys import Keys
from daso.config.params import Params
from daso.config.resolve import Run, setting_config
from daso.data.class_sizes import class_sizes, setting_kind
from daso.data.files import read_json
from daso.planning.sizes import file_sizes
from daso.report.tables.speed import format_significant

# Sizes of sources by kind: images of the train part, of the test part and without labels; bytes to download.
SOURCES = {
    "digits": (1297, 500, 0, 0),
    "cifar10": (50_000, 10_000, 0, 170_498_071),
    "cifar100": (50_000, 10_000, 0, 169_001_437),
    "stl10": (5_000, 8_000, 100_000, 2_640_397_119),
}
ROW = 8  # bytes per image index in the file of a split


def disk_lines(params: Params, keys: Keys, todo: Sequence[Run], at_once: int) -> Iterator[str]:
    """Yield the bytes that runs need, `at_once` of them at a time, and the free bytes."""
    places = {(run.dataset, run.setting, run.seed) for run in todo}
    stores, unknown = 0, []
    for name in dict.fromkeys(run.dataset for run in todo):
        source, folder = params.datasets[name]["source"], Path("data/store", name)
        if not (folder / "manifest.json").exists() and source["kind"] in SOURCES:
            *images, archive = SOURCES[source["kind"]]
            stores += sum(images) * 3 * params.datasets[name]["image_size"] ** 2 + archive
        elif not (folder / "manifest.json").exists():
            unknown.append(name)
    missing = [place for place in places if not Path("data/splits", *place[:2], f"s{place[2]}.json").exists()]
    total = {name: sum(_all_images(params, name)[:2]) for name, *_ in places}
    splits = sum(ROW * total[name] for name, *_ in missing)
    samples = {(run.dataset, run.method): run for run in reversed(todo)}
    size = {names: file_sizes(keys.resolved(run), images_of(params, run)) for names, run in samples.items()}
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


def _all_images(params: Params, dataset: str) -> tuple[int, int, int]:
    """Return the images of the train part, the test part and without labels: of the store, the source, or a default."""
    manifest = Path("data/store", dataset, "manifest.json")
    if manifest.exists():
        parts = {name: part["images"] for name, part in read_json(manifest, "manifest of a store")["parts"].items()}
        return parts["train"], parts["test"], 0
    train, test, others, _ = SOURCES.get(params.datasets[dataset]["source"]["kind"], (10_000, 1_000, 0, 0))
    return train, test, others


def images_of(params: Params, run: Run) -> dict[str, int]:
    """Return the unlabeled, validation and test images of a run, from the sizes of its setting."""
    tree = params.datasets[run.dataset]
    setting, classes = setting_config(params, run.dataset, run.setting), tree["num_classes"]
    train, test, others = _all_images(params, run.dataset)
    holdout: int = setting["holdout"] if "holdout" in setting else tree["holdout"]
    tail = class_sizes(setting, classes)[1]
    rest = others if setting_kind(setting) == "others" else train - holdout
    unlabeled = rest if tail is None else sum(tail)
    return {"unlabeled": unlabeled, "validation": holdout // classes * classes, "test": test}


def _mb(size: int) -> str:
    return f"{format_significant(size / 1e9)} GB" if size >= 1e9 else f"{format_significant(size / 1e6)} MB"
