"""Figures of a table: which panels are shown, folded and tagged, and what the captions name."""

import pytest

from daso.report.figures.figure_groups import table_data, table_figures
from daso.report.results.collect import collect
from tests.report.conftest import SHORT, Project, build_suite

LEVELS = {"supervised": 0.5, "fixmatch": 0.7, "fixmatch_daso": 0.8, "fixmatch_la": 0.6}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Return the figures of four methods in two settings, of a protocol that is not comparable, by name."""
    project, suite = Project(tmp_path_factory.mktemp("figures")), build_suite(methods=tuple(LEVELS), protocol=SHORT)
    project.fill(suite, lambda setting, method, seed: LEVELS[method] + 0.001 * seed)
    cells = collect(suite, project.metrics, project.scratch)
    data = table_data(suite, suite["tables"][0], cells, project.runs)
    return {figure.name: figure for figure in table_figures(data)}


def test_matrices_of_base_and_best_method_are_shown_and_others_folded(figures):
    panels = figures["confusion"].panels
    assert [panel.note for panel in panels if not panel.folded] == ["FixMatch", "FixMatch + DASO"] * 2
    assert [panel.note for panel in panels if panel.folded] == ["Supervised", "FixMatch + LA"] * 2
    assert "Shown: a base and the most accurate method" in figures["confusion"].caption


def test_every_plot_carries_the_tag_and_no_caption_does(figures):
    for figure in figures.values():
        assert all(">demo: not comparable with published numbers</text>" in panel.svg for panel in figure.panels)
        assert "comparable" not in figure.caption


def test_curves_have_the_colours_of_their_methods_and_labels_at_their_ends(figures):
    for svg in (panel.svg for panel in figures["accuracy"].panels):
        assert all(f"var(--{hue})" in svg for hue in ("grey", "blue", "blue-strong", "orange"))
        assert all(f"</title>{label}</text>" in svg for label in ("Supervised", "FixMatch", "+ DASO", "+ LA"))
        assert "<title>FixMatch + DASO: 7" in svg or "<title>FixMatch + DASO: 8" in svg


def test_captions_name_the_evaluation_model_and_the_previous_evaluation(figures):
    """The model evaluated is the EMA model only for some learners; 20 evaluations are neither thinned nor smoothed."""
    assert figures["accuracy"].caption.startswith("Test accuracy of the evaluation model over training steps")
    assert "since the previous evaluation" in figures["pseudo"].caption
    assert not any("Moving average" in figure.caption for figure in figures.values())
