import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daso.config.load import load
from daso.errors import ParamsError

ROOT = Path(__file__).resolve().parents[2]


def errors():
    with pytest.raises(ParamsError) as raised:
        load()
    return str(raised.value).splitlines()


def test_good_params_load(params):
    loaded = load()
    assert loaded.suite == "quickstart"
    assert list(loaded.methods) == ["fixmatch", "fixmatch_daso", "supervised"]


def test_a_setting_of_natural_sizes_loads(params):
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(natural={"labeled": 0.2}))
    (error,) = errors()
    assert error.startswith("params/datasets/digits.yaml: class_order: digits/natural keeps the sizes of its classes")
    params("datasets/digits.yaml", lambda tree: tree.update(class_order="size"))
    assert load().datasets["digits"]["settings"]["natural"] == {"labeled": 0.2}


def test_a_tail_without_an_image_is_told(params):
    """1 / 49 in float64 is a little less than it is: 49 times it is 0.9999..., and no image is left."""
    sizes = {"n1": 49, "m1": 50, "gamma_l": 49, "gamma_u": 10}
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(tail=sizes))
    assert errors() == [
        "digits/tail: the rarest class gets no labeled image; lower gamma_l or raise n1 in params/datasets/digits.yaml"
    ]


def test_steps_that_generations_cannot_share_are_told(params):
    params("methods/fixmatch.yaml", lambda t: t.update(plan={"name": "crest", "generations": 7, "exponent": 0.5}))
    for protocol in ("smoke", "digits"):
        params(f"protocols/{protocol}.yaml", lambda t: t["overrides"].pop("crest.generations"))
    says = (
        "params/methods/fixmatch.yaml: with protocol '{}': plan 'crest': the protocol's {} steps are not divisible by "
        "7 generations; change steps or crest.generations"
    )
    assert errors() == [says.format("digits", 1200), says.format("smoke", 60)]


@pytest.mark.parametrize(
    ("method", "addon", "prior", "pattern"),
    [
        ("fixmatch_darp", "darp", "true_counts", "stl10-lt/*"),
        ("remixmatch_darp", "distribution_alignment", "unlabeled", None),
    ],
)
def test_what_needs_unknown_classes_is_told(tmp_path, method, addon, prior, pattern):
    """DARP without an estimate; alignment, once it is on, towards what nobody knows."""
    shutil.copytree(ROOT / "params", tmp_path / "params", ignore=shutil.ignore_patterns("paper-*"))
    edit(tmp_path, f"methods/{method}.yaml", lambda tree: unlearn(tree, addon, prior, pattern))
    table = {"name": "x", "title": "x", "dataset": "stl10-lt", "settings": ["n450-l20"], "methods": [method]}
    edit(tmp_path, "suites/smoke.yaml", lambda tree: tree.update(tables=[table]))
    with pytest.raises(ParamsError) as raised:
        load(tmp_path / "params")
    (line,) = (line for line in str(raised.value).splitlines() if f"{method}.yaml: stl10-lt/n450-l20: " in line)
    assert line.startswith(
        f"{tmp_path}/params/methods/{method}.yaml: stl10-lt/n450-l20: add-on '{addon}': prior '{prior}' needs the "
        "classes of the unlabeled images, which are not known here; "
    )


def unlearn(tree, addon, prior, pattern):
    if pattern:
        del tree["where"][pattern]
    else:
        tree["where"]["stl10-lt/*"] |= {f"{addon}.prior": prior, f"{addon}.enabled": True}


def edit(folder, file, change):
    path, yaml = folder / "params" / file, YAML()
    tree = yaml.load(path.read_text())
    change(tree)
    with path.open("w") as out:
        yaml.dump(tree, out)


def test_the_projects_own_params_load():
    assert "quickstart" in load(ROOT / "params").suites


def test_numbers_are_those_of_yaml_1_2(params):
    path = Path("params/protocols/digits.yaml")
    path.write_text(path.read_text().replace("weight_decay: 0.0005", "weight_decay: 1e-5"))
    assert load().protocols["digits"]["optimizer"]["weight_decay"] == 0.00001


@pytest.mark.parametrize(
    ("file", "edit", "line"),
    [
        ("methods/fixmatch.yaml", lambda t: t.update(learnr=1), "unknown key 'learnr'; did you mean 'learner'?"),
        ("methods/fixmatch.yaml", lambda t: t.pop("title"), "the key 'title' is missing"),
        ("protocols/digits.yaml", lambda t: t.update(steps="many"), 'steps: "many" is not an integer'),
        ("protocols/digits.yaml", lambda t: t.update(steps=1200.0), "steps: 1200.0 is not an integer"),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(lr=-1),
            "optimizer.lr: -1 is too small; it must be above 0",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["teacher"].update(bn="author"),
            "teacher.bn: \"author\" is not one of authors, pure_average; did you mean 'authors'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t.update(analyses=["histogramm"]),
            'analyses[0]: "histogramm" is not one of confusion, groups, histogram, motivation, precision_recall, '
            "similarity, tsne; did you mean 'histogram'?",
        ),
        ("suites/smoke.yaml", lambda t: t.update(seeds=[0, 0]), "seeds: says the same thing twice"),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(rows=[]),
            "tables[0]: unknown key 'rows'; known: name, title, dataset, settings, methods",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["source"].update(kind="digit"),
            'source.kind: "digit" is not one of digits, cifar10, cifar100, stl10, image_folder; '
            "did you mean 'digits'?",
        ),
        (
            "pipeline.yaml",
            lambda t: t.update(suite="quikstart"),
            "suite: there is no suite 'quikstart'; did you mean 'quickstart'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(proto_temp=1),
            "add-on 'daso' has no option 'proto_temp'; did you mean 'proto_temperature'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: (t["addons"][0].update(name="dasso"), t.pop("where")),
            "there is no add-on 'dasso'; did you mean 'daso'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(period="25"),
            "add-on 'daso': option 'period' is \"25\" and should be int",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].pop("period"),
            "add-on 'daso' lacks its option 'period' (int)",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digit/*": {}}),
            "where: no <dataset>/<setting> matches 'digit/*'",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"daso.wieght": 1}}),
            "where: digits/*: add-on 'daso' has no option 'wieght'; did you mean 'weight'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(where={"digits/*": {"daso.weight": 1}}),
            "where: digits/*: 'daso' is no part of this method; known: fixmatch",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"dso.weight": 1}),
            "overrides: there is no learner, add-on or plan 'dso'; did you mean 'daso'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"optimizer.lrr": 1}),
            "overrides: the optimizer has no option 'lrr'; did you mean 'lr'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"weight": 1}),
            "overrides: 'weight' is not of the form component.option",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["evaluation"].update(every=7),
            "evaluation.every: 7 does not divide steps, 1200",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["evaluation"].update(median_of=41),
            "evaluation.median_of: 41 is more than the 40 evaluations of a run",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["network"].update(name="small_convnets"),
            "there is no network 'small_convnets'; did you mean 'small_convnet'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].pop("optimizer.warmup"),
            "method 'supervised' changes its learning rate at step 6250 of 1200; "
            "give optimizer.warmup and optimizer.milestones in overrides",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crst"}),
            "there is no plan 'crst'; did you mean 'crest'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crest", "generations": 2}),
            "plan 'crest' lacks its option 'exponent' (float)",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crest", "generations": 1, "exponent": 0.5}),
            "plan 'crest': generations: expected 2 or more, got 1",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crt", "base": "supervisd", "steps": 20, "statistics": "kept"}),
            "plan 'crt': there is no method 'supervisd'; did you mean 'supervised'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crt", "base": "fixmatch", "steps": 20, "statistics": "kept"}),
            "plan 'crt': 'fixmatch' itself takes from another method; name that one",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t.update(protocol="smok"),
            "there is no protocol 'smok'; did you mean 'smoke'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(methods=["fixmtch"]),
            "table 'smoke': there is no method 'fixmtch'; did you mean 'fixmatch'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(settings=["n20-m80-l20-u9"]),
            "table 'smoke': there is no setting 'n20-m80-l20-u9'; did you mean 'n20-m80-l20-u10'?",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(m1=800),
            "digits/n20-m80-l20-u10: a class wants 830 images (10 of them held out) and "
            "the smallest has 124; lower n1 or m1 in params/datasets/digits.yaml",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(gamma_l=21),
            "digits/n20-m80-l20-u10: the rarest class gets no labeled image; "
            "lower gamma_l or raise n1 in params/datasets/digits.yaml",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(tail={"n": 115, "gamma": 10, "share": 0.1}),
            "digits/tail: a class wants 125 images (10 of them held out) and the smallest has 124; "
            "lower n or say holdout: 0 in params/datasets/digits.yaml",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(tail={"n": 20, "gamma": 21, "share": 0.1}),
            "digits/tail: the rarest class gets no labeled image; lower gamma or raise n in params/datasets/dig",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(whole={"n1": 125, "m1": "train", "gamma_l": 1, "holdout": 0}),
            "digits/whole: a class wants 125 images (0 of them held out) and the smallest has 124; "
            "lower n1 in params/datasets/digits.yaml",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(holdout=55),
            "holdout: 55 cannot be shared equally by 10 classes",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(anneal="cosin"),
            'optimizer.anneal: "cosin" is not one of constant, cosine, half_cosine',
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.anneal": "none"}),
            "overrides: optimizer.anneal",
        ),
        ("datasets/digits.yaml", lambda t: t.update(holdout=99), "holdout: 99 cannot be shared equally by 10 classes"),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update({"A b": dict(t["settings"]["n20-m80-l20-u10"])}),
            "settings: 'A b': a name is made of a-z, 0-9, '_' and '-'",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].update(pad=8),
            "augment.pad: 8 pixels cannot be reflected in images of 8; lower it",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].update(resize=8),
            "augment.resize: 8 is not below image_size, 8; leave it out",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(every={"n1": 20, "m1": "all", "gamma_l": 20}),
            "digits/every: m1: all is every image without a label, and source 'digits' has none; "
            "say how many, or train for all that are not held out, in params/datasets/digits.yaml",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.milestones": 5}),
            "overrides: optimizer.milestones: 5 is not a list",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.lr": "fast"}),
            'overrides: optimizer.lr: "fast" is not a number',
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.lr": 1e30}),
            "overrides: optimizer.lr: 1e+30 is too far from zero; a number is below 2^53",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.factor": -3}),
            "overrides: optimizer.factor: -3 is too small; it must be above 0",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"optimizer.milestones": ["x"]}}),
            'where: digits/*: optimizer.milestones[0]: "x" is not an integer',
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(momentum=0),
            "optimizer.nesterov: true needs a momentum above 0",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t["learner"].update(threshold=1.5),
            "learner 'fixmatch': threshold: expected a probability above 0, got 1.5",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(proto_temperature=0),
            "add-on 'daso': proto_temperature and dist_temperature: expected numbers above 0, got 0 and ",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(blend=1.5),
            "add-on 'daso': blend: expected 'distribution' or a share from 0 to 1, got 1.5",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(warmup=99),
            "add-on 'daso': warmup 99 is shorter than period 100, so no pseudo-labels are counted",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"daso.weight": -1}}),
            "where: add-on 'daso': weight: expected 0 or more, got -1",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"daso.warmup": 20}),
            "overrides: method 'fixmatch_daso': add-on 'daso': warmup 20 is shorter than period 25, so",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["network"].update(strides=[1, 2]),
            "network 'small_convnet': channels and strides name the same layers, at least one",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(network={"name": "wide_resnet", "depth": 27, "width": 2}),
            "network 'wide_resnet': depth is 6 n + 4 (10, 16, 22, 28, ...), not 27",
        ),
    ],
)
def test_one_line_for_one_error(params, file, edit, line):
    params(file, edit)
    (said,) = errors()
    assert said.startswith(line if line.startswith("digits/") else f"params/{file}: {line}")


def test_all_errors_are_collected(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(learnr=1))
    params("protocols/smoke.yaml", lambda tree: tree.update(steps=0, titel="x"))
    Path("params/suites/smoke.yaml").write_text("title: [\n")
    Path("params/pipeline.yaml").unlink()
    assert errors() == [
        "params/protocols/smoke.yaml: unknown key 'titel'; did you mean 'title'?",
        "params/protocols/smoke.yaml: steps: 0 is too small; it must be at least 1",
        "params/methods/fixmatch.yaml: unknown key 'learnr'; did you mean 'learner'?",
        "params/suites/smoke.yaml: not valid YAML: line 2, column 1: expected the node content, "
        "but found '<stream end>'",
        "params/pipeline.yaml: the file is missing",
    ]


def test_a_broken_file_hides_no_error_of_another(params):
    Path("params/datasets/digits.yaml").write_text("title: digits\n")
    params("protocols/smoke.yaml", lambda tree: tree.update(steps="six"))
    params("methods/fixmatch.yaml", lambda tree: tree["learner"].update(wieght=1))
    params("suites/smoke.yaml", lambda tree: tree["tables"][0]["methods"].append("fixmtch"))
    said = errors()
    assert said[0] == "params/datasets/digits.yaml: the key 'source' is missing"
    assert said[-3:] == [
        'params/protocols/smoke.yaml: steps: "six" is not an integer',
        "params/methods/fixmatch.yaml: learner 'fixmatch' has no option 'wieght'; did you mean 'weight'?",
        "params/suites/smoke.yaml: table 'smoke': there is no method 'fixmtch'; did you mean 'fixmatch'?",
    ]
    assert [line for line in said if "datasets/digits.yaml" not in line] == said[-3:]


def test_a_file_that_is_not_utf_8(params):
    path = Path("params/methods/fixmatch.yaml")
    path.write_bytes("# a comment\ntitle: caf\u00e9\n".encode("latin-1"))
    assert errors() == ["params/methods/fixmatch.yaml: not text in UTF-8: line 2 holds the byte 0xe9; save it as UTF-8"]


def test_a_key_given_twice(params):
    path = Path("params/protocols/smoke.yaml")
    path.write_text(path.read_text() + "steps: 40\n")
    (line,) = errors()
    assert line.startswith("params/protocols/smoke.yaml: not valid YAML: line ")
    assert 'found duplicate key "steps"' in line


def test_file_names(params):
    shutil.copy("params/methods/fixmatch.yaml", "params/methods/Fix Match.yml")
    assert errors() == [
        "params/methods/Fix Match.yml: files end in .yaml",
        "params/methods/Fix Match.yml: a name is made of a-z, 0-9, '_' and '-'",
    ]


def test_an_empty_file_and_a_missing_folder(params, tmp_path):
    Path("params/suites/smoke.yaml").write_text("")
    assert errors() == ["params/suites/smoke.yaml: null is not a mapping of keys to values"]
    with pytest.raises(ParamsError, match="there is no such folder; run from the root of the project"):
        load(tmp_path / "nowhere")


def test_reading_params_imports_no_torch():
    code = "import sys; from daso.config.load import load; load('params'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
