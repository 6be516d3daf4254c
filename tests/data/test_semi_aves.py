"""Images of Semi-Aves, on a small data set with its files: 4 + 3 classes, 81 images (`tests.semi_aves`)."""

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from daso.data import decode_pool
from daso.data.catalog import make_store
from daso.data.store import load_store
from daso.errors import DataError
from tests import semi_aves
from tests.semi_aves import errors_of, make_aves


@pytest.mark.parametrize("labels_as", ["lists", "annotation", "archive"])
@pytest.mark.parametrize("images_as", ["folders", "archives"])
def test_folders_and_archives_give_the_same_store(tmp_path, original_aves, images_as, labels_as):
    expected = make_store(semi_aves.config(original_aves), tmp_path / "expected", tmp_path / "cache")
    store = make_aves(semi_aves.write(tmp_path / "raw", images_as, labels_as))
    assert store.sha256 == expected.sha256
    assert store.source["lists"] == {n: semi_aves.SHA256[n] for n in semi_aves.COUNTS if "oracle" not in n}
    assert not list((tmp_path / "raw").glob("u_train*/")) or images_as == "folders"  # nothing was unpacked


def test_rows_are_in_the_order_of_the_lists(raw):
    """23 labeled images, then 30 and 16 unlabeled ones; class 1 has 4 + 2 of them, in rows 8 to 13."""
    store = make_aves(raw)
    assert store.labels("train").tolist() == [0] * 8 + [1] * 6 + [2] * 5 + [3] * 4 + [-1] * 46
    assert store.labels("test").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert store.subsets == {"in": [23, 53], "out": [53, 69]}
    for part, row, file in [
        ("train", 9, "trainval_images/1/1.jpg"),
        ("train", 23, "u_train_in/0.jpg"),
        ("train", 52, "u_train_in/29.jpg"),
        ("train", 53, "u_train_out/0.jpg"),
        ("test", 11, "test/11.jpg"),
    ]:
        with Image.open(raw / file) as image:
            wide, high = image.size
            size = (24, int(24 * high / wide)) if wide < high else (int(24 * wide / high), 24)
            resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        left, top = (size[0] - 24) // 2, (size[1] - 24) // 2
        square = np.asarray(resized.crop((left, top, left + 24, top + 24))).transpose(2, 0, 1)
        assert (store.images(part)[row] == square).all(), file


def test_store_does_not_depend_on_the_number_of_threads(raw, monkeypatch):
    digests = set()
    for threads in (1, 5):
        monkeypatch.setattr(decode_pool, "cores", lambda threads=threads: threads)
        digests.add(make_aves(raw).sha256)
    assert len(digests) == 1


def test_missing_folders_are_listed_with_their_addresses(raw):
    shutil.rmtree(raw / "test")
    shutil.rmtree(raw / "u_train_out")
    page = "https://drive.example/out"
    assert errors_of(raw, archives={"u_train_out": page}) == [
        f"raw: missing folder u_train_out/ and archive u_train_out.tar.gz; download {page} in a browser and save it as "
        "raw/u_train_out.tar.gz",
        "raw: missing folder test/ and archive test.tar.gz; put raw/test.tar.gz there",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"<!DOCTYPE html><html>Google Drive", "a web page instead of an archive"), (b"PK\3\4", "not a tar.gz archive")],
)
def test_web_page_saved_as_an_archive_is_named(raw, content, problem):
    shutil.rmtree(raw / "test")
    (raw / "test.tar.gz").write_bytes(content)
    (line,) = errors_of(raw, archives={"test": "https://drive.example/test"})
    assert line.startswith(f"raw/test.tar.gz: {problem}; open https://drive.example/test in a browser, confirm")


def test_all_missing_and_unreadable_files_are_listed_at_once(raw):
    (raw / "u_train_in/3.jpg").unlink()
    (raw / "test/5.jpg").unlink()
    assert errors_of(raw) == [
        "raw: u_train_in/3.jpg: missing; unpack its archive again",
        "raw: test/5.jpg: missing; unpack its archive again",
    ]
    shutil.copy(raw / "test/4.jpg", raw / "test/5.jpg")
    content = (raw / "test/4.jpg").read_bytes()
    (raw / "u_train_in/3.jpg").write_bytes(content[: len(content) // 2])
    (raw / "test/5.jpg").write_bytes(b"")
    assert errors_of(raw, strict=False) == [
        "raw: u_train_in/3.jpg: not a readable image (truncated or damaged); replace it",
        "raw: test/5.jpg: not a readable image (empty); replace it",
    ]


def test_long_lists_of_missing_files_are_cut(raw):
    shutil.rmtree(raw / "u_train_in")
    (raw / "u_train_in").mkdir()
    lines = errors_of(raw)
    assert len(lines) == 21
    assert lines[20] == "raw: 10 more files of this kind; unpack its archive again"


def test_large_images_are_refused_unless_not_strict(raw, lines):
    Image.new("RGB", (41, 30)).save(raw / "test/0.jpg")
    problem = "test/0.jpg: 41 pixels are above the maximum 40"
    assert errors_of(raw)[0].startswith(f"raw: {problem}; ")
    make_aves(raw, strict=False)
    assert any(line.startswith(f"{raw}: {problem}") for line in lines())


def test_other_files_are_counted_and_not_read(raw, lines):
    shutil.copy(raw / "test/0.jpg", raw / "test/12.jpg")
    (raw / "test/._1.jpg").write_bytes(b"junk")
    expected = make_aves(raw).sha256
    assert json.loads((raw.parent / "store/manifest.json").read_text())["reading"] == {"not_listed": {"test": 1}}
    assert "raw: test: 1 files are not in the lists and were not read" in lines()
    (raw / "test/12.jpg").unlink()
    assert make_aves(raw).sha256 == expected
    assert "reading" not in json.loads((raw.parent / "store/manifest.json").read_text())


def test_truncated_archive_is_named(tmp_path):
    raw = semi_aves.write(tmp_path / "raw", "archives")
    content = (raw / "test.tar.gz").read_bytes()
    (raw / "test.tar.gz").write_bytes(content[: len(content) // 2])
    (line,) = errors_of(raw)
    assert line.startswith("raw/test.tar.gz: truncated or damaged (")


def test_file_missing_in_an_archive_is_named(tmp_path):
    raw = semi_aves.write(tmp_path / "raw", "archives")
    kept = {file: content for file, content in semi_aves.images().items() if file.startswith("test/")}
    del kept["test/7.jpg"]
    (raw / "test.tar.gz").write_bytes(semi_aves.tar(kept))
    assert errors_of(raw) == ["raw: test/7.jpg: missing; download its archive again"]


def test_subsets_must_cover_the_unlabeled_images(raw):
    config = semi_aves.config(raw) | {"subsets": {"in": 30, "out": 15}}
    with pytest.raises(DataError, match="subsets: expected 46 images in all, got 45"):
        make_store(config, raw.parent / "store")


def test_classes_are_named_by_the_dataset(raw):
    make_aves(raw, classes=["Cygnus olor", "Pica pica", "Larus canus", "Fulica atra"])
    assert load_store(raw.parent / "store").classes[1] == "Pica pica"
    with pytest.raises(DataError, match="num_classes is 4, but the source has 2 classes"):
        make_aves(raw, classes=["Cygnus olor", "Pica pica"])


def test_archive_of_the_tests_has_junk_of_macos():
    with tarfile.open(fileobj=io.BytesIO(semi_aves.tar({"test/0.jpg": b""}))) as archive:
        assert archive.getnames() == ["test/._0.jpg", "test/0.jpg"]
