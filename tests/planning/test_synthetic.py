"""Random images, configurations with all parts active early, and the time of a unit of work."""

import torch

from daso.planning.synthetic import (
    all_parts_active,
    random_data,
    trainer,
    with_changes,
)
from tests.configs import CPU, DASO, config


def test_changes_leave_the_original_configuration():
    before = config(DASO)
    after = with_changes(before, {"protocol.batch_size": 2, "seed": 5})
    assert (after["protocol"]["batch_size"], after["seed"]) == (2, 5)
    assert before == config(DASO)


def test_only_addons_with_period_and_warmup_begin_earlier():
    other = {"name": "logit_adjustment", "tau": 1.0, "roles": ["supervised"]}
    first, second = all_parts_active(config(other, DASO | {"warmup": 500, "period": 100}))["method"]["addons"]
    assert first == other
    assert second == DASO | {"warmup": 2, "period": 2}


def test_daso_is_active_from_the_third_step():
    run = trainer(all_parts_active(config(DASO | {"warmup": 500, "period": 100})), CPU, "eager")
    alignment = []
    for t in range(4):
        run.advance(t + 1)
        alignment.append(run.monitor.drain().get("loss_alignment", 0))
    assert alignment[:2] == [0, 0]
    assert min(alignment[2:]) > 0


def test_random_data_have_all_classes_and_all_colours():
    data = random_data(with_changes(config(), {"dataset.num_classes": 1500}), CPU, unlabeled=50)
    assert torch.equal(data.labeled.labels.unique(), torch.arange(1500))
    assert len(data.unlabeled) == 50
    pixels = data.unlabeled.gather(torch.arange(50))
    assert pixels.shape == (50, 16, 16)
    assert [int((pixels >> shift & 0xFF).amax()) for shift in (0, 8, 16, 24)] == [255, 255, 255, 0]
