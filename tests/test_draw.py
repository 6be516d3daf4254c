import hashlib
import math

import pytest
import torch

from daso.draw import Draw, stream_key

WORD = 2**64


def splitmix(state, n):
    """Return the n-th output of SplitMix64 from a state, in Python integers (Steele, Lea and Flood 2014)."""
    return finalise((state + n * 0x9E3779B97F4A7C15) % WORD)


def finalise(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def expected_bits(seed, stream, t, n):
    """Return the 64 bits at position n of a stream at step t, in 0..2^64 - 1."""
    key = int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little")
    return splitmix(splitmix(splitmix(key, t), 1), n + 1)


def steps(first=0, count=1, seed=0, stream="a"):
    return Draw(seed, stream, torch.arange(first, first + count))


def passes_chi_square(counts, expected=None):
    """Return True if chi-square of the counts is within six standard deviations: below df + 6 sqrt(2 df)."""
    counts = counts.double().flatten()
    expected = counts.mean() if expected is None else expected
    df = len(counts) - 1
    return float(((counts - expected) ** 2 / expected).sum()) < df + 6 * math.sqrt(2 * df)


def test_reference_gives_published_outputs():
    """Published outputs of SplitMix64 for seed 1234567."""
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [splitmix(1234567, n) for n in range(1, 6)] == outputs


@pytest.mark.parametrize(("seed", "stream", "t"), [(0, "a", 0), (7, "rows/u", 249999), (2**40, "x/strong/op1", 2**31)])
def test_bits_equal_reference(seed, stream, t):
    bits = Draw(seed, stream, torch.tensor(t)).bits(50)
    assert bits.dtype == torch.int64
    assert [b % WORD for b in bits.tolist()] == [expected_bits(seed, stream, t, n) for n in range(50)]


def test_uniform_integers_and_permutation_equal_reference():
    draw = Draw(3, "u", torch.tensor([4, 5]))
    bits = [[expected_bits(3, "u", t, n) for n in range(20)] for t in (4, 5)]
    assert draw.uniform(20).tolist() == [[(b >> 40) / 2**24 for b in row] for row in bits]
    assert draw.integers(14, 20).tolist() == [[(b >> 26) * 14 >> 38 for b in row] for row in bits]
    assert draw.permutation(20).tolist() == [
        sorted(range(20), key=lambda n, row=row: row[n] - WORD * (row[n] >> 63)) for row in bits
    ]


def test_sub_streams_differ_by_name():
    draw = steps(stream="a")
    assert draw("b").stream == "a/b"
    assert not torch.equal(draw("b").bits(100), draw.bits(100))
    keys = {stream_key(seed, stream) for seed in range(20) for stream in ("a", "b", "a/b", "a/b/c")}
    assert len(keys) == 80


@pytest.mark.parametrize("draw", ["bits", "uniform", "integers", "permutation"])
def test_chunk_of_steps_equals_single_steps(draw):
    shape = {"bits": (3, 5), "uniform": (3, 5), "integers": (9, 3, 5), "permutation": (15,)}[draw]
    whole = getattr(steps(100, 8), draw)(*shape)
    assert torch.equal(torch.cat([getattr(steps(100 + i, 1), draw)(*shape) for i in range(8)]), whole)
    alone = Draw(0, "a", torch.tensor(103))
    assert torch.equal(getattr(alone, draw)(*shape), whole[3])


def test_shapes_and_dtype():
    assert steps(0, 4).uniform(2, 3).shape == (4, 2, 3)
    assert Draw(0, "a", torch.tensor(0)).uniform(2, 3).shape == (2, 3)
    assert Draw(0, "a", torch.tensor(0)).uniform().shape == ()
    assert steps(0, 4).integers(5, 0).shape == (4, 0)
    assert steps(0, 1, seed=1).uniform(2).dtype == torch.float32


def test_uniform_has_mean_half_variance_twelfth_and_uniform_bins():
    """n = 10^6: standard error of the mean 1 / sqrt(12 n) = 2.9e-4, of the variance 1 / sqrt(180 n) = 7.5e-5."""
    values = steps(0, 1000).uniform(1000).flatten().double()
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    assert float(values.mean()) == pytest.approx(0.5, abs=6 * 2.9e-4)
    assert float(values.var()) == pytest.approx(1 / 12, abs=6 * 7.5e-5)
    assert passes_chi_square(torch.bincount((values * 1000).long(), minlength=1000))


def test_numbers_are_uniform_along_steps():
    """One position over 100,000 steps, and pairs of neighbouring steps and positions."""
    values = (steps(0, 100000).uniform(2) * 32).long()
    assert passes_chi_square(torch.bincount(values[:, 0], minlength=32))
    assert passes_chi_square(torch.bincount(values[:, 0] * 32 + values[:, 1], minlength=1024))
    assert passes_chi_square(torch.bincount(values[:-1, 0] * 32 + values[1:, 0], minlength=1024))
    assert passes_chi_square(torch.bincount(values[:-1, 1] * 32 + values[1:, 0], minlength=1024))


def test_every_bit_is_set_half_the_time():
    """For n = 100,000 the standard deviation is sqrt(n) / 2 = 158."""
    bits = steps(0, 100).bits(1000).flatten()
    for bit in range(64):
        assert abs(int((bits >> bit & 1).sum()) - 50000) < 6 * 158


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (steps(0, 100, stream="a"), steps(0, 100, stream="b")),
        (steps(0, 100, seed=0), steps(0, 100, seed=1)),
        (steps(0, 100), steps(1, 100)),
        (steps(0, 100)("op0"), steps(0, 100)("op1")),
        (steps(0, 100)("op0"), steps(0, 100)("level0")),
    ],
    ids=["names", "seeds", "steps", "slots", "sub-streams"],
)
def test_streams_are_independent(one, other):
    """All pairs of 14 values are equally frequent, and the correlation is below 6 / sqrt(n) = 0.019."""
    a, b = one.integers(14, 1000).flatten(), other.integers(14, 1000).flatten()
    assert passes_chi_square(torch.bincount(a * 14 + b, minlength=196))
    u, v = one.uniform(1000).flatten(), other.uniform(1000).flatten()
    assert abs(float(torch.corrcoef(torch.stack([u, v]))[0, 1])) < 0.019


@pytest.mark.parametrize("high", [1, 2, 9, 14, 1000, 2**24 - 1])
def test_integers_are_in_range_and_uniform(high):
    values = steps(0, 100).integers(high, 1000).flatten()
    assert values.dtype == torch.int64
    assert int(values.min()) >= 0
    assert int(values.max()) < high
    bins = min(high, 1000)
    if bins > 1:
        assert passes_chi_square(torch.bincount(values * bins // high, minlength=bins))


@pytest.mark.parametrize("n", [1, 2, 10, 5000])
def test_permutation_has_every_number_once(n):
    permutations = steps(0, 5).permutation(n)
    assert torch.equal(permutations.sort(-1).values, torch.arange(n).expand(5, n))


def test_all_permutations_of_four_are_equally_frequent():
    codes = steps(0, 48000).permutation(4) * torch.tensor([64, 16, 4, 1])
    counts = torch.bincount(codes.sum(-1))
    assert int((counts > 0).sum()) == 24
    assert passes_chi_square(counts[counts > 0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_draws_equal_cpu_draws():
    on_cpu, on_gpu = steps(5, 20), Draw(0, "a", torch.arange(5, 25).cuda())
    assert torch.equal(on_gpu.bits(1000).cpu(), on_cpu.bits(1000))
    assert torch.equal(on_gpu.uniform(1000).cpu(), on_cpu.uniform(1000))
    assert torch.equal(on_gpu.integers(14, 1000).cpu(), on_cpu.integers(14, 1000))
    assert torch.equal(on_gpu.permutation(1000).cpu(), on_cpu.permutation(1000))
