"""A folder that carries runs to another machine: configurations, splits, and just the images they use.

`configs/<run id>.json`, `reads/` with splits and what else runs take, each file where it lies here, and
`store/<dataset>/`, which has the manifest and the labels as they are and the images as lossless WebP. Results go to
`runs/<run id>/`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from daso import places
from daso.data.files import read_json
from daso.data.split import check_split
from daso.data.store import MANIFEST, Store, load_store
from daso.errors import DataError
from daso.records import ImageArray

Config = Mapping[str, Any]


class BundledRun(NamedTuple):
    """One run of a bundle."""

    config: dict[str, Any]
    reads: dict[str, Path]  # what `places.read` names
    store: Path


def write_bundle(folder: Path, runs: Sequence[tuple[Config, Mapping[str, Path], Path]]) -> None:
    """Pack runs, each (resolved configuration, files that `places.read` names, store folder), into a new folder.

    Of the train part only the rows that the splits name are packed. A killed call leaves `<folder>.part` alone.
    Raises DataError when the folder is there already, a split does not fit its store or its run, or two stores of
    one dataset differ.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already, and may hold results; name another folder or delete it")
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    stores: dict[str, Store] = {}
    rows: dict[str, set[int]] = {}
    for config, reads, store_folder in runs:
        store = load_store(store_folder)
        saved = check_split(split_file := reads["split"], store)
        if (saved.dataset, saved.setting, saved.seed) != _split_of(config):
            raise DataError(
                f"{split_file}: is the split {saved.setting} of seed {saved.seed}, not that of {config['run']}"
            )
        if stores.setdefault(store.dataset, store).sha256 != store.sha256:
            raise DataError(f"{store_folder}: is not the data of {stores[store.dataset].folder}; make two bundles")
        rows.setdefault(store.dataset, set()).update(saved.split.rows.tolist())
        for name, file in _reads(partial, config).items():
            _copy(reads[name], file)
        _write_config(partial / "configs" / f"{config['run']}.json", config)
    for dataset, store in stores.items():
        _write_store(partial / "store" / dataset, store, sorted(rows[dataset]))
    (partial / "runs").mkdir(parents=True)
    partial.replace(folder)


def read_bundle(folder: Path) -> list[BundledRun]:
    """The runs of a bundle, sorted by id; raises DataError when it is no bundle or lacks a file."""
    configs = folder / "configs"
    runs = []
    for path in sorted(configs.rglob("*.json")):
        config = read_json(path, "configuration")
        store = folder / "store" / _split_of(config)[0]
        run = BundledRun(config, _reads(folder, config), store)
        if path.relative_to(configs).with_suffix("").as_posix() != config.get("run"):
            raise DataError(f"{path}: is the configuration of {config.get('run')}; pack the runs again")
        for needed in (*run.reads.values(), run.store / MANIFEST):
            if not needed.is_file():
                raise DataError(f"{needed}: is missing, {config['run']} needs it; copy the bundle again")
        runs.append(run)
    if not runs:
        raise DataError(f"{folder}: is no bundle (it has no configs/); make one with `python -m daso bundle <run ids>`")
    return runs


def _split_of(config: Config) -> tuple[str, str, int]:
    try:
        return config["dataset"]["name"], config["setting"]["name"], config["seed"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{config.get('run')}: not a resolved configuration of a run ({error!r})") from error


def _reads(folder: Path, config: Config) -> dict[str, Path]:
    """Where a bundle has the files that a run reads."""
    return {name: folder / "reads" / path for name, path in places.read(config["run"], config["plan"]).items()}


def _write_store(folder: Path, store: Store, rows: Sequence[int]) -> None:
    folder.mkdir(parents=True)
    _copy(store.folder / MANIFEST, folder / MANIFEST)
    for part, record in store.parts.items():
        _copy(store.folder / f"{part}_labels.npy", folder / f"{part}_labels.npy")
        _write_zip(folder / f"{part}.zip", store, part, rows if part == "train" else range(record["images"]))


def _write_zip(path: Path, store: Store, part: str, rows: Sequence[int]) -> None:
    """A stored zip of `<row>.webp`; equal images give equal bytes, whenever it is written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive, ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded: Iterable[bytes] = pool.map(_webp, store.images(part, np.array(rows, dtype=np.int64)))
        for row, content in zip(rows, encoded, strict=True):
            archive.writestr(zipfile.ZipInfo(f"{row}.webp"), content)


def _webp(image: ImageArray) -> bytes:
    """Lossless WebP of an image uint8 (3, H, W)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "WEBP", lossless=True, method=4)
    return buffer.getvalue()


def _write_config(path: Path, config: Config) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
