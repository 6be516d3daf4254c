"""Oracle labels of the small Semi-Aves (`tests.semi_aves`)."""

import hashlib

import numpy as np
import pytest

from daso.data.oracle_lists import write_oracle
from daso.errors import DataError
from tests import semi_aves
from tests.semi_aves import make_aves

NAMES = ("u_train_in_oracle", "u_train_out_oracle")


@pytest.fixture
def folder(raw):
    """Make the store; return its folder, and write the lists of oracle labels into `raw`."""
    for name in NAMES:
        (raw / f"{name}.txt").write_bytes(semi_aves.lists()[name])
    return make_aves(raw).folder


def edit(path, old, new):
    """Replace a line of a list; return the digest of the new list."""
    lines = path.read_bytes().splitlines()
    lines[lines.index(old)] = new
    path.write_bytes(b"\n".join(lines) + b"\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_oracle_lists_of_semi_aves_give_labels_by_row(raw, folder):
    """Rows 23 to 52 are 12, 9, 6 and 3 images of the four classes, rows 53 to 68 images of three other classes."""
    assert write_oracle(folder, raw, semi_aves.source(raw)) == {"in": 30, "out": 16}
    labels = np.load(folder / "train_oracle.npy")
    assert labels.tolist() == [-1] * 23 + [0] * 12 + [1] * 9 + [2] * 6 + [3] * 3 + [4] * 16


@pytest.mark.parametrize("line", [b"u_train_out/0.jpg 0", b"u_train_in/0.jpg 9999999", b"u_train_in/\xff.jpg 0"])
def test_line_of_another_form_in_an_oracle_list_is_an_error(raw, folder, line):
    edit(raw / "u_train_in_oracle.txt", b"u_train_in/0.jpg 0", line)
    with pytest.raises(DataError, match=r"line 1: expected `u_train_in/<number>\.jpg <label>`, got .*; correct it"):
        write_oracle(folder, raw, semi_aves.source(raw))


def test_changed_oracle_list_is_reported_with_both_digests(raw, folder, lines):
    """Image 0 is of class 0; only the digest shows the change to class 1."""
    path = raw / "u_train_in_oracle.txt"
    actual = edit(path, b"u_train_in/0.jpg 0", b"u_train_in/0.jpg 1")
    message = f"{path}: expected SHA-256 {semi_aves.SHA256['u_train_in_oracle']}, got {actual}"
    with pytest.raises(DataError) as error:
        write_oracle(folder, raw, semi_aves.source(raw))
    assert str(error.value).startswith(f"{message}; get the list of version 2.0 again")
    assert not (folder / "oracle.json").exists()
    write_oracle(folder, raw, semi_aves.source(raw, strict=False))
    assert f"{message}; accepted because of `strict: false`" in lines()
    assert np.load(folder / "train_oracle.npy")[23:25].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("subset", "old", "new", "labels"), [("in", 0, 4, "0 to 3"), ("out", 4, 3, "4 to 6"), ("out", 4, 7, "4 to 6")]
)
def test_label_that_a_subset_cannot_have_is_an_error(raw, folder, subset, old, new, labels):
    path = raw / f"u_train_{subset}_oracle.txt"
    edit(path, f"u_train_{subset}/1.jpg {old}".encode(), f"u_train_{subset}/1.jpg {new}".encode())
    with pytest.raises(DataError) as error:
        write_oracle(folder, raw, semi_aves.source(raw, strict=False))
    assert str(error.value) == (
        f"{path}: image 1: expected a label from {labels}, got {new} (1 in all); give the list of subset '{subset}'"
    )
