"""Commands in README.md and docs/ can be run, and links lead somewhere.

A command of a shell block has a proof: a test that runs such a command. Besides, each command is parsed here by its own
command line: `make -n`, the arguments of Snakemake and DVC, the help of `daso`. `daso` commands that only read are run.
"""

import contextlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML
from snakemake.cli import get_argument_parser

from daso.cli import main
from daso.config.load import load_params
from daso.config.resolve import parse_run
from daso.data.dataset_schemas import Setting
from daso.data.labels_csv import read_labels
from daso.schema import schema_error

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINKED = [*PAGES, *(ROOT / name / "README.md" for name in ("reports/measured", "reports/paper", "tests/golden"))]
OWN_DATA = ROOT / "docs/own_data.md"
PROGRAMS = ("daso", "python -m daso", "snakemake", "dvc", "make")
READ_ONLY = re.compile(r"daso (list|watch|explain|cell|resolve|plan(?!.*--measure))\b")  # run here
PROOFS = {  # start of a command -> a test that runs such a command; the first one counts
    "make publish": "tests/endurance/test_dvc_publish.py::test_results_are_recorded_without_running_anything",
    "snakemake --workflow-profile profiles/slurm": (
        "tests/workflow/test_profiles.py::test_run_requests_a_gpu_and_minutes_measured_on_such_a_device"
    ),
    "snakemake --report": "tests/workflow/test_messages.py::test_report_of_snakemake_holds_the_tables_and_figures",
    "snakemake -n": "tests/workflow/test_messages.py::test_dry_run_names_each_job_and_its_reason",
    "snakemake reports/contradictions": (
        "tests/workflow/test_decisions.py::test_page_of_contradictions_is_rebuilt_only_for_other_published_numbers"
    ),
    "snakemake splits": (
        "tests/workflow/test_decisions.py::test_changed_image_folder_is_read_again_and_a_missing_one_is_not"
    ),
    "snakemake --config": (
        "tests/workflow/test_decisions.py::test_other_suite_is_built_by_option_or_by_the_path_of_its_report"
    ),
    "snakemake": "tests/workflow/test_decisions.py::test_first_call_builds_everything_and_the_second_nothing",
    "daso plan": "tests/planning/test_forecast.py::test_measured_steps_are_recorded_and_reused",
    "daso bundle": "tests/workflow/test_workspace_commands.py::test_trained_bundle_is_adopted_and_not_trained_again",
    "daso adopt": "tests/workflow/test_workspace_commands.py::test_trained_bundle_is_adopted_and_not_trained_again",
    "daso train digits": "tests/endurance/test_damage.py::test_damaged_checkpoint_state_is_never_resumed_or_ignored",
    "daso train": "tests/workflow/test_workspace_commands.py::test_trained_bundle_is_adopted_and_not_trained_again",
    "daso report": "tests/endurance/test_space.py::test_unwritable_disk_keeps_the_earlier_report",
    "daso split --check": "tests/commands/test_data.py::test_split_of_the_expected_configuration_is_accepted",
    "daso debias": "tests/test_zero_shot.py::test_debias_command_writes_probabilities_and_analysis",
    "daso init": "tests/commands/test_init.py::test_folder_becomes_a_dataset_and_a_suite",
    "daso label-studio": "tests/commands/test_label_studio.py::test_export_of_the_tasks_comes_back",
    "daso label": "tests/commands/test_label.py::test_filled_in_list_comes_back_by_the_path_of_each_photo",
    "daso next": "tests/workflow/test_lists.py::test_filled_in_labels_of_next_are_kept",
    "daso predict": "tests/workflow/test_predict.py::test_accuracy_of_predictions_is_that_of_the_report",
    "daso suspects": "tests/workflow/test_lists.py::test_suspect_labels_contradict_predictions",
    "daso outliers": "tests/workflow/test_lists.py::test_outliers_are_sorted_by_distance",
    "daso pseudo-labels": "tests/workflow/test_lists.py::test_pseudo_labels_are_the_predictions_of_the_files",
    "daso export": "tests/workflow/test_predict.py::test_class_added_later_moves_no_name_of_earlier_models",
    "python classify.py": (
        "tests/deploy/test_export.py::test_isolated_program_predicts_six_difficult_files_as_predict_does"
    ),
    "daso prune": (
        "tests/workflow/test_workspace_commands.py::test_outputs_that_no_suite_refers_to_are_listed_and_deleted"
    ),
    "dvc repro": "tests/workflow/test_dvc.py::test_repro_runs_only_affected_jobs",
    "dvc metrics diff": "tests/workflow/test_dvc.py::test_params_diff_and_metrics_diff_show_a_change",
    "dvc plots show": "tests/workflow/test_dvc.py::test_plots_diff_shows_curves_and_cells_of_both_revisions",
    "dvc remote": "tests/endurance/test_dvc_remote.py::test_clone_has_the_results_and_nothing_to_do",
    "dvc push": "tests/endurance/test_dvc_remote.py::test_clone_has_the_results_and_nothing_to_do",
    "bash tools/gpu/check.sh": "tests/endurance/test_gpu_check.py::test_every_part_of_the_dry_run_has_results",
    "cat gpu_out/bundle.tar.gz.*": (
        "tests/endurance/test_gpu_check.py::test_bundle_is_trained_without_hidden_modules_and_adopted"
    ),
    "python -m tools.gpu.record": "tests/endurance/test_gpu_check.py::test_recorded_paces_are_read_and_limit_a_bundle",
    "python -m tools.bench speed": "tests/tools/bench/test_run.py::test_benchmark_measures_steps",
    "python -m tools.bench parity": "tests/tools/bench/test_parity.py::test_pairs_on_digits",
}
DRY_RUN = ("make reproduce", "make test", "make bench", "make gpu-")  # by `make -n`: they install packages or take long
OTHERS = ("pip install", "git add", "git commit", "tensorboard --logdir", "export ")  # programs of others


def shell_blocks(page):
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page):
    """Return the commands in the shell blocks of a page, without comments, and variables in front as the first part."""
    lines = []
    for block in shell_blocks(page):
        if not block.startswith(("for ", "cat > ")):  # run by the tests of the page about own data
            lines += [part for line in block.splitlines() for part in re.split(r" +# .*|&&", line) if part.strip()]
    found = []
    for line in map(str.strip, lines):
        variables = re.match(r"(?:[A-Z_0-9]+=(?:\"[^\"]*\"|\S+) +)*", line)[0]
        found.append(line.removeprefix(variables).replace("python -m daso", "daso"))
    return found


def quoted(page):
    """Return the calls of this project's programs that are quoted in the text of a page."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    calls = [" ".join(call.split()) for call in re.findall(r"`([^`]+)`", prose)]
    calls = [call.replace("python -m daso", "daso") for call in calls if call.startswith(tuple(PROGRAMS))]
    return [call for call in calls if re.match(r"(daso|snakemake|dvc|make) ", call)]


def words(command):
    """Return the words of a command; a placeholder, such as <run id>, is one word."""
    return shlex.split(re.sub(r"\[?<[^>]*>( or <[^>]*> \.\.\.\])?", "placeholder", command).replace("...", "x=y"))


@pytest.fixture(scope="module")
def params():
    return load_params(ROOT / "params")


def check_daso(command, *arguments, capsys):
    """The command and its flags are in its help."""
    with contextlib.suppress(SystemExit):
        main([command, "--help"])
    output = capsys.readouterr()
    assert output.out.startswith(("usage: ", "Usage: ")), output.err
    flags = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    assert [flag for flag in flags if not re.search(rf"{flag}\b", output.out)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_accepted(page, params, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in [*commands(page), *quoted(page)]:
        if command.startswith("make "):
            subprocess.run(["make", "-n", *words(command)[1:]], check=True, stdout=subprocess.DEVNULL)
        elif command.startswith("daso "):
            check_daso(*words(command)[1:], capsys=capsys)
        elif command.startswith("snakemake"):
            options = get_argument_parser().parse_args(words(command)[1:])
            assert not options.workflow_profile or Path(options.workflow_profile).is_dir()
        elif command.startswith("dvc "):
            get_main_parser().parse_args(words(command)[1:])
        for suite in re.findall(r"suite=([\w-]+)|--suite ([\w-]+)", command):
            assert "".join(suite) in {*params.suites, "photos"}
        for run in re.findall(r"\S+/s\d+\b", command):
            if not run.startswith(("data/", "metrics/")):
                parse_run(params, run)


def test_every_command_in_a_block_is_run_by_a_test(monkeypatch, capsys):
    """`daso` commands that only read are run here."""
    monkeypatch.chdir(ROOT)
    unproven, used = [], set()
    for command in dict.fromkeys(command for page in PAGES for command in commands(page)):
        if READ_ONLY.match(command):
            assert main(words(command)[1:]) == 0
            continue
        start = next((start for start in (*PROOFS, *DRY_RUN, *OTHERS) if command.startswith(start)), None)
        used.add(start)
        unproven += [command] if start is None else []
    assert unproven == []
    assert set(PROOFS) - used == set()
    capsys.readouterr()


def test_proofs_exist():
    for proof in PROOFS.values():
        file, name = proof.split("::")
        assert f"\ndef {name}(" in (ROOT / file).read_text(), proof


def test_settings_and_table_of_the_page_about_own_data_are_valid():
    """Each form of a setting is accepted, and the table has an image with a label and one without."""
    text = OWN_DATA.read_text()
    forms = re.findall(r"^- `({.*})`", text, re.MULTILINE)
    assert len(forms) == 5
    for form in forms:
        assert schema_error(YAML(typ="safe").load(form), Setting) is None, form
    (table,) = re.findall(r"^```text\n(path,.*?)^```", text, re.MULTILINE | re.DOTALL)
    rows = read_labels(table.encode(), ["2024/IMG_7.JPG", "2024/IMG_8.JPG"]).rows
    assert [tuple(row)[2:] for row in rows] == [("owl", "train", "bird 12", ""), ("", "unlabeled", "", "")]


def anchors(page):
    """Return the anchors of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"(?<!\!)\[[^\]]+\]\(([^)]+)\)", page.read_text()):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_paths_of_the_repository_exist(page):
    """`E` stands for the folder of endurance tests; names of examples and outputs are exempt."""
    examples = ("photos", "reports/quickstart", "reports/contradictions", "reports/cifar10-lt-main", "reports/bias")
    spans = re.findall(r"`([^`\n<{*]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    folders = r"(?:daso|docs|params|profiles|reports|tests|tools|workflow|E)"
    paths = {path for span in spans for path in re.findall(rf"(?:^|(?<= )){folders}/[\w./-]*", span)}
    places = {path: ROOT / path.replace("E/", "tests/endurance/", 1).rstrip(".") for path in paths}
    assert {
        path for path, place in places.items() if not place.exists() and not any(e in path for e in examples)
    } == set()


def test_index_lists_every_page():
    index = (ROOT / "docs/README.md").read_text()
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= set(
        re.findall(r"\]\((\w+\.md)\)", index)
    )
