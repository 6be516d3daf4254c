import pytest

from tests.workflow.photos import init_suite, with_photos
from tests.workflow.project import METHODS, Project


def set_weight(weight):
    """Return an edit of the weight of a method's learner."""
    return lambda tree: tree["learner"].update(weight=weight)


@pytest.fixture(scope="session", autouse=True)
def _programs(programs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "programs", programs)
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build the tiny suite by `snakemake`, record it by `dvc repro`, commit it; keep the output of both."""
    project = Project.create(tmp_path_factory.mktemp("built") / "project")
    project.first = project.snakemake()
    project.repro = project.dvc("repro")
    project.commit("first results")
    return project


@pytest.fixture(scope="session")
def changed(built, tmp_path_factory):
    """Change one method, run `dvc repro` and commit a second revision."""
    project = built.copy(tmp_path_factory.mktemp("changed") / "project")
    project.before = project.results()
    project.edit(f"methods/{METHODS[1]}.yaml", set_weight(0.5))
    project.repro = project.dvc("repro")
    project.commit("second results")
    return project


@pytest.fixture
def project(built, tmp_path):
    """Copy the built project for changes."""
    return built.copy(tmp_path / "project")


@pytest.fixture
def flowers(project):
    """Return a project with photos of two classes, whose network is frozen."""
    return with_photos(project)


@pytest.fixture(scope="session")
def photos(built, tmp_path_factory):
    """Train the suite of the base folder of photos; its tests add files and change nothing."""
    project = init_suite(
        built.copy(tmp_path_factory.mktemp("photos") / "project"), ("supervised_la", "self_training_la")
    )
    project.snakemake("--config", "suite=photos")
    return project
