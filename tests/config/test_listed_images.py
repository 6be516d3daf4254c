"""Datasets of listed images in params/: subsets, settings that name them, and keys of their stores."""

import pytest

from daso.config.inventory import describe_setting
from daso.config.keys import Keys
from daso.config.load import load_params
from daso.config.resolve import data_config, split_config
from daso.errors import ParamsError
from tests import semi_aves
from tests.repository import PARAMS

FILE = "params/datasets/digits.yaml"


@pytest.fixture
def aves(params):
    """Return `change(edit)`, which edits the dataset; it replaces digits, which the suites name."""
    params("datasets/digits.yaml", lambda tree: (tree.clear(), tree.update(semi_aves.params("raw"))))
    names = {"n20-m80-l20-u10r": {"labeled": "all", "unlabeled": "all"}}
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(names))
    params(
        "datasets/digits.yaml", lambda tree: tree["settings"].update({"n20-m80-l20-u10": {**names["n20-m80-l20-u10r"]}})
    )
    return lambda edit: params("datasets/digits.yaml", edit)


def errors():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda tree: tree["settings"]["in"].update(unlabeled=["inn"]),
            "settings.in.unlabeled: unknown subset 'inn'; did you mean 'in'?",
        ),
        (
            lambda tree: tree["settings"]["in-out"].update(supervised="inn"),
            "settings.in-out.supervised: 'inn' is not a setting with `labeled: all`; name one",
        ),
        (
            lambda tree: tree["subsets"].update(out=15),
            "subsets: expected 46 images in all, as images.unlabeled, got 45; correct one",
        ),
        (lambda tree: tree.update(fit="pad"), "fit: expected one of crop, squash, got 'pad'"),
        (lambda tree: tree["source"]["lists"].pop("val"), "source.lists: missing key 'val'; add it"),
        (
            lambda tree: tree["settings"]["in-out"].update(unlabeled=["in", "in"]),
            "settings.in-out.unlabeled: duplicate 'in'; list it once",
        ),
        (
            lambda tree: tree["source"]["lists"]["val"].update(sha256="ABC"),
            "source.lists.val.sha256: expected text of the form [0-9a-f]{64}, got 'ABC'; copy the 64 digits that "
            "sha256sum prints",
        ),
        (
            lambda tree: tree["source"].update(archives={"test": {"urls": ["https://a.example"], "sha256": "ABC"}}),
            "source.archives.test.sha256: expected text of the form [0-9a-f]{64}, got 'ABC'; copy the 64 digits that "
            "sha256sum prints",
        ),
        (
            lambda tree: tree["source"].update(oracle_lists={"inn": {"sha256": "0" * 64, "labels": [0, 3]}}),
            "source.oracle_lists.inn: unknown subset 'inn'; did you mean 'in'?",
        ),
        (
            lambda tree: tree["source"]["oracle_lists"]["out"].update(labels=[6, 4]),
            "source.oracle_lists.out.labels: [6, 4] is not in ascending order; swap the values",
        ),
        (
            lambda tree: tree["source"].update(classes=["avocet", "booby", "coot"]),
            "source.classes: expected 4 names, as num_classes, got 3; correct one",
        ),
        (
            lambda tree: tree["source"].update(archives={"tests": {"urls": ["https://a.example"], "sha256": None}}),
            "source.archives: unknown key 'tests'; did you mean 'test'?",
        ),
        (
            lambda tree: tree["source"].update(archives={"test": {"urls": ["https://a.example"]}}),
            "source.archives.test: missing key 'sha256'; add it",
        ),
    ],
)
def test_wrong_subset_setting_or_source_is_an_error(aves, edit, message):
    aves(edit)
    assert errors() == [f"{FILE}: {message}"]


def test_natural_sizes_require_the_order_by_size(aves):
    aves(lambda tree: tree.update(class_order="native"))
    assert {line.split(": ", 2)[2] for line in errors()} == {
        "natural class sizes are not allowed with class_order 'native'; set class_order: size"
    }


def test_digits_have_no_images_without_a_label(params):
    params("datasets/digits.yaml", lambda tree: tree.update(class_order="size"))
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(every={"labeled": "all", "unlabeled": "all"}))
    assert errors() == [
        f"{FILE}: settings.every.unlabeled: 'all' is not allowed: all images have a label; set `labeled` to a share "
        "alone"
    ]


def test_key_of_the_store_depends_on_lists_and_fit_but_not_on_places(aves):
    key = Keys(load_params()).data("digits")
    aves(lambda tree: tree["source"].update(path="elsewhere", override="DASO_AVES", lists_url="https://lists.example"))
    aves(lambda tree: tree["source"].update(archives={"test": "https://page.example"}))
    aves(lambda tree: tree["source"].pop("oracle_lists"))
    assert Keys(load_params()).data("digits") == key
    aves(lambda tree: tree.update(redistribute=True))
    assert Keys(load_params()).data("digits") == key
    aves(lambda tree: tree.update(fit="squash"))
    squashed = Keys(load_params()).data("digits")
    assert squashed != key
    aves(lambda tree: tree["source"]["lists"]["test"].update(sha256="0" * 64))
    assert Keys(load_params()).data("digits") != squashed


def test_stores_of_other_datasets_have_no_new_options():
    """Their configurations, and with them their keys, are those of before."""
    assert set(data_config(PARAMS, "digits")) == {"dataset", "source", "num_classes", "image_size", "images"}
    assert {"fit", "subsets"} <= set(data_config(PARAMS, "semi-aves"))


def test_settings_of_semi_aves_name_their_subsets():
    assert split_config(PARAMS, "semi-aves", "in", 0)["setting"]["unlabeled"] == ["in"]
    described = describe_setting(PARAMS.datasets["semi-aves"]["settings"]["in-out"], 200)
    assert described[0] == "labeled: all, natural class sizes"
    assert described[1].startswith("unlabeled: subsets in, out; classes of the unlabeled images unknown")
