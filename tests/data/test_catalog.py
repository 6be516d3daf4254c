import hashlib
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from daso.config.params import copy_tree
from daso.data.catalog import load_source, make_store, pixel_digest
from daso.data.dataset_schemas import DataConfig
from daso.data.folder_digest import digest_folder
from daso.errors import DataError
from daso.schema import schema_error
from tests.repository import PARAMS

DIGITS = {"dataset": "digits", "source": {"kind": "digits"}, "num_classes": 10, "image_size": 8}


@pytest.fixture(autouse=True)
def _no_override(monkeypatch):
    for name in ("DASO_CIFAR10", "DASO_CIFAR100", "DASO_STL10", "DASO_OWN"):
        monkeypatch.delenv(name, raising=False)


def dataset(name: str) -> dict:
    return copy_tree(PARAMS.datasets[name])


def test_digits_have_pixels_up_to_255_and_known_class_counts():
    """The first row of the first image holds 5, 13, 9 and 1; times 255 / 16: 79.7, 207.2, 143.4 and 15.9."""
    source = load_source(DIGITS)
    images, labels = source.parts["train"]
    test_images, test_labels = source.parts["test"]
    assert source.classes == tuple("0123456789")
    assert images.shape == (1297, 3, 8, 8)
    assert images.dtype == test_images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]
    assert np.bincount(test_labels).tolist() == [50] * 10
    grey = load_digits().images
    assert grey[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (images[:, 0] == images[:, 1]).all()
    assert (images[:, 0] == images[:, 2]).all()


def test_digits_keep_the_order_of_the_file():
    """The last fifty of a class are test images, both parts in file order; the pixels identify an image."""
    bunch, source = load_digits(), load_source(DIGITS)
    grey = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    seen = np.zeros(10, int)
    expected = {"train": [], "test": []}
    for i in range(len(grey) - 1, -1, -1):
        seen[bunch.target[i]] += 1
        expected["test" if seen[bunch.target[i]] <= 50 else "train"].insert(0, i)
    for part, rows in expected.items():
        assert (source.parts[part][0][:, 0] == grey[rows]).all()
        assert (source.parts[part][1] == bunch.target[rows]).all()


def test_params_have_the_mean_and_std_of_the_digits():
    pixels = load_source(DIGITS).parts["train"][0] / 255
    tree = dataset("digits")
    assert tree["mean"] == pytest.approx(pixels.mean((0, 2, 3)), abs=5e-5)
    assert tree["std"] == pytest.approx(pixels.std((0, 2, 3)), abs=5e-5)


def test_stl10_is_normalized_like_cifar10():
    """As in the code of Oh et al. 2022; CIFAR-100 has its own values."""
    stl10, cifar10, cifar100 = (dataset(name) for name in ("stl10-lt", "cifar10-lt", "cifar100-lt"))
    assert (stl10["mean"], stl10["std"]) == (cifar10["mean"], cifar10["std"])
    assert (cifar100["mean"], cifar100["std"]) == ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762])
    assert (stl10["augment"].pop("resize"), cifar100["augment"]) == (32, cifar10["augment"])
    assert stl10["augment"] == cifar10["augment"]


def test_store_of_the_digits(tmp_path):
    store = make_store(DIGITS, tmp_path / "digits", tmp_path / "raw")
    assert (store.dataset, store.image_size, store.images_total) == ("digits", 8, 1797)
    assert store.source == {"kind": "digits", "origin": "scikit-learn, load_digits"}
    assert not (tmp_path / "raw").exists()
    assert make_store(DIGITS, tmp_path / "again").sha256 == store.sha256


def test_params_that_contradict_the_source_are_refused():
    with pytest.raises(DataError, match=r"digits\.yaml: num_classes is 9, but the source has 10 classes \(0, 1, 2"):
        load_source(DIGITS | {"num_classes": 9})
    with pytest.raises(DataError, match="image_size is 28, but the source has images of 8 pixels"):
        load_source(DIGITS | {"image_size": 28})
    with pytest.raises(DataError, match=r"digits\.yaml: images\.train is 1298, but the source has 1297; correct one"):
        load_source(DIGITS | {"images": {"train": 1298}})


def test_numbers_of_images_in_params_are_those_of_the_digits():
    """Of 1,797 images, 50 of each class are for testing."""
    images = dataset("digits")["images"]
    assert images == {"train": 1297, "unlabeled": 0, "test": 500, "smallest_class": 124}
    load_source(DIGITS | {"images": images})


def test_unknown_source_is_an_error_in_a_stores_configuration():
    kinds = "digits, cifar10, cifar100, stl10, image_folder, semi_aves"
    error = schema_error(DIGITS | {"source": {"kind": "digit"}}, DataConfig)
    assert (schema_error(DIGITS, DataConfig), error) == (None, f"source.kind: expected one of {kinds}, got 'digit'")


@pytest.fixture
def cifar(serve, tiny_cifar):
    """Return a configuration whose first mirror lacks the file and whose second has the tiny archive."""
    server = serve(tiny_cifar.archive)
    source = {"kind": "cifar10", "md5": tiny_cifar.md5, "urls": [server.url("gone"), server.url("good")]}
    config = {
        "dataset": "cifar10-lt",
        "source": {**source, "override": "DASO_CIFAR10"},
        "num_classes": 10,
        "image_size": 32,
    }
    return config, server


ARCHIVE = {"kind": "cifar10", "origin": "cifar-10-python.tar.gz"}


def check_tiny(loaded, tiny):
    assert loaded.source == {**ARCHIVE, "md5": tiny.md5, "pixels": pixel_digest(loaded.parts)}
    images, labels = loaded.parts["train"]
    assert (images == tiny.images[:20]).all()
    assert labels.tolist() == tiny.labels[:20]
    assert (loaded.parts["test"][0] == tiny.images[20:]).all()
    assert loaded.parts["test"][1].tolist() == tiny.labels[20:]
    assert loaded.classes[0] == "airplane"
    assert loaded.classes[9] == "truck"


def test_cifar_is_downloaded_once(cifar, tiny_cifar, tmp_path):
    config, server = cifar
    loaded = load_source(config, tmp_path)
    check_tiny(loaded, tiny_cifar)
    assert (tmp_path / "cifar-10-python.tar.gz").read_bytes() == tiny_cifar.archive
    check_tiny(load_source(config, tmp_path), tiny_cifar)
    assert [name for name, _ in server.requests] == ["gone", "good"]


def test_cifar_from_the_url_in_the_environment(cifar, tiny_cifar, tmp_path, monkeypatch):
    config, server = cifar
    monkeypatch.setenv("DASO_CIFAR10", server.url("plain"))
    check_tiny(load_source(config, tmp_path), tiny_cifar)
    assert [name for name, _ in server.requests] == ["plain"]


def test_archive_with_wrong_checksum_falls_back_to_the_mirrors(cifar, tiny_cifar, tmp_path, monkeypatch):
    config, server = cifar
    monkeypatch.setenv("DASO_CIFAR10", server.url("wrong"))
    check_tiny(load_source(config, tmp_path), tiny_cifar)
    assert [name for name, _ in server.requests] == ["wrong", "gone", "good"]


def test_unavailable_archive_names_the_environment_variable(cifar, tmp_path):
    config, server = cifar
    config["source"]["urls"] = [server.url("gone")]
    with pytest.raises(
        DataError,
        match="HTTP 404 Not Found.*; set DASO_CIFAR10 to another URL or to the official cifar-10",
    ):
        load_source(config, tmp_path)


def test_cifar_from_a_local_archive(cifar, tiny_cifar, tmp_path, monkeypatch):
    config, server = cifar
    path = tmp_path / "mine.tar.gz"
    path.write_bytes(tiny_cifar.archive)
    monkeypatch.setenv("DASO_CIFAR10", str(path))
    loaded = load_source(config, tmp_path / "raw")
    check_tiny(loaded, tiny_cifar)
    path.write_bytes(tiny_cifar.archive + b"more")
    with pytest.raises(DataError, match=rf"mine\.tar\.gz: expected MD5 {tiny_cifar.md5}, got .*; set DASO_CIFAR10 to"):
        load_source(config, tmp_path / "raw")
    path.unlink()
    with pytest.raises(DataError, match="no such file or folder; correct or unset DASO_CIFAR10"):
        load_source(config, tmp_path / "raw")
    assert server.requests == []


def test_cifar100_downloaded_and_from_files(serve, tiny_cifar100, save_image, tmp_path, monkeypatch):
    """The tiny archive has one training image of each of the hundred classes and three test images."""
    server, tree = serve(tiny_cifar100.archive), dataset("cifar100-lt")
    source = tree["source"] | {"md5": tiny_cifar100.md5, "urls": [server.url("good")]}
    config = {"dataset": "cifar100-lt", "source": source, "num_classes": 100, "image_size": 32}
    loaded = load_source(config, tmp_path)
    assert (loaded.parts["train"][0] == tiny_cifar100.images[:100]).all()
    assert (loaded.parts["test"][0] == tiny_cifar100.images[100:]).all()
    assert (loaded.parts["train"][1].tolist(), loaded.parts["test"][1].tolist()) == ([*range(100)], [99, 0, 50])
    archive = {"kind": "cifar100", "origin": "cifar-100-python.tar.gz", "md5": tiny_cifar100.md5}
    assert loaded.source == {**archive, "pixels": pixel_digest(loaded.parts)}
    assert (loaded.classes[0], loaded.classes[99]) == ("apple", "worm")
    for name in loaded.classes:
        save_image(f"files/train/{name}/1.png")
        save_image(f"files/test/{name}/1.png")
    monkeypatch.setenv("DASO_CIFAR100", str(tmp_path / "files"))
    loaded = load_source(config, tmp_path)
    assert loaded.parts["train"][1].tolist() == list(range(100))
    assert loaded.source == {"kind": "image_folder", "origin": "files", "pixels": pixel_digest(loaded.parts)}


def test_stl10_does_not_accept_image_files(serve, tiny_stl10, tmp_path, monkeypatch):
    """An image folder cannot hold images without a class."""
    tree = dataset("stl10-lt")
    source = tree["source"] | {"md5": tiny_stl10.md5, "urls": []}
    config = {"dataset": "stl10-lt", "source": source, "num_classes": 10, "image_size": 96}
    config["images"] = {"train": 60, "unlabeled": 7, "test": 10, "smallest_class": 6}
    monkeypatch.setenv("DASO_STL10", str(tmp_path))
    error = r": not a regular file; set DASO_STL10 to a URL or to the official stl10_binary\.tar\.gz$"
    with pytest.raises(DataError, match=error):
        load_source(config, tmp_path)
    (tmp_path / "mine").write_bytes(tiny_stl10.archive)
    monkeypatch.setenv("DASO_STL10", str(tmp_path / "mine"))
    loaded = load_source(config, tmp_path)
    assert loaded.parts["train"][0].shape == (67, 3, 96, 96)
    with pytest.raises(DataError, match="images.unlabeled is 8, but the source has 7"):
        load_source(config | {"images": {"unlabeled": 8}}, tmp_path)
    assert loaded.source == {"kind": "stl10", "origin": "stl10_binary.tar.gz", "md5": tiny_stl10.md5}


@pytest.fixture
def cifar_files(save_image, tmp_path):
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for k, name in enumerate(names):
        save_image(f"files/train/{name}/1.png", (k, 0, 0), (32, 32))
        save_image(f"files/test/{name}/2.png", (0, k, 0), (32, 32))
    return tmp_path / "files"


def test_cifar_from_files(cifar, cifar_files, tmp_path, monkeypatch):
    config, server = cifar
    monkeypatch.setenv("DASO_CIFAR10", str(cifar_files))
    loaded = load_source(config, tmp_path / "raw")
    assert loaded.parts["train"][1].tolist() == list(range(10))
    assert loaded.parts["train"][0][:, 0, 0, 0].tolist() == list(range(10))
    origin = {"kind": "image_folder", "origin": "files", "pixels": pixel_digest(loaded.parts)}
    assert loaded.source == origin  # these are not the official images
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as archive:
        for path in cifar_files.rglob("*.png"):
            archive.write(path, path.relative_to(cifar_files))
    monkeypatch.setenv("DASO_CIFAR10", str(tmp_path / "files.zip"))
    digest = hashlib.sha256((tmp_path / "files.zip").read_bytes()).hexdigest()
    assert load_source(config).source == {**origin, "origin": "files.zip", "sha256": digest}
    assert server.requests == []


def test_image_files_of_other_classes_are_refused_for_cifar(cifar, cifar_files, monkeypatch):
    """A class name in a different sort position would change the order of the classes."""
    (cifar_files / "train/airplane").rename(cifar_files / "train/plane")
    (cifar_files / "test/airplane").rename(cifar_files / "test/plane")
    monkeypatch.setenv("DASO_CIFAR10", str(cifar_files))
    with pytest.raises(
        DataError, match="expected the classes of CIFAR-10, airplane, .*, got automobile, .*; .* correct DASO_CIFAR10"
    ):
        load_source(cifar[0])


def test_store_of_an_own_image_folder(save_image, tmp_path, monkeypatch):
    for name in ("own", "other"):
        for part in ("train", "test"):
            for class_name in ("cat", "dog"):
                save_image(f"{name}/{part}/{class_name}/1.png", 3 if name == "own" else 4, (5, 6))
    source = {"kind": "image_folder", "path": str(tmp_path / "own"), "override": "DASO_OWN"}
    config = {"dataset": "own", "source": source, "num_classes": 2, "image_size": 4}
    loaded = load_source(config)
    assert loaded.classes == ("cat", "dog")
    assert loaded.parts["train"][0].shape == (2, 3, 4, 4)
    assert loaded.source == {"kind": "image_folder", "origin": "own", "listing": digest_folder(tmp_path / "own")}
    monkeypatch.setenv("DASO_OWN", str(tmp_path / "other"))
    assert load_source(config).source["origin"] == "other"
    with pytest.raises(DataError, match=r"own\.yaml: num_classes is 3, but the source has 2 classes \(cat, dog\)"):
        load_source(config | {"num_classes": 3})
