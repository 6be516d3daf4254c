import numpy as np
import pytest
import torch

from daso.engine.evaluate import _batch_size
from daso.engine.resident import Pool, Streamed


@pytest.mark.parametrize(("side", "images"), [(32, 1000), (129, 1000), (130, 992), (256, 256), (8193, 1)])
def test_batches_of_large_images_are_smaller(side, images):
    """2^26 = 67,108,864 bytes: 4 x 129^2 x 1000 = 66,564,000 fit; 130: 67,600 each, 992.7; 256: 2^18 each, 256."""
    pixels = np.broadcast_to(np.zeros(1, np.uint8), (3, 3, side, side))
    resident = torch.zeros(1, dtype=torch.int32).expand(3, side, side)
    streamed = Streamed(pixels.__getitem__, side, torch.device("cpu"))
    for pool in (Pool(resident, torch.zeros(3)), Pool(streamed, torch.zeros(3))):
        assert _batch_size(pool) == images
