"""Decisions of the workflow: which jobs run after a change; without a change no job runs."""

import os
from collections import Counter

import pytest

from tests.workflow.conftest import set_weight
from tests.workflow.project import EVERYTHING, METHODS, SETTING, jobs, runs, with_own_images

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
NOTHING = Counter()
REPORT = Counter({"report tiny": 1})
DASO = METHODS[1]


def test_first_call_builds_everything_and_the_second_nothing(built):
    assert jobs(built.first) == EVERYTHING
    assert (built.path / "reports/tiny/index.html").stat().st_size > 0
    assert "Nothing to be done" in built.snakemake()


def test_jobs_run_on_one_thread(built):
    assert '"threads": 1' in built.read(f"metrics/digits/{SETTING}/tiny/{DASO}/s0.json")


@pytest.mark.parametrize(
    ("file", "edit", "expected"),
    [
        (f"methods/{DASO}.yaml", set_weight(0.5), runs(DASO)),
        ("protocols/tiny.yaml", lambda t: t["optimizer"].update(weight_decay=1e-5), runs(*METHODS)),
        ("protocols/tiny.yaml", lambda t: t["optimizer"].update(lr=0.02), runs(DASO)),  # supervised has its own rate
        ("protocols/tiny.yaml", lambda t: t.update(checkpoint_every=3), REPORT),
        (f"methods/{DASO}.yaml", lambda t: t.insert(0, "addons", t.pop("addons"), comment="moved"), NOTHING),
        ("suites/tiny.yaml", lambda t: t["seeds"].append(1), Counter(["split 1"]) + runs(*METHODS, seeds=[1])),
        ("suites/tiny.yaml", lambda t: t["tables"][0].update(methods=[DASO]), REPORT),
        ("datasets/digits.yaml", lambda t: t["settings"][SETTING].update(m1=70), Counter(["split 0"]) + runs(*METHODS)),
    ],
)
def test_change_of_params_runs_only_affected_jobs(built, project, file, edit, expected):
    project.edit(file, edit)
    assert project.planned(agreed=True) == expected


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("daso/methods/addons/daso.py", "# a comment\n", NOTHING),
        ("daso/methods/addons/daso.py", "X = 1\n", runs(DASO)),
        ("daso/report/suite_report.py", "X = 1\n", REPORT),
        ("workflow/rules/train.smk", "# a comment\n", NOTHING),
    ],
)
def test_change_of_code_runs_only_jobs_that_use_it(project, file, line, expected):
    project.write(file, project.read(file) + "\n" + line)
    assert project.planned(agreed=True) == expected


def test_other_suite_is_built_by_option_or_by_the_path_of_its_report(project):
    project.write("params/suites/more.yaml", project.read("params/suites/tiny.yaml"))
    assert project.planned() == NOTHING
    expected = Counter(["correct more", "report more"])
    assert project.planned("--config", "suite=more") == project.planned("reports/more/index.html") == expected


def test_only_a_report_with_a_tsne_reads_predictions(project):
    suite = project.read("params/suites/tiny.yaml")
    for name, analyses, reads in (("groups", "[groups]", False), ("tsne", "[groups, tsne]", True)):
        project.write(f"params/suites/{name}.yaml", f"{suite}analyses: {analyses}\n")
        planned = project.snakemake("-n", f"reports/{name}/index.html")
        assert "history.csv" in planned
        assert (f"runs/{RUN}/predictions.npz" in planned) == reads


def test_page_of_contradictions_is_rebuilt_only_for_other_published_numbers(project):
    page = Counter({"contradictions": 1})
    assert jobs(project.snakemake("contradictions")) == page
    assert project.read("reports/contradictions/contradictions.csv").count("\n") > 1
    assert project.planned("reports/contradictions/index.html") == NOTHING
    assert project.planned() == NOTHING
    sources = project.read("reports/paper/sources.csv")
    project.write("reports/paper/sources.csv", sources.replace("SGD 0.03", "SGD 0.04"))
    assert project.planned("reports/contradictions/index.html") == page
    assert project.planned() == REPORT


def test_changed_image_folder_is_read_again_and_a_missing_one_is_not(project):
    with_own_images(project)
    again = Counter(["download own", "split 0"])
    assert jobs(project.snakemake("splits")) == again
    assert project.planned("splits") == NOTHING
    (project.path / "images/train/cat/0.png").rename(project.path / "images/train/dog/8.png")
    assert jobs(project.snakemake("splits")) == again
    assert project.planned("splits") == NOTHING
    project.write("images/train/cat/broken.png", "not an image")
    project.snakemake("splits", fails=True)
    project.call("rm", "images/train/cat/broken.png")
    assert project.planned("splits") == NOTHING  # a failed read deletes the store; current splits do not need it
    assert jobs(project.snakemake("data")) == Counter(["download own"])
    (project.path / "images").rename(project.path / "gone")
    assert project.planned("splits") == NOTHING
    project.edit("datasets/own.yaml", lambda t: t.update(holdout=4))
    assert project.planned("splits") == Counter(["split 0"])
    project.edit("datasets/own.yaml", lambda t: t.update(image_size=5))
    assert project.snakemake("splits", fails=True).count("images: no such file or folder") == 1


def test_modification_times_are_ignored(project):
    for path in [project.path / "data/store/digits/manifest.json", *project.path.glob("runs/**/final.pt")]:
        path.touch()
    assert project.planned(agreed=True) == NOTHING


def test_decisions_do_not_depend_on_files_of_snakemake(project):
    project.call("rm", "-rf", ".snakemake")
    assert project.planned(agreed=True) == NOTHING
    project.edit(f"methods/{DASO}.yaml", set_weight(0.5))
    assert project.planned(agreed=True) == runs(DASO)


RUN, DRAWN = f"digits/{SETTING}/tiny/{DASO}/s0", f"data/splits/digits/{SETTING}/s0"
EVALUATED, CORRECTED = Counter([f"evaluate {DASO} 0"]) + REPORT, Counter(["correct tiny"]) + REPORT


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        ("data", NOTHING),  # finished runs need neither images nor splits
        (f"{DRAWN}.key", NOTHING),
        (f"runs/{RUN}", runs(DASO)),
        (f"runs/{RUN}/final.pt", runs(DASO)),
        (f"metrics/{RUN}.json", EVALUATED),
        (f"metrics/{RUN}.key", EVALUATED),
        (f"corrections/{RUN}.json", CORRECTED),
        ("corrections/tiny.done", NOTHING),
        ("reports/tiny/report.md", REPORT),
        ("reports/tiny/key", REPORT),
        ("reports/tiny/tables/table-A-measures.csv", REPORT),
    ],
)
def test_only_deleted_outputs_that_are_needed_are_rebuilt(project, gone, again):
    project.call("rm", "-r", gone)
    assert project.planned(agreed=True) == again


def test_damaged_result_is_reported_and_not_replaced(project):
    """A copy of the file may exist, for example in DVC's cache."""
    damaged = f"runs/{RUN}/train.json"
    project.write(damaged, "{")
    assert project.planned(agreed=True) == NOTHING
    for output in (project.snakemake("-n"), project.call("python", "-m", "daso", "list")):
        (line,) = (line for line in output.splitlines() if line.startswith(f"{damaged}: not a readable result"))
        assert line.endswith(f"; delete it and run `snakemake {damaged}` again")
    assert f"{RUN}\tdamaged" in output.splitlines()


@pytest.mark.parametrize("kind", ["another run's", "half a file"])
def test_run_with_a_damaged_result_is_not_replaced_if_other_files_are_missing(project, kind):
    folder = project.path / f"runs/digits/{SETTING}/tiny/{METHODS[0]}/s0"
    content = (project.path / "runs" / RUN / "train.json").read_bytes()
    (folder / "train.json").write_bytes(content if kind == "another run's" else content[:100])
    (folder / "final.pt").unlink()
    assert project.planned(agreed=True) == NOTHING


def test_deleted_store_is_read_again_for_a_new_run_and_finished_runs_stay(project):
    project.call("rm", "-r", "data")
    project.edit("suites/tiny.yaml", lambda t: t["seeds"].append(1))
    expected = Counter(["download digits", "split 1"]) + runs(*METHODS, seeds=[1])
    assert project.planned(agreed=True) == expected
    assert jobs(project.snakemake()) == expected
    assert project.planned(agreed=True) == NOTHING


def test_run_trained_again_with_different_bits_is_evaluated_again(project):
    project.trained_elsewhere(RUN, "history.csv")
    assert project.planned(agreed=True) == EVALUATED
    project.snakemake("metrics")
    assert project.planned(agreed=True) == REPORT
    project.snakemake()
    assert project.planned(agreed=True) == NOTHING


def test_forced_jobs_run_in_order(project):
    """With --forceall the report shows the new metrics."""
    assert jobs(project.snakemake("--forceall")) == EVERYTHING
    assert "under way" not in project.read("reports/tiny/report.md")
    assert project.planned(agreed=True) == NOTHING
    assert project.planned("--forcerun", "train") == Counter([f"train {method} 0" for method in METHODS])


def test_outputs_with_times_in_the_future_are_rebuilt(project):
    """A machine with a wrong clock may have written them."""
    metrics = project.path / f"metrics/{RUN}.json"
    project.call("rm", "-r", "benchmarks")
    project.write(f"metrics/{RUN}.key", "0000\n")
    for path in (metrics, metrics.with_suffix(".key")):
        os.utime(path, (2**31 - 1000, 2**31 - 1000))
    assert project.planned(agreed=True) == EVALUATED
    assert jobs(project.snakemake()) == EVALUATED
    assert project.planned(agreed=True) == NOTHING


def test_rerun_triggers_other_than_mtime_are_refused(project):
    output = project.snakemake("-n", "--workflow-profile", "none", fails=True)
    assert output.splitlines()[-1].startswith("--rerun-triggers: expected only mtime, as in profiles/default; ")


def test_call_works_from_a_different_folder_and_without_a_home(project, tmp_path):
    output = project.snakemake("-n", HOME="/proc", XDG_CACHE_HOME="")
    assert "Nothing to be done" in output
    project.call("snakemake", "-n", "-s", project.path / "Snakefile", "-d", project.path, "--cores", "1", cwd=tmp_path)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tiny", "tiny: a suite, not a rule; run `snakemake --config suite=tiny`"),
        ("metrcs", "metrcs: unknown rule or suite; did you mean 'metrics'?"),
        ("reports/tinny/index.html", "params/suites: unknown suite 'tinny'; did you mean 'tiny'?"),
        ("corrections/tinny.done", "params/suites: unknown suite 'tinny'; did you mean 'tiny'?"),
        ("data/store/digit/manifest.json", "digit: unknown dataset; did you mean 'digits'?"),
        (f"data/splits/digits/{SETTING}r/s0.json", f"{SETTING}r: unknown setting; did you mean '{SETTING}'?"),
        (
            f"runs/{RUN}/split.json",
            f"{RUN}: has no derived split; create the drawn split {DRAWN}.json",
        ),
        (
            f"metrics/digits/{SETTING}/tiny/fixmatch_dso/s0.json",
            f"digits/{SETTING}/tiny/fixmatch_dso/s0: unknown method 'fixmatch_dso'; did you mean 'fixmatch_daso'?",
        ),
    ],
)
def test_misspelled_target_is_reported_in_one_line(project, target, message):
    assert project.snakemake("-n", target, fails=True).splitlines()[-1] == message


BAD = [
    (f"methods/{DASO}.yaml", lambda t: t["addons"][0].update(wieght=1), "add-on 'daso': unknown option 'wieght'"),
    ("protocols/tiny.yaml", lambda t: t.update(steps="six"), "steps: expected an integer, <n> epochs, <n> labeled"),
    (
        "suites/tiny.yaml",
        lambda t: t["tables"][0].update(methods=["fixmtch"]),
        "table 'digits': unknown method 'fixmtch'",
    ),
]


def test_invalid_params_are_reported_in_one_line_each_and_nothing_runs(project):
    for file, edit, _ in BAD:
        project.edit(file, edit)
    lines = [f"params/{file}: {message}" for file, _, message in BAD]
    run = f"digits/{SETTING}/tiny/{DASO}/s0"
    for output in (
        project.snakemake(fails=True),
        project.call("python", "-m", "daso", "resolve", run, fails=True),
        project.dvc("repro", fails=True),
    ):
        assert [sum(printed.startswith(line) for printed in output.splitlines()) for line in lines] == [1, 1, 1]
        assert "Traceback" not in output
        assert jobs(output) == NOTHING


def test_unknown_suite_and_unknown_config_key_are_refused(project):
    output = project.snakemake("--config", "sute=tiny", fails=True)
    assert "--config sute: unknown key; did you mean 'suite'?" in output.splitlines()
    output = project.snakemake("--config", "suite=", fails=True)
    assert "--config suite: missing value; name a suite" in output.splitlines()
    output = project.snakemake("--config", "suite=tinny", fails=True)
    assert "params/suites: unknown suite 'tinny'; did you mean 'tiny'?" in output.splitlines()
    assert "Traceback" not in output
