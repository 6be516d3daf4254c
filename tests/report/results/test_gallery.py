"""Thumbnails and file names of errors, from the store of the images."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from daso.data.store import Writer
from daso.report.results.collect import Cell
from daso.report.results.gallery import build_galleries, probability_text, thumbnail
from daso.report.results.test_images import NOT_HERE, NOT_REDISTRIBUTED
from tests.report.photo_suite import CLASSES, SETTING, photo_metrics, verdict_on

FILES = "part,row,label,file,sha256\ntrain,1,wren,train/wren/x.png,c\ntest,1,wren,test/wren/IMG_1.JPG,b\n"


@pytest.fixture
def store(tmp_path):
    """Write the store `birds`: its second test image is red, its second training image is blue; return its digest."""
    images = np.zeros((2, 3, 8, 8), np.uint8)
    test, train = images.copy(), images.copy()
    test[1, 0], train[1, 2] = 255, 255
    with Writer(tmp_path / "birds") as writer:
        writer.files = FILES.encode()
        parts = {"train": (train, np.array([0, 3])), "test": (test, np.array([0, 3]))}
        return writer.write("birds", CLASSES, parts, {"kind": "image_folder"}).sha256


def gallery(tmp_path, sha256, setting=SETTING, **dataset):
    """Return the gallery of a run whose second test image, a wren, is taken for a dunnock."""
    metrics = photo_metrics("supervised_la", 0, [0, 3], [0, 1])
    metrics["provenance"]["data_sha256"] = sha256
    cell = Cell("birds", "all", "supervised_la", "birds/all/photos/supervised_la", (0,), done={0: metrics})
    table = {"dataset": {"name": "birds", **dataset}, "settings": [setting]}
    return shown_in(table, cell, tmp_path)


def shown_in(table, cell, tmp_path):
    """Return the errors by class, and the note of a gallery."""
    (gallery,) = build_galleries(table, [cell], [verdict_on("supervised_la")], tmp_path)
    return SimpleNamespace(classes={each.name: each.examples for each in gallery.classes}, note=gallery.note)


def pixel(example):
    """Return the middle pixel of a thumbnail."""
    head, _, data = example.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).getpixel((4, 4))


def test_thumbnail_and_file_are_those_of_the_tested_image(tmp_path, store):
    shown = gallery(tmp_path, store)
    (example,) = shown.classes["wren"]
    assert shown.classes["dunnock"] == []
    assert (shown.note, example.file, example.file_name) == ("", "test/wren/IMG_1.JPG", "IMG_1.JPG")
    assert example.description == "wren taken for dunnock: IMG_1.JPG"
    assert (example.probability, example.seeds) == ("80 %", "")
    assert pixel(example) == pytest.approx((254, 0, 0), abs=2)


def test_images_that_a_split_holds_out_are_in_the_train_part(tmp_path, store):
    (example,) = gallery(tmp_path, store, test_share=0.2).classes["wren"]
    assert example.file == "train/wren/x.png"
    assert pixel(example) == pytest.approx((0, 0, 254), abs=2)


def test_images_of_target_classes_keep_their_files(tmp_path, store):
    """Without class 0, whose test image is row 0 of the store, row 0 of the view is row 1."""
    setting = {**SETTING, "outside": {"classes": [0], "share": 0.5}}
    metrics = photo_metrics("supervised_la", 0, [3], [1])
    metrics["provenance"]["data_sha256"] = store
    cell = Cell("birds", "all", "supervised_la", "birds/all/photos/supervised_la", (0,), done={0: metrics})
    table = {"dataset": {"name": "birds"}, "settings": [setting]}
    shown = shown_in(table, cell, tmp_path)
    assert shown.classes["wren"][0].file == "test/wren/IMG_1.JPG"
    assert pixel(shown.classes["wren"][0]) == pytest.approx((254, 0, 0), abs=2)


def test_restricted_images_are_named_and_not_shown(tmp_path, store):
    (tmp_path / "birds/test_images.npy").unlink()  # on another machine
    shown = gallery(tmp_path, store, redistribute=False)
    assert shown.note == NOT_REDISTRIBUTED
    assert [(example.file, example.uri) for example in shown.classes["wren"]] == [("test/wren/IMG_1.JPG", "")]


def test_images_are_left_out_if_they_are_missing_or_were_not_those_tested(tmp_path, store):
    for folder, sha256 in ((tmp_path / "nowhere", store), (tmp_path, "0" * 64)):
        shown = gallery(folder, sha256)
        assert shown.note == NOT_HERE
        assert [(example.file, example.uri) for example in shown.classes["wren"]] == [("test image 1", "")]


def test_thumbnail_is_small():
    """A noisy square of 300 pixels is stored with 96 pixels in less than 10 kB."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 300, 300), dtype=np.uint8)
    uri = thumbnail(noise)
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (96, 96)
    assert len(uri) < 10_000
    assert thumbnail(noise) == uri


def test_no_probability_is_printed_as_zero_or_one():
    assert [probability_text(share) for share in (0.0001, 0.012, 0.5, 0.994, 0.9999)] == [
        "< 1 %",
        "1 %",
        "50 %",
        "99 %",
        "> 99 %",
    ]
