"""Benchmark of the store of Semi-Aves: writing all of its images, and streaming batches instead of decoding JPEGs.

The images are made up: `DISTINCT` JPEG files of 500 x 375 pixels, linked under the names of all lists.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from daso.aliases import IntArray
from daso.config.load import load_params
from daso.config.resolve import data_config
from daso.data.catalog import make_store
from daso.data.store import Store
from daso.engine.resident import Streamed

DISTINCT = 512
BATCH, STREAMED = 256, 20_000  # images of a batch, and of a pass over the store
DECODING_SECONDS = 20.0
LABELED, TRAIN_SHARE = "trainval_images", 2 / 3


def run(folder: Path, share: float, size: int) -> Iterator[str]:
    """Measure with a share of the images of each list, and yield a line for each result; delete all files."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        config = _made_up(folder / "raw", share, size)
        started = time.perf_counter()
        with _peak_memory() as peak:
            store = make_store(config, folder / "store", folder / "cache")
        seconds, images = time.perf_counter() - started, store.images_total
        yield (
            f"store: {images:,} images of {size} pixels, {images * 3 * size**2 / 1e9:.1f} GB, in {seconds:.0f} s: "
            f"{images / seconds:.0f} images/s; peak of anonymous memory {peak[0] / 2**20:.0f} MiB"
        )
        cold, warm = (_streamed(store, forget) for forget in (True, False))
        decoded = _decoded(folder / "raw/u_train_in", size)
        yield f"streamed: {cold:.0f} images/s from disk, {warm:.0f} images/s from the page cache"
        yield f"decoded: {decoded:.0f} images/s by 2 workers of a DataLoader"
        yield f"ratio: {cold / decoded:.1f} from disk, {warm / decoded:.1f} from the page cache"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made_up(folder: Path, share: float, size: int) -> dict[str, Any]:
    """Write images and lists with a share of the numbers of Semi-Aves; return the configuration of their store."""
    config = data_config(load_params(), "semi-aves")
    classes, counts = config["num_classes"], config["source"]["lists"]
    per_class = max(3, round(share * counts["l_train_val"]["images"] / classes))
    trained = round(TRAIN_SHARE * per_class)
    labeled = [[(f"{LABELED}/{k}/{n}.jpg", k) for n in range(per_class)] for k in range(classes)]
    rows = {name: [(f"{name}/{n}.jpg", -1) for n in _numbers(counts, name, share)] for name in _UNLABELED}
    rows["l_train"] = [row for each in labeled for row in each[:trained]]
    rows["val"] = [row for each in labeled for row in each[trained:]]
    rows["l_train_val"] = [row for each in labeled for row in each]
    tests = round(share * counts["test"]["images"] / classes) or 1
    rows["test"] = [(f"test/{n}.jpg", n // tests) for n in range(tests * classes)]
    texts = {name: "".join(f"{file} {k}\n" for file, k in each).encode() for name, each in rows.items()}
    _link_images(folder, [file for name in ("l_train_val", "test", *_UNLABELED) for file, _ in rows[name]])
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text)
    texts["u_train"] = b"".join(texts[name] for name in _UNLABELED)
    lists = {n: {"images": t.count(b"\n"), "sha256": hashlib.sha256(t).hexdigest()} for n, t in texts.items()}
    config["source"] = {**config["source"], "path": str(folder), "override": "", "lists": lists}
    config["subsets"] = {name: len(rows[part]) for name, part in zip(("in", "out"), _UNLABELED, strict=True)}
    del config["images"]
    return {**config, "image_size": size}


_UNLABELED = ("u_train_in", "u_train_out")


def _numbers(counts: Mapping[str, Any], name: str, share: float) -> range:
    return range(round(share * counts[name]["images"]))


def _link_images(folder: Path, files: list[str]) -> None:
    """Link distinct images, smooth colors with noise, under the names of the files."""
    draw = np.random.default_rng(0)
    originals = folder / "originals"
    originals.mkdir(parents=True)
    for i in range(DISTINCT):
        smooth = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        noise = draw.integers(-12, 13, (375, 500, 3))
        pixels = (np.asarray(smooth, np.int16) + noise).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        (originals / f"{i}.jpg").write_bytes(buffer.getvalue())
    for i, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        os.link(originals / f"{i % DISTINCT}.jpg", folder / file)


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """Yield a list with the peak of this process's anonymous memory in bytes, without pages of mapped files."""
    peak, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            status = Path("/proc/self/status").read_text(encoding="ascii")
            kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))
            peak[0] = max(peak[0], 1024 * int(kilobytes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def _streamed(store: Store, forget: bool) -> float:
    """Return the images per second of a pass of random batches; if `forget`, the page cache starts without them."""
    path = store.folder / "train_images.npy"
    if forget:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    images = Streamed(lambda chosen: store.images("train", chosen), store.image_size, torch.device("cpu"))
    rows: IntArray = np.random.default_rng(0).permutation(len(store.labels("train")))[:STREAMED]
    started = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        images.gather(torch.from_numpy(rows[first : first + BATCH]))
    return len(rows) / (time.perf_counter() - started)


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    """JPEG files that are decoded, resized and cut out of the center, as by torchvision's transforms."""

    def __init__(self, folder: Path, size: int) -> None:
        from torchvision import transforms

        self.files = sorted(folder.glob("*.jpg"))
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            pixels: torch.Tensor = self.transform(image.convert("RGB"))
            return pixels


def _decoded(folder: Path, size: int) -> float:
    """Return the images per second of a DataLoader with two workers."""
    loader = torch.utils.data.DataLoader(_Files(folder, size), batch_size=BATCH, shuffle=True, num_workers=2)
    batches = iter(loader)
    next(batches)
    started, done = time.perf_counter(), 0
    for batch in batches:
        done += len(batch)
        if time.perf_counter() - started > DECODING_SECONDS:
            break
    return done / (time.perf_counter() - started)
