import hashlib
import io
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from daso.config.params_schemas import Analysis
from daso.errors import DataError
from daso.report.figures import plots, plots_pseudo_labels
from daso.report.figures.analyses import ANALYSES, analysis_figures
from daso.report.figures.figure_groups import table_data
from daso.report.results.collect import collect
from daso.report.tables.pseudo_labels import pseudo_label_table
from tests.report.conftest import Project, build_suite

ROOT = Path(__file__).resolve().parents[3]
PLOTS = ("plot_by_rank", "plot_confusion_matrix", "plot_over_steps")
PSEUDO_LABEL_PLOTS = ("plot_class_distribution", "plot_by_frequency", "plot_nearest_classes", "plot_tsne")
HEADING = "Class distribution of pseudo-labels"
CAPTIONS = {
    "motivation": "accuracy of the final model on the test images of each class",
    "histogram": "Distribution of pseudo-labels over classes",
    "groups": "many, medium and few classes",
    "precision_recall": "Precision and recall of the pseudo-labels of the last window by frequency",
    "confusion": "Confusion matrices of the pseudo-labels of the last window",
    "similarity": "Cosine similarity between the mean features",
    "tsne": "t-SNE of features",
}


def make_analysis(classes, kinds):
    """Return an analysis with arbitrary numbers; that of a supervised run has no `kinds`, the final network only."""
    noise = np.random.default_rng(0)
    shares = noise.random((3, classes))
    source = {
        "counts": noise.integers(1, 99, classes).tolist(),
        "indices": {"imbalance": 12.5, "unpredicted": 0, "divergence": 0.31, "evenness": 0.77},
        "recall": [0.5] * classes,
        "precision": [None] + [0.25] * (classes - 1),
        "histogram": shares.tolist(),
        "groups": {name: [0.1, 0.2, 0.3] for name in ("many", "medium", "few")},
    }
    model = {**source, "histogram": None, "groups": None}
    rows = {"classes": [0, 1], "nearest": [[1], [0]], "cosine": [[0.5], [0.25]]}
    return {
        "steps": [10, 20, 30] if kinds else [],
        "sources": {**dict.fromkeys(kinds, source), "model": model},
        "of": "final" if kinds else "model",
        "confusion": noise.integers(0, 9, (classes, classes)).tolist(),
        "errors": {"top1": [0.5] * classes, "top2": [1.0] * classes},
        "similarity": {"by": "truth", "most": rows, "least": rows},
    }


def write_analysed_runs(project, suite, classes=10, predictions=None, **changes):
    """Write the runs of a suite with an analysis, `changes` updates its parts, and with `predictions` by true class."""
    project.fill(suite, classes=classes)
    labels, predictions = zip(*(predictions or [(k, k) for k in range(10)]), strict=True)
    buffer = io.BytesIO()
    features = np.eye(len(labels), dtype=np.float16)
    np.savez(buffer, sample_features=features, sample_labels=labels, sample_pseudo_labels=predictions)
    for path in project.metrics.rglob("*.json"):
        tree = json.loads(path.read_text())
        kinds = {"supervised": [], "fixmatch": ["linear", "final", "above_threshold"]}
        kinds["fixmatch_daso"] = ["linear", "semantic", "final", "above_threshold"]
        tree.pop("sha256", None)
        analysis = make_analysis(classes, kinds[tree["method"]])
        analysis |= {part: analysis[part] | change for part, change in changes.items()}
        tree["files"]["predictions.npz"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        (project.runs / tree["run"] / "predictions.npz").write_bytes(buffer.getvalue())
        project.write_metrics({**tree, "analysis": analysis})


def small_suite(methods=("fixmatch_daso",), analyses=()):
    """Return a suite with one setting and one seed, so that a report takes seconds."""
    suite = build_suite(methods=methods, settings=("n500-m4000-l100-u100",), seeds=(0,))
    return suite | {"analyses": list(analyses)} if analyses else suite


def load_table(project, suite):
    (table,) = suite["tables"]
    return table_data(suite, table, collect(suite, project.metrics, project.scratch), project.runs)


def index_table(data):
    titles = {method["name"]: method["title"] for method in data.table["methods"]}
    return pseudo_label_table(list(data.cells.values()), titles)


def index_rows(data):
    """Return the rows of the table of pseudo-labels as mappings from heading to value."""
    table = index_table(data)
    return [dict(zip((column.title for column in table.columns), row, strict=True)) for row in table.rows]


def pages(project, suite, out=None):
    out = project.build(suite, out)
    return [(out / name).read_text() for name in ("index.html", "report.md")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a project with the runs of a suite with every analysis, the suite, and its HTML and Markdown."""
    project, suite = Project(tmp_path_factory.mktemp("built")), small_suite(("supervised", "fixmatch_daso"), ANALYSES)
    write_analysed_runs(project, suite)
    return project, suite, pages(project, suite)


@pytest.fixture
def without_plots(monkeypatch):
    """Replace every plot, which takes nearly all of the time, by the name of its function."""
    for module, names in ((plots_pseudo_labels, PSEUDO_LABEL_PLOTS), (plots, PLOTS)):
        for name in names:
            monkeypatch.setattr(module, name, lambda *args, name=name, **options: name)


@pytest.mark.parametrize("name", ANALYSES)
def test_each_analysis_adds_only_its_own_figure(built, without_plots, name):
    project, suite, _ = built
    figures = analysis_figures(load_table(project, suite), [name])
    assert [other for figure in figures for other, text in CAPTIONS.items() if text in figure.caption] == [name]
    assert len(figures) == 1


def test_page_has_the_figure_of_every_analysis(built):
    _, _, (html, markdown) = built
    text = " ".join(html.split())
    assert [name for name, caption in CAPTIONS.items() if caption in text] == list(CAPTIONS)
    assert html.count(f"<h3>{HEADING}") == markdown.count(f". {HEADING}") == 1


def test_no_section_if_the_suite_lists_no_analysis(built):
    """The runs have analyses; the suite lists none."""
    project, suite, _ = built
    assert not any(HEADING in page for page in pages(project, small_suite(), project.root / "other"))
    assert analysis_figures(load_table(project, suite), ()) == []


def test_no_section_if_the_runs_have_no_analysis(project):
    suite = small_suite(analyses=ANALYSES)
    project.fill(suite)
    assert index_table(load_table(project, suite)).rows == []
    assert all(HEADING not in page for page in pages(project, suite))


def test_every_kind_of_pseudo_label_has_a_row(project, without_plots):
    """One row for the unlabeled images, one for the supervised model, four for FixMatch and five for DASO."""
    suite = small_suite(("supervised", "fixmatch", "fixmatch_daso"), ["tsne"])
    write_analysed_runs(project, suite)
    rows = index_rows(load_table(project, suite))
    assert {row["Setting"] for row in rows} == {"n500-m4000-l100-u100"}
    assert [(row["Method"], row["Pseudo-label"]) for row in rows] == [
        ("Unlabeled images", "true classes"),
        ("Supervised", "final model"),
        *(("FixMatch", kind) for kind in ("linear", "final", "final, above the threshold", "final model")),
        *(
            ("FixMatch + DASO", kind)
            for kind in ("linear", "semantic", "blended", "blended, above the threshold", "final model")
        ),
    ]


def test_true_classes_have_one_row_for_each_setting_if_they_are_known(project, without_plots):
    suite = build_suite(seeds=(0,)) | {"analyses": ["tsne"]}
    write_analysed_runs(project, suite)
    data = load_table(project, suite)
    rows = [row for row in index_rows(data) if row["Pseudo-label"] == "true classes"]
    assert [row["Setting"] for row in rows] == [setting["name"] for setting in suite["tables"][0]["settings"]]
    assert {row["KL to truth"] for row in rows} == {"0.00"}
    for metrics in (m for cell in data.cells.values() for m in cell.done.values()):
        metrics["counts"]["unlabeled"] = None
    rows = index_rows(data)
    assert "true classes" not in {row["Pseudo-label"] for row in rows}
    assert {row["KL to truth"] for row in rows} == {"–"}


@pytest.mark.parametrize(
    ("by", "descriptions", "note"),
    [
        (
            "truth",
            ["most over-predicted", "most under-predicted"],
            "by the ratio of pseudo-labels to true images of a class",
        ),
        ("pseudo_labels", ["most often predicted", "least often predicted"], "the true classes are not used"),
    ],
)
def test_similarity_describes_how_classes_are_ranked(project, without_plots, by, descriptions, note):
    suite = small_suite()
    write_analysed_runs(project, suite, similarity={"by": by})
    (figure,) = analysis_figures(load_table(project, suite), ["similarity"])
    assert [panel.note for panel in figure.panels] == [f"FixMatch + DASO, {text}" for text in descriptions]
    assert note in figure.caption
    assert ("true images" in figure.caption) == (by == "truth")


def test_tsne_marks_wrong_predictions(project, monkeypatch):
    """Predictions of the second and third image are wrong; the fourth has no known class and is unmarked."""
    calls = []
    plot = lambda points, colours, wrong, *names: calls.append((colours, wrong.tolist())) or ""  # noqa: E731
    monkeypatch.setattr(plots_pseudo_labels, "plot_tsne", plot)
    suite = small_suite(analyses=["tsne"])
    write_analysed_runs(project, suite, predictions=[(3, 3), (1, 0), (0, 1), (-1, 2)] + [(0, 0)] * 6)
    analysis_figures(load_table(project, suite), ["tsne"])
    ranks = [4, 1, 0, 2]  # of the 12 colours, for ranks 4, 2, 1 and 3 of 10: 3 x 11 / 9 = 3.7 and so on
    colours = [f"var(--rank-{rank})" for rank in ranks + [0] * 6]
    assert calls == [(colours, [False, True, True, False] + [False] * 6)]


def test_missing_predictions_are_printed_where_the_suite_has_a_tsne(project, without_plots):
    suite = small_suite(("supervised", "fixmatch"), ["tsne"])
    write_analysed_runs(project, suite)
    for path in project.runs.rglob("predictions.npz"):
        path.unlink()
    html, _ = pages(project, suite)
    assert "<li>2 cells have finished runs without a file of predictions; the t-SNE lacks them.</li>" in html
    assert CAPTIONS["tsne"] not in html
    html, _ = pages(project, small_suite(("supervised", "fixmatch"), ["groups"]))
    assert "predictions; the t-SNE" not in html


def test_tsne_of_predictions_from_another_training_is_refused(project):
    suite = small_suite(analyses=["tsne"])
    write_analysed_runs(project, suite)
    (path,) = project.runs.rglob("predictions.npz")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match=r"s0/predictions\.npz: damaged or from a different run"):
        load_table(project, suite)


def test_report_is_reproducible_and_its_ids_unique(built):
    project, suite, first = built
    assert first == pages(project, suite, project.root / "again")
    ids = re.findall(r'\bid="([^"]*)"', first[0])
    assert len(ids) == len(set(ids))


def test_tsne_of_100_classes_is_coloured_by_group(project):
    """There are too few colours for 100 classes."""
    suite = small_suite(analyses=["tsne"])
    write_analysed_runs(project, suite, classes=100)
    tsne = analysis_figures(load_table(project, suite), list(ANALYSES))[-1]
    colours = {"many": "var(--rank-0)", "medium": "var(--rank-6)", "few": "var(--rank-11)"}
    assert tsne.legend == [(f"{group} classes", colour, "dot") for group, colour in colours.items()]


def test_schema_lists_every_analysis():
    assert list(get_args(Analysis)) == sorted(ANALYSES)
