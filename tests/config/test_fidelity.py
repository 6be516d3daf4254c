"""Differences from the paper that touch a method."""

import re
from pathlib import Path

from daso.config import fidelity
from tests.repository import PARAMS

ROOT = Path(__file__).resolve().parents[2]
METHODS = PARAMS.methods
BY_RUN = {  # of the device, the dataset and the protocol, whatever the method
    *("precision", "resize", "store-crop", "resized-crop", "test-resize", "images-of-no-class"),
    *("classifier-init", "classifier-rate", "groups-of-images", "adapter"),
}


def test_tags_of_a_method_are_those_of_its_classes():
    """DASO and SimMatch both import daso/methods/memory.py; the mark `bank-axis` is in the class that DASO lacks."""
    assert fidelity.method_tags(METHODS["supervised"]) == []
    assert fidelity.method_tags(METHODS["fixmatch_daso"]) == ["teacher-bn", "confidence", "proportional-queue"]
    assert "bank-axis" in fidelity.method_tags(METHODS["simmatch"])
    assert fidelity.method_tags(METHODS["supervised_crt"]) == ["cb-start", "crt-statistics"]
    assert "crt-statistics" not in fidelity.method_tags(METHODS["fixmatch_crest"])
    assert fidelity.method_tags(METHODS["cdmad"]) == ["confidence", "cdmad-blank", "cdmad-start", "cdmad-losses"]
    assert fidelity.method_tags(METHODS["loft"]) == [
        *("loft-start", "loft-soft", "loft-filter", "loft-rate", "loft-tau", "loft-evaluation"),
    ]


def test_every_tag_of_the_ledger_belongs_to_a_method_or_to_all_runs():
    tags = {tag for method in METHODS.values() for tag in fidelity.method_tags(method)}
    assert tags == set(fidelity.read_ledger()) - BY_RUN


def test_tags_of_all_runs_are_those_of_dataset_settings_protocol_and_device():
    dataset = {"augment": {"resize": 32, "crop": {}}, "fit": "crop"}
    protocol = {"network": {"weights": "a.pth", "train": "adapter"}, "images_per_group": 2}
    assert set(fidelity.run_tags(dataset, [{"outside": {}}], protocol, bf16=True)) == BY_RUN
    assert fidelity.run_tags({}, [{}], {}, bf16=False) == []


def test_lines_of_a_section_are_read_by_label():
    ledger = fidelity.read_ledger()
    assert ledger["ldam-start"] == fidelity.Difference(
        "LDAM-DRW from step 200,000 on. Cao et al. 2019 defer only the weights, and their classifier uses cosines.",
        "margins and weights from step 200,000 on, plain cross-entropy before; a linear classifier.",
        "as the authors' code, `ldam.start: 0.8` of the run.",
        "`ldam.start: 0.0`, both margins and weights from the first step on; no option defers only the weights.",
    )
    assert ledger["boss-scale"].switch == ""


def test_every_section_has_the_same_labels_and_a_heading_of_its_own():
    _, *sections = re.split("^### ", (ROOT / fidelity.LEDGER).read_text(), flags=re.MULTILINE)
    labels = [re.findall("^- (.*?):", section, re.MULTILINE) for section in sections]
    assert {tuple(each[:3]) for each in labels} == {("Paper", "Authors' code", "Here")}
    assert {tuple(each[3:]) for each in labels} == {(), ("Switch",), ("Effect",)}
    assert len({section.partition("\n")[0].lower() for section in sections}) == len(sections)
