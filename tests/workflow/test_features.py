"""Runs that train on features: images are encoded once, whatever their labels are (`daso encode`)."""

import hashlib
import json
import os
import shutil
import signal
import time

import pytest

from tests.workflow.photos import LITE0, write_photos

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
pytest.importorskip("timm")
RUN = "own/few/tiny/supervised/s0"


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
    write_photos(images / "train/c", 5, 900)
    assert encoded(flowers) == 5
    manifest = json.loads(flowers.read("data/features/own/tiny/manifest.json"))
    assert manifest["weights_sha256"] == LITE0
    assert manifest["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert manifest["license"] == "apache-2.0"
    upstream = hashlib.sha256(flowers.read("data/features/own/tiny/manifest.json").encode()).hexdigest()
    assert result(flowers)["provenance"]["upstream"]["features"] == upstream


def test_killed_encoding_keeps_its_rows(flowers):
    """The rows after a kill are those of a call that was not disturbed, bit for bit."""
    write_photos(flowers.path / "images/train/a", 300, 2000)
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
