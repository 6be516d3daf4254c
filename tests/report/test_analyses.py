import json
import re
from pathlib import Path

import numpy as np
import pytest

from daso.report.analyses import ANALYSES

ROOT = Path(__file__).resolve().parents[2]
HEADING = "Where the pseudo-labels went"
FIGURES = {
    "motivation": "accuracy of the final model on the test images, class by class",
    "histogram": "Which classes the pseudo-labels are of",
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
        "similarity": {"most": rows, "least": rows},
        "tsne": {"x": noise.random(20).tolist(), "y": noise.random(20).tolist(), "labels": labels, "guesses": labels},
    }


def fill(project, suite, classes=10):
    project.fill(suite, classes=classes)
    for path in project.metrics.rglob("*.json"):
        tree = json.loads(path.read_text())
        kinds = {"supervised": [], "fixmatch": ["linear", "final", "taken"]}
        kinds["fixmatch_daso"] = ["linear", "semantic", "final", "taken"]
        tree.pop("sha256", None)
        project.write_metrics({**tree, "analysis": analysed(classes, kinds[tree["method"]])})


def pages(project, suite):
    out = project.build(suite)
    return [(out / name).read_text() for name in ("index.html", "report.md")]


@pytest.mark.parametrize("name", ANALYSES)
def test_a_figure_that_is_asked_for_is_there_and_no_other(project, make_suite, name):
    suite = make_suite(seeds=(0, 1)) | {"analyses": [name]}
    fill(project, suite)
    html, markdown = pages(project, suite)
    text = " ".join(html.split())
    assert [other for other, caption in FIGURES.items() if caption in text] == [name]
    assert html.count(HEADING) == 1
    assert HEADING in markdown


def test_no_analysis_without_being_asked(project, make_suite):
    suite = make_suite(seeds=(0,))
    fill(project, suite)
    assert not any(HEADING in page for page in pages(project, suite))


def test_runs_of_before_have_no_section(project, make_suite):
    suite = make_suite(seeds=(0,)) | {"analyses": list(ANALYSES)}
    project.fill(suite)
    assert not any(HEADING in page for page in pages(project, suite))


def test_every_kind_has_its_row(project, make_suite):
    """One for the supervised model, three and the final network for FixMatch, four and that one for DASO."""
    suite = make_suite(seeds=(0,), settings=("n500-m4000-l100-u100",)) | {"analyses": list(ANALYSES)}
    fill(project, suite)
    html, markdown = pages(project, suite)
    rows = re.findall(r"^\| n500-m4000-l100-u100 \| ([^|]*) \| ([^|]*) \| 1 \| 12.5 \| 0.0 \| 0.31 \|", markdown, re.M)
    assert rows == [
        ("Supervised", "final network"),
        *(("FixMatch", kind) for kind in ("linear", "final", "final, taken", "final network")),
        *(("FixMatch + DASO", kind) for kind in ("linear", "semantic", "blended", "blended, taken", "final network")),
    ]
    assert "| 0.77 | 50.0 | 25.0 | 50.0 | 100.0 |" in markdown
    assert html.count("<td>12.5</td><td>0.0</td><td>0.31</td>") == len(rows)


def test_same_bytes_and_unique_ids(project, make_suite):
    suite = make_suite(seeds=(0,)) | {"analyses": list(ANALYSES)}
    fill(project, suite)
    first = pages(project, suite)
    assert first == pages(project, suite)
    ids = re.findall(r'\bid="([^"]*)"', first[0])
    assert len(ids) == len(set(ids))


def test_a_hundred_classes(project, make_suite):
    """Too many for a colour each: the places of images are coloured by many, medium and few."""
    settings = ("n500-m4000-l100-u100",)
    suite = make_suite(methods=("fixmatch_daso",), settings=settings, seeds=(0,)) | {"analyses": list(ANALYSES)}
    fill(project, suite, classes=100)
    html, _ = pages(project, suite)
    assert "</i>medium</li>" in html
    assert "rank 1</li>" not in html


def test_the_schema_knows_them_all():
    schema = json.loads((ROOT / "workflow/schemas/suite.schema.json").read_text())
    assert schema["properties"]["analyses"]["items"]["enum"] == sorted(ANALYSES)
