"""Images that must not be redistributed, in a project with DVC: remotes and clones do not get them."""

from collections import Counter

import pytest
from ruamel.yaml import YAML

from tests import semi_aves
from tests.workflow.project import Project, jobs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
MANIFEST = "data/store/aves/manifest.json"
IMAGES = [f"data/store/aves/{part}_images.npy" for part in ("train", "test")]


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def aves(project):
    """Add the small data set of Semi-Aves with its archives to the project, whose suite then uses it alone."""
    semi_aves.write(project.path / "data/raw/aves", "archives")
    with (project.path / "params/datasets/aves.yaml").open("w") as file:
        YAML().dump(semi_aves.params("data/raw/aves"), file)
    table = {"dataset": "aves", "settings": ["in", "in-out"]}
    project.edit("suites/tiny.yaml", lambda tree: tree["tables"][0].update(table))
    return project


def test_remote_and_clone_have_no_restricted_image(aves, tmp_path):
    pattern = "data/store/aves/*_images.npy"
    assert f"missing the line {pattern}" in aves.dvc("repro", fails=True)
    aves.write(".dvcignore", f"{aves.read('.dvcignore')}{pattern}\ndata/features/rows/aves-*/rows.bin\n")
    assert jobs(aves.dvc("repro", "data")) == Counter(["download aves"])
    images = [(aves.path / name).read_bytes() for name in IMAGES]
    pushed = tmp_path / "remote"
    aves.dvc("remote", "add", "--default", "--local", "store", str(pushed))
    aves.dvc("push", "data")
    aves.commit("images")
    for folder in (pushed, aves.path / ".dvc/cache"):
        contents = [path.read_bytes() for path in files(folder)]
        assert (aves.path / MANIFEST).read_bytes() in contents
        assert not any(content in images for content in contents)
    assert "up to date" in aves.dvc("status", "data")

    aves.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("remote", "add", "--default", "--local", "store", str(pushed))
    clone.dvc("pull", "data")
    assert clone.read(MANIFEST) == aves.read(MANIFEST)
    assert not any((clone.path / name).exists() for name in IMAGES)
    assert "up to date" in clone.dvc("status", "data")
    # The clone has to make the store from its own copy of the archives.
    assert jobs(clone.snakemake("-n", MANIFEST)) == Counter(["download aves"])
    semi_aves.write(clone.path / "data/raw/aves", "archives")
    clone.snakemake(MANIFEST)
    assert [(clone.path / name).read_bytes() for name in IMAGES] == images
    assert clone.read(MANIFEST) == aves.read(MANIFEST)


def test_verification_of_one_machine_is_not_recorded(aves):
    lines = "data/store/aves/*_images.npy\ndata/features/rows/aves-*/rows.bin\n"
    aves.write(".dvcignore", f"{aves.read('.dvcignore')}{lines}")
    aves.dvc("repro", "data")
    verify = "from daso.data.store import verify_store; from pathlib import Path; verify_store(Path('data/store/aves'))"
    aves.call("python", "-c", verify)
    assert (aves.path / "data/store/aves/verified.json").exists()
    assert "up to date" in aves.dvc("status", "data")
