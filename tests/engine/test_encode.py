"""Encoding of a store by a frozen network: once for each content and view, whatever has been moved or was killed."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from daso.augment.views import Augmentation
from daso.data.features import NAME_BYTES, VIEW_KINDS, FeatureRows, load_features, write_features
from daso.data.store import write_store
from daso.engine import encode
from daso.engine.encode import encode_blanks, encode_store
from daso.errors import DataError
from daso.models.network import Encoder, Preprocessing

AUGMENT = {"flip": True, "pad": 2, "cutout": 2, "num_ops": 1, "op_probability": 0.5, "ops": ["color", "rotate"]}
DIM = 4


class Pooled(Encoder):
    """Encoder of 8 x 8 images by one convolution and its mean; `images` counts what it has seen."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, DIM, 3, bias=False)
        weights = torch.Generator().manual_seed(0)
        self.layer.weight.data = torch.randn(self.layer.weight.shape, generator=weights)
        self.batches = []

    def forward(self, images):
        self.batches.append(len(images))
        return self.layer(images).relu().mean((2, 3))


def photo(number):
    return np.random.default_rng(number).integers(0, 256, (3, 8, 8), dtype=np.uint8)


def store_of(folder, train, test=(900, 901)):
    """Write a store of photos, given by their numbers; labels do not matter."""
    parts = {
        part: (np.stack([photo(n) for n in numbers]), np.zeros(len(numbers), np.int64))
        for part, numbers in (("train", train), ("test", test))
    }
    return write_store(folder, "photos", ["a"], parts, {"kind": "test"})


@pytest.fixture
def encoded(tmp_path, caplog):
    """Return a function that encodes photos with the rows kept so far: numbers of rows, rows, images encoded."""
    caplog.set_level(logging.INFO)

    def run(train, test=(900, 901), folder="rows"):
        store = store_of(tmp_path / "store", train, test)
        rows = FeatureRows(tmp_path / folder, DIM)
        preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear")
        numbers = encode_store(Pooled(), preprocessing, Augmentation(size=8, **AUGMENT), store, rows)
        line = caplog.records[-1].getMessage()
        return numbers, rows, int(line.split()[1])

    return run


def features_of(numbers, rows, image):
    return rows.read(numbers["train"][image])


def test_only_new_contents_are_encoded(encoded):
    """After ten labels the order of the photos changes, and a class may be renamed: 0 and 0 images, then 5 new ones."""
    first, rows, count = encoded(range(60))
    assert count == 62
    before = {n: features_of(first, rows, n) for n in range(60)}
    moved = [*range(20, 60), *range(20)]
    second, rows, count = encoded(moved)
    assert count == 0
    assert all(np.array_equal(features_of(second, rows, i), before[n]) for i, n in enumerate(moved))
    third, rows, count = encoded([*moved, *range(100, 105)])
    assert count == 5
    assert all(np.array_equal(features_of(third, rows, i), before[n]) for i, n in enumerate(moved))


def test_test_images_are_encoded_plain_alone(encoded):
    """60 photos have 7 views each, 2 test images one: 422 rows; one that moves to `train` gets its 6 others."""
    numbers, rows, _ = encoded(range(60))
    assert VIEW_KINDS == ("plain", "weak", "weak", "strong", "strong", "strong", "strong")
    assert (numbers["train"].shape, numbers["test"].shape, len(rows.numbers)) == ((60, 7), (2, 1), 422)
    _, rows, count = encoded([*range(60), 900], test=(901,))
    assert (count, len(rows.numbers)) == (1, 428)


def test_copies_share_their_rows(encoded):
    numbers, rows, count = encoded([3, 3, 900])
    assert (count, len(rows.numbers)) == (4, 2 * 7 + 1)  # 3, 900, and 901; 900 is counted in both parts
    assert np.array_equal(numbers["train"][0], numbers["train"][1])
    assert numbers["train"][2, 0] == numbers["test"][0, 0]


def test_killed_encoding_resumes_bit_for_bit(encoded, monkeypatch, tmp_path):
    """Blocks of 8 photos; the third append of rows fails in the middle, and half a row lies on disk."""
    monkeypatch.setattr(encode, "BLOCK", 8)
    whole, rows, _ = encoded(range(30), folder="whole")
    append, calls = FeatureRows.append, []

    def killed(self, names, features):
        calls.append(names)
        if len(calls) == 3:
            with self.path.open("ab") as file:
                file.write(b"half a row")
            raise KeyboardInterrupt
        append(self, names, features)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureRows, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            encoded(range(30), folder="resumed")
    assert (tmp_path / "resumed/names.bin").stat().st_size == 2 * 8 * 7 * NAME_BYTES
    resumed, again, count = encoded(range(30), folder="resumed")
    assert count == 32 - 16
    for part in ("train", "test"):
        assert np.array_equal(rows.read(whole[part]), again.read(resumed[part]))
    assert (tmp_path / "whole/rows.bin").read_bytes() == (tmp_path / "resumed/rows.bin").read_bytes()


def test_every_forward_pass_has_the_same_number_of_images(tmp_path):
    """21 views are two batches of 16: the second one is filled up, so a row does not depend on its neighbours."""
    encoder, preprocessing = Pooled(), Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear")
    store = store_of(tmp_path / "store", [0, 1, 2])
    encode_store(encoder, preprocessing, Augmentation(size=8, **AUGMENT), store, FeatureRows(tmp_path / "rows", DIM))
    assert encoder.batches == [16, 16, 16]  # 3 x 7 views, then 2 test images


def test_blank_images_are_encoded_after_normalisation():
    """Each value of ones, zeros, white and black, 1, 0, (1 - .5) / .5 = 1 and -.5 / .5 = -1, times sums of weights."""
    encoder, preprocessing = Pooled(), Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear")
    features = encode_blanks(encoder, preprocessing, Augmentation(size=8, **AUGMENT))
    sums = encoder.layer.weight.detach().sum((1, 2, 3))
    expected = torch.stack([sums, 0 * sums, sums, -sums]).relu()
    assert features.dtype == np.float16
    assert np.allclose(features, expected, atol=2e-2)
    assert encoder.batches == [16]


def test_features_that_are_not_finite_are_an_error(tmp_path):
    encoder, preprocessing = Pooled(), Preprocessing((0.5,) * 3, (1e-9,) * 3, "bilinear")
    store = store_of(tmp_path / "store", [0])
    with pytest.raises(DataError, match="^features: not finite in 16 bits; use other weights or a different network$"):
        encode_store(encoder, preprocessing, Augmentation(size=8, **AUGMENT), store, FeatureRows(tmp_path / "r", DIM))


def written(tmp_path, folder="rows/k"):
    """Write the features of three images, one of which is constant in its second number."""
    store = store_of(tmp_path / "store", [0, 1, 2])
    rows = FeatureRows(tmp_path / folder, 2)
    plain = np.array([[1, 3], [2, 3], [6, 3]], np.float16)
    names = [bytes([image]) * 32 + bytes([view]) for image in range(3) for view in range(7)]
    rows.append(names, np.repeat(plain, 7, axis=0))
    numbers = {"train": np.arange(21).reshape(3, 7), "test": np.zeros((2, 1), np.int64)}
    record = {"key": "k1", "rows": "k", "store_sha256": store.sha256}
    write_features(tmp_path / "photos/p", rows, numbers, np.array([[4, 7]], np.float16), record)
    return tmp_path / "photos/p/manifest.json", store


def test_statistics_are_those_of_the_plain_views_of_training_images(tmp_path):
    """Of 1, 2 and 6 the mean is 3 and the variance (4 + 1 + 9) / 3; the deviation of a constant is set to one."""
    manifest, store = written(tmp_path)
    features = load_features(manifest, "k1", store)
    assert features.mean.tolist() == [3, 3]
    assert np.allclose(features.std, [np.sqrt(14 / 3), 1])
    assert features.read("train", np.array([2]))[0].tolist() == [[6, 3]] * 7
    assert features.blanks.tolist() == [[4, 7]]


def test_damaged_or_other_features_are_refused(tmp_path):
    manifest, store = written(tmp_path)
    with pytest.raises(DataError, match="manifest.json: not the features k2 of"):
        load_features(manifest, "k2", store)
    with (tmp_path / "rows/k/rows.bin").open("r+b") as file:
        file.seek(5)
        file.write(b"\x11")
    with pytest.raises(DataError, match="rows.bin: SHA-256 differs from"):
        load_features(manifest, "k1", store)


def test_features_of_an_earlier_version_are_refused(tmp_path, monkeypatch):
    """Its files have no features of blank images."""
    save = np.savez
    monkeypatch.setattr(np, "savez", lambda file, blanks, **arrays: save(file, **arrays))
    manifest, store = written(tmp_path)
    with pytest.raises(DataError, match=r"index.npz: features of an earlier version, .* blank images; delete it and "):
        load_features(manifest, "k1", store)
