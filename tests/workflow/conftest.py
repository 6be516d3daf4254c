import pytest

from tests.workflow.project import METHODS, Project


def weigh(weight):
    """An edit of one option of one method."""
    return lambda tree: tree["learner"].update(weight=weight)


@pytest.fixture(scope="session", autouse=True)
def _programs(programs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "programs", programs)
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The tiny suite built by a bare `snakemake`, then given to DVC and committed; what each of them said is kept."""
    project = Project.create(tmp_path_factory.mktemp("built") / "project")
    project.first = project.snakemake()
    project.repro = project.dvc("repro")
    project.commit("first results")
    return project


@pytest.fixture(scope="session")
def changed(built, tmp_path_factory):
    """A second revision, made by `dvc repro` after a change of one method, and committed."""
    project = built.copy(tmp_path_factory.mktemp("changed") / "project")
    project.before = project.results()
    project.edit(f"methods/{METHODS[1]}.yaml", weigh(0.5))
    project.repro = project.dvc("repro")
    project.commit("second results")
    return project


@pytest.fixture
def project(built, tmp_path):
    """A copy of the built project, to be changed."""
    return built.copy(tmp_path / "project")
