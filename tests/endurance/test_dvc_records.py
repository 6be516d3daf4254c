"""Snakemake's records survive their way through provenance.json: it decides by them as by those it wrote itself."""

import base64
import json
import re
from pathlib import Path

import pytest
from snakemake.persistence import RECORD_FORMAT_VERSION

from daso import provenance
from tests.workflow.conftest import weigh
from tests.workflow.project import METHODS, SETTING, jobs

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("dvc")]
SUPERVISED, DASO = METHODS
RUN = f"digits/{SETTING}/tiny/{DASO}/s0"
SPLIT = f"data/splits/digits/{SETTING}/s0.json"
# What the installed Snakemake writes; a new field wants a look at whether it tells the time.
LASTING = {
    *("rule", "input", "log", "params", "shellcmd", "code", "incomplete", "input_checksums", "record_format_version"),
    *("conda_env", "container_img_url", "software_stack_hash"),
}
FIELDS = LASTING | {"starttime", "endtime", "job_hash", "external_jobid"}


def records(project):
    """Every record below .snakemake/metadata, by the path of its output."""
    found, folder = {}, project.path / ".snakemake/metadata"
    for path in folder.rglob("*"):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            found[base64.b64decode(name, altchars=b"-_").decode()] = json.loads(path.read_text())
    return found


def decided(project):
    """The jobs of a dry run of everything, each with its reasons."""
    said = project.snakemake("data", "splits", "runs", "metrics", "all", "-n")
    reasons = re.findall(r"rule (\w+):\n(?:    (?!reason).*\n)*    reason: (.*)", said)
    assert len(reasons) >= sum(jobs(said).values())
    return sorted((rule, sorted(re.split("[,;:] ", reason))) for rule, reason in reasons)


@pytest.fixture(scope="module")
def twins(built, tmp_path_factory):
    """The project with the records that Snakemake wrote, and with those that came back from beside the outputs."""
    place = tmp_path_factory.mktemp("twins")
    own, back = built.copy(place / "own"), built.copy(place / "back")
    back.call("rm", "-r", ".snakemake")
    assert back.planned() == {}
    return own, back


def test_a_record_has_the_fields_that_are_known(twins):
    own, _ = twins
    found = records(own)
    outputs = {path.relative_to(own.path).as_posix() for path in own.path.glob("runs/digits/**/*.*")}
    assert outputs <= set(found)
    assert {field for record in found.values() for field in record} <= FIELDS
    assert FIELDS - set(found[f"runs/{RUN}/train.json"]) <= {"external_jobid"}
    assert {record["record_format_version"] for record in found.values()} == {RECORD_FORMAT_VERSION}


def test_records_come_back_but_for_the_time(twins):
    own, back = map(records, twins)
    assert set(own) == set(back)
    for output in own:
        assert set(own[output]) >= LASTING
        assert {name: back[output].get(name) for name in LASTING} == {name: own[output][name] for name in LASTING}


CHANGES = {
    "nothing": lambda project: None,
    "an option": lambda project: project.edit(f"methods/{DASO}.yaml", weigh(0.5)),
    "a shared value": lambda p: p.edit("protocols/tiny.yaml", lambda t: t["optimizer"].update(weight_decay=0.1)),
    "a seed": lambda project: project.edit("suites/tiny.yaml", lambda tree: tree["seeds"].append(1)),
    "a method less": lambda p: p.edit("suites/tiny.yaml", lambda t: t["tables"][0].update(methods=[DASO])),
    "an input touched": lambda project: (project.path / SPLIT).touch(),
    "an input with other bytes": lambda project: project.write(SPLIT, project.read(SPLIT) + "\n"),
    "an output gone": lambda project: (project.path / f"metrics/{RUN}.json").unlink(),
    "a run gone": lambda project: project.call("rm", "-r", f"runs/{RUN}"),
}
IDLE = {"nothing", "an input touched"}


@pytest.mark.parametrize("change", CHANGES)
def test_decisions_are_the_same(twins, tmp_path, change):
    """Each with its reason, such as another set of inputs or changed params."""
    own, back = (twin.copy(tmp_path / name) for twin, name in zip(twins, ("own", "back"), strict=True))
    for project in (own, back):
        CHANGES[change](project)
    by_own, by_those_back = decided(own), decided(back)
    assert by_own == by_those_back
    assert (by_own == []) == (change in IDLE)


def test_names_of_records_are_those_of_snakemake(twins):
    own, _ = twins
    for output in records(own):
        assert (own.path / ".snakemake/metadata" / provenance.record_name(output)).is_file()
    long = "runs/" + "n" * 500 + "/train.json"  # longer than a file system takes for one name
    assert all(len(part) <= 255 for part in provenance.record_name(long).parts)
    assert isinstance(provenance.record_name(long), Path)
