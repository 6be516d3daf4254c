import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daso.config.keys import ENTRIES, Keys
from daso.config.load import load_params
from daso.config.registry import specs_of
from daso.config.resolve import parse_run, resolve, runs
from daso.data.folder_digest import digest_folder
from daso.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "data/catalog.py": "",
    "data/split.py": "",
    "data/store.py": "",
    "config/build.py": "from daso.config.registry import LEARNERS\nfrom daso.engine import train\n",
    "config/registry.py": "",
    "engine/environment.py": "",
    "engine/metrics.py": "from daso.engine import train\n",
    "engine/results.py": "",
    "engine/train.py": "from daso.ops import losses\n",
    "methods/learners/supervised.py": "from daso.methods import base\n",
    "methods/learners/fixmatch.py": "from daso.methods import base\n",
    "methods/addons/daso.py": "from daso.methods import memory\n",
    "methods/base.py": "",
    "methods/memory.py": "",
    "models/small_convnet.py": "",
    "models/wide_resnet.py": "",
    "ops/corrections.py": "",
    "ops/losses.py": "",
    "report/suite_report.py": "",
    "runs/corrections.py": "from daso.engine import train\nfrom daso.ops import corrections\n",
    "../reports/templates/page.html.j2": "a template",
}
STAGES = ("data", "split", "train", "evaluate", "corrections", "report")


@pytest.fixture
def state(params, tmp_path):
    """Return `state()`, all keys of the smoke suite, with `state.edit(file, text)` for the code in tmp_path/code."""
    root = tmp_path / "code"

    def edit(file, text):
        path = root / "daso" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for file, text in FILES.items():
        edit(file, text + "x = 1\n")

    def compute():
        clear_module_caches()
        loaded = load_params()
        keys = Keys(loaded, root)
        smoke = runs(loaded, "smoke")
        return {
            "data": {"digits": keys.data("digits")},
            "split": {run.seed: keys.split(run.dataset, run.setting, run.seed) for run in smoke},
            "train": {f"{run.method}/{run.seed}": keys.train(run) for run in smoke},
            "evaluate": {f"{run.method}/{run.seed}": keys.evaluate(run) for run in smoke},
            "corrections": {f"{run.method}/{run.seed}": keys.corrections(run) for run in smoke},
            "report": {"smoke": keys.report("smoke")},
        }

    compute.edit, compute.params = edit, params
    return compute


def clear_module_caches():
    """Read the code again, as a new process does."""
    from daso.config import code

    code._cached_digests_and_imports.cache_clear()
    code._digest_and_imports.cache_clear()


def changed(before, after):
    """Return the methods, or other names, whose keys differ, by stage."""
    names = {
        stage: {str(name).split("/")[0] for name, key in before[stage].items() if after[stage].get(name) != key}
        for stage in STAGES
    }
    return {stage: changed_names for stage, changed_names in names.items() if changed_names}


ALL = {"supervised", "fixmatch", "fixmatch_daso"}
REPORT = {"report": {"smoke"}}


def of(*methods):
    return {**dict.fromkeys(("train", "evaluate", "corrections"), set(methods)), **REPORT}


@pytest.mark.parametrize(
    ("file", "edit", "expected"),
    [
        ("methods/fixmatch_daso.yaml", lambda t: t["addons"][0].update(weight=0.5), of("fixmatch_daso")),
        ("methods/fixmatch_daso.yaml", lambda t: t["addons"][0].update(period=7), REPORT),
        ("methods/fixmatch.yaml", lambda t: t["learner"].update(threshold=0.9), of("fixmatch")),
        ("methods/fixmatch.yaml", lambda t: t.update(title="Other"), REPORT),
        ("methods/fixmatch.yaml", lambda t: t.insert(0, "unlabeled_ratio", t.pop("unlabeled_ratio")), {}),
        ("protocols/smoke.yaml", lambda t: t["optimizer"].update(weight_decay=1e-5), of(*ALL)),
        ("protocols/smoke.yaml", lambda t: t["overrides"].update({"optimizer.lr": 0.5}), of("supervised")),
        ("protocols/smoke.yaml", lambda t: t["overrides"].update({"daso.period": 5}), of("fixmatch_daso")),
        ("protocols/smoke.yaml", lambda t: t.update(checkpoint_every=7), REPORT),
        ("protocols/smoke.yaml", lambda t: t.update(note="other"), REPORT),
        ("protocols/digits.yaml", lambda t: t.update(steps=2400), {}),
        ("suites/smoke.yaml", lambda t: t.update(note="other"), REPORT),
        ("suites/quickstart.yaml", lambda t: t.update(note="other"), {}),
        ("datasets/digits.yaml", lambda t: t.update(mean=[0.1] * 3), of(*ALL)),
        ("datasets/digits.yaml", lambda t: t.update(title="other"), REPORT),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10r"].update(m1=70),
            {"split": {"0", "1"}, **of(*ALL)},
        ),
        ("datasets/digits.yaml", lambda t: t["settings"]["n20-m80-l20-u10"].update(m1=70), REPORT),
    ],
)
def test_change_of_params_changes_the_keys_that_depend_on_it(state, file, edit, expected):
    before = state()
    state.params(file, edit)
    assert changed(before, state()) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("methods/addons/daso.py", of("fixmatch_daso")),
        ("methods/memory.py", of("fixmatch_daso")),
        ("methods/learners/fixmatch.py", of("fixmatch", "fixmatch_daso")),
        ("methods/learners/supervised.py", of("supervised")),
        ("methods/base.py", of(*ALL)),
        ("ops/losses.py", of(*ALL)),
        ("models/small_convnet.py", of(*ALL)),
        ("models/wide_resnet.py", {}),
        ("config/registry.py", {}),
        ("runs/corrections.py", {"corrections": ALL, **REPORT}),
        ("ops/corrections.py", {"corrections": ALL, **REPORT}),
        ("report/suite_report.py", REPORT),
        ("../reports/templates/page.html.j2", REPORT),
        ("../docs/fidelity.md", REPORT),
        ("../pyproject.toml", REPORT),
        ("data/catalog.py", {"data": {"digits"}, "split": {"0", "1"}, **of(*ALL)}),
    ],
)
def test_change_of_code_changes_the_keys_that_depend_on_it(state, file, expected):
    before = state()
    state.edit(file, "x = 2\n" if "registry" not in file else "LEARNERS = 3\n")
    assert changed(before, state()) == expected


def test_archived_run_changes_only_the_key_of_the_report(state, tmp_path):
    """Archived runs are read from the project, not from the folder of the code."""
    before = state()
    path = tmp_path / "reports/measured/digits/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    archived = state()
    assert changed(before, archived) == REPORT
    path.write_text('{"run": ""}')
    assert changed(archived, state()) == REPORT


def test_mark_of_a_difference_from_the_paper_changes_only_the_key_of_the_report(state):
    before = state()
    state.edit("ops/losses.py", "x = 1  # fidelity: teacher-bn\n")
    assert changed(before, state()) == REPORT


def test_comment_changes_no_key(state):
    before = state()
    state.edit("ops/losses.py", '"""What it is."""\n\n# why\nx = 1  # so\n')
    assert changed(before, state()) == {}


def test_swapped_values_change_the_key(state):
    def swap(tree):
        addon = tree["addons"][0]
        addon["proto_temperature"], addon["weight"] = addon["weight"], addon["proto_temperature"]

    before = state()
    state.params("methods/fixmatch_daso.yaml", swap)
    assert changed(before, state()) == of("fixmatch_daso")


def test_changed_image_folder_changes_every_key(state, tmp_path):
    def own(tree):
        tree["source"] = {"kind": "image_folder", "path": str(tmp_path / "own")}

    for name in ("train/cat/1.png", "train/dog/1.png"):
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_bytes(b"x")
    state.params("datasets/digits.yaml", own)
    before = state()
    assert changed(before, state()) == {}
    (tmp_path / "own/train/cat/1.png").rename(tmp_path / "own/train/dog/2.png")
    after = state()
    assert changed(before, after) == {"data": {"digits"}, "split": {"0", "1"}, **of(*ALL)}

    # If the folder is missing, the manifest of the store has its listing.
    Path("data/store/digits").mkdir(parents=True)
    Path("data/store/digits/manifest.json").write_text(
        json.dumps({"source": {"listing": digest_folder(tmp_path / "own")}})
    )
    shutil.rmtree(tmp_path / "own")
    assert changed(after, state()) == {}
    Path("data/store/digits/manifest.json").write_text('{"source": {"kind": "digits"}}')
    assert changed(after, state()) != {}


def test_path_of_an_image_folder_changes_only_the_key_of_the_report(state, tmp_path, monkeypatch):
    """A different folder, a different spelling of its path, and skipping of unreadable files."""

    def source(**entries):
        state.params("datasets/digits.yaml", lambda tree: tree.update(source={"kind": "image_folder", **entries}))

    for name in ("train/cat/1.png", "train/dog/1.png"):
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_bytes(b"x")
    source(path=str(tmp_path / "own"))
    before = state()
    source(path=f"{tmp_path}/own/")
    assert changed(before, state()).keys() <= {"report"}
    (tmp_path / "own").rename(tmp_path / "elsewhere")
    source(path=str(tmp_path / "elsewhere"), override="DASO_OWN", skip_unreadable=True)
    assert changed(before, state()).keys() <= {"report"}
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "below/top")
    monkeypatch.setenv("DASO_OWN", str(tmp_path / "below"))
    assert changed(before, state()).keys() <= {"report"}
    (tmp_path / "below/top/train/cat/1.png").write_bytes(b"xy")
    assert "data" in changed(before, state())


def test_override_with_a_missing_folder_is_an_error(state, monkeypatch):
    source = {"kind": "image_folder", "path": "own", "override": "DASO_OWN"}
    state.params("datasets/digits.yaml", lambda tree: tree.update(source=source))
    state()  # raises no error: copies of the project may lack the folder
    monkeypatch.setenv("DASO_OWN", "/nowhere")
    with pytest.raises(DataError, match="^/nowhere: missing, but DASO_OWN points to it; correct or unset DASO_OWN"):
        state()


def test_resolved_configuration_has_its_key(params, state):
    loaded = load_params()
    run = parse_run(loaded, "digits/n20-m80-l20-u10r/smoke/fixmatch/s0")
    keys = Keys(loaded, Path("code"))
    assert keys.resolved(run)["key"] == keys.train(run)
    assert len(keys.train(run)) == 16


def test_only_encoding_fits_training_and_corrections_import_torch():
    """An import of torch takes seconds, and the workflow starts a process for each split and each run's metrics."""
    computing = ("encode", "fit", "train", "corrections")
    entries = [entry for stage, modules in ENTRIES.items() if stage not in computing for entry in modules]
    code = f"import sys, {', '.join(entries)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_only_the_key_of_a_survey_covers_the_estimate_of_class_sizes():
    loaded = load_params(ROOT / "params")
    for method, covered in (("supervised", False), ("supervised_survey", True)):
        config = resolve(loaded, parse_run(loaded, f"digits/n20-m80-l20-u10r/digits/{method}/s0"))
        modules = Keys(loaded).modules("train", specs_of(config))
        assert ("daso.engine.survey" in modules, "daso.ops.estimation" in modules) == (covered, covered)
