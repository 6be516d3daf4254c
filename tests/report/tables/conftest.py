"""Report with a cell for each verdict."""

from types import SimpleNamespace

import pytest

SETTING = "n500-m4000-l100-u100"
# Published in this setting: FixMatch 67.8 ± 1.13, DASO 76.0 ± 0.37, LA 75.3 ± 2.45; v = 0.5 has 72.96, no deviation.
LEVELS = {
    "agrees": ("fixmatch_daso", [0.756, 0.760, 0.765]),
    "not contradicted": ("fixmatch_la", [0.752, 0.758, 0.770]),
    "within 1 point": ("fixmatch_daso", [0.767, 0.768, 0.7685]),
    "above": ("fixmatch", [0.70, 0.71, 0.715]),
    "below": ("fixmatch", [0.60, 0.61, 0.62]),
    "one run": ("fixmatch", [0.681]),
    "no published spread": ("v", [0.76, 0.764, 0.77]),
    "not comparable": ("unpublished", [0.5, 0.6, 0.7]),
    "not run": ("fixmatch", []),
}
PAPERS = {"v": {"base": "fixmatch", "addons": "daso:v=0.5"}, "unpublished": None}


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory, make_project, make_suite):
    """Return the report of a suite with a method for each verdict, and an archived run of the first method."""
    project = make_project(tmp_path_factory.mktemp("verdicts"))
    suite = make_suite(settings=(SETTING,))
    (table,) = suite["tables"]
    methods = make_suite(("fixmatch", "fixmatch_daso", "fixmatch_la"))["tables"][0]["methods"]
    known = {method["name"]: method for method in methods}
    table["methods"] = [
        {**known["fixmatch"], **known.get(method, {"paper": PAPERS.get(method)}), "name": name.replace(" ", "_")}
        for name, (method, _) in LEVELS.items()
    ]
    for name, (_, levels) in LEVELS.items():
        for seed, level in enumerate(levels):
            run = f"cifar10-lt/{SETTING}/paper/{name.replace(' ', '_')}/s{seed}"
            project.write_run(run, level, seed, table["settings"][0])
    metrics = project.metrics / f"cifar10-lt/{SETTING}/paper/agrees/s0.json"
    archived = project.archived / f"cifar10-lt/{SETTING}/paper/agrees/s0/metrics.json"
    archived.parent.mkdir(parents=True)
    archived.write_bytes(metrics.read_bytes())
    return SimpleNamespace(out=project.build(suite), project=project, levels=LEVELS, setting=SETTING)
