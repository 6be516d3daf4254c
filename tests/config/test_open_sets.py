"""The key `outside` of a setting: errors, configuration of splits and runs, keys."""

import pytest

from daso.config.checks import check_run
from daso.config.inventory import describe_setting
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.open_sets import stores_of
from daso.config.resolve import Run, resolve, split_config
from daso.data.class_sizes import outside_images, target_classes
from daso.errors import ParamsError
from daso.planning.disk import images_of

TAILS = {"n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10}
WHERE = "params/datasets/digits.yaml: settings.open.outside"


@pytest.fixture
def outside(params):
    """Return `outside(value, **changes)`, which writes the setting `open` and loads params."""

    def write(value, **changes):
        setting = {**TAILS, **changes, "outside": value}
        setting = {key: size for key, size in setting.items() if size is not None}
        params("datasets/digits.yaml", lambda tree: tree["settings"].update(open=setting))
        return load_params()

    def other(name, **changes):
        import shutil

        shutil.copy("params/datasets/digits.yaml", f"params/datasets/{name}.yaml")
        params(f"datasets/{name}.yaml", lambda tree: (tree["settings"].pop("open", None), tree.update(changes)))

    write.other = other
    return write


def test_share_of_images_of_no_class_is_exact():
    """0.5 doubles the images, 0.2 adds a quarter, 0.7 of 10 images are 7 when 3 are inside; rounded half to even."""
    setting = {"outside": {"classes": [1], "share": 0.5}}
    assert outside_images(setting, 232) == 232
    assert [outside_images({"outside": {"share": share}}, n) for share, n in ((0.2, 100), (0.7, 3), (0.2, 2))] == [
        25,
        7,
        0,
    ]
    assert outside_images({}, 100) == 0
    assert target_classes({"outside": {"classes": [3, 0], "share": 0}}, 5) == (1, 2, 4)


def test_split_and_run_have_the_target_classes_alone(outside):
    """Ten digits hold out ten images of each class; seven of them hold out 70, 47 are labeled, 232 + 232 unlabeled."""
    loaded = outside({"classes": [7, 8, 9], "share": 0.5})
    split = split_config(loaded, "digits", "open", 0)
    assert (split["num_classes"], split["holdout"]) == (7, 70)
    run = Run("digits", "open", "smoke", "fixmatch", 0)
    assert resolve(loaded, run)["dataset"]["num_classes"] == 7
    assert images_of(loaded, run) == {"unlabeled": 464, "validation": 70, "test": 500}
    assert describe_setting(loaded.datasets["digits"]["settings"]["open"], 10) == (
        "labeled: 47 images, 20 to 1 per class (gamma 20)",
        "unlabeled: 232 images, 80 to 8 per class (gamma 10)",
        "outside: 50 % of the unlabeled images, of classes 7, 8, 9",
    )
    check_run(loaded, run)


def test_own_holdout_is_that_of_the_target_classes(outside):
    assert split_config(outside({"classes": [9], "share": 0.5}, holdout=18), "digits", "open", 0)["holdout"] == 18


@pytest.mark.parametrize(
    ("value", "changes", "message"),
    [
        ({"classes": [10], "share": 0.5}, {}, ".classes: unknown class 10; the classes of this dataset are 0 to 9"),
        (
            {"classes": [*range(9)], "share": 0.5},
            {},
            ".classes: leaves 1 of 10 classes, below the minimum 2; list fewer",
        ),
        ({"classes": [1, 1], "share": 0.5}, {}, ".classes: duplicate 1; list it once"),
        ({"classes": [9], "share": 1}, {}, ".share: 1 is too large; set it below 1"),
        ({"classes": [9], "share": -0.1}, {}, ".share: -0.1 is below the minimum 0; set it to 0 or more"),
        ({"dataset": "shapes", "share": 0}, {}, ".share: 0 is too small; set it above 0"),
        (
            {"dataset": "digits", "share": 0.5},
            {},
            ".dataset: unknown other dataset 'digits'; choose one of large, shapes",
        ),
        ({"dataset": "shape", "share": 0.5}, {}, ".dataset: unknown other dataset 'shape'; did you mean 'shapes'?"),
        (
            {"classes": [9], "share": 0.5},
            {"holdout": 10},
            ": holdout 10 is not divisible by 9 target classes; change it",
        ),
        (
            {"dataset": "shapes", "share": 0.9},
            {},
            ".share: needs 2907 images of 'shapes', which has 1297; lower the share",
        ),
        (
            {"dataset": "large", "share": 0.5},
            {},
            ".dataset: expected images of 8 pixels, got 16 in 'large'; name a dataset with the same image_size",
        ),
        (
            {"classes": [9], "share": 0.5},
            {**dict.fromkeys(TAILS), "labeled": 0.5},
            ": not allowed with `labeled`, which keeps the natural sizes; give n1, m1 and gammas",
        ),
    ],
)
def test_bad_input_is_one_line(outside, value, changes, message):
    outside.other("shapes")
    outside.other("large", image_size=16)
    with pytest.raises(ParamsError) as error:
        outside(value, **changes)
    lines = [line for line in str(error.value).splitlines() if "settings.open.outside" in line]
    assert lines == [WHERE + message]


def test_outside_classes_are_refused_if_unlabeled_images_have_no_label(outside):
    with pytest.raises(
        ParamsError, match=r"outside\.classes: not allowed with m1: all, since images without a label may"
    ):
        outside({"classes": [9], "share": 0.5}, m1="all", gamma_u=None)


def test_keys_depend_on_the_other_dataset(outside, params):
    outside.other("shapes")
    loaded = outside({"dataset": "shapes", "share": 0.5})
    assert stores_of(loaded, "digits", "open") == ["digits", "shapes"]
    assert stores_of(loaded, "digits", "n20-m80-l20-u10") == ["digits"]
    before = Keys(loaded)
    params("datasets/shapes.yaml", lambda tree: tree.update(num_classes=5))
    after = Keys(load_params())
    assert before.data("digits") == after.data("digits")
    assert before.split("digits", "n20-m80-l20-u10", 0) == after.split("digits", "n20-m80-l20-u10", 0)
    assert before.split("digits", "open", 0) != after.split("digits", "open", 0)
