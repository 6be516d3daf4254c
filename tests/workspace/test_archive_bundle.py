"""Runs of a trained bundle are archived and reported, also if the code has changed since."""

import json
import shutil
from pathlib import Path

import pytest

from daso.cli import main
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import parse_run, split_config
from daso.data.bundle import write_bundle
from daso.data.catalog import make_store
from daso.data.files import checksummed, file_digest
from daso.data.split import make_split
from daso.engine.metrics import run_metrics
from daso.errors import DataError
from daso.report.suite_report import write_report
from daso.runs.train import Execution
from daso.runs.train_bundle import train_bundle
from daso.workspace.adopt import adopt_bundle
from daso.workspace.archive import keep_bundle
from tests.engine.world import CPU

RUN = "digits/n20-m80-l20-u10r/smoke/supervised/s0"
CRT = "digits/n20-m80-l20-u10r/smoke/supervised_crt/s0"  # trains on the frozen encoder of RUN
BOTH = Path("bundles/both")
COMMIT, BUNDLE, KEPT = "0123456789ab", Path("bundles/x"), Path("reports/measured", RUN)


@pytest.fixture(scope="module")
def trained(read_params, tmp_path_factory):
    """Return a project with two bundles trained at COMMIT, of RUN and of RUN with CRT, and the key of RUN."""
    root = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(read_params, root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DASO_COMMIT", COMMIT)
        params = load_params()
        base, run = (parse_run(params, name) for name in (RUN, CRT))
        source = {"dataset": "digits", "source": {"kind": "digits"}, "num_classes": 10, "image_size": 8}
        store = make_store(source, Path("data/store/digits"))
        make_split(
            split_config(params, run.dataset, run.setting, 0), store, Path("data/splits/digits", run.setting, "s0.json")
        )
        config, last = (Keys(params).resolved(one) for one in (base, run))
        write_bundle(BUNDLE, [config], commit=COMMIT)
        train_bundle(BUNDLE, Execution(CPU))
        write_bundle(BOTH, [config, last], commit=COMMIT)
        train_bundle(BOTH, Execution(CPU))
    return root, config["key"]


@pytest.fixture
def key(trained, workspace):
    """Make a working copy with only params/ and the trained bundles; return the key of RUN."""
    root, key = trained
    shutil.copytree(root / "bundles", workspace / "bundles")
    return key


def change_result(**changes):
    """Change the run's train.json; its checksum is correct."""
    path = BUNDLE / "runs" / RUN / "train.json"
    tree = json.loads(path.read_text())
    path.write_bytes(
        checksummed({**tree, **changes, "provenance": {**tree["provenance"], **changes.get("provenance", {})}})
    )


def test_run_of_older_code_is_archived_from_its_bundle_and_reported(key, monkeypatch):
    monkeypatch.setattr(Keys, "_code_of", lambda self, stage, specs: "newer code")
    assert Keys(load_params()).train(parse_run(load_params(), RUN)) != key
    hint = f"trained with key {key}, but .*; keep its numbers for reports with `daso keep --bundle {BUNDLE}`, or"
    with pytest.raises(DataError, match=hint):
        adopt_bundle(BUNDLE)
    assert main(["keep", "--bundle", str(BUNDLE)]) == 0
    metrics = json.loads((KEPT / "metrics.json").read_text())
    assert (metrics["run"], metrics["key"], metrics["provenance"]["commit"]) == (RUN, key, COMMIT)
    assert {"device", "versions"} <= metrics["provenance"].keys()
    assert metrics["top1"] == run_metrics(BUNDLE / "runs" / RUN)["top1"]
    assert (KEPT / "history.csv").read_bytes() == (BUNDLE / "runs" / RUN / "history.csv").read_bytes()
    write_report("smoke", Path("out"))
    number = f"{100 * metrics['top1']['median']:.1f}"
    markdown = Path("out/report.md").read_text()
    assert f"**{number}** (a), n = 1" in markdown
    assert f" at commit {COMMIT}" in markdown


@pytest.mark.parametrize("name", [f"runs/{RUN}/history.csv", f"runs/{RUN}/final.pt", f"configs/{RUN}.json"])
def test_damaged_file_of_the_bundle_is_refused(key, name):
    path = BUNDLE / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match=f"{path}: damaged"):
        keep_bundle(BUNDLE)
    assert not KEPT.exists()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key": "another"}, "trained with key another, but the bundle was packed with"),
        ({"provenance": {"config_sha256": "another"}}, "but the bundle was packed with"),
        ({"provenance": {"split_sha256": "another"}}, "trained with a different split than"),
        ({"provenance": {"commit": f"{COMMIT}-dirty"}}, f"expected a run trained from a commit, got {COMMIT}-dirty;"),
    ],
)
def test_run_that_is_not_the_packed_one_is_refused(key, changes, error):
    change_result(**changes)
    with pytest.raises(DataError, match=error):
        keep_bundle(BUNDLE)
    assert not KEPT.exists()


def test_unfinished_run_and_run_of_a_different_bundle_are_refused(key):
    with pytest.raises(DataError, match=f"s1: not in this bundle; pack it, or name one of {RUN}"):
        keep_bundle(BUNDLE, [RUN.replace("s0", "s1")])
    (BUNDLE / "runs" / RUN / "train.json").unlink()
    with pytest.raises(DataError, match="s0: not finished; train it"):
        keep_bundle(BUNDLE, [RUN])
    with pytest.raises(DataError, match=f"contains no finished run; train it with `daso train --bundle {BUNDLE}`"):
        keep_bundle(BUNDLE)


def test_run_with_a_plan_is_archived_with_the_digest_of_its_upstream_file(key):
    """CRT loads the encoder of RUN in the same bundle; both runs are archived, and CRT records its digest."""
    encoder = BOTH / "runs" / RUN / "final.pt"
    assert keep_bundle(BOTH) == [KEPT, Path("reports/measured", CRT)]
    metrics = json.loads(Path("reports/measured", CRT, "metrics.json").read_text())
    assert metrics["provenance"]["upstream"] == {"encoder": file_digest(encoder, "sha256")}
    assert (metrics["run"], metrics["provenance"]["commit"]) == (CRT, COMMIT)


def test_run_whose_upstream_file_was_replaced_is_refused(key):
    """RUN is trained again after CRT and its weights change; CRT's numbers do not belong to this encoder."""
    folder = BOTH / "runs" / RUN
    weights = folder / "final.pt"
    weights.write_bytes(weights.read_bytes() + b"other")
    record = json.loads((folder / "train.json").read_text())
    record["files"]["final.pt"] = file_digest(weights, "sha256")
    (folder / "train.json").write_bytes(checksummed(record))
    with pytest.raises(DataError, match=f"{CRT}: trained with a different encoder than {weights}"):
        keep_bundle(BOTH, [CRT])
    assert not Path("reports/measured").exists()


def test_keep_without_arguments_is_refused(key, capsys):
    assert main(["keep"]) == 1
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "keep: expected runs or a --bundle of finished runs, got neither; name them"
    )
