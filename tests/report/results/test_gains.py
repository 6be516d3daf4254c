"""Gains of methods over their baselines, against numbers computed by hand."""

import math

import pytest

from daso.config.resolve import expand_suite
from daso.report.results.collect import collect
from daso.report.results.gains import (
    PairedDifference,
    PublishedGain,
    agreement,
    baselines,
    paired_difference,
    published_gain,
    table_gains,
)
from daso.report.results.judged import judge_cells
from daso.report.results.published import Published, read_published
from tests.report.conftest import PUBLISHED

SETTING = "n500-m4000-l100-u100"


def two_cells(project, make_suite, make_metrics, levels, **provenance):
    suite = make_suite(methods=("fixmatch", "fixmatch_daso"), settings=(SETTING,))
    for method, row in zip(("fixmatch", "fixmatch_daso"), levels, strict=True):
        for seed, level in enumerate(row):
            run = f"cifar10-lt/{SETTING}/paper/{method}/s{seed}"
            project.write_metrics(make_metrics(run, level, seed, **(provenance if method == "fixmatch" else {})))
    return collect(suite, project.metrics, project.scratch)


def test_paired_difference_of_three_seeds(project, make_suite, make_metrics):
    """80, 81, 84 against 79, 81, 82: +1, 0, +2. Mean 1, deviation 1; t with two degrees of freedom is 4.303:
    1 ± 4.303 / sqrt(3) = 1 ± 2.484."""
    baseline, ours = two_cells(project, make_suite, make_metrics, [(0.79, 0.81, 0.82), (0.80, 0.81, 0.84)])
    pair = paired_difference(ours, baseline)
    assert (pair.method, pair.baseline, pair.n, pair.wins, pair.ties) == ("fixmatch_daso", "fixmatch", 3, 2, 1)
    assert (pair.mean, pair.std, pair.low, pair.high) == pytest.approx((1.0, 1.0, 0.0, 2.0))
    assert pair.interval == pytest.approx((-1.484, 3.484), abs=1e-3)


def test_single_seed_has_no_interval(project, make_suite, make_metrics):
    """Only common seeds with the same split are paired; an enlarged split counts as the split that was drawn."""
    baseline, ours = two_cells(project, make_suite, make_metrics, [(0.79,), (0.80, 0.81, 0.84)])
    pair = paired_difference(ours, baseline)
    assert (pair.n, pair.std, pair.standard_error, pair.interval) == (1, None, None, None)
    baseline, ours = two_cells(project, make_suite, make_metrics, [(0.79,), (0.80,)], split_sha256="another")
    assert paired_difference(ours, baseline) is None
    drawn = make_metrics(f"cifar10-lt/{SETTING}/paper/fixmatch/s0", 0.79, 0)["provenance"]["split_sha256"]
    enlarged = {"split_sha256": "another", "drawn_sha256": drawn}
    baseline, ours = two_cells(project, make_suite, make_metrics, [(0.79,), (0.80,)], **enlarged)
    assert paired_difference(ours, baseline).n == 1


def test_published_gain_and_its_standard_error():
    """76.0 ± 0.37 less 67.8 ± 1.13: 8.2, standard error sqrt((0.1369 + 1.2769) / 3) = 0.68649."""
    daso, fixmatch = Published(76.0, 0.37, "table 1"), Published(67.8, 1.13, "table 1")
    assert published_gain(daso, fixmatch) == (pytest.approx(8.2), pytest.approx(0.68649, abs=1e-5))
    assert published_gain(daso, fixmatch._replace(std=None)) == (pytest.approx(8.2), None)
    for other in (None, fixmatch._replace(source="table 5"), fixmatch._replace(doubt="not checked")):
        assert published_gain(daso, other) is None
        assert published_gain(other, daso) is None


def pair(mean, std=0.6, n=3):
    return PairedDifference("s", "m", "r", mean, std, mean - 1, mean + 1, n, 0, n)


@pytest.mark.parametrize(
    ("ours", "published", "expected"),
    [
        (pair(7.0), 8.2, ("same sign", "same size")),  # -1.2 in the band 1.539
        (pair(6.6), 8.2, ("same sign", "other size")),
        (pair(1.0), 1.5, ("same sign", "size undecided")),  # the band is wider than a gain of 1.5
        (pair(-0.2), 0.5, ("other sign", "size undecided")),
        (pair(-2.0), 8.2, ("other sign", "other size")),
        (pair(-7.0), -8.2, ("same sign", "same size")),
        (pair(0.0), 8.2, ("other sign", "other size")),
        (pair(7.0, std=None, n=1), 8.2, ("same sign", "size not judged")),
    ],
)
def test_agreement_in_sign_and_size(ours, published, expected):
    """The band is 2 sqrt(0.6865^2 + 0.6^2 / 3) = 2 sqrt(0.59128) = 1.5379."""
    result = agreement(ours, PublishedGain(published, 0.6865))
    assert result[:2] == expected
    assert result.difference == pytest.approx(ours.mean - published)
    assert result.band == (None if ours.n == 1 else pytest.approx(1.5379, abs=1e-4))


def test_size_of_a_published_gain_without_a_spread_is_not_judged():
    assert agreement(pair(7.0), PublishedGain(8.2, None))[1:] == ("size not judged", pytest.approx(-1.2), None)


@pytest.mark.parametrize(
    ("suite", "table", "expected"),
    [
        (
            "paper-table-1",
            0,
            {
                **{"supervised_la": "supervised", "fixmatch": "supervised", "fixmatch_darp": "fixmatch"},
                **{"fixmatch_crest_plus": "fixmatch", "fixmatch_daso": "fixmatch", "fixmatch_la": "fixmatch"},
                **{"fixmatch_la_darp": "fixmatch_la", "fixmatch_la_crest_plus": "fixmatch_la"},
                **{"fixmatch_la_daso": "fixmatch_la", "fixmatch_abc": "fixmatch", "fixmatch_abc_daso": "fixmatch_abc"},
            },
        ),
        (
            "bias",
            1,
            {
                **{"fixmatch_debias": "fixmatch", "simmatch": "fixmatch", "fixmatch_daso": "fixmatch"},
                "fixmatch_debias_daso": "fixmatch_debias",
            },
        ),
        (
            "paper-ablations",
            0,
            {
                **{"fixmatch_daso_no_align": "fixmatch_daso", "fixmatch_daso_no_blend": "fixmatch_daso"},
                "fixmatch_daso": "fixmatch",
            },
        ),
    ],
)
def test_baselines_of_suites(params, suite, table, expected):
    """X + DASO over X; without a name in the paper, the method with most of the add-ons; an ablation over all of it."""
    assert baselines(expand_suite(params, suite)["tables"][table]["methods"]) == expected


def test_no_baseline_among_ablations_alone(params):
    """`temperatures` of `zoo` has neither the complete method nor FixMatch; in `t-dist-cifar10` DASO has none."""
    tables = {
        table["name"]: table for name in ("zoo", "paper-ablations") for table in expand_suite(params, name)["tables"]
    }
    assert baselines(tables["temperatures"]["methods"]) == {}
    assert "fixmatch_daso" not in baselines(tables["t-dist-cifar10"]["methods"])


def test_gains_of_a_table_are_compared_only_if_both_cells_are(project, make_suite):
    """Ours: DASO 76 less 66 in every seed, published 76.0 - 67.8; FixMatch 66 less 50, published 67.8 - 47.3.

    The differences have no spread, so the band of DASO is 2 x 0.68649.
    """
    suite = make_suite(settings=(SETTING,))
    levels = {"supervised": 0.50, "fixmatch": 0.66, "fixmatch_daso": 0.76}
    project.fill(suite, level=lambda setting, method, seed: levels[method] + 0.001 * seed)
    cells, published = collect(suite, project.metrics, project.scratch), read_published(PUBLISHED)
    fixmatch, daso = table_gains(suite["tables"][0], judge_cells(suite, cells, published))
    assert (fixmatch.ours.baseline, daso.ours.baseline) == ("supervised", "fixmatch")
    assert (fixmatch.ours.mean, daso.ours.mean) == pytest.approx((16.0, 10.0))
    assert (fixmatch.published.mean, daso.published.mean) == pytest.approx((20.5, 8.2))
    assert daso.agreement == ("same sign", "other size", pytest.approx(1.8), pytest.approx(1.37298, abs=1e-4))
    assert math.isclose(daso.ours.standard_error, 0.0, abs_tol=1e-9)
    suite["tables"][0]["protocol"]["comparable"] = False
    for gain in table_gains(suite["tables"][0], judge_cells(suite, cells, published)):
        assert gain[1:] == (None, None)
