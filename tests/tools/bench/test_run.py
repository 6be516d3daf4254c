"""Each part of the speed benchmark once, at tiny sizes."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from daso.errors import DasoError
from tests.configs import CPU, DASO, config
from tools.bench import contenders, steps
from tools.bench.reference import plain_pytorch
from tools.bench.run import run
from tools.bench.setup import Bench, tiny
from tools.bench.worker import Worker, start_workers

pytestmark = pytest.mark.usefixtures("kept_settings")


def measured(tmp_path: Path, *parts: str, configs=((), (DASO,))):
    page = run([config(*addons) for addons in configs], tmp_path, "cpu", parts, repeats=2, quick=True)
    sections = json.loads(page.with_suffix(".json").read_text())["sections"]
    assert list(sections) == list(parts)
    for part in parts:
        assert f"## {part}\n" in page.read_text()
        assert f"python -m tools.bench speed --parts {part} --device cpu --repeats 2 --quick\n" in page.read_text()
    return sections


def cells(section, table=0):
    """Return the rows of a table by their first cell."""
    return {row[0]: row[1:] for row in section["tables"][table]["rows"]}


def test_benchmark_measures_augmentation(tmp_path):
    section = measured(tmp_path, "augmentation")["augmentation"]
    assert [table["title"] for table in section["tables"]] == ["Weak views", "Strong views", "The data path of a step"]
    for table in section["tables"]:
        assert all(row[1]["n"] == 2 and 0 < row[1]["low"] <= row[1]["high"] for row in table["rows"])
    assert len(section["targets"]) == 3


def test_benchmark_measures_steps(tmp_path):
    section = measured(tmp_path, "steps")["steps"]
    assert [table["title"] for table in section["tables"]] == ["Steps of fixmatch", "Steps of fixmatch_daso"]
    rows = cells(section)
    assert {"reference with its DataLoaders", "reference, batches at hand", "ours, eager, fp32"} <= rows.keys()
    assert rows["reference with its DataLoaders"][2]["median"] == 1.0
    milliseconds, images, *_, hours = rows["ours, eager, fp32"]
    assert hours == pytest.approx(milliseconds["median"] / 1e3 * 1000 / 3600)  # 1,000 steps
    assert images["high"] == pytest.approx(8 * 5 / milliseconds["low"] * 1e3)  # 8 labeled, 16 unlabeled in two views


def test_failed_contender_is_reported_and_the_others_are_measured(monkeypatch):
    def broken(name, *args):
        if name == contenders.REFERENCE_STEP:
            raise RuntimeError("no compiler\nand more")
        return create(name, *args)

    create = contenders.create
    monkeypatch.setattr(steps, "create", broken)
    bench = Bench([tiny(config())], CPU, 1, ("eager",), quick=True)
    with ExitStack() as stack:
        ready, failed = steps._contenders(bench, bench.config, stack)
    assert failed == ["fixmatch, reference, batches at hand: no compiler."]
    assert contenders.REFERENCE_STEP not in ready
    assert len(ready) >= 2


def test_benchmark_measures_the_roofline(tmp_path):
    section = measured(tmp_path, "ceiling")["ceiling"]
    assert [table["title"] for table in section["tables"]] == ["The machine", "The step against it"]
    reached = cells(section)["product of two 64 x 64 matrices, fp32"]
    side = section["seconds"]["ceiling"]["fp32"]
    assert reached[0]["high"] == pytest.approx(2 * 64**3 / min(side) / 1e9)


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_benchmark_measures_replicas(tmp_path):
    section = measured(tmp_path, "replicas")["replicas"]
    rows = cells(section)
    assert list(rows) == ["1 run in one process", "2 runs in one process", "1 process of one thread",
                          "2 processes of one thread"]  # fmt: skip
    assert rows["1 run in one process"][1]["median"] == rows["1 process of one thread"][1]["median"] == 1.0


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_benchmark_measures_memory(tmp_path):
    section = measured(tmp_path, "memory", configs=((DASO,),))["memory"]
    for peak, before, images in cells(section).values():
        assert peak > before > 0
        assert 0 < images < peak


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_benchmark_measures_growth_with_the_number_of_images(tmp_path):
    section = measured(tmp_path, "growth")["growth"]
    rows = cells(section)
    assert list(rows) == ["1,000 resident", "1,000 streamed", "2,000 resident", "2,000 streamed"]
    assert rows["2,000 resident"][2:4] == [pytest.approx(2000 * 192 / 2**20), pytest.approx(2000 * 256 / 2**20)]
    assert rows["2,000 streamed"][3] == 0


@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_benchmark_imports_without_packages_that_a_gpu_machine_may_lack():
    absent = "import sys; sys.modules |= dict.fromkeys(('ruamel', 'ruamel.yaml', 'snakemake', 'dvc'))"
    imports = "import tools.bench.run, tools.bench.worker, tools.bench.contenders, tools.bench.stores"
    command = [sys.executable, "-c", f"{absent}; {imports}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.xdist_group("workflow")
@pytest.mark.usefixtures("quick_python")
def test_failed_worker_raises():
    request = {"name": "ours, eager, fp32", "config": {}, "device": "cpu", "seconds": 0.0}
    with pytest.raises(DasoError, match="a worker process exited with status 1"), start_workers([request], 1):
        pass


def test_worker_replies_line_by_line(monkeypatch):
    monkeypatch.setattr(sys, "executable", str(Path(__file__).with_name("echo.py")))
    worker = Worker({"first": 1}, threads=3)
    assert worker.receive() == {"line": {"first": 1}, "threads": "3"}
    assert worker.run(5) == {"line": 5, "threads": "3"}
    worker.close()
    assert worker.process.returncode == 0


def test_plain_pytorch_restores_settings_after_an_error():
    torch.use_deterministic_algorithms(True)
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), plain_pytorch():
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.allow_tf32
        1 / 0  # noqa: B018
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ["speed"]}, "unknown part 'speed'; choose one of augmentation"),
        ({"configs": []}, "at least one"),
        ({"repeats": 0}, "repeats: 0 is below the minimum 1"),
        ({"modes": ["graph"]}, "needs a CUDA device"),
    ],
)
def test_invalid_options_are_refused(tmp_path, options, message):
    with pytest.raises(DasoError, match=message):
        run(**{"configs": [config()], "out": tmp_path, "device": "cpu"} | options)
    assert not list(tmp_path.iterdir())
