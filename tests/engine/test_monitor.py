import pytest
import torch

from daso.draw import Draw
from daso.engine.monitor import Monitor
from daso.records import Batch, Step

# Four images of class 0, three of 1, three of 2, and pseudo-labels: recall 3/4, 2/3, 0; precision 3/6, 2/4, none.
TRUTH = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PSEUDO_LABELS = torch.tensor([0, 0, 0, 1, 0, 1, 1, 0, 0, 1])


def step(rows: list[int], mask: list[bool]) -> Step:
    none = torch.empty(0, dtype=torch.long)
    batch = Batch(torch.tensor(0), {}, none, none, {}, torch.tensor(rows), Draw(0, "step", none))
    return Step(batch, {}, torch.eye(3)[PSEUDO_LABELS[rows]], torch.tensor(mask))


def add(monitor: Monitor, losses: dict, step: Step, **others: torch.Tensor) -> None:
    monitor.add(losses, step, others | {"final": step.targets})


def test_means_and_pseudo_labels_of_a_window():
    monitor = Monitor(TRUTH, 3)
    add(monitor, {"a": torch.tensor(1.0)}, step([9, 1, 2, 3, 4], [True, True, False, False, False]))
    add(monitor, {"a": torch.tensor(4.0)}, step([5, 6, 7, 8, 0], [True, True, True, True, False]))
    row = monitor.drain()
    assert row["loss_a"] == 2.5
    assert row["mask_rate"] == pytest.approx(0.6)
    assert [row[f"pl_recall_{k}"] for k in range(3)] == pytest.approx([0.75, 2 / 3, 0])
    assert [row[f"pl_precision_{k}"] for k in range(2)] == pytest.approx([0.5, 0.5])
    assert row["pl_precision_2"] is None


def test_every_window_starts_empty():
    monitor = Monitor(TRUTH, 3)
    add(monitor, {"a": torch.tensor(8.0)}, step([0], [True]))
    monitor.drain()
    add(monitor, {"a": torch.tensor(2.0)}, step([3], [False]))  # class 0, pseudo-label 1
    row = monitor.drain()
    assert (row["loss_a"], row["mask_rate"]) == (2.0, 0.0)
    assert (row["pl_recall_0"], row["pl_precision_0"], row["pl_precision_1"]) == (0.0, None, 0.0)


def test_unknown_labels_give_no_recall():
    monitor = Monitor(torch.tensor([-1, -1]), 3)
    add(monitor, {"a": torch.tensor(1.0)}, step([0, 1], [True, True]))
    assert set(monitor.drain()) == {"loss_a", "mask_rate"}


def test_pseudo_labels_are_counted_by_kind():
    """Images of classes 0, 1, 1, 2 and unknown; final 0, 0, 1, 1, 2, the last three of them above the threshold."""
    truth, pseudo_labels = torch.tensor([0, 1, 1, 2, -1]), torch.eye(3)[torch.tensor([0, 0, 1, 1, 2])]
    linear = torch.eye(3)[torch.tensor([2, 2, 2, 2, 2])]
    monitor, none = Monitor(truth, 3), torch.empty(0, dtype=torch.long)
    batch = Batch(torch.tensor(0), {}, none, none, {}, torch.arange(5), Draw(0, "step", none))
    counted = Step(batch, {}, pseudo_labels, torch.tensor([False, False, True, True, True]))
    add(monitor, {}, counted, linear=linear)
    add(monitor, {}, counted, linear=linear)
    assert monitor.drain() == {"mask_rate": pytest.approx(0.6)}  # no recall where a label is unknown
    (window,) = monitor.windows
    assert int(window["steps"]) == 2
    assert window["truth"].tolist() == [2, 4, 2]
    assert {name: window[name].tolist() for name in ("linear", "final", "above_threshold")} == {
        "linear": [[0, 0, 10], [0, 0, 2]],
        "final": [[4, 4, 2], [2, 2, 0]],
        "above_threshold": [[0, 4, 2], [0, 2, 0]],
    }
    assert monitor.last["final"].tolist() == [[2, 0, 0], [2, 2, 0], [0, 2, 0], [0, 0, 2]]
    assert monitor.last["above_threshold"].tolist() == [[0, 0, 0], [0, 2, 0], [0, 2, 0], [0, 0, 2]]


def test_images_of_no_class_have_their_own_row_and_mask_rate():
    """Images of classes 0, 1, 1, of no class three times, and unknown; final 0, 1, 0, 0, 0, 1, 1.

    Above the threshold: the first two, the last of no class and the unknown one, so the mask rates are 1 of 3 for
    images of no class and 3 of 4 for all others.
    """
    truth, pseudo_labels = torch.tensor([0, 1, 1, 2, 2, 2, -1]), torch.eye(2)[torch.tensor([0, 1, 0, 0, 0, 1, 1])]
    monitor, none = Monitor(truth, 2), torch.empty(0, dtype=torch.long)
    batch = Batch(torch.tensor(0), {}, none, none, {}, torch.arange(7), Draw(0, "step", none))
    mask = torch.tensor([True, True, False, False, False, True, True])
    add(monitor, {}, Step(batch, {}, pseudo_labels, mask))
    row = monitor.drain()
    assert row == pytest.approx({"mask_rate": 4 / 7, "mask_rate_inside": 3 / 4, "mask_rate_outside": 1 / 3})
    assert monitor.last["final"].tolist() == [[1, 0], [1, 1], [2, 1], [0, 1]]
    assert monitor.last["above_threshold"].tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]]
    (window,) = monitor.windows
    assert window["truth"].tolist() == [1, 2]
    assert window["final"].tolist() == [[4, 3], [1, 1]]


def test_subsets_of_unknown_classes_have_their_own_mask_rates():
    """Images 0 to 3 are `in`, 4 and 5 `out`; two steps with 0, 1, 4, 4 and 2, 5, 6, 0, six of them in a subset.

    Above the threshold: 0 and 4 once, then 2, 6 and 0. Mask rates are 3 of 4 and 1 of 3; image 6 is in no subset.
    """
    rows = torch.arange(7)
    subsets = {"in": rows < 4, "out": (rows >= 4) & (rows < 6)}
    monitor = Monitor(torch.full((7,), -1), 3, subsets)
    add(monitor, {}, step([0, 1, 4, 4], [True, False, True, False]))
    resumed = Monitor(torch.full((7,), -1), 3, subsets)
    resumed.restore({name: tensor.clone() for name, tensor in monitor.state().items()}, monitor.record())
    add(resumed, {}, step([2, 5, 6, 0], [True, False, True, True]))
    assert resumed.drain() == pytest.approx({"mask_rate": 5 / 8, "mask_rate_in": 3 / 4, "mask_rate_out": 1 / 3})
    add(resumed, {}, step([4, 5], [True, False]))
    assert resumed.drain() == {"mask_rate": 0.5, "mask_rate_in": None, "mask_rate_out": 0.5}
    without_threshold = Monitor(torch.full((7,), -1), 3, subsets)
    add(without_threshold, {"a": torch.tensor(1.0)}, step([0, 5], [True, True])._replace(mask=torch.empty(0)))
    assert without_threshold.drain() == {"loss_a": 1.0}


def test_precision_counts_images_of_no_class_as_wrong():
    """Images of classes 0, 1 and of no class, final 0, 1, 0: recall 1 and 1, precision 1 of 2 and 1."""
    monitor, none = Monitor(torch.tensor([0, 1, 2]), 2), torch.empty(0, dtype=torch.long)
    batch = Batch(torch.tensor(0), {}, none, none, {}, torch.arange(3), Draw(0, "step", none))
    add(monitor, {}, Step(batch, {}, torch.eye(2)[torch.tensor([0, 1, 0])], torch.ones(3, dtype=torch.bool)))
    row = monitor.drain()
    assert [row[name] for name in ("pl_recall_0", "pl_recall_1", "pl_precision_0", "pl_precision_1")] == [1, 1, 0.5, 1]


def test_restored_monitor_continues_the_window_and_keeps_earlier_ones():
    """Two windows, saved in the middle of the second and continued by a new monitor."""
    first, second = Monitor(TRUTH, 3), Monitor(TRUTH, 3)
    add(first, {"a": torch.tensor(8.0)}, step([0, 1], [True, False]))
    first.drain()
    add(first, {"a": torch.tensor(2.0)}, step([3], [True]))
    second.restore({name: tensor.clone() for name, tensor in first.state().items()}, first.record())
    add(second, {"a": torch.tensor(4.0)}, step([8], [True]))
    row = second.drain()
    assert (row["loss_a"], row["pl_recall_0"]) == (3.0, 0.0)
    assert [window["final"].tolist() for window in second.windows] == [
        [[2, 0, 0], [2, 0, 0]],
        [[1, 1, 0], [0, 0, 0]],
    ]
    assert second.last["above_threshold"].tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
