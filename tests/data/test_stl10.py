import csv
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import split_config
from daso.data.stl10 import CLASSES, read_stl10
from daso.errors import DataError


def saved(tmp_path, content: bytes):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    return path


def refused(tmp_path, content: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_stl10(saved(tmp_path, content))


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_labeled_images_come_before_unlabeled_ones(tiny_stl10, tmp_path):
    parts = read_stl10(saved(tmp_path, tiny_stl10.archive))
    images, labels = parts["train"]
    assert (images == tiny_stl10.images[:67]).all()
    assert labels.tolist() == [*range(10)] * 6 + [-1] * 7
    assert (parts["test"][0] == tiny_stl10.images[67:]).all()
    assert parts["test"][1].tolist() == list(range(10))
    assert labels.dtype == np.int64
    assert CLASSES[0] == "airplane"
    assert CLASSES[9] == "truck"


def test_channels_are_stored_column_by_column(tiny_stl10):
    """As documented by the authors: the second byte is the pixel below the first, the 97th the one to its right."""
    stored = members(tiny_stl10.archive)["stl10_binary/train_X.bin"]
    first = tiny_stl10.images[0]
    assert (stored[1], stored[96], stored[96 * 96]) == (first[0, 1, 0], first[0, 0, 1], first[1, 0, 0])


def test_images_do_not_depend_on_the_chunk_size(tiny_stl10, tmp_path, monkeypatch):
    monkeypatch.setattr("daso.data.stl10.CHUNK_IMAGES", 7)  # of 60, 7 and 10 images, only 7 is a multiple
    assert (read_stl10(saved(tmp_path, tiny_stl10.archive))["train"][0] == tiny_stl10.images[:67]).all()


def test_damaged_archive_is_refused(tiny_stl10, tar, tmp_path):
    refused(tmp_path, b"no archive", "not a readable archive of STL-10")
    refused(tmp_path, tiny_stl10.archive[:-100_000], "not a readable archive of STL-10")
    refused(tmp_path, tar({}), "missing 'train_X.bin'; use the binary version of STL-10")
    files = members(tiny_stl10.archive)
    part = files | {"stl10_binary/test_X.bin": files["stl10_binary/test_X.bin"][:-1]}
    refused(tmp_path, tar(part), "test_X.bin: 276479 bytes are not a multiple of an image's 27648")
    refused(
        tmp_path,
        tar(files | {"stl10_binary/test_y.bin": bytes(range(10))}),
        "expected 10 labels from 1 to 10, got 10 from 0 to 9",
    )
    refused(
        tmp_path,
        tar(files | {"stl10_binary/test_y.bin": b"\x01\x02"}),
        "expected 10 labels from 1 to 10, got 2 from 1 to 2",
    )


ROOT = Path(__file__).resolve().parents[2]
RUN = "stl10-tiny/n3-l2/tiny/{}/s0"
STORE, SPLIT = "data/store/stl10-tiny", "data/splits/stl10-tiny/n3-l2/s0.json"


@pytest.fixture
def project(tiny_stl10, serve, tmp_path, monkeypatch):
    """A project with the tiny STL-10, downloaded and split, and a suite of three methods with three steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASO_STL10", raising=False)
    shutil.copytree(ROOT / "params", "params")
    yaml = YAML()

    def write(name, source, edit):
        tree = yaml.load(Path("params", source).read_text())
        edit(tree)
        with Path("params", name).open("w") as file:
            yaml.dump(tree, file)

    def small(tree):
        tree["source"].update(urls=[serve(tiny_stl10.archive).url("good")], md5=tiny_stl10.md5)
        tree.update(holdout=10)
        tree["images"] = {"train": 60, "unlabeled": 7, "test": 10, "smallest_class": 6}
        tree["settings"] = {"n3-l2": {"n1": 3, "m1": "all", "gamma_l": 2}}

    write("datasets/stl10-tiny.yaml", "datasets/stl10-lt.yaml", small)
    budget = {"steps": 3, "batch_size": 4, "evaluation": {"every": 1, "median_of": 2}, "checkpoint_every": 3}
    budget["network"] = {"name": "small_convnet", "channels": [4], "strides": [2]}
    write("protocols/tiny.yaml", "protocols/smoke.yaml", lambda tree: tree.update(budget))
    table = {"name": "tiny", "title": "Tiny", "dataset": "stl10-tiny", "settings": ["n3-l2"]}
    table["methods"] = ["fixmatch", "remixmatch", "supervised"]
    suite = {"protocol": "tiny", "seeds": [0], "tables": [table]}
    write("suites/tiny.yaml", "suites/smoke.yaml", lambda tree: tree.update(suite))
    assert main(["download", "stl10-tiny", "--out", STORE]) == 0
    Path("split.json").write_text(json.dumps(split_config(load_params(), "stl10-tiny", "n3-l2", 0)))
    assert main(["split", "--config", "split.json", "--store", STORE, "--out", SPLIT]) == 0


def test_workflow_from_archive_to_report(project):
    """One image per class is held out; floor(3 / 2^(k / 9)) are labeled: 3, then 2 of classes 1 to 5, then 1."""
    assert main(["split", "--check", SPLIT, "--store", STORE]) == 0
    drawn = json.loads(Path(SPLIT).read_text())
    assert drawn["counts"]["labeled"] == [3, 2, 2, 2, 2, 2, 1, 1, 1, 1]
    assert drawn["counts"]["unlabeled"] == [0] * 10
    assert drawn["unlabeled"] == list(range(60, 67))
    for method in ("fixmatch", "remixmatch", "supervised"):
        run = RUN.format(method)
        assert main(["train", run, "--out", f"runs/{run}", "--device", "cpu"]) == 0
        assert main(["evaluate", "--run", f"runs/{run}", "--out", f"metrics/{run}.json"]) == 0
        metrics = json.loads(Path(f"metrics/{run}.json").read_text())
        assert metrics["pseudo_label"] is None
        assert metrics["counts"] == {"labeled": [3, 2, 2, 2, 2, 2, 1, 1, 1, 1], "unlabeled": [0] * 10}
        assert 0 <= metrics["top1"]["median"] <= 1
        with Path(f"runs/{run}/history.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3
        assert not [name for name in rows[0] if name.startswith("pl_")]
        with np.load(f"runs/{run}/predictions.npz") as predictions:
            assert predictions["labels"].tolist() == list(range(10))
    assert main(["report", "--suite", "tiny", "--out", "out"]) == 0
    assert "M₁ = all, γₗ = 2, γᵤ = unknown" in Path("out/report.md").read_text()
    page = Path("out/index.html").read_text()
    assert "Images of each class by rank, n3-l2" in page
    assert "no outline where unknown" in page
    assert "seudo-label recall" not in page


def test_bundle_carries_images_without_a_label(project):
    """Training the bundle gives the same history, byte for byte."""
    run = RUN.format("fixmatch")
    assert main(["train", run, "--out", f"runs/{run}", "--device", "cpu"]) == 0
    assert main(["bundle", run, "--out", "there"]) == 0
    assert main(["train", "--bundle", "there", "--device", "cpu"]) == 0
    own, bundled = (Path(folder, "runs", run, "history.csv").read_bytes() for folder in (".", "there"))
    assert own == bundled
