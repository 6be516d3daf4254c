import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from daso.data.store import load_store, verify_store, write_store
from daso.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = {"kind": "digits", "origin": "here"}


def parts(n: int = 6) -> dict:
    images = np.arange(n * 3 * 4 * 4, dtype=np.uint8).reshape(n, 3, 4, 4)
    return {"train": (images, np.arange(n) % 2), "test": (images[:2] + 1, np.array([1, -1]))}


@pytest.fixture
def folder(tmp_path):
    write_store(tmp_path / "toy", "toy", ["no", "yes"], parts(), SOURCE)
    return tmp_path / "toy"


def test_written_store_is_loaded_unchanged(folder):
    store = load_store(folder)
    assert (store.dataset, store.classes, store.image_size, store.source) == ("toy", ("no", "yes"), 4, SOURCE)
    assert store.images_total == 8
    for part, (images, labels) in parts().items():
        assert store.labels(part).tolist() == labels.tolist()
        assert store.labels(part).dtype == np.int64
        assert (store.images(part) == images).all()
        assert store.images(part).dtype == np.uint8
    assert (store.images("train", [4, 1, 1]) == parts()["train"][0][[4, 1, 1]]).all()
    assert store.images("train", []).shape == (0, 3, 4, 4)
    assert isinstance(store.images("train"), np.memmap)


@pytest.mark.parametrize("classes", [["no", "yes"], ["no", "yes", "perhaps"]])
def test_test_part_may_lack_a_class(tmp_path, classes):
    """The last class has only training images; it stays a class of the store."""
    k = len(classes)
    images = np.zeros((4 * k, 3, 4, 4), np.uint8)
    known = {"train": np.arange(4 * k) % k, "test": np.arange(4 * k) % (k - 1)}
    write_store(tmp_path / "toy", "toy", classes, {part: (images, labels) for part, labels in known.items()}, SOURCE)
    store = verify_store(tmp_path / "toy")
    assert store.classes == tuple(classes)
    assert all((store.labels(part) == labels).all() for part, labels in known.items())


def test_manifest_holds_digests_of_classes_and_parts(folder):
    """They are digests of the raw bytes, and one digest of classes and parts as JSON with sorted keys and no blanks."""
    images, labels = parts()["train"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parts"]["train"] == {
        "images": 6,
        "images_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest(),
    }
    tree = {"classes": ["no", "yes"], "parts": manifest["parts"]}
    content = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest() == load_store(folder).sha256
    assert manifest["source"] == SOURCE


def test_store_digest_covers_only_names_images_and_labels(folder, tmp_path):
    def digest(classes=("no", "yes"), source=SOURCE, edit=lambda p: p) -> str:
        return write_store(tmp_path / "other", "other", classes, edit(parts()), source).sha256

    expected = load_store(folder).sha256
    assert digest() == expected
    assert digest(source={"kind": "image_folder"}) == expected
    assert digest(classes=("yes", "no")) != expected
    assert digest(edit=lambda p: p | {"train": (p["train"][0] + 1, p["train"][1])}) != expected
    assert digest(edit=lambda p: p | {"train": (p["train"][0], 1 - p["train"][1])}) != expected


def test_rewriting_a_store_gives_the_same_bytes(folder):
    def contents():  # without the times of the files
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "verified.json"}

    before = contents()
    assert set(before) == {"manifest.json"} | {f"{p}_{k}.npy" for p in ("train", "test") for k in ("images", "labels")}
    write_store(folder, "toy", ["no", "yes"], parts(), SOURCE)
    assert contents() == before


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from daso.data import store
real = np.save

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

def killed(folder, count):  # while writing file number `count`: four arrays, then the manifest
    def save(file, array):
        nonlocal count
        if count == 0:
            file.write(b"half")
            file.flush()
            die()
        count -= 1
        real(file, array)

    np.save = save
    if count == 4:
        store.checksummed = die
    images = np.full((6, 3, 4, 4), 7, np.uint8)
    labels = np.zeros(6, np.int64)
    store.write_store(folder, "toy", ["a", "b"], {"train": (images, labels), "test": (images, labels)}, {})

for count, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if not child:
        killed(Path(folder), count)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, count
"""


def test_killed_write_leaves_no_store(folder, tmp_path):
    """Neither the new store nor a mixture with the old one."""
    folders = [shutil.copytree(folder, tmp_path / str(count)) for count in range(5)]
    subprocess.run([sys.executable, "-c", KILLED, *map(str, folders)], cwd=ROOT, check=True)
    for other in folders:
        with pytest.raises(DataError, match=r"missing store \(no manifest\.json\)"):
            load_store(other)
        write_store(other, "toy", ["no", "yes"], parts(), SOURCE)
        verify_store(other)
        assert not list(other.glob("*.part"))


def test_verify_store_detects_a_changed_image(folder):
    assert verify_store(folder).dataset == "toy"
    path = folder / "train_images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    load_store(folder)  # does not read the images
    with pytest.raises(
        DataError,
        match=rf"train_images.npy: SHA-256 of the images: expected .*, got .*; delete {folder} and create it again",
    ):
        verify_store(folder)


@pytest.mark.parametrize(
    ("name", "edit", "match"),
    [
        (
            "train_labels.npy",
            lambda b: b[:-8] + b"\0" + b[-7:],
            r"train_labels\.npy: SHA-256 differs from manifest\.json",
        ),
        ("train_labels.npy", lambda b: b[:-4], r"train_labels\.npy: not a readable array"),
        ("train_images.npy", lambda b: b[:-4], r"train_images\.npy: not a readable array"),
        (
            "train_images.npy",
            lambda b: b.replace(b"(6, 3, 4, 4)", b"(3, 6, 4, 4)"),
            r"expected uint8 \(6, 3, 4, 4\) of manifest\.json, got uint8 \(3, 6, 4, 4\)",
        ),
        ("manifest.json", lambda b: b[:-4], r"manifest\.json: not a readable manifest"),
        ("manifest.json", lambda b: b.replace(b'"yes"', b'"y"'), "checksum mismatch"),
        ("manifest.json", lambda b: b.replace(b'"toy"', b'"boy"'), "checksum mismatch"),
        ("manifest.json", lambda b: b"[]", "not a JSON object"),
    ],
)
def test_damaged_files_are_refused(folder, name, edit, match):
    (folder / name).write_bytes(edit((folder / name).read_bytes()))
    with pytest.raises(DataError, match=match):
        load_store(folder)


def test_missing_files_are_named(folder, tmp_path):
    (folder / "test_images.npy").unlink()
    with pytest.raises(DataError, match=r"toy/test_images\.npy: missing"):
        load_store(folder)
    with pytest.raises(DataError, match="nowhere: missing store"):
        load_store(tmp_path / "nowhere")


def test_rows_out_of_range_are_refused(folder):
    store = load_store(folder)
    with pytest.raises(DataError, match="train row 6 is out of range of 6 images; redraw the split"):
        store.images("train", [0, 6])
    with pytest.raises(DataError, match="train row -1 is out of range"):
        store.images("train", [0, -1])


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda p: p.pop("test"), "toy: missing test images"),
        (lambda p: p.update(test=(p["test"][0][:0], p["test"][1][:0])), "toy: missing test images"),
        (
            lambda p: p.update(test=(p["test"][0].astype(float), p["test"][1])),
            r"test images: expected uint8 \(2, 3, S, S\), got float64",
        ),
        (
            lambda p: p.update(test=(p["test"][0][:, :1], p["test"][1])),
            r"expected uint8 \(2, 3, S, S\), got uint8 \(2, 1, 4, 4\)",
        ),
        (lambda p: p.update(test=(p["test"][0][..., :3, :3], p["test"][1])), r"images of sizes \[3, 4\]"),
        (
            lambda p: p.update(test=(p["test"][0], p["test"][1][:1])),
            r"test images: expected uint8 \(1, 3, S, S\), got uint8 \(2, 3, 4, 4\)",
        ),
        (
            lambda p: p.update(test=(p["test"][0], np.array([0, 2]))),
            "test labels: expected -1 to 1, got 0 to 2; correct the labels or",
        ),
        (lambda p: p.update(test=(p["test"][0], np.array([0, -2]))), "test labels: expected -1 to 1, got -2 to 0"),
    ],
)
def test_inconsistent_arrays_are_refused(tmp_path, edit, match):
    edited = parts()
    edit(edited)
    with pytest.raises(DataError, match=match):
        write_store(tmp_path / "toy", "toy", ["no", "yes"], edited, SOURCE)
    assert not (tmp_path / "toy").exists()
