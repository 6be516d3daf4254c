"""Compare DARP's solver with numbers of the authors' code and with slow independent solvers."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize
from scipy.special import logsumexp

from daso.ops.transport import keep_largest, refine_table, solve_columns, transport

PROBS = torch.tensor(
    [[0.80, 0.15, 0.05], [0.70, 0.20, 0.10], [0.60, 0.30, 0.10], [0.55, 0.25, 0.20], [0.50, 0.40, 0.10]]
    + [[0.45, 0.18, 0.37]]
)
TOTALS = torch.tensor([3.0, 2, 1], dtype=torch.float64)
KEPT = torch.tensor([6, 4, 2])  # twice the totals
REFINED = [
    [0.999997, 0.000002, 0.000002],
    [0.588555, 0.411444, 0.000001],
    [0.447854, 0.552145, 0.000001],
    [0.303533, 0.374519, 0.321949],
    [0.338105, 0.661894, 0.000001],
    [0.321957, 0.000001, 0.678042],
]


def problem(rows, classes, seed, scale=3.0, imbalance=20.0):
    """Return random pseudo-labels (M, K) and decreasing totals (K,) that sum to M."""
    probs = (scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))).softmax(1)
    sizes = imbalance ** -torch.linspace(0, 1, classes, dtype=torch.float64)
    return probs, rows * sizes / sizes.sum()


def test_pruning_keeps_the_most_confident_rows_of_each_class():
    """Class 0 keeps all six rows, class 1 the rows 1 to 4, class 2 the rows 3 and 5.

    Their sums are 3.6, 1.15 and .57, so they are multiplied by .833333, 1.739130 and 1.754385: row 3 becomes .458333,
    .434783 and .350877, which sum to 1.243993, row 5 .375 and .649123.
    """
    rows = keep_largest(PROBS, TOTALS, KEPT)
    kept = [[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert (rows > 1e-3).int().tolist() == kept
    assert rows[3].tolist() == pytest.approx([0.458333 / 1.243993, 0.434783 / 1.243993, 0.350877 / 1.243993], abs=2e-6)
    assert rows[5].tolist() == pytest.approx([0.375 / 1.024123, 1e-6, 0.649123 / 1.024123], abs=2e-6)
    assert rows.sum(1).tolist() == pytest.approx([1.0] * 6, abs=1e-12)


def test_pruning_keeps_first_of_ties_and_leaves_no_row_zero():
    rows = keep_largest(torch.full((4, 2), 0.5), torch.tensor([2.0, 1.0]).double(), torch.tensor([2, 1]))
    assert (rows > 0.9).tolist() == [[False, False], [True, False], [False, False], [False, False]]
    assert rows[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)  # 1/2 times (2, 1) over sums (1, 1/2)
    assert rows[2:].tolist() == [[0.5, 0.5]] * 2


def test_refined_table_of_three_classes():
    x = refine_table(PROBS, TOTALS, KEPT, sweeps=10)
    assert x.flatten().tolist() == pytest.approx(np.ravel(REFINED), abs=1e-5)
    assert x.sum(0).tolist() == pytest.approx([3, 2, 1], abs=1e-5)
    assert x.sum(1).tolist() == pytest.approx([1.0] * 6, abs=1e-12)


def test_refined_table_of_two_classes():
    """Class 0 is multiplied by 2/3, class 1 by 2."""
    probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    totals, kept = torch.tensor([2.0, 2.0]).double(), torch.tensor([4, 4])
    first = keep_largest(probs, totals, kept)[0]
    assert first.tolist() == pytest.approx([0.6 / 0.8, 0.2 / 0.8], abs=2e-6)
    x = refine_table(probs, totals, kept, sweeps=10)
    assert x[:, 0].tolist() == pytest.approx([0.732930, 0.544759, 0.410993, 0.311318], abs=1e-5)


def solve_by_root_finding(probs, totals, sweeps):
    """Solve Kim et al. 2020 class by class with brentq: x_nk = q_nk / e X_n exp(-nu_k / omega_n), in logs."""
    q, c = np.log(probs.numpy()) - 1, np.log(totals.numpy())
    omega = 1 / -(probs * (probs + 1e-6).log()).sum(1).numpy()
    nu = np.ones(len(c))
    for _ in range(sweeps):
        x = -logsumexp(q - nu / omega[:, None], axis=1)
        for k in range(len(c)):
            nu[k] = brentq(lambda v, entries=q[:, k] + x, c=c[k]: logsumexp(entries - v / omega) - c, -1e6, 1e6)
    parts = q - nu / omega[:, None]
    return np.exp(parts - logsumexp(parts, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("rows", "classes", "scale", "sweeps"), [(200, 3, 1, 1), (200, 3, 3, 4), (300, 10, 2, 10), (150, 10, 6, 3)]
)
def test_sweeps_equal_those_of_a_root_finder(rows, classes, scale, sweeps):
    for seed in range(3):
        probs, totals = problem(rows, classes, seed, scale)
        probs = keep_largest(probs, totals, (2 * totals).long())
        expected = solve_by_root_finding(probs, totals, sweeps)
        assert np.abs(transport(probs, totals, sweeps).numpy() - expected).max() < 1e-8


@pytest.mark.parametrize(("rows", "classes"), [(60, 3), (200, 10)])
def test_many_sweeps_reach_the_optimum(rows, classes):
    """Minimise the dual sum_n log sum_k q_nk exp(-nu_k H_n) / H_n + nu c by BFGS."""
    probs, totals = problem(rows, classes, 5, scale=1.5)
    q, c = probs.double().numpy(), totals.numpy()
    h = -(q * np.log(q + 1e-6)).sum(1)

    def dual(nu):
        parts = q * np.exp(-nu * h[:, None])
        sums = parts.sum(1)
        return (np.log(sums) / h).sum() + nu @ c, c - (parts / sums[:, None]).sum(0)

    optimum = minimize(dual, np.zeros(classes), jac=True, method="BFGS", options={"gtol": 1e-7}).x
    parts = q * np.exp(-optimum * h[:, None])
    x = transport(torch.from_numpy(q), totals, sweeps=300)
    assert np.abs(x.numpy() - parts / parts.sum(1, keepdims=True)).max() < 1e-6
    assert x.sum(0).tolist() == pytest.approx(c.tolist(), abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.01, 1, 50, 1e4])
@pytest.mark.parametrize("start", [-1e4, -3, 0, 40, 1e4])
def test_columns_are_solved_from_any_start(scale, start):
    """This includes starts on either side where one term dominates all others."""
    generator = torch.Generator().manual_seed(1)
    logs = scale * torch.randn(4, 100, generator=generator, dtype=torch.float64)
    slopes = 0.05 + 2 * torch.rand(100, generator=generator, dtype=torch.float64)
    targets = torch.tensor([-8.0, 0.0, 2.0, 10.0], dtype=torch.float64)
    nu = torch.full((4,), start, dtype=torch.float64)
    for _ in range(2):
        nu = solve_columns(logs, slopes, targets, nu)
    sums = (logs - nu[:, None] * slopes).logsumexp(1)
    assert sums.tolist() == pytest.approx(targets.tolist(), abs=1e-9)


def test_extreme_tables_stay_finite_distributions():
    """Cases: classes of probability zero or total zero, and totals that do not sum to the number of rows."""
    one_hot = torch.zeros(100, 4)
    one_hot[:, 0] = 1
    for probs in (one_hot, torch.full((100, 4), 0.25), problem(100, 4, 0, scale=1e5)[0]):
        for totals in ([25.0] * 4, [100.0, 0, 0, 0], [97.0, 1, 1, 1], [50.0] * 4):
            totals = torch.tensor(totals, dtype=torch.float64)
            x = refine_table(probs, totals, (2 * totals).long(), sweeps=10)
            assert (x >= 0).all()
            assert x.sum(1).tolist() == pytest.approx([1.0] * 100, abs=1e-12)


def test_entropy_of_certain_rows_is_clamped_above_zero():
    """The formula gives -1e-6 for the first row; without clamping, the other two rows would move to class 0."""
    probs = torch.tensor([[1 - 1e-12, 1e-12], [0.9, 0.1], [0.6, 0.4]], dtype=torch.float64)
    x = transport(probs, torch.tensor([0.5, 2.5], dtype=torch.float64), sweeps=50)
    assert x.sum(0).tolist() == pytest.approx([0.5, 2.5], abs=1e-2)
    assert x[1:, 1].tolist() == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("rows", "classes"), [(100_000, 10), (10_000, 100)])
def test_gpu_equals_cpu_without_synchronization(rows, classes):
    """The tables have ties among the pruned entries."""
    probs, totals = problem(rows, classes, 0)
    probs[: rows // 3] = 1 / classes
    kept = (2 * totals).long()
    on_gpu = [tensor.to("cuda") for tensor in (probs, totals, kept)]
    refine_table(*on_gpu, sweeps=1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        x = refine_table(*on_gpu, sweeps=10)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (x.cpu() - refine_table(probs, totals, kept, sweeps=10)).abs().max() < 1e-8
