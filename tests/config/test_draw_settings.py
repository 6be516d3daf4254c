"""Settings with a shape of the unlabeled classes, first images of each class, or labeled images as unlabeled ones."""

import pytest

from daso.config.epochs import image_numbers
from daso.config.explain import explain
from daso.config.inventory import describe_setting
from daso.config.load import load_params
from daso.config.resolve import Run, resolve
from daso.data.class_sizes import class_sizes
from daso.errors import ParamsError
from daso.planning.cell import match
from daso.planning.disk import images_of
from daso.report.results.published import PUBLISHED, read_published
from tests.repository import PARAMS

TAILS = {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10}
GAUSSIAN = {"n1": 20, "m1": 80, "gamma_l": 20, "shape": "gaussian"}
WHERE = "params/datasets/digits.yaml: settings.x"


@pytest.fixture
def write(params):
    """Return `write(setting)`, which adds the setting `x` to digits."""
    return lambda setting: params("datasets/digits.yaml", lambda tree: tree["settings"].update(x=setting))


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        (
            {**TAILS, "shape": "midle"},
            ".shape: expected one of middle, head-tail, gaussian, inverse-gaussian, arbitrary, got 'midle'; "
            "did you mean 'middle'?",
        ),
        (
            {**TAILS, "shape": "middle", "reversed": True},
            ".reversed: not allowed with shape 'middle'; remove one of them",
        ),
        (
            {**TAILS, "shape": "gaussian"},
            ".gamma_u: not allowed with shape 'gaussian', whose sizes follow from m1 alone; remove it",
        ),
        (
            {**TAILS, "gamma_u": 1, "shape": "arbitrary"},
            ".shape: 'arbitrary' is not allowed with gamma_u: 1, which gives all classes one size; remove it",
        ),
        ({key: TAILS[key] for key in ("n1", "m1", "gamma_l")}, ": missing key 'gamma_u'; add it"),
        ({**GAUSSIAN, "shape": "middle"}, ": missing key 'gamma_u'; add it"),
        ({**TAILS, "selection": "last"}, ".selection: expected 'first', got 'last'"),
        (
            {**TAILS, "selection": "first"},
            ".selection: 'first' is not allowed with images held out (10 of each class); set holdout: 0",
        ),
        (
            {"n1": 4, "m1": "train", "gamma_l": 1, "unlabeled_includes_labeled": True},
            ".unlabeled_includes_labeled: not allowed with m1: train, which includes the labeled images; remove it",
        ),
        (
            {"labeled": 0.2, "selection": "first"},
            ": unknown key 'selection'; choose one of labeled, holdout, outside",
        ),
        (
            {**GAUSSIAN, "m1": 105},
            ": a class needs 135 images (10 of them held out), but the smallest has 124; lower n1 or m1",
        ),
    ],
)  # fmt: skip
def test_errors_of_a_draw(write, setting, error):
    write(setting)
    with pytest.raises(ParamsError) as raised:
        load_params()
    assert str(raised.value).splitlines() == [WHERE + error]


FIRST = {"selection": "first", "unlabeled_includes_labeled": True, "holdout": 0}


@pytest.mark.parametrize(
    ("setting", "unlabeled"),
    [
        ({**TAILS, "shape": "middle"}, 323),
        ({**TAILS, **FIRST}, 323 + 64),
        ({**TAILS, "shape": "head-tail", **FIRST}, 323 + 64),
        (GAUSSIAN, 2 * (2 + 9 + 27 + 55 + 80)),
        ({"n1": 4, "m1": "train", "gamma_l": 1, "selection": "first", "holdout": 0}, 1297),
    ],
)
def test_plans_and_epochs_count_the_images_of_a_draw(write, setting, unlabeled):
    """80 / 10^(r / 9): 80, 61, 47, 37, 28, 22, 17, 13, 10, 8, in all 323; labeled: 20, 14, 10, 7, 5, 3, 2, 1, 1, 1.

    80 times 0.0273, 0.1153, 0.3396, 0.6977 and 1 are 2.2, 9.2, 27.2, 55.8 and 80, twice each.
    """
    write(setting)
    params = load_params()
    assert images_of(params, Run("digits", "x", "smoke", "fixmatch", 0))["unlabeled"] == unlabeled
    digits = params.datasets["digits"]
    assert image_numbers(digits, digits["settings"]["x"])["unlabeled"] == unlabeled


def test_plans_count_labeled_images_among_those_without_labels():
    """100,000 images without labels and 609 labeled ones."""
    stl10 = PARAMS.datasets["stl10-lt"]
    for name, unlabeled in (("n150-l10", 100_000), ("n150-l10-first", 100_000), ("n150-l10-in", 100_609)):
        assert images_of(PARAMS, Run("stl10-lt", name, "paper", "fixmatch", 0))["unlabeled"] == unlabeled
        assert image_numbers(stl10, stl10["settings"][name]) == {"labeled": 609, "unlabeled": unlabeled}


def test_settings_are_described():
    cifar = PARAMS.datasets["cifar10-lt"]["settings"]
    first = (
        "labeled: 1,236 images, 500 to 5 per class (gamma 100), the first of each class",
        "unlabeled: 11,158 images, 540 to 4,005 per class (gamma 100, reversed), including the labeled ones",
    )
    assert describe_setting(cifar["n500-m4000-l100-u100r-first-in"], 10) == first
    middle = "unlabeled: 9,922 images, 4,000 to 40 per class (gamma 100, middle)"
    assert describe_setting(cifar["n500-m4000-l100-u100m"], 10)[1] == middle
    gaussian = "unlabeled: 13,074 images, 3,000 to 81 per class (gaussian)"
    assert describe_setting(cifar["n1500-m3000-l100-ug"], 10)[1] == gaussian
    stl = PARAMS.datasets["stl10-lt"]["settings"]["n150-l10-in"]
    assert describe_setting(stl, 10)[1].startswith("unlabeled: all, including the labeled ones; classes of")


def test_explain_prints_a_shape_without_the_default_of_reversed():
    lines = [
        line.split() for line in explain(PARAMS, "fixmatch", "paper", "cifar10-lt/n1500-m3000-l100-ug").split("\n")
    ]
    names = [words[0] for words in lines if words and words[0].startswith("setting.")]
    assert names == ["setting.n1", "setting.m1", "setting.gamma_l", "setting.shape"]


@pytest.mark.parametrize(
    ("dataset", "setting", "labeled", "unlabeled"),
    [
        ("cifar10-lt", "n500-m4000-l150-u150ht-first", 1162, 9329),
        ("cifar10-lt", "n500-m4000-l150-u150r-first", 1162, 9329),
        ("cifar10-lt", "n500-m4000-l100-u1-first-in", 1236, 40_000 + 1236),
        ("cifar10-lt", "n1500-m3000-l150-u150-first-in", 3496, 6996 + 3496),
        ("cifar10-lt", "n1500-m3000-l100-u100-first-in", 3720, 7443 + 3720),
        ("cifar100-lt", "n50-m400-l20-u20m-first", 1545, 12_719),
        ("cifar100-lt", "n50-m400-l10-u10r-first-in", 1911, 15_651 + 1911),
        ("cifar100-lt", "n150-m300-l20-u20-in", 4741, 9527 + 4741),
        ("digits", "n20-m80-l20-u10ht", 64, 323),
    ],
)
def test_images_of_settings_of_papers(dataset, setting, labeled, unlabeled):
    """Sums of the tails as in `tests.data.draws`, of labeled and unlabeled images."""
    tree = PARAMS.datasets[dataset]
    counts = class_sizes(tree["settings"][setting], tree["num_classes"])
    assert tuple(map(sum, counts)) == (labeled, unlabeled)


@pytest.mark.parametrize(
    ("method", "setting", "option", "value"),
    [
        ("fixmatch_daso", "cifar10-lt/n1500-m3000-l100-u100-first-in", "daso.dist_temperature", 1.5),
        ("fixmatch_daso", "cifar10-lt/n1500-m3000-l50-u50-first-in", "daso.dist_temperature", 1.5),
        ("fixmatch_daso", "cifar10-lt/n500-m4000-l100-u100m", "daso.dist_temperature", 0.3),
        ("fixmatch_daso", "cifar10-lt/n1500-m3000-l100-u50-first-in", "daso.dist_temperature", 0.3),
        ("remixmatch", "cifar100-lt/n50-m400-l10-u10-first-in", "distribution_alignment.enabled", True),
        ("remixmatch", "cifar100-lt/n150-m300-l50-u50r-in", "distribution_alignment.enabled", False),
        ("remixmatch", "cifar100-lt/n50-m400-l20-u20ht-first", "distribution_alignment.enabled", False),
        ("fixmatch_darp", "cifar10-lt/n500-m4000-l150-u150-first-in", "darp.prior", "true_counts"),
        ("fixmatch_darp", "cifar10-lt/n500-m4000-l100-u100ht", "darp.prior", "estimated"),
        ("fixmatch_darp", "cifar10-lt/n500-m4000-l100-u100r-first-in", "darp.prior", "estimated"),
        ("fixmatch_darp", "cifar10-lt/n1500-m3000-l100-uig", "darp.prior", "estimated"),
        ("fixmatch_darp", "digits/n20-m80-l20-u10m", "darp.prior", "estimated"),
    ],
)
def test_options_for_matching_class_distributions(method, setting, option, value):
    """Only matched distributions have the options that papers set for them, and no other reads the true class sizes."""
    config = resolve(PARAMS, Run(*setting.split("/"), "paper", method, 0))
    name, _, key = option.partition(".")
    (part,) = (part for part in config["method"]["addons"] if part["name"] == name)
    assert part[key] == value


def test_published_cell_is_that_of_the_draw_of_its_paper():
    (row,) = (
        row
        for row in read_published(PUBLISHED)
        if (row["source"], row["table"], row["base"], row["addons"]) == ("daso_paper", "1", "fixmatch", "daso")
        and (row["dataset"], row["n1"], row["gamma_l"]) == ("cifar10-lt", "1500", "100")
    )
    assert match(PARAMS, row).settings == ["n1500-m3000-l100-u100"]
