"""Models with a cosine classifier, whose scale was 16 before it became 25."""

from types import SimpleNamespace

import pytest

from daso.data.files import checksummed, write_file
from daso.deploy.calibration import Calibration
from daso.deploy.model import classifier_of, model_id, with_digest
from daso.deploy.record import record_of_runs
from daso.errors import DataError
from daso.models.network import Preprocessing
from daso.paths import metrics_file
from tests.deploy.models import CONVNET, record_of, trained_model


def cosine_model(**changes):
    tensors = {name: each for name, each in trained_model(CONVNET, (0,)).tensors.items() if "bias" not in name}
    return with_digest(record_of(CONVNET | {"head": "cosine"}, (0,), **changes), tensors)


@pytest.mark.parametrize(("scale", "got"), [({}, "none"), ({"cosine_scale": 16.0}, "16")])
def test_model_of_another_scale_is_refused(scale, got):
    model = cosine_model(**scale)
    with pytest.raises(DataError) as error:
        classifier_of(model)
    assert str(error.value) == (
        f"{model_id(model.record)}: expected a cosine classifier with the scale 25, got {got}; train its runs again, "
        "then export it again"
    )


def test_record_has_the_scale_and_the_super_classes_of_the_run(workspace):
    """The file of the dataset calls the first super-class `round`."""
    run = "digits/n20-m80-l20-u10r/smoke/fixmatch_scad/s0"
    metrics = {"key": "k", "balanced_accuracy": 0.5, "recall": [0.5] * 10, "precision": [0.5] * 10}
    write_file(metrics_file(run), checksummed(metrics))
    write_file(workspace / "manifest.json", b"{}")
    config = {
        **{"run": run, "key": "k", "seed": 0, "plan": {}},
        "method": {"name": "fixmatch_scad", "learner": {"name": "fixmatch"}, "addons": []},
        "protocol": {"network": {"name": "timm", "head": "cosine"}},
        "dataset": {"image_size": 8, "augment": {}, "super_classes": {"even": list("02468"), "odd": list("13579")}},
    }
    result = {"classes": list("0123456789"), "counts": {"labeled": [1] * 10}, "provenance": {}}
    finished = SimpleNamespace(folder=workspace, key="k", result=result)
    store = SimpleNamespace(folder=workspace, dataset="digits", image_size=8)
    preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear")
    record = record_of_runs("digits", [finished], [config], store, preprocessing, Calibration(1.0, 0.5, ""))
    assert record["cosine_scale"] == 25
    assert record["super_classes"] == ["even", "odd"] * 5
