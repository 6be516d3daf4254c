import pytest
import torch

from daso.data import sampler
from daso.data.sampler import AllRows, RowSampler
from daso.draw import Draw


def test_epochs_are_permutations_and_batches_cross_their_boundary():
    """Ten rows in batches of four: steps 0-4 are two epochs, step 2 holds the end of one and the start of the next."""
    rows = RowSampler(0, "rows/x", n=10, batch_size=4)(0, 5).flatten()
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_chunk_equals_its_steps():
    whole = RowSampler(3, "rows/u", n=7, batch_size=16)(0, 12)
    alone = torch.cat([RowSampler(3, "rows/u", 7, 16)(start, 1) for start in range(12)])
    later = RowSampler(3, "rows/u", 7, 16)(5, 4)
    assert torch.equal(whole, alone)
    assert torch.equal(whole[5:9], later)


def test_streams_and_seeds_differ():
    first = RowSampler(0, "rows/x", 1000, 64)(0, 1)
    assert not torch.equal(first, RowSampler(0, "rows/u", 1000, 64)(0, 1))
    assert not torch.equal(first, RowSampler(1, "rows/x", 1000, 64)(0, 1))


def test_all_rows_are_in_each_step():
    assert AllRows(3)(7, 2).tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.fixture
def drawn(monkeypatch):
    """Record the drawn epochs, one list per call."""
    calls = []

    def recorded(seed, stream, t):
        calls.append(t.tolist())
        return Draw(seed, stream, t)

    monkeypatch.setattr(sampler, "Draw", recorded)
    return calls


@pytest.mark.parametrize("n", [1, 3, 50, 64, 1000])
def test_stream_is_the_concatenation_of_epochs(n):
    """Chunks of 7 batches of 16 rows are consecutive at first, then some are requested again from the middle."""
    stream = torch.cat([Draw(5, "rows/u", torch.tensor(epoch)).permutation(n) for epoch in range(1120 // n + 1)])
    rows = RowSampler(5, "rows/u", n, 16)
    for start in [*range(0, 70, 7), 0, 35, 63, 28]:
        expected = stream[start * 16 : (start + 7) * 16].view(7, 16)
        assert torch.equal(rows(start, 7), expected)


def test_each_epoch_is_drawn_once_and_many_together(drawn):
    """100 rows in five chunks of 60; 10 rows in a chunk of 55, then one that starts within an epoch."""
    large = RowSampler(0, "rows/x", 100, 20)
    for start in range(0, 15, 3):
        large(start, 3)
    assert drawn == [[0], [1], [2]]
    drawn.clear()
    small = RowSampler(0, "rows/x", 10, 5)
    small(0, 11)
    small(11, 4)
    assert drawn == [[0, 1, 2, 3, 4, 5], [6, 7]]


def test_at_most_one_epoch_is_cached():
    rows = RowSampler(0, "rows/x", 10, 5)
    rows(0, 11)
    tensors = [value for value in vars(rows).values() if isinstance(value, torch.Tensor)]
    assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) == 10 * 8


def test_changing_returned_rows_does_not_affect_the_sampler():
    rows = RowSampler(0, "rows/x", 10, 5)
    first = rows(0, 1).clone()
    rows(0, 1).zero_()
    assert torch.equal(rows(0, 1), first)
