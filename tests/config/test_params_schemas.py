"""Names in the schemas equal those in the code, which reading params/ must not import."""

import shutil
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from daso.augment.randaugment import COLOR_OPS, GEOMETRIC_OPS
from daso.config.load import load_params
from daso.config.params import structure_errors
from daso.config.params_schemas import ColorOpName, GeometricOpName
from daso.data.catalog import OFFICIAL, READERS
from daso.data.dataset_schemas import Archive, Source
from daso.errors import ParamsError
from daso.schema import record_fields

ROOT = Path(__file__).resolve().parents[2]


def test_operations_of_the_schema_equal_those_of_the_code():
    assert get_args(ColorOpName) == tuple(sorted(COLOR_OPS))
    assert get_args(GeometricOpName) == tuple(sorted(GEOMETRIC_OPS))


def kinds(source):
    """Return the kinds that the schema of a source allows."""
    return get_args(record_fields(source)["kind"][0])


def test_kinds_of_sources_in_the_schemas_equal_those_of_the_code():
    assert kinds(Archive) == tuple(OFFICIAL)
    assert [kind for source in get_args(Source) for kind in kinds(source)] == list(READERS)


def test_named_pool_of_operations_is_listed_in_the_order_of_its_draws():
    assert load_params(ROOT / "params").datasets["cifar10"]["augment"]["ops"] == [
        *("autocontrast", "brightness", "color", "contrast", "equalize", "identity", "posterize", "rotate"),
        *("sharpness", "shear_x", "shear_y", "solarize", "translate_x", "translate_y"),
    ]


def test_unknown_operation_suggests_the_closest_name(tmp_path):
    shutil.copytree(ROOT / "params", tmp_path / "params")
    file = tmp_path / "params/datasets/digits.yaml"
    file.write_text(file.read_text().replace("rotate", "rotat"))
    with pytest.raises(ParamsError, match=r"digits.yaml: augment.ops.*rotat.*did you mean 'rotate'"):
        load_params(tmp_path / "params")


@pytest.mark.parametrize(
    ("setting", "errors"),
    [
        ({"labeled": 0.2}, []),
        ({"labeled": 1}, ["settings.x.labeled: 1 is too large; set it below 1"]),
        ({"labeled": 0}, ["settings.x.labeled: 0 is too small; set it above 0"]),
        ({"labeled": 0.2, "n1": 3}, ["settings.x: unknown key 'n1'; choose one of labeled, holdout, outside"]),
        ({"n1": 3, "m1": 4, "gamma_l": 2}, ["settings.x: missing key 'gamma_u'; add it"]),
        ({"n1": 3, "m1": "all", "gamma_l": 2}, []),
        (
            {"n1": 3, "m1": "al", "gamma_l": 2, "gamma_u": 2},
            ["settings.x.m1: expected an integer of at least 0 or one of all, train, got 'al'; did you mean 'all'?"],
        ),
        (
            {"n1": 3, "m1": "all", "gamma_l": 2, "reversed": True},
            [
                "settings.x: unknown key 'reversed'; choose one of n1, m1, gamma_l, selection, "
                "unlabeled_includes_labeled, holdout, outside"
            ],
        ),
        ({"n1": 3, "m1": "train", "gamma_l": 1, "holdout": 0}, []),
        ({"n": 5, "gamma": 2, "share": 0.1}, []),
        ({"n": 5, "share": 0.1}, ["settings.x: missing key 'gamma'; add it"]),
        ({"n": 5, "gamma": 2, "share": 1}, ["settings.x.share: 1 is too large; set it below 1"]),
        (
            {"n": 5, "gamma": 2, "share": 0.1, "m1": 3},
            ["settings.x: unknown key 'm1'; choose one of n, gamma, share, holdout, outside"],
        ),
        ({"labeled": 0.2, "holdout": -1}, ["settings.x.holdout: -1 is below the minimum 0; set it to 0 or more"]),
    ],
)
def test_setting_has_sizes_or_a_fraction(setting, errors):
    tree = YAML(typ="safe").load(ROOT / "params/datasets/digits.yaml")
    tree |= {"class_order": "size", "settings": {"x": setting}}
    assert structure_errors(tree, "dataset") == errors
