import json
import re
from pathlib import Path

import numpy as np
import pytest

from daso.report import plots, plots_pseudo_labels
from daso.report.analyses import ANALYSES, findings
from daso.report.collect import collect
from daso.report.figure_groups import scene
from tests.report.conftest import Project, a_suite

ROOT = Path(__file__).resolve().parents[2]
FIGURE = ("by_rank", "confusion", "over_steps")
HEADING = "Where the pseudo-labels went"
FIGURES = {
    "motivation": "accuracy of the final model on the test images of each class",
    "histogram": "Distribution of the pseudo-labels over classes",
    "groups": "many, medium and few classes",
    "precision_recall": "Precision and recall of pseudo-labels of the last window",
    "confusion": "Of the unlabeled images of each class",
    "similarity": "Cosines of the mean features",
    "tsne": "t-SNE of features",
}


def analysed(classes, kinds):
    """An analysis whose numbers are as good as any; the supervised one has the final network alone."""
    noise = np.random.default_rng(0)
    shares = noise.random((3, classes))
    source = {
        "counts": noise.integers(1, 99, classes).tolist(),
        "indices": {"imbalance": 12.5, "never": 0, "divergence": 0.31, "evenness": 0.77},
        "recall": [0.5] * classes,
        "precision": [None] + [0.25] * (classes - 1),
        "histogram": shares.tolist(),
        "groups": {name: [0.1, 0.2, 0.3] for name in ("many", "medium", "few")},
    }
    model = {**source, "histogram": None, "groups": None}
    rows = {"classes": [0, 1], "nearest": [[1], [0]], "cosine": [[0.5], [0.25]]}
    labels = noise.integers(0, classes, 20).tolist()
    return {
        "steps": [10, 20, 30] if kinds else [],
        "sources": {**dict.fromkeys(kinds, source), "model": model},
        "of": "final" if kinds else "model",
        "confusion": noise.integers(0, 9, (classes, classes)).tolist(),
        "errors": {"top1": [0.5] * classes, "top2": [1.0] * classes},
        "similarity": {"by": "truth", "most": rows, "least": rows},
        "tsne": {"x": noise.random(20).tolist(), "y": noise.random(20).tolist(), "labels": labels, "guesses": labels},
    }


def fill(project, suite, classes=10, **changes):
    """Runs with an analysis; `changes` are keys of its parts."""
    project.fill(suite, classes=classes)
    for path in project.metrics.rglob("*.json"):
        tree = json.loads(path.read_text())
        kinds = {"supervised": [], "fixmatch": ["linear", "final", "taken"]}
        kinds["fixmatch_daso"] = ["linear", "semantic", "final", "taken"]
        tree.pop("sha256", None)
        found = analysed(classes, kinds[tree["method"]])
        found |= {part: found[part] | change for part, change in changes.items()}
        project.write_metrics({**tree, "analysis": found})


def small(methods=("fixmatch_daso",), analyses=()):
    """One setting, one seed: a report takes seconds."""
    suite = a_suite(methods=methods, settings=("n500-m4000-l100-u100",), seeds=(0,))
    return suite | {"analyses": list(analyses)} if analyses else suite


def stage(project, suite):
    (table,) = suite["tables"]
    order = {method["name"]: index for index, method in enumerate(table["methods"])}
    return scene(table, collect(suite, project.metrics, project.scratch), order, project.runs)


def pages(project, suite, out=None):
    out = project.build(suite, out)
    return [(out / name).read_text() for name in ("index.html", "report.md")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project with the runs of a suite that asks for everything, the suite, and its two pages."""
    project, suite = Project(tmp_path_factory.mktemp("built")), small(("supervised", "fixmatch_daso"), ANALYSES)
    fill(project, suite)
    return project, suite, pages(project, suite)


@pytest.fixture
def undrawn(monkeypatch):
    """Drawings take nearly all of the time; here each is told by the function that makes it."""
    for module, names in ((plots_pseudo_labels, ("histogram", "by_frequency", "likeness", "places")), (plots, FIGURE)):
        for name in names:
            monkeypatch.setattr(module, name, lambda *args, name=name, **options: name)


@pytest.mark.parametrize("name", ANALYSES)
def test_a_figure_that_is_asked_for_is_there_and_no_other(built, undrawn, name):
    project, suite, _ = built
    plates = findings(stage(project, suite), [name]).plates
    assert [other for plate in plates for other, caption in FIGURES.items() if caption in plate.caption] == [name]
    assert len(plates) == 1


def test_the_page_has_every_figure(built):
    _, _, (html, markdown) = built
    text = " ".join(html.split())
    assert [name for name, caption in FIGURES.items() if caption in text] == list(FIGURES)
    assert html.count(f"<h3>{HEADING}") == markdown.count(HEADING) == 1


def test_no_analysis_without_being_asked(built):
    """The same runs; the page is that of a suite which asks for nothing."""
    project, suite, _ = built
    assert not any(HEADING in page for page in pages(project, small(), project.root / "other"))
    assert findings(stage(project, suite), ()) is None


def test_runs_of_before_have_no_section(project):
    suite = small(analyses=ANALYSES)
    project.fill(suite)
    assert findings(stage(project, suite), list(ANALYSES)) is None


def test_every_kind_has_its_row(project, undrawn):
    """One for the unlabeled images and the supervised model each, four for FixMatch and five for DASO."""
    suite = small(("supervised", "fixmatch", "fixmatch_daso"), ["tsne"])
    fill(project, suite)
    rows = findings(stage(project, suite), ["tsne"]).indices
    assert {row["setting"] for row in rows} == {"n500-m4000-l100-u100"}
    assert [(row["method"], row["kind"]) for row in rows] == [
        ("Unlabeled images", "true classes"),
        ("Supervised", "final network"),
        *(("FixMatch", kind) for kind in ("linear", "final", "final, taken", "final network")),
        *(("FixMatch + DASO", kind) for kind in ("linear", "semantic", "blended", "blended, taken", "final network")),
    ]


def test_every_row_is_printed(built):
    _, _, (html, markdown) = built
    rows = re.findall(r"^\| n500-m4000-l100-u100 \| [^|]* \| [^|]* \| 1 \| (.*) \|$", markdown, re.M)
    assert len([row for row in rows if row.startswith("12.5 | 0.0 | 0.31 | 0.77 | ")]) == 6
    assert len([row for row in rows if row.endswith(" | 50.0 | 25.0 | 50.0 | 100.0")]) == 2
    assert html.count("<td>12.5</td><td>0.0</td><td>0.31</td><td>0.77</td>") == 6


def test_guesses_are_set_beside_the_true_classes(built):
    """Of 4000 to 40 images; nothing but a zero and dashes can be said of how the truth differs from itself."""
    _, _, (html, markdown) = built
    (row,) = re.findall(r"^\| [^|]* \| Unlabeled images \| true classes \| – \| (.*) \|$", markdown, re.M)
    assert (row[:14], row[-23:]) == ("100.0 | 0.0 | ", " | 0.00 | – | – | – | –")
    (head,) = re.findall(r"^\| Setting \| Method \| Pseudo-label \| (.*) \|$", markdown, re.M)
    assert head.split(" | ").index("KL to truth") == 1 + row.split(" | ").index("0.00")
    assert '<th scope="row">Unlabeled images</th><td>true classes</td><td>–</td><td>100.0</td>' in html
    for page in (html, markdown):
        assert "perfect pseudo-labels have 0 of it" in " ".join(page.split())


def test_the_true_classes_stand_once_a_setting_where_they_are_known(project, undrawn):
    suite = a_suite(seeds=(0,)) | {"analyses": ["tsne"]}
    fill(project, suite)
    shown = stage(project, suite)
    rows = [row for row in findings(shown, ["tsne"]).indices if row["kind"] == "true classes"]
    assert [row["setting"] for row in rows] == [setting["name"] for setting in suite["tables"][0]["settings"]]
    for metrics in (m for cell in shown.cells.values() for m in cell.done.values()):
        metrics["counts"]["unlabeled"] = None
    rows = findings(shown, ["tsne"]).indices
    assert "true classes" not in {row["kind"] for row in rows}
    assert {row["truth"] for row in rows} == {"–"}


@pytest.mark.parametrize(
    ("by", "words", "reason"),
    [
        ("truth", ["over-predicted most", "under-predicted most"], "the guesses of a class over its true images"),
        ("guesses", ["guessed most often", "guessed least often"], "the true classes have no part in it"),
    ],
)
def test_likeness_says_which_classes_are_meant(project, undrawn, by, words, reason):
    suite = small()
    fill(project, suite, similarity={"by": by})
    (plate,) = findings(stage(project, suite), ["similarity"]).plates
    assert [panel.note for panel in plate.panels] == [f"FixMatch + DASO, {word}" for word in words]
    assert reason in plate.caption
    assert ("true images" in plate.caption) == (by == "truth")


def test_rings_mark_wrong_guesses(project, monkeypatch):
    """The second and the third of four images are guessed wrong; that of unknown class is not judged."""
    drawn = []
    places = lambda x, y, slots, wrong, *names: drawn.append((slots, wrong)) or ""  # noqa: E731
    monkeypatch.setattr(plots_pseudo_labels, "places", places)
    suite = small()
    fill(project, suite, tsne={"x": [0] * 4, "y": [0] * 4, "labels": [3, 1, 0, -1], "guesses": [3, 0, 1, 2]})
    findings(stage(project, suite), ["tsne"])
    assert drawn == [([3, 1, 0, 2], [False, True, True, False])]


def test_same_bytes_and_unique_ids(built):
    project, suite, first = built
    assert first == pages(project, suite, project.root / "again")
    ids = re.findall(r'\bid="([^"]*)"', first[0])
    assert len(ids) == len(set(ids))


def test_a_hundred_classes(project):
    """Too many for a colour each: the places of images are coloured by many, medium and few."""
    suite = small(analyses=["tsne"])
    fill(project, suite, classes=100)
    places = findings(stage(project, suite), list(ANALYSES)).plates[-1]
    assert places.legend == [(0, "many"), (1, "medium"), (2, "few")]


def test_the_schema_knows_them_all():
    schema = json.loads((ROOT / "workflow/schemas/suite.schema.json").read_text())
    assert schema["properties"]["analyses"]["items"]["enum"] == sorted(ANALYSES)
