import json

import pytest

from tools.bench.measure import Spread
from tools.bench.results import Section, Table, Target
from tools.bench.table import markdown, slug, write

MADE_WITH = {
    "commit": "abc",
    "device": "cpu: A B",
    "threads": 2,
    "repeats": 5,
    "versions": {"python": "3.11", "torch": "2.15"},
}
MACHINE = {"device": "cpu: A B", "cores": 2, "quick": False}


def section(measured, **changes):
    table = Table("Speed", "How fast.", ("", "ms"), [("ours", Spread(1234.5, 0.01239, 99.96, 5)), ("theirs", 7)])
    target = Target("steps", "at least", 1.8, measured, "x")
    tree = Section([table], [target], ["A note."], {"t": {"ours": [1.0]}}).tree()
    return {"command": "bench it", "made_with": MADE_WITH | changes, **tree}


def test_page_prints_medians_and_ranges():
    lines = markdown({"machine": MACHINE, "sections": {"steps": section(2.0)}}).splitlines()
    assert lines[0] == "# A B, 2 cores"
    assert "| steps | at least 1.80 x | 2.00 x | yes | `steps` |" in lines
    assert lines[lines.index("## steps") + 2 :][:5] == [
        *("```sh", "bench it", "```", ""),
        "Commit abc; cpu: A B; 2 threads; 5 rounds; python 3.11, torch 2.15.",
    ]
    assert lines[-6:-2] == ["|  | ms |", "| --- | --- |", "| ours | 1,230 (0.0124 to 100) |", "| theirs | 7 |"]


@pytest.mark.parametrize(
    ("relation", "measured", "met"),
    [("at least", 1.8, True), ("at least", 1.79, False), ("at most", 1.8, True), ("at most", 1.81, False)],
)
def test_target_compares_a_ratio_with_its_bound(relation, measured, met):
    assert Target("t", relation, 1.8, measured, "x").met is met


def test_missed_target_is_bold():
    assert "| 1.79 x | **no** |" in markdown({"machine": MACHINE, "sections": {"steps": section(1.79)}})


def test_numbers_have_three_significant_digits():
    def printed(value):
        rows = Table("T", "", ("",), [(value,)])
        tree = {"command": "", "made_with": MADE_WITH, **Section([rows], [], [], {}).tree()}
        return markdown({"machine": MACHINE, "sections": {"p": tree}}).splitlines()[-1].strip("| ")

    values = [65532.0, 999.6, 100.4, 99.94, 12.0, 2.371, 0.01239, 1467610, 0.0]
    expected = ["65,500", "1,000", "100", "99.9", "12.0", "2.37", "0.0124", "1,467,610", "0.00"]
    assert [printed(value) for value in values] == expected


@pytest.mark.parametrize(
    ("device", "cores", "name"),
    [
        ("cpu: AMD EPYC 9B14 96-Core Processor", 2, "amd-epyc-9b14-2-cores"),
        ("cpu: Intel(R) Xeon(R) CPU @ 2.20GHz", 1, "intel-xeon-1-core"),
        ("cuda: NVIDIA H200", 16, "nvidia-h200-16-cores"),
    ],
)
def test_file_name_of_machine(device, cores, name):
    assert slug(device, cores) == name


def test_new_part_keeps_the_others(tmp_path):
    order = ["augmentation", "steps"]
    write(tmp_path, MACHINE, {"steps": section(2.0, commit="old")}, order)
    write(tmp_path, MACHINE, {"augmentation": section(3.0, commit="old")}, order)
    page = write(tmp_path, MACHINE, {"steps": section(1.0, commit="new")}, order)
    assert page == tmp_path / "a-b-2-cores.md"
    tree = json.loads((tmp_path / "a-b-2-cores.json").read_text())
    assert list(tree["sections"]) == order
    assert [part["made_with"]["commit"] for part in tree["sections"].values()] == ["old", "new"]
    assert page.read_text() == markdown(tree)


def test_quick_page_has_a_different_name_and_no_targets(tmp_path):
    page = write(tmp_path, MACHINE | {"quick": True}, {"steps": section(2.0)}, ["steps"])
    assert page.name == "a-b-2-cores-quick.md"
    assert "ignore these numbers" in page.read_text()
    assert "Targets" not in page.read_text()
