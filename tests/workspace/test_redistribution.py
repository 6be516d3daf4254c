"""Images that must not be redistributed: DVC has to ignore them, bundles refuse them, reports show none."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.errors import DasoError
from daso.paths import feature_rows, features_manifest
from daso.workspace.current import Current
from daso.workspace.publish import publish
from daso.workspace.redistribution import check_ignored, restricted
from tests import semi_aves
from tests.repository import PARAMS, ROOT

LINE = "data/store/aves/*_images.npy"
FEATURES_LINE = "data/features/rows/aves-*/rows.bin"
RUN = "aves/in/smoke/fixmatch/s0"


@pytest.fixture
def aves(workspace):
    """Add the small data set to a working copy, and a suite of one run; return the folder."""
    with Path("params/datasets/aves.yaml").open("w") as file:
        YAML().dump(semi_aves.params("raw"), file)
    semi_aves.write(Path("raw"))
    Path("dvc.yaml").touch()
    (workspace / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    return workspace


def test_repository_ignores_its_restricted_images(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert restricted(PARAMS, PARAMS.datasets) == ["semi-aves"]
    check_ignored(PARAMS)


def test_dvc_must_ignore_restricted_images(aves):
    with pytest.raises(DasoError) as raised:
        check_ignored(load_params())
    assert str(raised.value) == (
        f".dvcignore: missing the line {LINE}, without which DVC would store and push the images of aves, which has "
        "`redistribute: false`; add it\n"
        f".dvcignore: missing the line {FEATURES_LINE}, without which DVC would store and push the features of aves, "
        "which has `redistribute: false`; add it"
    )
    with pytest.raises(DasoError, match="missing the line data/store/aves"):
        next(publish())
    with (aves / ".dvcignore").open("a") as file:
        file.write(f"{LINE}\n{FEATURES_LINE}\n")
    check_ignored(load_params())


def test_features_of_restricted_images_lie_in_folders_of_their_own(aves):
    """The same network and augmentation share a folder, but aves has one whose name the ignored pattern matches."""
    with Path("params/datasets/aves.yaml").open() as file:
        tree = YAML().load(file)
    for name in ("open", "free"):
        with Path(f"params/datasets/{name}.yaml").open("w") as file:
            YAML().dump({**tree, "redistribute": True}, file)
    keys = Keys(load_params())
    shared = keys.encoded_rows("open", "photos")
    assert keys.encoded_rows("free", "photos") == shared
    assert keys.encoded_rows("aves", "photos") == f"aves-{shared}"
    assert feature_rows(f"aves-{shared}").match(FEATURES_LINE)
    assert not feature_rows(shared).match(FEATURES_LINE)


def test_features_without_their_rows_are_not_current(aves):
    """As in a clone, which DVC gives manifest and key alone."""
    keys = Keys(load_params())
    manifest, rows = features_manifest("aves", "photos"), feature_rows(keys.encoded_rows("aves", "photos"))
    for path in (manifest, rows):
        path.parent.mkdir(parents=True)
        path.touch()
    manifest.with_name("key").write_text(f"{keys.encode('aves', 'photos')}\n")
    assert Current(keys).encoded("aves", "photos")
    rows.unlink()
    assert not Current(keys).encoded("aves", "photos")


def test_working_copy_without_dvc_needs_no_ignored_images(aves):
    (aves / "dvc.yaml").unlink()
    (aves / ".dvcignore").unlink()
    check_ignored(load_params())


def test_bundle_of_restricted_images_must_be_private(aves, capsys):
    store = Path("data/store/aves")
    assert main(["download", "aves", "--out", str(store)]) == 0
    config = semi_aves.split_json(load_params(), "aves", "in")
    split = "data/splits/aves/in/s0.json"
    assert main(["split", "--config", config, "--store", str(store), "--out", split]) == 0
    capsys.readouterr()
    assert main(["bundle", RUN, "--out", "bundle"]) == 1
    assert capsys.readouterr().err == (
        "bundle: params/datasets/aves.yaml has `redistribute: false`: its images must not be passed on; add --private "
        "for a bundle that only you use\n"
    )
    assert not Path("bundle").exists()
    assert main(["bundle", RUN, "--out", "bundle", "--private"]) == 0
    assert Path("bundle/data/store/aves/train.zip").exists()


def test_one_module_of_reports_reads_images():
    """It leaves out those that must not be redistributed, as its own tests show."""
    readers = set()
    for path in sorted((ROOT / "daso/report").rglob("*.py")):
        modules = [node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        if {"daso.data.store", "daso.data.bundle", "daso.engine.resident"}.intersection(modules):
            readers.add(path.relative_to(ROOT).as_posix())
    assert readers == {"daso/report/results/test_images.py"}
