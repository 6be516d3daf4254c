"""Published numbers of the sources that a protocol names, against cells read in reports/paper/results.csv."""

import pytest

from daso.errors import DataError
from daso.report.results.collect import MeanStd
from daso.report.results.published import (
    PAPER_SOURCE,
    PUBLISHED,
    THIRD_HAND,
    THREE_RUNS,
    UNJUDGED,
    cell_key,
    look_up,
    look_up_cell,
    read_published,
    row_key,
)
from daso.report.results.sources import read_sources
from daso.report.results.verdicts import judge

C10 = {"n1": 500, "m1": 4000, "gamma_l": 100, "gamma_u": 100}
C100 = {"n1": 50, "m1": 400, "gamma_l": 10, "gamma_u": 10}
G50 = {"n1": 150, "m1": 300, "gamma_l": 50, "gamma_u": 50}
STL = {"n1": 450, "m1": "all", "gamma_l": 10}
MIDDLE, REVERSED = {"shape": "middle"}, {"reversed": True}
ACR, SIMPRO = ["acr_paper", "ccl_paper"], ["simpro_paper"]
ACR_IN_CCL = "Wei and Gan 2023 (ACR), as printed in Zhou et al. 2024 (CCL), table 2"
SIMPRO_NAME = {"base": "fixmatch", "addons": "simpro"}
BEST = "published: the best evaluation on the test set"


@pytest.fixture(scope="module")
def rows():
    return read_published(PUBLISHED)


def number(rows, sources, dataset, setting, addons, metrics=("top1", "bacc")):
    return look_up(rows, dataset, setting, {"base": "fixmatch", "addons": addons}, metrics, sources=sources)


@pytest.mark.parametrize(
    ("sources", "dataset", "setting", "addons", "mean", "std", "source"),
    [
        (ACR, "cifar10-lt", C10, "acr", 81.6, 0.19, ACR_IN_CCL),
        (ACR, "cifar10-lt", C10, "ccl", 84.5, 0.38, "Zhou et al. 2024 (CCL), table 2"),
        (ACR, "cifar100-lt", C100, "acr", 51.1, 0.32, "Zhou et al. 2024 (CCL), table 2"),
        (SIMPRO, "cifar10-lt", C10, "simpro", 80.7, 0.30, "Du et al. 2024 (SimPro), table 1"),
        (SIMPRO, "cifar10-lt", C10 | MIDDLE, "simpro", 84.8, 0.54, "Du et al. 2024 (SimPro), table 1"),
        (SIMPRO, "cifar10-lt", C10 | {"shape": "head-tail"}, "simpro", 83.0, 0.36, "Du et al. 2024 (SimPro), table 1"),
        (SIMPRO, "cifar10-lt", C10 | {"gamma_u": 1}, "simpro", 93.8, 0.10, "Du et al. 2024 (SimPro), table 1"),
    ],
)
def test_number_of_a_source_with_the_protocol(rows, sources, dataset, setting, addons, mean, std, source):
    found = number(rows, sources, dataset, setting, addons)
    assert (found.mean, found.std, found.source, found.reason) == (mean, std, source, "")
    assert found.obtained.startswith("mean of the last 20 evaluations, 3 runs. Splits: ")


def test_rounded_ratio_of_reversed_classes_matches(rows):
    """SimPro, N1 500, M1 4000, 150 reversed: gamma_u is printed as 0.006667, not 1/150."""
    setting = C10 | {"gamma_l": 150, "gamma_u": 150}
    assert number(rows, SIMPRO, "cifar10-lt", setting | REVERSED, "simpro").mean == 83.5
    assert number(rows, SIMPRO, "cifar10-lt", setting, "simpro").mean == 74.2


@pytest.mark.parametrize("shape", ["middle", "head-tail", "gaussian", "inverse-gaussian", "arbitrary"])
def test_other_shape_never_matches_a_long_tail(rows, shape):
    keys = {row_key(row) for row in rows if row["shape"] == "long-tailed"}
    for row in rows:
        sizes_known = row["n1"].isdecimal() and row["m1"].isdecimal()
        if row["shape"] == "long-tailed" and sizes_known and not row["unlabeled"]:
            setting = {name: row[name] for name in ("n1", "m1", "gamma_l", "gamma_u")}
            assert cell_key(row["dataset"], setting | {"shape": "long-tailed"}, row, row["metric"]) in keys
            assert cell_key(row["dataset"], setting | {"shape": shape}, row, row["metric"]) not in keys


@pytest.mark.parametrize(
    ("sources", "dataset", "setting", "addons", "reason"),
    [
        (ACR, "cifar10-lt", C10, "", "repeats Oh et al. 2022, table 1"),  # 67.8 ± 1.13 in all three
        (ACR, "cifar10-lt", C10, "daso", "repeats Oh et al. 2022, table 1"),
        (ACR, "cifar10-lt", C10, "cpe", "repeats Ma et al. 2024 (CPE), table 2"),  # 80.68 ± 0.96 in one digit
        (SIMPRO, "cifar10-lt", C10, "daso", "repeats Oh et al. 2022, table 1"),
        (SIMPRO, "cifar10-lt", C10 | MIDDLE, "daso", "published: protocol not recorded"),
        (SIMPRO, "stl10-lt", STL, "daso", "repeats Oh et al. 2022, table 2"),
        (SIMPRO, "stl10-lt", STL, "acr", "repeats Wei and Gan 2023 (ACR), table 2"),
        (["acr_paper"], "cifar10-lt", C10, "acr", THIRD_HAND),
        (["cdmad_paper"], "cifar10-lt", C10 | {"n1": 1500, "m1": 3000}, "cdmad", THIRD_HAND),
        (["usb_results"], "cifar10-lt", C10, "daso", BEST),
        (["usb_results"], "cifar10-lt", C10 | REVERSED, "", BEST),  # 62.1 ± 1.49, and 62.1 of a single run before
        (["adello_paper"], "cifar100-lt", G50, "adello", "published: number of runs not recorded"),
    ],
)
def test_number_without_a_verdict_has_a_reason(rows, sources, dataset, setting, addons, reason):
    found = number(rows, sources, dataset, setting, addons)
    assert found.reason == reason
    verdict = judge(MeanStd(found.mean, 0.4, 3), found, remarks=["a remark"])
    assert verdict == ("not comparable", None, None, (reason,))


def test_number_with_a_verdict_comes_before_one_without(rows):
    """CIFAR100-LT, ACR: 55.7 (a wider network, read at third hand) in the first source, 51.1 in the second."""
    assert number(rows, ["acr_paper"], "cifar100-lt", C100, "acr").mean == 55.7
    found = number(rows, ACR, "cifar100-lt", C100, "acr")
    assert (found.mean, found.note) == (51.1, "Wei and Gan 2023 (ACR), table 1 prints 55.7±0.12 for this cell")


def test_number_of_a_source_in_the_list_is_not_a_repeat(rows):
    """Zhou et al. 2024 print ACR's 81.6 ± 0.19 again; both have the protocol, so either may be cited."""
    found = number(rows, ACR[::-1], "cifar10-lt", C10, "acr")
    assert (found.source, found.reason) == ("Zhou et al. 2024 (CCL), table 2", "")


def test_equal_geometric_mean_is_not_a_repeat(rows):
    (own,) = [row for row in rows if row_key(row) == cell_key("cifar10-lt", C10 | MIDDLE, SIMPRO_NAME, "top1")]
    earlier = {**own, "source": "acr_paper"}
    for metric, reason in (("bacc", "repeats Wei and Gan 2023 (ACR), table 1"), ("gm", "")):
        assert (
            number([{**earlier, "metric": metric}, own], SIMPRO, "cifar10-lt", C10 | MIDDLE, "simpro").reason == reason
        )


def test_order_of_the_sources_decides_between_two_numbers(rows):
    own = [row for row in rows if row["source"] == "ccl_paper" and row["addons"] == "ccl"]
    other = [{**row, "source": "simpro_paper", "table": "1", "mean": "1.0"} for row in own]
    for order, mean in ((["ccl_paper", "simpro_paper"], 84.5), (["simpro_paper", "ccl_paper"], 1.0)):
        assert number([*own, *other], order, "cifar10-lt", C10, "ccl").mean == mean


def test_geometric_mean_is_never_compared_with_an_accuracy(rows):
    """CDMAD, N1 1500, gamma 100: balanced accuracy 83.6, geometric mean 83.1."""
    setting, sources = C10 | {"n1": 1500, "m1": 3000}, ["cdmad_paper"]
    assert number(rows, sources, "cifar10-lt", setting, "cdmad").mean == 83.6
    assert number(rows, sources, "cifar10-lt", setting, "cdmad", ["gm"]).mean == 83.1
    table = {
        "protocol": {"name": "cdmad", "statistic": "mean", "published": sources},
        "dataset": {"name": "cifar10-lt"},
    }
    method = {"name": "cdmad", "paper": {"base": "fixmatch", "addons": "cdmad"}}
    found = [look_up_cell(rows, table, setting, method, name) for name in ("mean", "geometric_mean", "last", "median")]
    assert [each and each.mean for each in found] == [83.6, 83.1, None, None]


def test_protocol_without_sources_is_compared_with_oh_et_al(rows):
    table = {"protocol": {"name": "paper"}, "dataset": {"name": "cifar10-lt"}}
    method = {"name": "fixmatch_daso", "paper": {"base": "fixmatch", "addons": "daso"}}
    assert look_up_cell(rows, table, C10, method).source == "Oh et al. 2022, table 1"
    table["protocol"]["published"] = ["simpro_papre"]
    unknown = "protocol 'paper': published: unknown source 'simpro_papre'; did you mean 'simpro_paper'"
    with pytest.raises(DataError, match=unknown):
        look_up_cell(rows, table, C10, method)


def test_published_numbers_that_get_a_verdict_are_of_three_runs(params):
    """`published` of every protocol names known sources; the band assumes three runs behind each published mean.

    Numbers of ADELLO with a deviation have a reason, as tested above; those without one have no band.
    """
    sources = read_sources()
    for protocol in params.protocols.values():
        for name in protocol.get("published", ()):
            own = [source for source in sources.values() if source.source == name]
            assert own, name
            for source in own:
                judged = source.read not in ("third party", "memory")
                judged = judged and not any(text in source.statistic for text in UNJUDGED)
                if judged and name not in (PAPER_SOURCE, "adello_paper") and "single run" not in source.statistic:
                    assert any(text in source.statistic for text in THREE_RUNS), source
