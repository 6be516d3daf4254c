"""Table of corrections after training."""

import csv

import pytest

from daso.data.files import checksummed, read_checksummed, write_file
from daso.errors import DataError
from daso.report.results.collect import Cell
from daso.report.results.corrections import with_corrections
from daso.report.tables.corrections import corrections_table

RUN = "digits/n/p/fixmatch"
TITLES = {"fixmatch": "FixMatch"}


def measured(accuracy, balanced, ece, **more):
    return {"accuracy": accuracy, "balanced_accuracy": balanced, "ece": ece, **more}


def entry(balanced, tau, weights="w"):
    """Return the content of a file of corrections; the head has no bias to remove."""
    corrections = {
        "uncorrected": measured(0.5, 0.4, 0.2),
        "logit_adjustment": measured(0.6, balanced, 0.1, tau=tau),
        "blank": measured(0.5, 0.39, 0.25),
        "without_bias": {"reason": "the evaluated head has no bias"},
        "prior_shift": measured(0.5, 0.4, 0.2, shares=[0.5, 0.3, 0.2], images=10),
    }
    return {"weights": weights, "corrections": corrections}


def cell(counts=(6, 2, 2), seeds=(0, 1)):
    done = {seed: {"files": {"final.pt": "w"}, "counts": {"unlabeled": list(counts)}} for seed in seeds}
    return Cell("t", "n", "fixmatch", RUN, tuple(seeds), done)


@pytest.fixture
def rows(tmp_path):
    """Return a function that writes the corrections of seeds and returns the rows of a cell."""

    def of(cell, *entries):
        for seed, content in enumerate(entries):
            write_file(tmp_path / f"{RUN}/s{seed}.json", checksummed({"run": f"{RUN}/s{seed}", **content}))
        return [list(row) for row in corrections_table(with_corrections([cell], tmp_path, "tiny"), TITLES).rows]

    return of


def test_rows_have_measures_differences_and_fitted_values(rows):
    """Balanced accuracy .5 and .6 after LA, .4 before: 55 ± 7.07, a mean difference of 15 points. The shares
    (.5, .3, .2) differ from (.6, .2, .2) by (.1 + .1) / 2.
    """
    head = ["n", "FixMatch"]
    same = ["50.0 ± 0.00", "40.0 ± 0.00"]
    assert rows(cell(), entry(0.5, 0.5), entry(0.6, 1.0)) == [
        [*head, "none", "2", *same, "–", "20.0 ± 0.00", ""],
        [
            *(*head, "LA, τ from held-out labels", "2", "60.0 ± 0.00", "55.0 ± 7.07"),
            *("+15.0", "10.0 ± 0.00", "τ 0.5 to 1"),
        ],
        [*head, "blank image", "2", "50.0 ± 0.00", "39.0 ± 0.00", "−1.0", "25.0 ± 0.00", ""],
        [*head, "head without bias", "0", "–", "–", "–", "–", "the evaluated head has no bias"],
        [
            *(*head, "shift to the unlabeled classes", "2", *same),
            *("0.0", "20.0 ± 0.00", "estimated shares are 10.0 points off"),
        ],
    ]


def test_one_fitted_value_is_printed_once(rows):
    assert rows(cell(seeds=(0,)), entry(0.5, 0.75))[1][-1] == "τ 0.75"


@pytest.mark.parametrize("counts", [(0, 0, 0), (6, 2, 1)], ids=["none", "nine of ten"])
def test_shares_have_no_error_unless_the_classes_of_all_images_are_known(rows, counts):
    """The tenth image may be one of no class."""
    assert rows(cell(counts=counts, seeds=(0,)), entry(0.5, 1.0))[-1][-1] == ""


def test_corrections_of_other_weights_are_not_shown(rows):
    assert rows(cell(), entry(0.5, 1.0, weights="another")) == []
    assert [row[3] for row in rows(cell(), entry(0.5, 1.0))] == ["1", "1", "1", "0", "1"]


FIX = r"; delete it and run `snakemake corrections/tiny\.done` again$"


def test_damaged_file_and_that_of_another_run_are_refused(rows, tmp_path):
    rows(cell(), entry(0.5, 1.0), entry(0.6, 1.0))
    path, other = (tmp_path / f"{RUN}/s{seed}.json" for seed in (0, 1))
    path.write_bytes(path.read_bytes().replace(b"0.39", b"0.93"))
    with pytest.raises(DataError, match=f"checksum mismatch, .*{FIX}"):
        with_corrections([cell()], tmp_path, "tiny")
    path.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match=f"s0.json: not the corrections of {RUN}/s0{FIX}"):
        with_corrections([cell()], tmp_path, "tiny")


def test_corrections_change_no_other_number_of_a_report(project, make_suite, run_ids):
    """Balanced accuracy is 99 % after LA, accuracy 76 ± .4 % before: verdicts on 67.8 and 76.0 use the latter."""
    suite = make_suite(methods=("fixmatch", "fixmatch_daso"), settings=("n500-m4000-l100-u100",))
    project.fill(suite)
    folder = project.root / "corrections"
    for *_, run in run_ids(suite):
        metrics = read_checksummed(project.metrics / f"{run}.json", "metrics")
        project.write_metrics({**metrics, "files": {**metrics["files"], "final.pt": "w"}})
        content = entry(0.99, 1.0)
        content["corrections"]["prior_shift"]["shares"] = [0.1] * 10
        write_file(folder / f"{run}.json", checksummed({"run": run, **content}))
    without = numbers(project.build(suite))
    corrected = numbers(project.build(suite, project.root / "corrected", corrections=folder))
    added = {name: corrected.pop(name) for name in sorted(corrected.keys() - without.keys())}
    assert list(added) == ["tables/table-A-corrections.csv", "tables/table-A-corrections.tex"]
    assert all("99.0" in text for text in added.values())
    assert [row["verdict"] for row in csv.DictReader(without["cells.csv"].splitlines())] == ["above", "agrees"]
    assert corrected == without


def numbers(report):
    """Return the content of the files of numbers of a report, by name."""
    files = [report / "metrics.json", report / "summary.txt", *report.glob("*.csv"), *report.glob("tables/*")]
    return {file.relative_to(report).as_posix(): file.read_text() for file in files}
