"""Verdicts and coverage, against numbers computed by hand."""

import math

import pytest

from daso.report.results.collect import Cell, MeanStd
from daso.report.results.published import Published
from daso.report.results.verdicts import (
    chance_outside,
    coverage,
    format_difference,
    in_archive_order,
    judge,
    protocol_label,
    reasons_not_comparable,
    remarks,
)

PAPER = Published(76.0, 0.37, "Oh et al. 2022, table 1")
LISTED = {"kind": "semi_aves", "lists": {"test": "189d"}, "official_lists": True}
RECOGNISED = {"kind": "image_folder", "origin": "cifar", "pixels": "ab12", "same_images_as": "cifar-10-python.tar.gz"}
SOURCES = ({"kind": "cifar10", "md5": "c58f"}, RECOGNISED)


def test_band_of_three_runs_against_three():
    """2 sqrt(0.37^2 / 3 + 0.6^2 / 3) = 2 sqrt(0.4969 / 3) = 0.81396."""
    assert judge(MeanStd(76.5, 0.6, 3), PAPER).band == pytest.approx(0.81396, abs=1e-5)


def test_band_of_six_runs_against_three():
    """2 sqrt(0.37^2 / 3 + 0.6^2 / 6) = 2 sqrt(0.0456333 + 0.06) = 0.65003; exchanged numbers of runs give 0.75578."""
    assert judge(MeanStd(76.5, 0.6, 6), PAPER).band == pytest.approx(0.65003, abs=1e-5)


def test_band_of_a_single_run_uses_the_published_deviation():
    """2 * 0.37 * sqrt(1/3 + 1) = 0.74 * 1.154701 = 0.85448."""
    assert judge(MeanStd(76.5, None, 1), PAPER).band == pytest.approx(0.85448, abs=1e-5)


@pytest.mark.parametrize(
    ("mean", "text"),
    [(76.0, "within 1 point"), (77.0, "within 1 point"), (74.9, "no published spread"), (90.0, "no published spread")],
)
@pytest.mark.parametrize(("std", "n"), [(0.6, 3), (9.0, 12), (None, 1)])
def test_no_band_without_a_published_deviation(mean, text, std, n):
    """Our own deviation does not replace the published one, however large it is; the difference is reported."""
    verdict = judge(MeanStd(mean, std, n), PAPER._replace(std=None))
    assert (verdict.text, verdict.band, verdict.reasons) == (text, None, ())
    assert verdict.difference == pytest.approx(mean - 76.0)


def test_numbers_in_doubt_get_no_verdict():
    """This holds even if the numbers are equal; all other reasons against a comparison are listed too."""
    verdict = judge(MeanStd(76.0, 0.4, 3), PAPER._replace(doubt="recalled, not confirmed"))
    assert verdict == ("not comparable", None, None, ("recalled, not confirmed",))
    verdict = judge(MeanStd(76.0, 0.4, 3), PAPER._replace(doubt="recalled"), ["short schedule"])
    assert verdict == ("not comparable", None, None, ("recalled", "short schedule"))


@pytest.mark.parametrize(
    ("mean", "text"),
    [
        (76.5, "agrees"),
        (75.2, "agrees"),  # -0.8 against a band of 0.814
        (76.9, "within 1 point"),
        (77.0, "within 1 point"),  # exactly one point, despite rounding
        (77.1, "above"),
        (74.9, "below"),
    ],
)
def test_verdict_depends_on_band_and_difference(mean, text):
    verdict = judge(MeanStd(mean, 0.6, 3), PAPER)
    assert (verdict.text, verdict.reasons) == (text, ())
    assert verdict.difference == pytest.approx(mean - 76.0)


@pytest.mark.parametrize(
    ("mean", "std", "n", "text"),
    [  # s = 3 on both sides: 2 sqrt(9/3 + 9/3) = 4.90; s = sqrt 0.96: 2 sqrt(2 * 0.96 / 3) = 1.6
        (78.0, 3.0, 3, "not contradicted"),
        (76.0, 3.0, 3, "not contradicted"),
        (76.4, math.sqrt(0.96), 3, "agrees"),  # 0.4 + 1.6 = 2
        (76.5, math.sqrt(0.96), 3, "not contradicted"),
        (76.5, 3.0, 1, "one run"),
        (76.5, math.sqrt(0.96), 1, "one run"),
    ],
)
def test_wide_bands_and_single_runs_are_weak_evidence(mean, std, n, text):
    """Inside the band, a cell agrees only if difference and band together are at most 2 points."""
    verdict = judge(MeanStd(mean, None if n == 1 else std, n), PAPER._replace(std=std))
    assert verdict.text == text
    assert abs(verdict.difference) < verdict.band


def test_single_run_outside_its_band_is_outside():
    """The band is 2 * 0.37 * sqrt(4 / 3) = 0.854."""
    assert [judge(MeanStd(mean, None, 1), PAPER).text for mean in (74.0, 75.1, 75.2, 78.0)] == [
        *("below", "within 1 point", "one run", "above"),
    ]


def test_cells_outside_the_band_by_chance():
    """P(|t| > 2) with u = t / sqrt(f + t^2): 1 - u for f = 2 (u^2 = 4/6), 1 - 3/2 u + 1/2 u^3 for f = 4 (u^2 = 4/8)."""
    two, four = 1 - math.sqrt(4 / 6), 1 - 1.5 * math.sqrt(1 / 2) + 0.5 * math.sqrt(1 / 2) ** 3  # 0.1835 and 0.1161
    assert chance_outside([MeanStd(76.0, 0.4, 3)]) == pytest.approx((four, two))
    assert chance_outside([MeanStd(76.0, None, 1)]) == pytest.approx((two, two))
    assert chance_outside([MeanStd(76.0, 0.4, 3)] * 96) == pytest.approx((11.15, 17.62), abs=0.01)
    assert chance_outside([]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("difference", "width", "text"),
    [
        (1.04, 1.02, ("+1.04", "1.02")),  # outside, both 1.0 with one digit
        (0.96, 1.04, ("+1.0", "1.0")),  # inside, and equal numbers are inside
        (-0.31, 0.29, ("−0.31", "0.29")),
        (-0.34, 0.22, ("−0.3", "0.2")),
        (1.004, None, ("+1.004", "")),  # more than one point
        (0.9, 1.13, ("+0.90", "1.13")),  # 2.03 together, 0.9 + 1.1 = 2.0
        (6.57, 1.23, ("+6.6", "1.2")),
        (-0.04, 0.6, ("0.0", "0.6")),
    ],
)
def test_rounding_never_contradicts_a_verdict(difference, width, text):
    assert format_difference(difference, width) == text


def test_fewer_runs_than_published_are_a_reason():
    assert judge(MeanStd(76.5, None, 1), PAPER).reasons == ("1 run against 3 published",)
    assert judge(MeanStd(76.5, 0.6, 2), PAPER).reasons == ("2 runs against 3 published",)
    assert judge(MeanStd(76.5, 0.6, 5), PAPER).reasons == ()


def test_not_comparable_has_every_reason_and_no_difference():
    verdict = judge(MeanStd(76.0, 0.6, 3), PAPER, ["short schedule", "other images"])
    assert (verdict.text, verdict.difference) == ("not comparable", None)
    assert verdict.reasons == ("short schedule", "other images")


def test_missing_published_number_is_the_only_reason():
    assert judge(MeanStd(76.5, 0.6, 3), None, ["short schedule"]) == (
        "not comparable",
        None,
        None,
        ("no published number",),
    )


def test_not_run_takes_precedence():
    assert judge(None, None, ["short schedule"]).text == "not run"


def test_reasons_not_comparable(make_metrics):
    run = make_metrics("cifar10-lt/s/paper/fixmatch/s0")
    folder = make_metrics("cifar10-lt/s/paper/fixmatch/s1", source={"kind": "image_folder"})
    assert reasons_not_comparable({"comparable": True, "note": ""}, "cifar10-lt", {}, [run]) == []
    reason = "images neither read from the official archive nor recognised as the official ones"
    assert reasons_not_comparable({"comparable": True}, "cifar10-lt", {}, [run, folder]) == [reason]
    recognised = make_metrics("cifar10-lt/s/paper/fixmatch/s1", source=RECOGNISED)
    assert reasons_not_comparable({"comparable": True}, "cifar10-lt", {}, [run, recognised]) == []
    assert reasons_not_comparable({"comparable": True}, "cifar10-lt", {}, [folder, recognised]) == [reason]
    assert reasons_not_comparable({"comparable": False, "note": "short"}, "cifar10-lt", {}, []) == ["short"]
    assert reasons_not_comparable({"name": "x", "title": "a title"}, "cifar10-lt", {}, []) == [
        "a title"
    ]  # `comparable` is false
    assert protocol_label({"comparable": True, "note": "a note"}) == ""


def test_first_images_of_each_class_are_judged_on_the_archive_alone(make_metrics):
    first = {"selection": "first"}
    paper = {"comparable": True, "splits": {"cifar10-lt": first}}
    run = make_metrics("cifar10-lt/s/paper/fixmatch/s0")
    recognised = make_metrics("cifar10-lt/s/paper/fixmatch/s1", source=RECOGNISED)
    unknown = make_metrics("cifar10-lt/s/paper/fixmatch/s1", source={"kind": "image_folder"})
    assert reasons_not_comparable(paper, "cifar10-lt", first, [run]) == []
    reason = "the setting selects the first images of each class, which differ outside of the archive"
    assert reasons_not_comparable(paper, "cifar10-lt", first, [run, recognised]) == [reason]
    assert len(reasons_not_comparable(paper, "cifar10-lt", first, [unknown])) == 1


def test_settings_with_splits_of_another_kind_are_not_comparable(make_metrics, params):
    """A protocol judges only settings whose images are selected as its authors selected them on this dataset."""
    run = make_metrics("cifar10-lt/s/paper/fixmatch/s0")
    reason = "splits of another kind than those of the published numbers"
    for place, expected in {
        "cifar10-lt/n500-m4000-l100-u100": {"paper", "usb"},
        "cifar10-lt/n500-m4000-l100-u100-first": {"simpro"},
        "cifar10-lt/n500-m4000-l100-u100-first-in": {"acr", "cdmad"},
        "cifar100-lt/n50-m400-l20-u20": {"paper", "usb"},
        "cifar100-lt/n50-m400-l20-u20-first": {"simpro"},
        "cifar100-lt/n50-m400-l20-u20-first-in": {"acr"},
        "cifar100-lt/n150-m300-l20-u20-in": {"cdmad"},
        "stl10-lt/n450-l10": {"paper", "usb"},
        "stl10-lt/n450-l10-first": {"acr", "simpro"},
        "stl10-lt/n450-l10-first-in": {"cdmad"},
        "stl10-lt/n150-l10-in": set(),
        "digits/n20-m80-l20-u10": {"paper", "acr", "simpro", "cdmad", "usb"},
    }.items():
        dataset, setting = place.split("/")
        for name in ("paper", "acr", "simpro", "cdmad", "usb"):
            tree = params.datasets[dataset]["settings"][setting]
            reasons = reasons_not_comparable(params.protocols[name], dataset, tree, [run])
            assert reasons == ([] if name in expected else [reason]), (name, place)


def test_only_archive_sources_are_in_archive_order():
    assert in_archive_order({"kind": "cifar10", "md5": "c58f"})
    assert not in_archive_order({"kind": "image_folder", "origin": "cifar", "sha256": "ab12"})
    assert not in_archive_order(RECOGNISED)
    assert in_archive_order(LISTED)
    assert not in_archive_order({**LISTED, "official_lists": False})
    assert not in_archive_order("cifar10")
    assert not in_archive_order(None)


def test_remark_on_another_draw_is_added_to_every_verdict(make_metrics):
    """One run with images from files is enough; cells that are not comparable have no remark."""
    archive, files = (make_metrics(f"d/s/paper/m/s{i}", source=source) for i, source in enumerate(SOURCES))
    assert remarks([archive, archive]) == []
    assert remarks([archive, files]) == ["another draw of the splits"]
    remark = ("another draw of the splits",)
    assert judge(MeanStd(76.5, 0.6, 3), PAPER, remarks=remark) == (
        "agrees",
        0.5,
        pytest.approx(0.814, abs=1e-3),
        remark,
    )
    assert judge(MeanStd(76.5, 0.6, 3), PAPER._replace(std=None), remarks=remark) == (
        "within 1 point",
        0.5,
        None,
        remark,
    )
    assert judge(MeanStd(76.5, None, 1), PAPER, remarks=remark).reasons == ("1 run against 3 published", *remark)
    assert judge(MeanStd(76.5, 0.6, 3), PAPER, ["short"], remark).reasons == ("short",)


def cell(run, done=(), seeds=(0, 1, 2), **fields):
    return Cell("t", "s", run.split("/")[-1], run, tuple(seeds), done=dict.fromkeys(done, {}), **fields)


def test_coverage_counts_a_shared_cell_once():
    shared = cell("a", (0, 1, 2))
    result = coverage([shared, shared, cell("b", (1,), running=(0,)), cell("c", stale=(2,))])
    assert result == (1, 3, 4, 9, 1, 1)
