"""Oracle labels of the small Semi-Aves (`tests.semi_aves`)."""

import numpy as np
import pytest

from daso.data.oracle import write_oracle
from daso.errors import DataError
from tests import semi_aves
from tests.semi_aves import make_aves


def test_oracle_lists_of_semi_aves_give_labels_by_row(raw):
    """Rows 23 to 52 are 12, 9, 6 and 3 images of the four classes, rows 53 to 68 images of three other classes."""
    store = make_aves(raw)
    for name in ("u_train_in_oracle", "u_train_out_oracle"):
        (raw / f"{name}.txt").write_bytes(semi_aves.lists()[name])
    assert write_oracle(store.folder, raw) == {"in": 30, "out": 16}
    labels = np.load(store.folder / "train_oracle.npy")
    assert labels.tolist() == [-1] * 23 + [0] * 12 + [1] * 9 + [2] * 6 + [3] * 3 + [4] * 16


@pytest.mark.parametrize("line", [b"u_train_out/0.jpg 0", b"u_train_in/0.jpg 9999999", b"u_train_in/\xff.jpg 0"])
def test_line_of_another_form_in_an_oracle_list_is_an_error(raw, line):
    store = make_aves(raw)
    lines = semi_aves.lists()["u_train_in_oracle"].splitlines()
    (raw / "u_train_in_oracle.txt").write_bytes(b"\n".join([line, *lines[1:]]) + b"\n")
    with pytest.raises(DataError, match=r"line 1: expected `u_train_in/<number>\.jpg <label>`, got .*; correct it"):
        write_oracle(store.folder, raw)
