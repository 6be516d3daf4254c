"""Bundles: folders that carry runs to another machine, with configurations, splits and only the images they use.

A bundle holds `configs/<run id>.json`; every input file of a run at its path in a working copy, except those that runs
of the bundle produce; `data/weights/<digits of SHA-256>.pth`, pretrained weights, with the configuration in `.json`
beside those of a run; `data/store/<dataset>/` with the manifest and labels unchanged and the images as lossless WebP;
and, written last, `bundle.json` with the digest of each file and the commit of the code. Results go to
`runs/<run id>/`.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from PIL import Image

from daso import paths
from daso.aliases import Config, ImageArray
from daso.data.files import checksummed, file_digest, format_json, read_checksummed, read_json, write_file
from daso.data.open_set import open_store, rows_by_store
from daso.data.run_files import FinishedRun, load_finished_run
from daso.data.split import check_split, load_split
from daso.data.store import Store, verify_store
from daso.data.trained_images import check_start
from daso.data.weights import Weights
from daso.errors import DataError
from daso.machine import cores
from daso.paths import CONTENTS, MANIFEST, RUNS, store_folder
from daso.schema import schema_error

_Contents = TypedDict("_Contents", {"commit": str, "files": dict[str, Any]})
COPY = "copy the bundle again"
NOT_A_BUNDLE = f"not a bundle (no {CONTENTS}); create one with `daso bundle <run ids>`"


class BundledRun(NamedTuple):
    """Run of a bundle: its configuration and the paths of its inputs."""

    config: dict[str, Any]
    drawn_split: Path  # the drawn split
    inputs: dict[str, Path]  # see `paths.input_files`; outputs of other runs of the bundle may still be missing
    store: Path
    weights: Path | None = None  # file of pretrained weights


def write_bundle(
    folder: Path,
    configs: Sequence[Config],
    home: Path = Path(),
    commit: str = "unknown",
    weights: Iterable[Weights] = (),
) -> None:
    """Pack the runs of these configurations and their inputs in the working copy `home` into a new folder.

    Of the train part, only the rows in the splits are packed; of a store that only gives images of no class, no test
    image. `weights` are the pretrained weights of the runs. A killed call leaves only `<folder>.part`. Raises
    DataError if the folder exists, an input is missing that none of the runs produces, images or weights are damaged,
    or a split does not match its store or its run.
    """
    if folder.exists():
        raise DataError(f"{folder}: already exists and may hold results; choose another folder or delete it")
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    for file in weights:
        file.verify()
        packed = partial / paths.packed_weights(file.sha256)
        _copy(file.path, packed)
        if file.run:
            _copy(file.config, file._replace(path=packed).config)
    verified = cache(lambda path: verify_store(path, hash_again=True))
    stores: dict[str, Store] = {}
    rows: dict[str, set[int]] = {}
    for config in configs:
        dataset, run, inputs = config["dataset"]["name"], config["run"], _packed_inputs(config, configs)
        for name, path in inputs.items():
            if not (home / path).is_file():
                raise DataError(f"{home / path}: missing {name} of {run}; create it with `snakemake {home / path}`")
        store = stores[dataset] = verified(home / paths.store(run))
        saved = check_split(home / paths.drawn_split(run), store, config["split_config_sha256"])
        check_start(config, saved, store)
        for source, own in rows_by_store(open_store(store, saved.outside, verified), saved.split.rows):
            stores.setdefault(source.dataset, source)
            rows.setdefault(source.dataset, set()).update(own.tolist())
        for name, path in inputs.items():
            _check_input(name, home / path)
            _copy(home / path, partial / path)
        write_file(partial / "configs" / f"{run}.json", format_json(config), durable=False)
    tested = {config["dataset"]["name"] for config in configs}
    for name, store in stores.items():
        _write_store(partial / store_folder(name), store, sorted(rows[name]), test=name in tested)
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    digests = {path.relative_to(partial).as_posix(): file_digest(path, "sha256") for path in files}
    write_file(partial / CONTENTS, checksummed({"commit": commit, "files": digests}))
    (partial / RUNS).mkdir(parents=True, exist_ok=True)
    partial.replace(folder)


def read_bundle(folder: Path) -> list[BundledRun]:
    """Read the runs of a bundle, sorted by id.

    Raises DataError if the folder is not a bundle, or if a file is missing or damaged.
    """
    files = read_contents(folder)["files"]
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: missing; {COPY}")
        if file_digest(path, "sha256") != digest:
            raise DataError(f"{path}: damaged or from a different bundle: checksum differs from {CONTENTS}; {COPY}")
    configs = [read_json(folder / name, "configuration", COPY) for name in files if name.startswith("configs/")]
    return [_bundled(folder, config) for config in configs]


def read_contents(folder: Path) -> dict[str, Any]:
    """Read the commit and the digest of each file of a bundle; raises DataError if it is not a bundle."""
    if not (folder / CONTENTS).exists():
        raise DataError(f"{folder}: {NOT_A_BUNDLE}")
    tree = read_checksummed(folder / CONTENTS, "list of a bundle's files", COPY)
    if mismatch := schema_error(tree, _Contents):
        raise DataError(f"{folder / CONTENTS}: not the list of a bundle's files ({mismatch}); {COPY}")
    return tree


def mismatched_inputs(run: FinishedRun, inputs: Mapping[str, Path]) -> list[str]:
    """Return a line for each file of `inputs` that differs from the file that a finished run was trained with."""
    trained = run.result.get("provenance", {})
    digests = {"split": load_split(inputs["split"]).sha256}
    digests |= {name: file_digest(path, "sha256") for name, path in inputs.items() if name != "split"}
    trained_with = {"split": trained.get("split_sha256"), **trained.get("upstream", {})}
    return [
        f"{run.folder}: trained with a different {name} than {path}, from a different source or for a different run"
        for name, path in inputs.items()
        if digests[name] != trained_with.get(name)
    ]


def _bundled(folder: Path, config: dict[str, Any]) -> BundledRun:
    run = config["run"]
    inputs = {name: folder / path for name, path in paths.input_files(run, config["plan"]).items()}
    sha256 = config["protocol"]["network"].get("sha256")
    weights = folder / paths.packed_weights(sha256) if sha256 else None
    return BundledRun(config, folder / paths.drawn_split(run), inputs, folder / paths.store(run), weights)


def _packed_inputs(config: Config, configs: Iterable[Config]) -> dict[str, Path]:
    """Return the inputs of a run, except files that one of these runs produces during training."""
    runs, plan = {other["run"] for other in configs}, config["plan"]
    produced = {name for name in plan if isinstance(plan[name], dict) and plan[name].get("of", config["run"]) in runs}
    inputs = {"drawn split": paths.drawn_split(config["run"]), **paths.input_files(config["run"], plan)}
    return {name: path for name, path in inputs.items() if name not in produced}


def _check_input(name: str, path: Path) -> None:
    """Raise DataError if an input of a run is damaged."""
    if name in ("encoder", "network"):
        load_finished_run(path.parent).read(path.name)
    elif name == "estimate":
        read_checksummed(path, "estimate of class sizes")
    else:
        load_split(path)


def _write_store(folder: Path, store: Store, rows: Sequence[int], *, test: bool) -> None:
    folder.mkdir(parents=True)
    _copy(store.folder / MANIFEST, folder / MANIFEST)
    for part, record in store.parts.items():
        for name in (f"{part}_labels.npy", *([f"{part}_groups.npy"] if store.has_groups else [])):
            _copy(store.folder / name, folder / name)
        every = range(record["images"] if test else 0)
        _write_zip(folder / f"{part}.zip", store, part, rows if part == "train" else every)


def _write_zip(path: Path, store: Store, part: str, rows: Sequence[int]) -> None:
    """Write an uncompressed zip of `<row>.webp`; equal images always give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive, ThreadPoolExecutor(cores()) as pool:
        encoded: Iterable[bytes] = pool.map(_webp, store.images(part, np.array(rows, dtype=np.int64)))
        for row, content in zip(rows, encoded, strict=True):
            archive.writestr(zipfile.ZipInfo(f"{row}.webp"), content)


def _webp(image: ImageArray) -> bytes:
    """Encode an image uint8 (3, H, W) as lossless WebP."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "WEBP", lossless=True, method=4)
    return buffer.getvalue()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
