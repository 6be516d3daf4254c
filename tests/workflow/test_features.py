"""Runs that train on features: images are encoded once, whatever their labels are (`daso encode`)."""

import hashlib
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
RUN = "own/few/tiny/supervised/s0"
LITE0 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NETWORK = {
    "name": "timm",
    "model": "tf_efficientnet_lite0",
    "weights": "package",
    "sha256": LITE0,
    "image_size": 32,
    "train": "head",
}


def photos(folder, number, first):
    """Write photos of random pixels, different for each number from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + number):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.fixture
def flowers(project):
    """Return a project with 12 and 10 photos of two classes, and 2 test photos of each; its network is frozen."""
    images = project.path / "images"
    for i, (part, name, number) in enumerate(
        [("train", "a", 12), ("train", "b", 10), ("test", "a", 2), ("test", "b", 2)]
    ):
        photos(images / part / name, number, 100 * i)
    project.write(
        "params/datasets/own.yaml",
        "title: flowers\nsource: {kind: image_folder, path: images}\nnum_classes: 2\nimage_size: 16\nholdout: 0\n"
        "class_order: native\n"
        "augment: {flip: true, pad: 2, cutout: 4, num_ops: 2, op_probability: 0.5, ops: [color, rotate]}\n"
        "settings:\n  few: {n1: 2, m1: 2, gamma_l: 1, gamma_u: 1}\n",
    )
    project.edit("protocols/tiny.yaml", lambda tree: tree.update(network=NETWORK))
    table = {"dataset": "own", "settings": ["few"], "methods": ["supervised"]}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    return project


def encoded(project):
    """Build the suite; return the number of images encoded, None if none had to be read."""
    log = project.path / "logs/encode/own/tiny.log"
    log.unlink(missing_ok=True)
    project.snakemake()
    if not log.exists():
        return None
    (line,) = (line for line in log.read_text().splitlines() if "images are encoded" in line)
    return int(line.split()[1])


def result(project):
    return json.loads(project.read(f"runs/{RUN}/train.json"))


def test_labels_and_names_of_classes_encode_nothing_and_new_photos_alone_are_encoded(flowers):
    assert encoded(flowers) == 26
    first = result(flowers)
    assert encoded(flowers) is None
    images = flowers.path / "images"
    for photo in sorted((images / "train/a").iterdir())[:4]:
        shutil.move(photo, images / "train/b" / photo.name)
    assert encoded(flowers) == 0
    assert result(flowers)["key"] != first["key"]
    for part in ("train", "test"):
        (images / part / "b").rename(images / part / "c")
    assert encoded(flowers) == 0
    assert result(flowers)["classes"] == ["a", "c"]
    photos(images / "train/c", 5, 900)
    assert encoded(flowers) == 5
    manifest = json.loads(flowers.read("data/features/own/tiny/manifest.json"))
    assert manifest["weights_sha256"] == LITE0
    assert manifest["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert manifest["license"] == "apache-2.0"
    upstream = hashlib.sha256(flowers.read("data/features/own/tiny/manifest.json").encode()).hexdigest()
    assert result(flowers)["provenance"]["upstream"]["features"] == upstream


def test_killed_encoding_keeps_its_rows(flowers):
    """The rows after a kill are those of a call that was not disturbed, bit for bit."""
    photos(flowers.path / "images/train/a", 300, 2000)
    undisturbed = flowers.copy(flowers.path.with_name("undisturbed"))
    process = flowers.start("snakemake", "features", "--cores", "1")
    names, deadline = flowers.path / "data/features/rows", time.monotonic() + 300
    while not any(path.stat().st_size for path in names.glob("*/names.bin")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < encoded(flowers) < 326
    undisturbed.snakemake("features")
    (rows,), (others,) = (list((p.path / "data/features/rows").glob("*/rows.bin")) for p in (flowers, undisturbed))
    assert rows.read_bytes() == others.read_bytes()


def test_runs_on_features_are_not_bundled(flowers):
    line = flowers.call("python", "-m", "daso", "bundle", RUN, fails=True).splitlines()[-1]
    assert line == f"{RUN}: trains on features, which bundles do not hold; train it here, which takes minutes"


def test_unused_features_are_pruned(flowers):
    flowers.snakemake("features")
    assert "data/features" not in flowers.call("python", "-m", "daso", "prune")
    flowers.edit("protocols/tiny.yaml", lambda tree: tree["network"].update(image_size=64))
    (rows,) = (flowers.path / "data/features/rows").iterdir()
    assert f"data/features/rows/{rows.name}" in flowers.call("python", "-m", "daso", "prune")
