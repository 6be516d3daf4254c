import pickle

import pytest

from daso.data.cifar import CIFAR10, CIFAR100, CLASSES100, read_cifar
from daso.errors import DataError


def test_archive_of_cifar10_is_refused_for_cifar100(tiny_cifar, tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tiny_cifar.archive)
    with pytest.raises(DataError, match="missing 'train'; use the Python version of CIFAR-100"):
        read_cifar(path, CIFAR100)


def test_order_of_the_fine_classes():
    """In alphabetical order; indices as in torchvision's class_to_idx."""
    assert len(CLASSES100) == 100
    assert list(CLASSES100) == sorted(CLASSES100)
    indices = {"apple": 0, "aquarium_fish": 1, "bed": 5, "cattle": 19, "hamster": 36, "oak_tree": 52, "pear": 57}
    indices |= {"plain": 60, "ray": 67, "shrew": 74, "sweet_pepper": 83, "train": 90, "willow_tree": 96, "worm": 99}
    assert {name: CLASSES100.index(name) for name in indices} == indices


def test_batches_of_the_tests_have_the_format_of_python_2(tiny_cifar):
    """numpy unpickles them to the same values, so the archive of the tests has the official format."""
    import io
    import tarfile
    import warnings

    with tarfile.open(fileobj=io.BytesIO(tiny_cifar.archive)) as archive:
        file = archive.extractfile("cifar-10-batches-py/data_batch_1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns about the type codes of Python 2
            tree = pickle.loads(file.read(), encoding="bytes")
    assert tree[b"labels"] == tiny_cifar.labels[:4]
    assert (tree[b"data"].reshape(-1, 3, 32, 32) == tiny_cifar.images[:4]).all()


def refused(tmp_path, content: bytes, match: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_cifar(path, CIFAR10)


def test_damaged_archive_is_refused(tiny_cifar, tmp_path):
    refused(tmp_path, tiny_cifar.archive[:-2000], "not a readable archive of CIFAR-10")
    refused(tmp_path, b"no archive", "not a readable archive of CIFAR-10")


def test_archive_cannot_run_code(tar, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    refused(
        tmp_path,
        tar({"x/test_batch": pickle.dumps(Evil(), protocol=2)}),
        "not allowed in an archive: .*open",
    )
    assert not (tmp_path / "written").exists()
