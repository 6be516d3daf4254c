import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from daso.data.bundle import read_bundle, write_bundle
from daso.data.files import digest
from daso.data.split import check_split, make_split
from daso.data.store import load_store, verify_store, write_store
from daso.errors import DataError
from tests.finished import finish

ROOT = Path(__file__).resolve().parents[2]


def run_config(seed: int, dataset: str = "toy", setting: str = "small", method: str = "fixmatch") -> dict:
    return {
        "run": f"{dataset}/{setting}/smoke/{method}/s{seed}",
        "key": f"{seed:016x}",
        "dataset": {"name": dataset, "num_classes": 2},
        "setting": {"name": setting},
        "split_config_sha256": digest(split_config(seed)),
        "protocol": {"network": {}},
        "plan": {},
        "seed": seed,
    }


def packed_rows(store) -> list[int]:
    """Return the rows of the train part whose images a bundle contains."""
    with zipfile.ZipFile(store.folder / "train.zip") as archive:
        return sorted(int(Path(name).stem) for name in archive.namelist())


def split_config(seed: int) -> dict:
    setting = {"name": "small", "n1": 3, "m1": 4, "gamma_l": 3, "gamma_u": 1, "reversed": False}
    return {
        **{"dataset": "toy", "setting": setting, "seed": seed},
        **{"num_classes": 2, "holdout": 4, "class_order": "native"},
    }


@pytest.fixture
def pack(tmp_path):
    """Return `pack(*seeds)`, which draws splits of a store of 40 noise images and returns configurations of runs."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    parts = {"train": (random.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8), labels)}
    parts["test"] = (random.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8), labels[:6])
    store = write_store(tmp_path / "data/store/toy", "toy", ["a", "b"], parts, {"kind": "digits", "origin": "noise"})

    def pack(*seeds: int, methods: tuple[str, ...] = ("fixmatch",)) -> list:
        runs = []
        for seed in seeds:
            make_split(split_config(seed), store, tmp_path / f"data/splits/toy/small/s{seed}.json")
            runs += [run_config(seed, method=method) for method in methods]
        return runs

    return pack


def test_bundle_holds_configurations_splits_and_store(pack, tmp_path):
    runs = pack(0, 1, methods=("fixmatch", "supervised"))
    write_bundle(tmp_path / "out/bundle", runs, tmp_path)
    bundled = read_bundle(tmp_path / "out/bundle")
    assert [run.config for run in bundled] == sorted(runs, key=lambda config: config["run"])
    assert {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    } == {
        *(
            f"bundle/configs/toy/small/smoke/{method}/s{seed}.json"
            for method in ("fixmatch", "supervised")
            for seed in (0, 1)
        ),
        *(f"bundle/data/splits/toy/small/s{seed}.json" for seed in (0, 1)),
        "bundle/bundle.json",
        *(f"bundle/data/store/toy/{name}" for name in ("manifest.json", "train.zip", "test.zip")),
        *(f"bundle/data/store/toy/{part}_labels.npy" for part in ("train", "test")),
    }
    assert (tmp_path / "out/bundle/runs").is_dir()


def test_pixels_labels_and_digests_are_unchanged(pack, tmp_path):
    runs = pack(0, 1)
    write_bundle(tmp_path / "bundle", runs, tmp_path)
    whole, used = load_store(tmp_path / "data/store/toy"), set()
    for run in read_bundle(tmp_path / "bundle"):
        assert run.drawn_split == run.inputs["split"]
        assert (
            run.drawn_split.read_bytes() == (tmp_path / run.drawn_split.relative_to(tmp_path / "bundle")).read_bytes()
        )
        store = verify_store(run.store)
        assert (store.sha256, store.source, store.classes) == (whole.sha256, whole.source, whole.classes)
        for rows in check_split(run.inputs["split"], store).split.parts.values():
            assert (store.images("train", rows) == whole.images("train", rows)).all()
            used |= set(rows.tolist())
        assert (store.images("test") == whole.images("test")).all()
        assert (store.labels("train") == whole.labels("train")).all()
    assert packed_rows(store) == sorted(used)
    assert len(used) < 40


def test_row_missing_in_the_bundle_is_named(pack, tmp_path):
    write_bundle(tmp_path / "bundle", pack(0), tmp_path)
    store = load_store(tmp_path / "bundle/data/store/toy")
    missing = min(set(range(40)) - set(packed_rows(store)))
    with pytest.raises(DataError, match=rf"train\.zip: row {missing} is missing in this bundle; bundle the run that"):
        store.images("train", [missing])
    with pytest.raises(DataError, match="is missing in this bundle"):
        store.images("train")
    with pytest.raises(DataError, match="train row 40 is out of range"):
        store.images("train", [40])


def test_rewriting_a_bundle_gives_the_same_bytes(pack, tmp_path):
    for name in ("one", "two"):
        write_bundle(tmp_path / name, pack(0), tmp_path)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_bundle_written_from_a_bundle(pack, tmp_path):
    write_bundle(tmp_path / "two", pack(0, 1), tmp_path)
    write_bundle(tmp_path / "one", [read_bundle(tmp_path / "two")[1].config], tmp_path / "two")
    write_bundle(tmp_path / "direct", pack(1), tmp_path)
    for name in ("train.zip", "test.zip", "manifest.json"):
        assert (tmp_path / "one/data/store/toy" / name).read_bytes() == (
            tmp_path / "direct/data/store/toy" / name
        ).read_bytes()


def test_zip_is_uncompressed_with_lossless_images(pack, tmp_path):
    write_bundle(tmp_path / "bundle", pack(0), tmp_path)
    with zipfile.ZipFile(tmp_path / "bundle/data/store/toy/test.zip") as archive:
        assert archive.namelist() == [f"{row}.webp" for row in range(6)]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("0.webp")[12:16] == b"VP8L"


def test_damaged_zip_is_refused(pack, tmp_path):
    write_bundle(tmp_path / "bundle", pack(0), tmp_path)
    path = tmp_path / "bundle/data/store/toy/train.zip"
    content = bytearray(path.read_bytes())
    content[content.index(b"VP8L") + 20] ^= 255
    path.write_bytes(content)
    store = load_store(path.parent)
    with pytest.raises(DataError, match=r"train\.zip: \d+\.webp is damaged"):
        store.images("train", packed_rows(store))
    path.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"train\.zip: not a readable zip"):
        store.images("train", [0])


def test_damage_of_any_file_is_detected(pack, tmp_path):
    """Damage is a flipped bit of any file, or the intact file of a different bundle."""
    write_bundle(tmp_path / "bundle", pack(0), tmp_path)
    write_bundle(tmp_path / "other", pack(1), tmp_path)
    paths = [path for path in sorted((tmp_path / "bundle").rglob("*")) if path.is_file()]
    assert len(paths) == 1 + 1 + 1 + 5  # list, configuration, split, store
    for path in paths:
        whole = path.read_bytes()
        for damaged in (
            whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :],
            b"",
        ):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=f"{path}: .*; copy the bundle again"):
                read_bundle(tmp_path / "bundle")
        path.write_bytes(whole)
    path = tmp_path / "bundle/data/store/toy/train.zip"
    path.write_bytes((tmp_path / "other/data/store/toy/train.zip").read_bytes())
    with pytest.raises(DataError, match=r"train\.zip: damaged or from a different bundle"):
        read_bundle(tmp_path / "bundle")


def test_splits_of_a_different_configuration_or_store_are_refused(pack, tmp_path):
    config, _ = pack(0, 1)
    splits, store = tmp_path / "data/splits/toy/small", tmp_path / "data/store/toy"
    (splits / "s0.json").rename(splits / "saved.json")
    with pytest.raises(
        DataError, match=r"s0\.json: missing drawn split of toy/small/smoke/fixmatch/s0; create it with"
    ):
        write_bundle(tmp_path / "bundle", [config], tmp_path)
    (splits / "s1.json").rename(splits / "s0.json")
    with pytest.raises(DataError, match=r"s0\.json: drawn with a different configuration \(setting small, seed 1\)"):
        write_bundle(tmp_path / "bundle", [config], tmp_path)
    (splits / "saved.json").rename(splits / "s0.json")
    other = load_store(store)
    images = other.images("train")[::-1].copy()
    parts = {"train": (images, other.labels("train")), "test": (other.images("test"), other.labels("test"))}
    write_store(store, "toy", ["a", "b"], parts, {})
    with pytest.raises(DataError, match="drawn from data with SHA-256"):
        write_bundle(tmp_path / "bundle", [config], tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_files_of_upstream_runs_are_packed_unless_a_run_of_the_bundle_produces_them(pack, tmp_path):
    """A generation needs the pseudo-labels of the previous one, a classifier the encoder of another method."""
    (base,) = pack(0)
    run = "toy/small/smoke/{}/s0".format
    first = {**base, "run": run("crest.g1")}
    second = {**base, "run": run("crest"), "plan": {"split": {"of": run("crest.g1"), "key": "k", "exponent": 1.0}}}
    classifier = {**base, "run": run("crt"), "plan": {"encoder": {"of": run("supervised"), "key": "k"}}}
    write_bundle(tmp_path / "both", [first, second], tmp_path)
    generation = {packed.config["run"]: packed for packed in read_bundle(tmp_path / "both")}[run("crest")]
    assert generation.inputs == {"split": tmp_path / "both/runs" / run("crest") / "split.json"}
    assert generation.drawn_split.exists()
    assert not generation.inputs["split"].exists()
    for config, name, file in (
        (second, "split", "crest/s0/split.json"),
        (classifier, "encoder", "supervised/s0/final.pt"),
    ):
        with pytest.raises(DataError, match=rf"{file}: missing {name} of {config['run']}; create it"):
            write_bundle(tmp_path / "bundle", [config], tmp_path)
    upstream_run = finish(tmp_path / "runs" / run("supervised"), {"final.pt": b"weights"}, key="k")
    write_bundle(tmp_path / "bundle", [classifier], tmp_path)
    (upstream_run / "final.pt").write_bytes(b"weighty")
    with pytest.raises(DataError, match=r"supervised/s0/final\.pt: damaged or from a different run"):
        write_bundle(tmp_path / "another", [classifier], tmp_path)
    assert read_bundle(tmp_path / "bundle")[0].inputs["encoder"].read_bytes() == b"weights"


def test_existing_folder_is_not_overwritten(pack, tmp_path):
    (tmp_path / "bundle/runs").mkdir(parents=True)
    with pytest.raises(DataError, match="already exists and may hold results; choose another folder or delete it"):
        write_bundle(tmp_path / "bundle", pack(0), tmp_path)


KILLED = """
import json, os, signal, sys
from pathlib import Path
from daso.data import bundle
bundle.cores = lambda: os.kill(os.getpid(), signal.SIGKILL)
bundle.write_bundle(Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]))
"""


def test_killed_call_leaves_no_bundle(pack, tmp_path):
    runs = pack(0)
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "bundle"), json.dumps(runs), str(tmp_path)], cwd=ROOT, check=False
    )
    assert result.returncode == -signal.SIGKILL
    with pytest.raises(DataError, match="bundle: not a bundle"):
        read_bundle(tmp_path / "bundle")
    write_bundle(tmp_path / "bundle", runs, tmp_path)
    assert len(read_bundle(tmp_path / "bundle")) == 1
    assert not list(tmp_path.glob("*.part"))


def test_missing_file_is_named(pack, tmp_path):
    write_bundle(tmp_path / "bundle", pack(0), tmp_path)
    (tmp_path / "bundle/data/splits/toy/small/s0.json").unlink()
    with pytest.raises(DataError, match=r"splits/toy/small/s0\.json: missing; copy the bundle again"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.endurance
@pytest.mark.xdist_group("cifar10")
def test_bundle_of_a_cifar10_setting_is_small(cifar10_store, tmp_path):
    """A tenth of n1 = 1500, m1 = 3000, both ratios 100, takes at most 6 MiB as lossless WebP.

    150 89 53 32 19 11 6 4 2 1 and 300 179 107 64 38 23 13 8 5 3, 500 for validation, and 1,000 images for testing.
    """
    tenth = {
        part: (cifar10_store.images(part, rows), cifar10_store.labels(part)[rows])
        for part, number in (("train", 50_000), ("test", 10_000))
        for rows in [np.arange(0, number, 10)]
    }
    home = tmp_path / "data/store/cifar10-lt"
    whole = write_store(home, "cifar10-lt", cifar10_store.classes, tenth, cifar10_store.source)
    setting = {"name": "n150-m300-l100-u100", "n1": 150, "m1": 300, "gamma_l": 100, "gamma_u": 100, "reversed": False}
    config = {"dataset": "cifar10-lt", "setting": setting, "seed": 0, "num_classes": 10, "holdout": 500}
    config["class_order"] = "native"
    saved = make_split(config, whole, tmp_path / f"data/splits/cifar10-lt/{setting['name']}/s0.json")
    run = run_config(0, "cifar10-lt", setting["name"]) | {"split_config_sha256": digest(config)}
    write_bundle(tmp_path / "bundle", [run], tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "bundle").rglob("*") if path.is_file())
    assert size < 6 * 2**20
    store = load_store(read_bundle(tmp_path / "bundle")[0].store)
    assert len(packed_rows(store)) == 367 + 740 + 500
    for rows in saved.split.parts.values():
        assert (store.images("train", rows) == whole.images("train", rows)).all()
    verify_store(store.folder)  # the test part is complete, so its digest is checked
