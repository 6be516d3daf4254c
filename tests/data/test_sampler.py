import torch

from daso.data.sampler import batch_rows


def test_every_epoch_is_a_permutation_and_batches_cross_its_border():
    """Ten rows in batches of four: steps 0-4 are two whole epochs, and step 2 holds the end of one and the start of
    the next."""
    rows = batch_rows(0, "rows/x", n=10, batch_size=4, start=0, steps=5).flatten()
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_a_chunk_is_its_steps():
    whole = batch_rows(3, "rows/u", n=7, batch_size=16, start=0, steps=12)
    alone = torch.cat([batch_rows(3, "rows/u", 7, 16, start, 1) for start in range(12)])
    later = batch_rows(3, "rows/u", 7, 16, start=5, steps=4)
    assert torch.equal(whole, alone)
    assert torch.equal(whole[5:9], later)


def test_streams_and_seeds_differ():
    first = batch_rows(0, "rows/x", 1000, 64, 0, 1)
    assert not torch.equal(first, batch_rows(0, "rows/u", 1000, 64, 0, 1))
    assert not torch.equal(first, batch_rows(1, "rows/x", 1000, 64, 0, 1))
