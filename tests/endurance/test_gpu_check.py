"""The GPU check as a dry run on a CPU: parts, hidden modules, recording, budgets, training of a bundle."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daso.config.resolve import parse_run
from daso.errors import DasoError
from daso.planning.cost import measured_steps
from tests.repository import PARAMS, ROOT
from tests.workflow.project import METHODS, SETTING, Project
from tools.gpu.fits import fit
from tools.gpu.record import record
from tools.gpu.summary import failures

pytestmark = [pytest.mark.endurance, pytest.mark.xdist_group("gpu check")]
RUN = "cifar10-lt/n500-m4000-l100-u100/paper/{}/s0"
GPU = {"dry": False, "device": "cuda: Made Up 9000", "cores": 16}


def check(root, out, gpu, **environment):
    """Run check.sh dry; return its exit status, output and results."""
    out.mkdir()
    variables = {**os.environ, "DRY": "1", "OUT": str(out), "GPU_CHECK_FOLDER": str(gpu), "PYTHON": sys.executable}
    process = subprocess.run(
        ["bash", "tools/gpu/check.sh"],
        **{"cwd": root, "env": {**variables, **environment}, "text": True, "check": False, "timeout": 900},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )
    return process.returncode, process.stdout, json.loads((out / "gpu_check.json").read_text())


@pytest.fixture(scope="module")
def gpu(tmp_path_factory):
    """Return the folder for the GPU machine, without wheels."""
    folder = tmp_path_factory.mktemp("gpu")
    subprocess.run([sys.executable, "-m", "tools.gpu.prepare", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def results(gpu, tmp_path_factory):
    """Return the path and content of the results of a dry run of stages 1 to 3, which must pass."""
    out = tmp_path_factory.mktemp("check") / "out"
    code, output, tree = check(ROOT, out, gpu, STAGES="1 2 3", BUDGET="850")
    assert code == 0, output[-3000:]
    return out / "gpu_check.json", tree


def rows_of(tree, kind):
    return [row for row in tree["results"] if row["kind"] == kind]


def test_every_part_of_the_dry_run_has_results(results):
    _, tree = results
    assert all(part["rc"] == 0 for part in tree["parts"])
    assert {row["method"] for row in rows_of(tree, "method") if row["eager_is_graph"] and row["graph_is_graph"]} == {
        *("fixmatch_daso", "fixmatch_daso, AdamW", "fixmatch_darp", "remixmatch", "supervised")
    }
    (resumed,) = rows_of(tree, "resume")
    assert (resumed["same"], resumed["codes"], resumed["from"]) == (True, [-9, 0, 0], 5)  # saved at 5, killed at 7
    one, two = sorted(rows_of(tree, "process"), key=lambda row: row["tag"])  # at the same time: either may end first
    assert one["digest_graph"] == two["digest_graph"] == two["digest_eager"]
    assert {(row["method"], row["replicas"]) for row in rows_of(tree, "pace") if row["ms"] > 0} == {
        (method, number) for method in ("fixmatch_daso", "fixmatch", "supervised", "supervised_la") for number in (1, 2)
    }


def test_dry_run_is_not_recorded(results, tmp_path):
    with pytest.raises(DasoError, match="a dry run, which measures nothing"):
        record(results[0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_recorded_paces_are_read_and_limit_a_bundle(results, tmp_path, monkeypatch):
    """4 ms per step and 50 ms per evaluation, every 500 steps: 4.1 ms; 250,000 steps: 1,025 s; 60 s are reserved."""
    _, tree = results
    pace = {"ms": 4.0, "low": 4.0, "high": 4.0, "evaluation_ms": 50.0, "mode": "graph", "precision": "bf16"}
    rows = [row | pace if row["kind"] == "pace" else row for row in tree["results"]]
    file = tmp_path / "gpu_check.json"
    file.write_text(json.dumps({"device": tree["device"] | GPU, "parts": [], "results": rows}))
    run = RUN.format("fixmatch_daso")
    monkeypatch.chdir(tmp_path)
    page = record(file, Path("docs/benchmarks"))
    assert page.name == "made-up-9000-16-cores.md"
    assert f"Measured on {tree['device']['date']}" in page.read_text()
    modes = measured_steps(PARAMS, parse_run(PARAMS, run), every_mode=True)
    paces = {one.how: one.seconds for one in modes if one.device == GPU["device"]}
    assert paces == {"graph, bf16": pytest.approx(0.0041), "graph, bf16, 2 at once": pytest.approx(0.0041)}
    runs = [parse_run(PARAMS, run)]
    assert fit(PARAMS, runs, 1090.0, 2, unknown=False).startswith("1 runs take 1,025 s of 1030 s: fixmatch_daso 4.1 ms")
    with pytest.raises(
        DasoError, match=r"take 1,025 s, but 1020 s are available: fixmatch_daso 4.1 ms per step on cuda: Made Up"
    ):
        fit(PARAMS, runs, 1080.0, 2, unknown=False)


def test_unknown_pace_needs_a_flag(tmp_path, monkeypatch):
    """Two runs of 250,000 steps fit 450 s, 60 s of them reserved, at 0.78 ms per step."""
    runs = [parse_run(PARAMS, RUN.format(method)) for method in ("supervised", "supervised_la")]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DasoError, match=r"supervised, supervised_la: no pace of a GPU .* at 0.78 ms per step or faster"
    ):
        fit(PARAMS, runs, 450.0, 2, unknown=False)
    assert "at 0.78 ms per step" in fit(PARAMS, runs, 450.0, 2, unknown=True)


def test_failures_are_named(monkeypatch):
    equal = {"eager_is_graph": True, "graph_is_graph": True, "finite": True}
    rows = [
        {"kind": "method", "method": "a", "precision": "bf16", **equal},
        {"kind": "method", "method": "b", "precision": "bf16", **equal, "graph_is_graph": False},
        {"kind": "resume", "precision": "bf16", "same": False},
        {"kind": "resume", "precision": "fp32", "same": True, "codes": [0, 0, 0], "from": 0},
        {"kind": "name", "name": "auto", "device": "cpu"},
        {"kind": "process", "tag": "a", "precision": "bf16", "digest_graph": "1"},
        {"kind": "process", "tag": "b", "precision": "bf16", "digest_graph": "1", "digest_eager": "2"},
        {"kind": "process", "tag": "a", "precision": "fp32", "digest_graph": "1"},
        {"kind": "pace", "method": "c", "error": "RuntimeError: x"},
    ]
    parts = [{"part": "pace", "rc": 1}, {"part": "slow", "rc": 124}, {"part": "good", "rc": 0}]
    monkeypatch.delenv("DRY", raising=False)
    assert sorted(line.partition(":")[0] for line in failures(rows, parts)) == [
        *("method b bf16", "name auto", "pace c", "part pace", "process bf16", "process fp32", "resume bf16"),
        "resume fp32",
    ]
    lines = list(failures([], [{"part": "methods-0", "rc": 124}]))
    assert lines == [f"{kind}: nothing was compared" for kind in ("method", "process", "resume")]


def test_bundle_is_trained_without_hidden_modules_and_adopted(gpu, tmp_path):
    """The results are returned in several files, and the workflow accepts them as its own."""
    project = Project.create(tmp_path / "project")
    shutil.copytree(ROOT / "tools", project.path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    runs = [f"digits/{SETTING}/tiny/{method}/s0" for method in METHODS]
    project.snakemake("splits")
    project.call("python", "-m", "daso", "bundle", *runs, "--out", "bundles/tiny")
    out = tmp_path / "out"
    code, output, tree = check(project.path, out, gpu, STAGES="4", BUDGET="600")
    assert code == 0, output[-3000:]
    assert rows_of(tree, "bundle")[0]["runs"] == {run: {"finished": True} for run in runs}
    for folder in ("runs", "scratch"):
        shutil.rmtree(project.path / "bundles/tiny" / folder, ignore_errors=True)
    pieces = b"".join(piece.read_bytes() for piece in sorted(out.glob("bundle.tar.gz.*")))
    subprocess.run(["tar", "xz"], cwd=project.path, input=pieces, check=True)
    assert "adopted" in project.call("python", "-m", "daso", "adopt", "bundles/tiny")
    assert not [job for job in project.planned("runs") if job.startswith("train")]


@pytest.mark.parametrize(("pieces", "returned"), [("3", ["00", "01", "02"]), ("2", [])])
def test_bundle_in_too_many_pieces_is_not_returned(gpu, tmp_path, pieces, returned):
    """2.5 MB of noise, which gzip cannot compress, in pieces of 1 MiB."""
    folder = tmp_path / "bundle"
    (folder / "runs").mkdir(parents=True)
    (folder / "bundle.json").touch()
    (folder / "runs/noise").write_bytes(os.urandom(2_500_000))
    out = tmp_path / "out"
    variables = {"PYTHON": "true", "OUT": str(out), "GPU_CHECK_FOLDER": str(gpu), "STAGES": "4", "BUNDLE": str(folder)}
    process = subprocess.run(
        ["bash", "tools/gpu/check.sh"],
        **{"cwd": ROOT, "env": {**os.environ, **variables, "DRY": "1", "PIECE": "1", "PIECES": pieces}},
        **{"capture_output": True, "text": True, "check": True},
    )
    assert [path.suffix[1:] for path in sorted(out.glob("bundle.tar.gz.*"))] == returned
    assert ("3 pieces of 1 MiB exceed the maximum of 2; none is returned" in process.stdout) == (not returned)
