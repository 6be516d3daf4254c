"""A killed training resumes from its checkpoint, bit for bit."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from daso import paths
from daso.config.keys import Keys
from daso.config.resolve import parse_run
from daso.data.catalog import make_store
from daso.data.split import make_split
from tests.repository import PARAMS, ROOT

pytestmark = pytest.mark.xdist_group("workflow")
RUN = "digits/n20-m80-l20-u10r/smoke/fixmatch_la_daso/s0"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with the digits, a split of them and the configuration of a run."""
    from daso.config.resolve import data_config, split_config

    folder, params = tmp_path_factory.mktemp("project"), PARAMS
    run = parse_run(params, RUN)
    store = make_store(data_config(params, run.dataset), folder / paths.store(RUN))
    make_split(split_config(params, run.dataset, run.setting, run.seed), store, folder / paths.drawn_split(RUN))
    config = Keys(params).resolved(run)
    config["protocol"]["checkpoint_every"] = 7  # not a divisor of the evaluation interval
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def command(project: Path, name: str, *options: str, python: Path | str = sys.executable) -> list[str]:
    files = {
        "config": project / "config.json",
        "store": project / paths.store(RUN),
        "split": project / paths.drawn_split(RUN),
    }
    files |= {"out": project / name / "out", "scratch": project / name / "scratch"}
    return [str(python), "-m", "daso", "train", *(f"--{flag}={path}" for flag, path in files.items()), *options]


def files(project: Path, name: str) -> dict[str, bytes]:
    return {
        file: (project / name / "out" / file).read_bytes()
        for file in ("config.json", "history.csv", "predictions.npz", "final.pt")
    }


@pytest.fixture(scope="module")
def whole(project, programs):
    """Return the files of an uninterrupted run."""
    subprocess.run(command(project, "whole", python=programs / "python"), check=True, cwd=ROOT, capture_output=True)
    return files(project, "whole")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_and_resumed_run_has_the_files_of_a_whole_run(project, whole, programs, number):
    """Kill a real process after its first checkpoint, again after it has resumed, then let it end."""
    name = number.name
    seen: set[int] = set()
    for _ in range(2):
        process = subprocess.Popen(command(project, name), cwd=ROOT, stderr=subprocess.PIPE)
        seen.add(wait_for_checkpoint(project / name / "scratch", process, seen))
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode != 0
        assert not (project / name / "out" / "train.json").exists()
    done = subprocess.run(
        command(project, name, python=programs / "python"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "resumes at step" in done.stderr
    assert files(project, name) == whole
    assert not list((project / name / "scratch").glob("*.pt"))


def wait_for_checkpoint(scratch: Path, process: subprocess.Popen[bytes], seen: set[int]) -> int:
    """Wait for a checkpoint of a step that is not in `seen`; return the step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for path in scratch.glob("*.pt"):
            step = int(torch.load(path, weights_only=True)["t"])
            if step not in seen:
                return step
        time.sleep(0.002)
    pytest.fail(f"no new checkpoint: {process.communicate()[1].decode()}")


@pytest.mark.slow
def test_training_imports_no_yaml_reader_and_no_workflow(project, whole):
    """`train` and `evaluate` run without ruamel, snakemake, dvc and safetensors."""
    block = (
        "import sys\n"
        "for name in ('ruamel', 'ruamel.yaml', 'snakemake', 'dvc', 'safetensors', 'pytest'):\n"
        "    sys.modules[name] = None\n"
        "from daso.cli import main\n"
        "raise SystemExit(main(sys.argv[1:]))\n"
    )
    train = [sys.executable, "-c", block, *command(project, "bare")[3:]]
    subprocess.run(train, check=True, cwd=ROOT, capture_output=True)
    assert files(project, "bare") == whole
    out, metrics = project / "bare" / "out", project / "bare" / "metrics.json"
    options = [f"--run={out}", f"--out={metrics}"]
    subprocess.run([sys.executable, "-c", block, "evaluate", *options], check=True, cwd=ROOT, capture_output=True)
    numbers = json.loads(metrics.read_text())
    assert numbers["steps"] == 60
    assert numbers["evaluations"] == 3
    assert sum(map(sum, numbers["confusion"])) == 500
    assert sorted(numbers["counts"]["labeled"], reverse=True)[0] == 20


@pytest.mark.slow
def test_runs_of_a_bundle_trained_together_equal_runs_trained_alone(project, whole, programs):
    """Two runs in one process, stopped and resumed."""
    from daso.data.bundle import write_bundle

    config, params = json.loads((project / "config.json").read_text()), PARAMS
    other = Keys(params).resolved(parse_run(params, RUN.replace("fixmatch_la", "fixmatch")))
    write_bundle(project / "bundle", [config, other], project)
    train = [sys.executable, "-m", "daso", "train", f"--bundle={project / 'bundle'}", "--replicas=2"]
    process = subprocess.Popen(train, cwd=ROOT, stderr=subprocess.PIPE)
    wait_for_checkpoint(project / "bundle/scratch" / config["run"], process, set())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(list((project / "bundle/scratch").rglob("*.pt"))) == 2
    done = subprocess.run([programs / "python", *train[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.count("resumes at step") == 2
    out = project / "bundle/runs" / config["run"]
    assert {name: (out / name).read_bytes() for name in whole if name != "config.json"} == {
        name: content for name, content in whole.items() if name != "config.json"
    }
    speed = json.loads((out / "train.json").read_text())["speed"]
    assert speed["replicas"] == 2
    assert speed["processor_seconds"] > 0
    assert (project / "bundle/runs" / other["run"] / "train.json").exists()
