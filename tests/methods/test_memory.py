import pytest
import torch

from daso.methods.memory import ClassQueue, Histogram, MemoryBank, PeriodSum, RecentMean, RunningPrior


def push(queue, values, labels):
    state = queue.after_push(torch.tensor(values)[:, None], torch.tensor(labels))
    queue.commit(state)
    return queue.prototypes(state)[:, 0].tolist()


def test_queue_drops_oldest_feature():
    """Capacity 3: 1, 2, 3, 4, 10 one at a time leave 3, 4, 10 with mean 17/3; the other class stays empty."""
    queue = ClassQueue([3, 3], feature_dim=1, batch_size=1)
    means = [push(queue, [value], [0])[0] for value in (1.0, 2.0, 3.0, 4.0, 10.0)]
    assert means == pytest.approx([1, 1.5, 2, 3, 17 / 3])
    assert push(queue, [5.0], [1]) == pytest.approx([17 / 3, 5])


def test_batch_is_pushed_in_order():
    single, batched = ClassQueue([3, 2], 1, batch_size=7), ClassQueue([3, 2], 1, batch_size=7)
    values, labels = [1.0, 20.0, 2.0, 3.0, 4.0, 30.0, 10.0], [0, 1, 0, 0, 0, 1, 0]
    for value, label in zip(values, labels, strict=True):
        one_by_one = push(single, [value], [label])
    assert push(batched, values, labels) == one_by_one == pytest.approx([17 / 3, 25])


def test_classes_may_have_unequal_queue_capacities():
    """Class 1 holds one feature, so its mean is the last one pushed."""
    queue = ClassQueue([4, 1], 1, batch_size=5)
    assert push(queue, [1.0, 2.0, 7.0, 8.0, 9.0], [0, 0, 1, 1, 1]) == pytest.approx([1.5, 9])


def test_means_stay_accurate_over_many_pushes():
    """Compare with lists over 400 batches of features from 1e-3 to 1e3: sums in float32 would lose the small ones."""
    generator = torch.Generator().manual_seed(0)
    queue, lists = ClassQueue([5, 2, 9], 2, batch_size=6), [[], [], []]
    for _ in range(400):
        labels = torch.randint(0, 3, (6,), generator=generator)
        features = torch.randn(6, 2, generator=generator) * 10 ** torch.randint(-3, 4, (6, 1), generator=generator)
        state = queue.after_push(features, labels)
        queue.commit(state)
        for feature, label in zip(features.double(), labels.tolist(), strict=True):
            lists[label] = [*lists[label], feature][-[5, 2, 9][label] :]
        expected = torch.stack([torch.stack(features).mean(0) if features else torch.zeros(2) for features in lists])
        assert torch.allclose(queue.prototypes(state).double(), expected, rtol=1e-6, atol=1e-9)


def test_push_reads_only_replaced_rows():
    """The cost depends on the batch: of 9,000 rows only the replaced ones are read or written."""
    queue = ClassQueue([300] * 30, 4, batch_size=2)
    queue.bank[9] = float("nan")
    state = queue.after_push(torch.ones(2, 4), torch.tensor([1, 2]))
    assert not queue.prototypes(state).isnan().any()
    assert max(tensor.numel() for tensor in state) == 30 * 4


def test_histogram_publishes_at_the_end_of_each_window_but_the_last():
    """Period 100 of 250,000 steps: published after steps 99, 199, ..., 249,899, but not after 249,999."""
    histogram = Histogram(2, period=100, steps=250_000)
    assert histogram.published.tolist() == [1, 1]
    labels = torch.tensor([0] * 96 + [1] * 32)
    for t in range(250):
        histogram.add(labels, torch.tensor(t))
        if t == 98:
            assert histogram.published.tolist() == [1, 1]
        if t == 99:
            assert histogram.published.tolist() == [9600, 3200]
            assert histogram.counts.tolist() == [0, 0]
    assert histogram.published.sum() == 12_800
    assert histogram.counts.tolist() == [50 * 96, 50 * 32]
    histogram.published.zero_()
    for t, published in ((249_899, True), (249_999, False)):
        histogram.published.zero_()
        histogram.add(labels, torch.tensor(t))
        assert bool(histogram.published.any()) is published


def test_sum_of_a_period_ends_with_its_last_step():
    """Period 2, counts (1, .5) of each step."""
    period = PeriodSum(2, period=2)
    results = [period.add(torch.tensor([1.0, 0.5]), torch.tensor(t)) for t in range(4)]
    assert [(total.tolist(), bool(ends)) for total, ends in results] == 2 * [([1, 0.5], False), ([2, 1], True)]
    assert period.total.tolist() == [0, 0]


def test_recent_mean_is_over_the_last_values():
    """Length 3: of 1, 2, 3, 10, 20 the last are 3, 10, 20 with mean 11."""
    recent, means = RecentMean(3, 2), []
    for value in (1.0, 2.0, 3.0, 10.0, 20.0):
        state = recent.after_push(torch.tensor([value, -value]))
        recent.commit(state)
        means.append(recent.mean(state).tolist())
    assert means == [pytest.approx([mean, -mean]) for mean in (1, 1.5, 2, 5, 11)]


def test_bank_row_is_momentum_mean_of_row_and_key():
    """.7 (1, 0) + .3 (.6, .8) = (.88, .24), of length .912140; keys may have any length."""
    bank = MemoryBank(3, 2, 0.7, seed=0)
    bank.rows.copy_(torch.tensor([[1.0, 0], [0, -1], [1, 0]]))
    bank.write(torch.tensor([2, 0]), torch.tensor([[0, 5.0], [1.2, 1.6]]))
    assert bank.rows[0].tolist() == pytest.approx([0.964764, 0.263117], abs=1e-5)
    assert bank.rows[1].tolist() == [0, -1]
    assert bank.rows[2].tolist() == pytest.approx([0.919145, 0.393919], abs=1e-5)


def test_key_replaces_row_without_momentum():
    bank = MemoryBank(2, 2, 0.0, seed=0)
    bank.write(torch.tensor([1]), torch.tensor([[3.0, 4.0]]))
    assert bank.rows[1].tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("reverse_order", [False, True])
def test_last_key_of_duplicate_image_counts(monkeypatch, reverse_order):
    """It counts once, .7 (1, 0) + .3 (0, 1), scaled, in any order in which a device writes the rows."""
    copy = torch.Tensor.index_copy_
    if reverse_order:
        monkeypatch.setattr(
            torch.Tensor, "index_copy_", lambda self, dim, at, rows: copy(self, dim, at.flip(0), rows.flip(0))
        )
    bank = MemoryBank(2, 2, 0.7, seed=0)
    bank.rows.copy_(torch.tensor([[1.0, 0], [1, 0]]))
    bank.write(torch.tensor([1, 0, 1, 1]), torch.tensor([[-1.0, 0], [0.6, 0.8], [0.6, -0.8], [0, 1]]))
    assert bank.rows[1].tolist() == pytest.approx([0.919145, 0.393919], abs=1e-5)
    assert bank.rows[0].tolist() == pytest.approx([0.964764, 0.263117], abs=1e-5)


def test_bank_starts_with_random_unit_vectors_of_the_seed():
    rows, same_seed, other_seed = (MemoryBank(50, 128, 0.7, seed=seed).rows for seed in (0, 0, 1))
    assert torch.equal(rows, same_seed)
    assert rows.norm(dim=1).tolist() == pytest.approx([1.0] * 50, abs=1e-5)
    assert (rows @ other_seed.T).abs().max() < 0.5


def test_running_prior_is_an_average_of_shares():
    """.9 x 1/3 + .1 x (.6, .2, .2) from counts (3, 1, 1); no images change nothing; then .9 of it + .1 x (0, 0, 1)."""
    prior = RunningPrior(3, 0.9)
    prior.commit(prior.updated(torch.tensor([3.0, 1.0, 1.0])))
    assert prior.shares.tolist() == pytest.approx([0.36, 0.32, 0.32])
    prior.commit(prior.updated(torch.zeros(3)))
    assert prior.shares.tolist() == pytest.approx([0.36, 0.32, 0.32])
    prior.commit(prior.updated(torch.tensor([0.0, 0.0, 0.5])))
    assert prior.shares.tolist() == pytest.approx([0.324, 0.288, 0.388])


def test_running_prior_starts_at_given_counts_and_adds_its_offset():
    """From (.6, .3, .1): .9 (.6, .3, .1) + .1 (2, 1, 0) / 4; without images only the offset is divided by: .9 of it."""
    prior = RunningPrior(3, 0.9, start=(6, 3, 1), offset=1.0)
    assert prior.updated(torch.tensor([2.0, 1.0, 0.0])).tolist() == pytest.approx([0.59, 0.295, 0.09])
    assert prior.updated(torch.zeros(3)).tolist() == pytest.approx([0.54, 0.27, 0.09])


def test_running_prior_is_in_the_checkpoint():
    assert RunningPrior(3, 0.9).state_dict().keys() == {"shares"}
