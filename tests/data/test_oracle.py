"""Oracle labels of the small Semi-Aves (`tests.semi_aves`)."""

import numpy as np

from daso.data.oracle import write_oracle
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
