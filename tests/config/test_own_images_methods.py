"""Methods for one's own images: self-training, and controls that differ by the unlabeled images alone."""

import pytest

from daso.config.checks import check_run
from daso.config.resolve import parse_run, resolve
from daso.errors import ParamsError
from tests.repository import PARAMS


def test_self_training_requires_predictions_of_unlabeled_images():
    """The protocol keeps them, as that of the zoo does."""
    check_run(PARAMS, parse_run(PARAMS, "digits/n40-m60-l10-u5r/zoo/self_training_la/s0"))
    with pytest.raises(ParamsError) as raised:
        check_run(PARAMS, parse_run(PARAMS, "digits/n40-m60-l10-u5r/digits/self_training_la/s0"))
    assert str(raised.value).endswith(
        "params/protocols/digits.yaml: evaluation.predictions: missing, and 'self_training_la' trains on predictions "
        "of 'supervised_la' for unlabeled images; set it to true"
    )


def test_control_on_features_differs_from_its_method_by_unlabeled_images_alone():
    """Both have the neck; the network of the other methods of the protocol has none."""
    place = "digits/n20-m80-l20-u10r/photos"
    configs = [
        resolve(PARAMS, parse_run(PARAMS, f"{place}/{name}/s0"))
        for name in ("supervised_la_neck", "fixmatch_la_daso_neck", "supervised_la")
    ]
    control, method, bare = (config["protocol"] for config in configs)
    assert control == method
    assert control["network"] == {**bare["network"], "neck": 256}
    assert configs[0]["optimizer"] == configs[1]["optimizer"]
