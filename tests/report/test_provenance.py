"""Nothing about where numbers come from is hidden."""

from daso.report.provenance import counted, duration, facts, text


def test_one_value_stands_alone_and_mixed_ones_are_counted():
    assert counted(["a", "a"]) == ["a"]
    assert counted(["a", "b", "a"]) == ["a (2 runs)", "b (1 run)"]
    assert counted([str(i) for i in range(7)]) == ["7 different ones in 7 runs, listed run by run below"]


def test_mixed_devices_and_versions_are_listed(make_metrics):
    runs = [
        make_metrics("d/s/p/m/s0", device="cpu: one"),
        make_metrics("d/s/p/m/s1", device="cuda: two", versions={"torch": "9.9"}),
    ]
    found = {fact.name: fact.values for fact in facts(runs)}
    assert found["device"] == ("cpu: one (1 run)", "cuda: two (1 run)")
    assert found["versions"] == ("python 3.11.9, torch 2.11.0 (1 run)", "torch 9.9 (1 run)")
    assert found["commit"] == ("abcdef123456",)
    assert found["training time"] == ("2.0 min in 2 runs, 60.0 s to 60.0 s a run",)


def test_what_is_not_recorded_is_unknown():
    found = {fact.name: fact.values for fact in facts([{"run": "r", "key": "k"}])}
    assert set(found.values()) == {("unknown",)}
    assert facts([]) == []


def test_words():
    assert text({"kind": "cifar10", "archive": {"md5": "c58f"}}) == "kind cifar10, archive md5 c58f"
    assert [duration(s) for s in (1.25, 119, 120, 7199, 7200)] == ["1.2 s", "119.0 s", "2.0 min", "120.0 min", "2.0 h"]
