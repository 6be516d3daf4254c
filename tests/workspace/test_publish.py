"""Publishing the results of a suite."""

import re

from daso.workspace.publish import TARGETS
from tests.repository import ROOT


def test_every_stage_of_dvc_must_be_current():
    assert sorted(re.findall(r"snakemake (\w+) ", (ROOT / "dvc.yaml").read_text())) == sorted(TARGETS)
