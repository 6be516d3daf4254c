import io
import tarfile

import numpy as np
import pytest

from daso.data.stl10 import CLASSES, read_archive
from daso.errors import DataError


def saved(tmp_path, content: bytes):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    return path


def refused(tmp_path, content: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_archive(saved(tmp_path, content))


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_labeled_images_then_unlabeled_ones(tiny_stl10, tmp_path):
    parts = read_archive(saved(tmp_path, tiny_stl10.archive))
    images, labels = parts["train"]
    assert (images == tiny_stl10.images[:67]).all()
    assert labels.tolist() == [*range(10)] * 6 + [-1] * 7
    assert (parts["test"][0] == tiny_stl10.images[67:]).all()
    assert parts["test"][1].tolist() == list(range(10))
    assert labels.dtype == np.int64
    assert CLASSES[0] == "airplane"
    assert CLASSES[9] == "truck"


def test_channels_are_stored_column_by_column(tiny_stl10):
    """As the authors say: the second byte is the pixel below the first, the 97th the one to its right."""
    stored = members(tiny_stl10.archive)["stl10_binary/train_X.bin"]
    first = tiny_stl10.images[0]
    assert (stored[1], stored[96], stored[96 * 96]) == (first[0, 1, 0], first[0, 0, 1], first[1, 0, 0])


def test_pieces_make_no_difference(tiny_stl10, tmp_path, monkeypatch):
    monkeypatch.setattr("daso.data.stl10.PIECE", 7)  # 60, 7 and 10 images: none is a multiple but one
    assert (read_archive(saved(tmp_path, tiny_stl10.archive))["train"][0] == tiny_stl10.images[:67]).all()


def test_damaged(tiny_stl10, tar, tmp_path):
    refused(tmp_path, b"no archive", "not a readable archive of STL-10")
    refused(tmp_path, tiny_stl10.archive[:-100_000], "not a readable archive of STL-10")
    refused(tmp_path, tar({}), "lacks 'train_X.bin'; it is not the binary version of STL-10")
    files = members(tiny_stl10.archive)
    part = files | {"stl10_binary/test_X.bin": files["stl10_binary/test_X.bin"][:-1]}
    refused(tmp_path, tar(part), "test_X.bin has 276479 bytes, which is no number of images")
    refused(tmp_path, tar(files | {"stl10_binary/test_y.bin": bytes(range(10))}), "10 labels from 0 to 9 of 10 images")
    refused(tmp_path, tar(files | {"stl10_binary/test_y.bin": b"\x01\x02"}), "2 labels from 1 to 2 of 10 images")
