"""Lists of Semi-Aves, on a small data set with its files: 4 + 3 classes, 81 images (`tests.semi_aves`)."""

import csv
import hashlib
import io
import json
import shutil

import pytest

from tests import semi_aves
from tests.semi_aves import errors_of, make_aves


def test_lists_have_the_published_digests():
    for name, content in semi_aves.lists().items():
        assert content.count(b"\n") == semi_aves.COUNTS[name]
        assert hashlib.sha256(content).hexdigest() == semi_aves.SHA256[name], name
    assert len(semi_aves.images()) == 81


def test_annotations_and_solution_agree_with_the_lists():
    files = semi_aves.annotations()
    assert [len(json.loads(content)["images"]) for content in files.values()] == [15, 8, 30, 16, 12]
    assert json.loads(files["annotation/anno_test.json"])["annotations"] == []
    labels = [row["Category"] for row in csv.DictReader(io.StringIO(semi_aves.solution().decode()))]
    assert labels == [line.split()[1] for line in semi_aves.lists()["test"].decode().splitlines()]


def test_changed_list_is_reported_with_both_digests(raw, lines):
    """Two test images of classes 0 and 1 are exchanged: only the digest of the list can show it."""
    path = raw / "test.txt"
    path.write_text(path.read_text().replace("test/2.jpg 0\ntest/3.jpg 1", "test/3.jpg 0\ntest/2.jpg 1"))
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    message = f"list test: expected SHA-256 {semi_aves.SHA256['test']}, got {actual}"
    (error,) = errors_of(raw)
    assert error.startswith(f"raw: {message}; ")
    assert "`strict: false`" in error
    assert make_aves(raw, strict=False).labels("test").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert f"{raw}: {message}; accepted because of `strict: false`" in lines()


def replace(name, old, new):
    def edit(raw):
        path = raw / f"{name}.txt"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def drop_class_3(raw):
    for name in ("l_train", "val", "l_train_val"):
        path = raw / f"{name}.txt"
        path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.endswith(" 3\n")))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replace("val", "trainval_images/0/7.jpg 0\n", ""), "list val: expected 8 images, got 7"),
        (replace("val", "trainval_images/0/7.jpg 0\n", ""), "list val: expected equal classes, got 1 images of"),
        (replace("val", "0/7.jpg", "0/6.jpg"), "list val: duplicate file trainval_images/0/6.jpg (1 in all)"),
        (replace("val", "0/7.jpg", "0/5.jpg"), "lists l_train and val share 1 images, such as trainval_images/0/5.jpg"),
        (replace("l_train_val", "3/3.jpg", "3/4.jpg"), "list l_train_val is not the union of l_train and val: 2 lines"),
        (replace("l_train", "0/5.jpg 0", "0/5.jpg 1"), "list l_train: expected the folder's name as label, got 'tr"),
        (replace("l_train", "0/1.jpg 0", "0/9.jpg 0"), "list l_train: expected the order of classes, then numbers"),
        (replace("u_train_in", "/7.jpg -1", "/7.jpg 0"), "list u_train_in: expected label -1 of every unlabeled image"),
        (replace("u_train_out", "/7.jpg", "/99.jpg"), "list u_train_out: expected the numbers 0, 1, 2, ... in order"),
        (replace("test", "/11.jpg 3", "/11.jpg 4"), "list test: expected the labels 0 to 3, unexpected or missing: 4"),
        (replace("u_train", "in/0.jpg", "out/0.jpg"), "u_train.txt: expected the lines of u_train_in, then"),
        (replace("test", "test/0.jpg", "../secret.jpg"), "list test: line 1: expected 'test/<number>.jpg <label>'"),
        (drop_class_3, "list l_train: expected the labels 0 to 3, unexpected or missing: 3"),
        (replace("val", "trainval_images/0/6", "<html>"), "list val: a web page saved as a list"),
    ],
)  # fmt: skip
def test_inconsistent_lists_are_refused_even_if_not_strict(raw, edit, message):
    edit(raw)
    assert any(message in line for line in errors_of(raw, strict=False))


def test_lists_are_downloaded_if_the_folder_has_none(raw, monkeypatch):
    """Only `l_train` comes from the folder; the other five are requested, each with its digest."""
    requested = []

    def fetch(urls, target, *, sha256, hint):
        name = target.stem
        requested.append((urls, sha256))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(semi_aves.lists()[name])
        return target

    expected = make_aves(raw).sha256
    for path in raw.glob("*.txt"):
        if path.stem != "l_train":
            path.unlink()
    monkeypatch.setattr("daso.data.semi_aves_lists.download.fetch", fetch)
    assert make_aves(raw, lists_url="https://lists.example/aves").sha256 == expected
    names = ("val", "l_train_val", "u_train_in", "u_train_out", "test")
    assert requested == [([f"https://lists.example/aves/{name}.txt"], semi_aves.SHA256[name]) for name in names]
    shutil.rmtree(raw.parent / "store")
    (line,) = errors_of(raw)
    assert line.startswith("raw/val.txt: missing list; put l_train.txt, val.txt, ")


def test_missing_annotations_are_named_once(tmp_path):
    raw = semi_aves.write(tmp_path / "raw", "folders", "annotation")
    (raw / "annotation/anno_val.json").rename(raw / "val.json")
    assert errors_of(raw) == ["raw: annotations: missing anno_val.json; get them again"]
    (raw / "annotation/anno_val.json").write_text('{"images": []}')
    assert errors_of(raw) == ["raw: annotations: anno_val.json: missing key 'annotations'; get them again"]


def test_annotations_are_checked(tmp_path):
    raw = semi_aves.write(tmp_path / "raw", "folders", "archive")
    digest = hashlib.sha256((raw / "annotation.tar.gz").read_bytes()).hexdigest()
    assert make_aves(raw, annotations_sha256=digest).source["labels"] == "annotations"
    shutil.rmtree(tmp_path / "store")
    assert errors_of(raw, annotations_sha256="0" * 64) == [
        f"raw/annotation.tar.gz: expected SHA-256 {'0' * 64}, got {digest}; download it again"
    ]
    (raw / "solution.csv").write_text("<html>")
    assert errors_of(raw)[0].startswith("raw/solution.csv: expected columns Id and Category (")
    (raw / "solution.csv").unlink()
    assert errors_of(raw)[0].startswith("raw/solution.csv: missing labels of the test images; ")
