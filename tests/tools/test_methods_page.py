"""The page of all methods, compared with params/ and the docstrings as they are now."""

from pathlib import Path

from daso.config.load import load_params
from tools.methods import PAGE, page

ROOT = Path(__file__).resolve().parents[2]


def test_page_of_methods_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(load_params(ROOT / "params")), "run `python -m tools.methods`"


def test_page_has_options_settings_differences_and_ablations():
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("\n## fixmatch_daso\n")[1].split("\n## ")[0]
    assert "`dist_temperature` 0.3 (1.5 in `cifar10-lt/matched`, " in section
    assert "[proportional-queue](fidelity.md#proportional-queue)" in section
    assert "| FixMatch + DASO, T_proto = 0.02 | `daso.proto_temperature` 0.02 |" in section
    assert "(Oh et al. 2022, section 3)" in section
    assert "\n## fixmatch_daso_tproto_0_02\n" not in text
    assert "plan [`crest`](../daso/methods/plans.py): CReST: the most confident pseudo-labels" in text
