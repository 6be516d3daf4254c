"""Computed sizes against the tensors of networks and methods that are built, and against numbers worked out by hand."""

import pytest
import torch

from daso.config.feasibility import setting_sizes
from daso.config.keys import Keys
from daso.config.params import components
from daso.config.registry import ADDONS, LEARNERS, NETWORKS, PLANS
from daso.config.resolve import Run
from daso.planning import disk
from daso.planning.sizes import FileSizes, TensorSizes, file_sizes, tensor_sizes
from daso.planning.synthetic import random_data, trainer, with_changes
from tests.configs import CPU, DASO, config
from tests.covering import covering
from tests.repository import PARAMS

KEYS = Keys(PARAMS)
# Every registered learner, add-on, network and plan is in one of these.
COMPLETE = {name: tree for name, tree in PARAMS.methods.items() if "of" not in tree}
METHODS = covering(COMPLETE)
WRN = {"name": "wide_resnet", "depth": 10, "width": 1}


def test_every_component_is_in_a_tested_method():
    tested = {part["name"] for name in METHODS for _, part in components(COMPLETE[name])}
    assert tested == LEARNERS.keys() | ADDONS.keys() | PLANS.keys()
    assert NETWORKS.keys() == {"small_convnet", WRN["name"], "resnet", "timm"}


@pytest.mark.parametrize("network", [{}, {"protocol.network": WRN}], ids=["small_convnet", "wide_resnet"])
@pytest.mark.parametrize("method", METHODS)
def test_checkpoint_size_matches_the_built_run(method, network):
    """The sums of the monitor and Adam's numbers of updates are left out."""
    run = Run("digits", "n20-m80-l20-u10", "smoke", method, 0)
    tree = with_changes(KEYS.resolved(run), network)
    known = setting_sizes(tree["setting"], tree["dataset"]["num_classes"])
    images = {"unlabeled": known["unlabeled"], "validation": 0, "test": 1}
    data = random_data(tree, CPU, unlabeled=known["unlabeled"], test=1)
    labels = torch.arange(tree["dataset"]["num_classes"]).repeat_interleave(torch.tensor(known["counts"]))
    data.labeled.labels = labels
    data.labeled.images = data.labeled.images[: len(labels)]
    built = trainer(tree, CPU, "auto", data)
    saved = [
        tensor for name, tensor in built.written_tensors().items() if not name.startswith(("monitor.", "updates."))
    ]
    expected = sum(tensor.numel() * tensor.element_size() for tensor in saved)
    assert file_sizes(tree, images).state == expected


def test_run_on_features_trains_its_heads_alone():
    """Of 1,280 features, a classifier of 4 classes has 5,120 weights and 4 biases; the frozen network is not saved."""
    tree = with_changes(config(), {"protocol.network": {"name": "timm", "train": "head"}})
    tree["setting"] |= {"n1": 100, "m1": 75, "gamma_l": 1, "gamma_u": 1}
    assert tensor_sizes(tree, 300)[:2] == (4 * 5124, 4 * 5124)


def test_tensor_sizes_of_daso():
    """Convolutions of 432 and 4,608 weights, 96 values of batch norms, 132 of the classifier: 5,268 trained values.

    A network also has 96 running statistics and two counters of 8 bytes. Queues of 4 x 12 and 16 discarded features of
    dimension 32, sums of 4 x 32 float64, and 4 integers each of positions, lengths, current and published counts.
    """
    tree = config(DASO)
    tree["setting"] |= {"n1": 100, "m1": 75, "gamma_l": 1, "gamma_u": 1}
    method = 4 * 64 * 32 + 8 * 4 * 32 + 4 * 4 * 8
    assert tensor_sizes(tree, 300) == TensorSizes(4 * 5364 + 16, 4 * 5268, method)
    tree["plan"] = {"encoder": {"of": "r", "statistics": "frozen"}}
    assert tensor_sizes(tree, 300).trained == 4 * 132


@pytest.mark.parametrize("algorithm", ["adam", "adamw"])
def test_checkpoint_of_adam_has_two_running_means_of_each_trained_weight(algorithm):
    """SGD has one momentum of each of 5,268 trained values, so the checkpoint grows by 4 bytes for each."""
    tree = config(DASO)
    tree["setting"] |= {"n1": 100, "m1": 75, "gamma_l": 1, "gamma_u": 1}
    images = {"unlabeled": 300, "validation": 0, "test": 1}
    sgd, adam = (file_sizes(each, images) for each in (tree, with_changes(tree, {"optimizer.algorithm": algorithm})))
    assert adam.state - sgd.state == 4 * 5268
    assert (adam.results, adam.events) == (sgd.results, sgd.events)


def test_tensor_sizes_of_a_pretrained_resnet():
    """Its file is missing. ResNet-18 has 11,689,512 parameters, 513,000 of them in torchvision's classifier.

    11,176,512 are left, and 4 x 513 in a classifier of four classes. 20 batch norms have 4,800 channels with two
    statistics each and a counter of 8 bytes.
    """
    tree = config(network={"name": "resnet", "depth": 18, "weights": "missing.pth", "sha256": "f37072fd"})
    sizes = tensor_sizes(tree | {"setting": {"n1": 9, "m1": 1, "gamma_l": 1, "gamma_u": 1}}, 4)
    parameters = 11_176_512 + 4 * 513
    assert sizes == TensorSizes(4 * (parameters + 2 * 4800) + 8 * 20, 4 * parameters, 0)


@pytest.mark.parametrize(
    ("setting", "images"), [({"labeled": 0.2}, 4), ({"n1": 9, "m1": 1, "gamma_l": 1, "gamma_u": 1}, 36)]
)
def test_memory_bank_has_a_row_for_each_labeled_image(setting, images):
    """Four classes; class sizes that are known only from the data count as one image. A row has 8 values."""
    tree = config()
    options = {"threshold": 0.9, "weight": 1.0, "instance_weight": 1.0, "temperature": 0.1, "alpha": 0.9}
    options |= {"momentum": 0.7, "dim": 8, "instance_start": 10}
    options |= {"keys": "student", "confidence": "smoothed", "buffer_balance": "none"}
    tree["method"]["learner"] = {"name": "simmatch", **options}
    tree["setting"] |= setting
    assert tensor_sizes(tree, 300).method == 4 * 8 * images


def test_sizes_are_computed_again_only_for_other_runs(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").touch()
    calls = []
    monkeypatch.setattr(disk, "file_sizes", lambda tree, images: calls.append(images) or FileSizes(1, 2, 3))
    for unlabeled, expected in ((5, 1), (5, 1), (6, 2)):
        assert disk._cached_sizes(tmp_path, [(config(), {"unlabeled": unlabeled})]) == [FileSizes(1, 2, 3)]
        assert len(calls) == expected
