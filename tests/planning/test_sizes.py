"""Computed sizes against the tensors of networks and methods that are built."""

import pytest
import torch

from daso.config.feasibility import setting_sizes
from daso.config.keys import Keys
from daso.config.resolve import Run
from daso.models.resnet import ResNet
from daso.planning.sizes import _network_size, file_sizes
from daso.planning.synthetic import random_data, trainer, with_changes
from tests.repository import PARAMS

CPU, KEYS = torch.device("cpu"), Keys(PARAMS)
WRN = {"name": "wide_resnet", "depth": 10, "width": 1}
METHODS = (
    *("supervised_la", "supervised_crt", "fixmatch_daso", "fixmatch_abc_daso", "fixmatch_darp", "fixmatch_crest_plus"),
    *("fixmatch_debias", "remixmatch_daso", "simmatch", "usadtm", "mean_teacher", "multi_view_debias"),
)


@pytest.mark.parametrize("network", [{}, {"protocol.network": WRN}], ids=["small_convnet", "wide_resnet"])
@pytest.mark.parametrize("method", METHODS)
def test_checkpoint_size_matches_the_built_run(method, network):
    """Within 2 %: counters and batch norms' numbers of batches are left out, and random classes are not uniform."""
    run = Run("digits", "n20-m80-l20-u10", "smoke", method, 0)
    config = with_changes(KEYS.resolved(run), network)
    env = setting_sizes(config["setting"], config["dataset"]["num_classes"])
    images = {"unlabeled": env["unlabeled"], "validation": 0, "test": 1}
    data = random_data(config, CPU, unlabeled=env["unlabeled"], test=1)
    labels = torch.arange(config["dataset"]["num_classes"]).repeat_interleave(torch.tensor(env["counts"]))
    data.labeled.labels = labels
    data.labeled.images = data.labeled.images[: len(labels)]
    built = trainer(config, CPU, "auto", data)
    expected = sum(tensor.numel() * tensor.element_size() for tensor in built.written_tensors().values())
    assert file_sizes(config, images).state == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_size_of_a_resnet_is_that_of_the_built_one(depth):
    with torch.device("meta"):
        encoder = ResNet(depth=depth)
    config = KEYS.resolved(Run("digits", "n20-m80-l20-u10", "smoke", "supervised", 0))
    size = _network_size(with_changes(config, {"protocol.network": {"name": "resnet", "depth": depth}}))
    statistics = sum(buffer.numel() for name, buffer in encoder.named_buffers() if "running" in name)
    assert size[:3] == (encoder.feature_dim, sum(weight.numel() for weight in encoder.parameters()), statistics)
    assert size.heads == 10 * encoder.feature_dim + 10
