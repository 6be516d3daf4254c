"""The benchmarks of photographs once, at tiny sizes."""

import pytest

from tools.bench.features import OURS, PLAIN, TIMM, Result, markdown, measure_encode, measure_features
from tools.bench.pixels import markdown as pixels_markdown

pytestmark = pytest.mark.usefixtures("kept_settings")


def test_training_on_features_is_timed_in_turn_with_plain_pytorch():
    result = measure_features(repeats=2, steps=1)
    assert list(result.times) == [OURS, PLAIN]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in result.times.values())


def test_encoding_is_timed_in_turn_with_the_forward_pass_of_timm():
    pytest.importorskip("timm")
    result = measure_encode(repeats=2, images=2)
    assert list(result.times) == [OURS, TIMM]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in result.times.values())


def test_page_has_the_median_of_the_ratios_of_rounds():
    """Rounds of 2 and 1, 4 and 4, 3 and 2 seconds: the ratios are 2, 1 and 1.5, their median is 1.5."""
    lines = list(markdown(Result({OURS: [2, 4, 3], PLAIN: [1, 4, 2]}, "training step", PLAIN, 1.5), "command"))
    assert "| ours | 3000.0 |" in lines
    assert "| ours / plain PyTorch, median of rounds | 1.50 (1.00 to 2.00) |" in lines
    assert "| required | at most 1.5 |" in lines


def test_section_on_pixels_has_the_seconds_of_each_part():
    environment = {"commit": "c", "device": "cpu", "threads": 1, "versions": {}, "peak_mib": 1000.0}
    result = {"seconds": {"all": (8.0, 7.51)}, "images": {"labeled": 8, "unlabeled": 16}, **environment}
    assert "| `all` | 8.0 | 7.5 |" in list(pixels_markdown(result, "command"))
