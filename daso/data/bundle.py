"""A folder that carries runs to another machine: configurations, splits, and just the images they use.

`configs/<run id>.json`; every file that a run reads where it lies in a working copy, but for what the bundle's own runs
lend; `data/store/<dataset>/` with the manifest and the labels as they are and the images as lossless WebP; and, written
last, `bundle.json` with the digest of each file and the commit of the code. Results go to `runs/<run id>/`.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from daso import paths
from daso.data.files import atomic_write, checksummed, file_digest, read_checksummed, read_json
from daso.data.run_files import FinishedRun, load_finished_run
from daso.data.split import check_split, load_split
from daso.data.store import MANIFEST, Store, verify_store
from daso.data.validate import schema_error
from daso.errors import DataError
from daso.machine import cores
from daso.paths import CONTENTS
from daso.records import ImageArray

Config = Mapping[str, Any]
COPY = "copy the bundle again"


class BundledRun(NamedTuple):
    """One run of a bundle."""

    config: dict[str, Any]
    drawn: Path  # the split as drawn
    reads: dict[str, Path]  # what `paths.read` names; what another run of the bundle lends may not be there yet
    store: Path


def write_bundle(folder: Path, configs: Sequence[Config], home: Path = Path(), commit: str = "unknown") -> None:
    """Pack the runs of these configurations, and what they read in the working copy `home`, into a new folder.

    Of the train part only the rows that the splits name are packed. A killed call leaves `<folder>.part` alone.
    Raises DataError when the folder is there already, a file is missing that none of the runs makes, images are
    damaged, or a split does not fit its store or its run.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already, and may hold results; name another folder or delete it")
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    stores: dict[str, Store] = {}
    rows: dict[str, set[int]] = {}
    for config in configs:
        (dataset, split), run = _wants(config), config["run"]
        for path in _lacking(home, config, configs):
            raise DataError(f"{path}: {run} reads it and it is not there yet; make it with `snakemake {path}`")
        if dataset not in stores:
            stores[dataset] = verify_store(home / paths.store(run))
        store = stores[dataset]
        saved = check_split(home / paths.drawn_split(run), store, split)
        rows.setdefault(dataset, set()).update(saved.split.rows.tolist())
        for name, path in _carried(config, configs).items():
            _look(name, home / path)
            _copy(home / path, partial / path)
        _write_config(partial / "configs" / f"{run}.json", config)
    for store in stores.values():
        _write_store(partial / "data/store" / store.dataset, store, sorted(rows[store.dataset]))
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    digests = {path.relative_to(partial).as_posix(): file_digest(path, "sha256") for path in files}
    with atomic_write(partial / CONTENTS) as file:
        file.write(checksummed({"commit": commit, "files": digests}))
    (partial / "runs").mkdir(parents=True, exist_ok=True)
    partial.replace(folder)


def read_bundle(folder: Path) -> list[BundledRun]:
    """The runs of a bundle, sorted by id; raises DataError when it is no bundle, or a file is missing or another."""
    files = contents(folder)["files"]
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: is missing; {COPY}")
        if file_digest(path, "sha256") != digest:
            raise DataError(f"{path}: damaged, or of another bundle: not the digest in {CONTENTS}; {COPY}")
    configs = [read_json(folder / name, "configuration", COPY) for name in files if name.startswith("configs/")]
    return [_bundled(folder, config) for config in configs]


def contents(folder: Path) -> dict[str, Any]:
    """The commit of a bundle's code and the digest of each of its files; raises DataError when it is no bundle."""
    if not (folder / CONTENTS).exists():
        raise DataError(f"{folder}: is no bundle (no {CONTENTS}); make one with `python -m daso bundle <run ids>`")
    tree = read_checksummed(folder / CONTENTS, "list of a bundle's files", COPY)
    if wrong := schema_error(tree, {"commit": str, "files": dict}):
        raise DataError(f"{folder / CONTENTS}: not the list of a bundle's files: {wrong}; {COPY}")
    return tree


def other_files(there: FinishedRun, reads: Mapping[str, Path]) -> list[str]:
    """Return a line for each of the files `reads` that is not the one that a finished run was trained with."""
    trained = there.result.get("provenance", {})
    digests = {"split": load_split(reads["split"]).sha256}
    digests |= {name: file_digest(path, "sha256") for name, path in reads.items() if name != "split"}
    read_there = {"split": trained.get("split_sha256"), **trained.get("lent", {})}
    return [
        f"{there.folder}: trained with another {name} than {path}; it comes from another source, or is of another run"
        for name, path in reads.items()
        if digests[name] != read_there.get(name)
    ]


def _bundled(folder: Path, config: dict[str, Any]) -> BundledRun:
    run = config["run"]
    reads = {name: folder / path for name, path in paths.input_files(run, config["plan"]).items()}
    return BundledRun(config, folder / paths.drawn_split(run), reads, folder / paths.store(run))


def _lacking(root: Path, config: Config, configs: Iterable[Config]) -> list[Path]:
    """What a run reads below `root`, is not there, and none of the runs of `configs` makes."""
    return [root / path for path in _carried(config, configs).values() if not (root / path).is_file()]


def _carried(config: Config, configs: Iterable[Config]) -> dict[str, Path]:
    """What a run reads, without what these runs, itself among them, make where they are trained."""
    runs, plan = {other["run"] for other in configs}, config["plan"]
    made = {name for name in plan if isinstance(plan[name], dict) and plan[name].get("of", config["run"]) in runs}
    reads = {"drawn": paths.drawn_split(config["run"]), **paths.input_files(config["run"], plan)}
    return {name: path for name, path in reads.items() if name not in made}


def _wants(config: Config) -> tuple[str, str]:
    """The dataset and the split of a run."""
    try:
        config["run"], config["plan"]
        return config["dataset"]["name"], config["split_config_sha256"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{config.get('run')}: not a resolved configuration of a run ({error!r})") from error


def _look(name: str, path: Path) -> None:
    """Raise DataError where a file that a run reads is damaged."""
    if name == "encoder":
        load_finished_run(path.parent).read(path.name)
    elif name == "estimate":
        read_checksummed(path, "estimate of class sizes")
    else:
        load_split(path)


def _write_store(folder: Path, store: Store, rows: Sequence[int]) -> None:
    folder.mkdir(parents=True)
    _copy(store.folder / MANIFEST, folder / MANIFEST)
    for part, record in store.parts.items():
        _copy(store.folder / f"{part}_labels.npy", folder / f"{part}_labels.npy")
        _write_zip(folder / f"{part}.zip", store, part, rows if part == "train" else range(record["images"]))


def _write_zip(path: Path, store: Store, part: str, rows: Sequence[int]) -> None:
    """A stored zip of `<row>.webp`; equal images give equal bytes, whenever it is written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive, ThreadPoolExecutor(cores()) as pool:
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
