import pickle

import pytest

from daso.data.cifar import read_archive
from daso.errors import DataError


def test_batches_in_their_own_order(tiny_cifar, tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tiny_cifar.archive)
    parts = read_archive(path)
    assert (parts["train"][0] == tiny_cifar.images[:20]).all()
    assert parts["train"][1].tolist() == tiny_cifar.labels[:20]
    assert (parts["test"][0] == tiny_cifar.images[20:]).all()
    assert parts["test"][1].dtype == "int64"


def test_the_batches_are_what_python_2_wrote(tiny_cifar):
    """numpy itself reads them to the same values, so the tests' archive has the official format."""
    import io
    import tarfile
    import warnings

    with tarfile.open(fileobj=io.BytesIO(tiny_cifar.archive)) as archive:
        file = archive.extractfile("cifar-10-batches-py/data_batch_1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns about how Python 2 wrote its types
            tree = pickle.loads(file.read(), encoding="bytes")
    assert tree[b"labels"] == tiny_cifar.labels[:4]
    assert (tree[b"data"].reshape(-1, 3, 32, 32) == tiny_cifar.images[:4]).all()


def refused(tmp_path, content: bytes, match: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_archive(path)


def test_damaged(tiny_cifar, tmp_path):
    refused(tmp_path, tiny_cifar.archive[:-2000], "not a readable archive of CIFAR-10")
    refused(tmp_path, b"no archive", "not a readable archive of CIFAR-10")


def test_a_batch_is_missing(tar, tmp_path):
    refused(tmp_path, tar({}), "lacks 'data_batch_1'; it is not the Python version of CIFAR-10")


def test_no_archive_runs_code(tar, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    refused(
        tmp_path,
        tar({"x/test_batch": pickle.dumps(Evil(), protocol=2)}),
        "it holds .*open, which is no part of an array",
    )
    assert not (tmp_path / "written").exists()
