import io

import numpy as np
import pytest
import torch

from daso.engine.results import _predictions
from tests.engine.world import trainer


@pytest.mark.parametrize(("plan", "names"), [({}, []), ({"answers": True}, ["unlabeled"])])
def test_answers_to_unlabeled_images_are_kept_where_another_run_waits_for_them(plan, names):
    """Of the test images as the add-ons want them read, of the unlabeled ones as they are, for they are guesses."""
    run = trainer(plan=plan)
    guesses = torch.arange(32.0).view(16, 2)
    plain = {run.data.test: torch.tensor([[1.0, 2], [3, 4], [5, 6]]), run.data.unlabeled: guesses}
    run.predict = lambda pool: (plain[pool], plain[pool] + 100)
    with np.load(io.BytesIO(_predictions(run))) as kept:
        assert {name for name in kept if name in ("labels", "logits", "unlabeled")} == {"labels", "logits", *names}
        assert kept["logits"].tolist() == [[101, 102], [103, 104], [105, 106]]
        assert kept["labels"].tolist() == [0, 0, 1]
        assert [kept[name].tolist() for name in names] == [guesses.tolist()] * len(names)
