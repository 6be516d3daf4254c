"""Dataset variants: datasets with the images of another one, in a params/ with digits of 10 x 124 or more images."""

from pathlib import Path

import pytest

from daso.config.load import load_params
from daso.config.resolve import Run, data_config, resolve, split_config
from daso.errors import ParamsError
from tests.repository import PARAMS

FILE = Path("params/datasets/few.yaml")


@pytest.fixture
def write(params):
    """Write a dataset variant of digits without a holdout and with the setting n4."""

    def add(file=FILE, **keys):
        tree = {"title": "Few", "of": "digits", "holdout": 0, "class_order": "native"}
        tree |= {"settings": "{n4: {n1: 4, m1: train, gamma_l: 1}}"} | keys
        file.write_text("".join(f"{key}: {value}\n" for key, value in tree.items()))

    return add


def errors():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()


def test_variant_has_all_keys_of_its_base_but_its_own(write):
    write()
    own = {"title": "Few", "of": "digits", "holdout": 0, "class_order": "native"}
    settings = {"n4": {"n1": 4, "m1": "train", "gamma_l": 1}}
    digits = load_params().datasets["digits"]
    assert load_params().datasets["few"] == {**digits, **own, "settings": settings}
    assert (digits["title"], digits["holdout"], len(digits["settings"])) == ("handwritten digits", 100, 2)


def test_configurations_of_a_variant_are_those_of_a_complete_file(write):
    write()
    loaded = load_params()
    run = Run("few", "n4", "digits", "fixmatch", 0)
    assert data_config(loaded, "few") == {**data_config(loaded, "digits"), "dataset": "few"}
    assert split_config(loaded, "few", "n4", 0) == {
        **{"dataset": "few", "seed": 0, "num_classes": 10, "holdout": 0, "class_order": "native"},
        "setting": {"name": "n4", "reversed": False, "n1": 4, "m1": "train", "gamma_l": 1},
    }
    assert resolve(loaded, run)["dataset"] == {
        **{"name": "few", "num_classes": 10, "image_size": 8, "mean": [0.3] * 3, "std": [0.4] * 3},
        "augment": {"flip": False, "pad": 1, "cutout": 2, "num_ops": 2, "op_probability": 0.5, "ops": ["rotate"]},
    }


def test_long_tailed_cifar_has_the_images_of_cifar():
    for name in ("cifar10", "cifar100"):
        base, variant = (data_config(PARAMS, each) for each in (name, f"{name}-lt"))
        assert variant == {**base, "dataset": f"{name}-lt"}
        assert PARAMS.datasets[f"{name}-lt"]["holdout"] == 5000


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"of": "digit"}, "of: unknown dataset 'digit'; did you mean 'digits'?"),
        ({"std": "[1, 1, 1]"}, "unknown key 'std'; choose one of title, of, holdout, class_order, settings"),
        ({"holdout": 7}, "holdout: 7 is not divisible by 10 classes; set it to a multiple of 10"),
        (
            {"settings": "{n: {n1: 125, m1: train, gamma_l: 1}}"},
            "settings.n: a class needs 125 images (0 of them held out), but the smallest has 124; lower n1",
        ),
    ],
)
def test_errors_of_a_variant_name_its_file(write, keys, line):
    write(**keys)
    assert errors() == [f"{FILE}: {line}"]


def test_errors_of_the_base_are_reported_only_for_the_base(write, params):
    write()
    params("datasets/digits.yaml", lambda tree: tree["augment"].update(pad=8))
    (error,) = errors()
    assert error.startswith("params/datasets/digits.yaml: augment.pad: 8 is too large to reflect 8 pixels")
    params("datasets/digits.yaml", lambda tree: tree.pop("image_size"))
    assert errors() == ["params/datasets/digits.yaml: missing key 'image_size'; add it"]


def test_variant_of_a_variant_is_an_error(write):
    write()
    write(FILE.with_name("fewer.yaml"), of="few")
    assert errors() == [
        "params/datasets/fewer.yaml: of: dataset 'few' itself has `of: digits`; "
        "set `of: digits` and copy the other keys of few.yaml"
    ]


def test_variant_of_itself_is_an_error(write):
    write(of="few")
    assert errors() == [f"{FILE}: of: dataset 'few' itself has `of: few`; name a dataset without `of`"]
