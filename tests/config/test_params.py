import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daso.config.load import load_params
from daso.constraints import EPOCHS
from daso.errors import ParamsError
from tests.repository import PARAMS, ROOT


def errors():
    with pytest.raises(ParamsError) as raised:
        load_params()
    return str(raised.value).splitlines()


def test_valid_params_load(params):
    loaded = load_params()
    assert loaded.suite == "quickstart"
    assert list(loaded.methods) == ["fixmatch", "fixmatch_daso", "supervised"]


def test_setting_with_natural_sizes_requires_order_by_size(params):
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(natural={"labeled": 0.2}))
    (error,) = errors()
    assert error == (
        "params/datasets/digits.yaml: settings.natural: natural class sizes are not allowed with class_order 'seed'; "
        "set class_order: size"
    )
    params("datasets/digits.yaml", lambda tree: tree.update(class_order="size"))
    assert load_params().datasets["digits"]["settings"]["natural"] == {"labeled": 0.2}


def test_rarest_class_without_labeled_image_is_an_error(params):
    """1 / 49 is rounded down in float64: 49 times it is 0.9999..., which leaves no image."""
    sizes = {"n1": 49, "m1": 50, "gamma_l": 49, "gamma_u": 10}
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(tail=sizes))
    assert errors() == [
        "params/datasets/digits.yaml: settings.tail: the rarest class gets no labeled image; lower gamma_l or raise n1"
    ]


def test_steps_not_divisible_by_generations_are_an_error(params):
    params("methods/fixmatch.yaml", lambda t: t.update(plan={"name": "crest", "generations": 7, "exponent": 0.5}))
    for protocol in ("smoke", "digits"):
        params(f"protocols/{protocol}.yaml", lambda t: t["overrides"].pop("crest.generations"))
    line = (
        "params/methods/fixmatch.yaml: with protocol '{}': plan 'crest': the protocol's {} steps are not divisible by "
        "7 generations; change steps or crest.generations"
    )
    assert errors() == [line.format("digits", 1200), line.format("smoke", 60)]


@pytest.mark.parametrize(
    ("method", "addon", "prior", "enabled"),
    [
        ("fixmatch_darp", "darp", "true_counts", {}),
        ("remixmatch_darp", "distribution_alignment", "unlabeled", {"distribution_alignment.enabled": True}),
    ],
)
def test_prior_that_requires_unknown_classes_is_an_error(tmp_path, method, addon, prior, enabled):
    """Cases: DARP without an estimate; enabled alignment to the unknown distribution of the unlabeled classes."""
    shutil.copytree(ROOT / "params", tmp_path / "params", ignore=shutil.ignore_patterns("paper-*"))
    options = {f"{addon}.prior": prior, **enabled}
    edit(tmp_path, f"methods/{method}.yaml", lambda tree: tree["where"].update({"stl10-lt/*": options}))
    table = {"name": "x", "title": "x", "dataset": "stl10-lt", "settings": ["n450-l20"], "methods": [method]}
    edit(tmp_path, "suites/smoke.yaml", lambda tree: tree.update(tables=[table]))
    with pytest.raises(ParamsError) as raised:
        load_params(tmp_path / "params")
    (line,) = (line for line in str(raised.value).splitlines() if f"{method}.yaml: stl10-lt/n450-l20: " in line)
    assert line.startswith(
        f"{tmp_path}/params/methods/{method}.yaml: stl10-lt/n450-l20: add-on '{addon}': prior '{prior}' needs the "
        "classes of the unlabeled images, which are not known here; "
    )


def edit(folder, file, change):
    path, yaml = folder / "params" / file, YAML()
    tree = yaml.load(path.read_text())
    change(tree)
    with path.open("w") as out:
        yaml.dump(tree, out)


def test_params_of_the_project_load():
    assert "quickstart" in PARAMS.suites


def test_numbers_follow_yaml_1_2(params):
    path = Path("params/protocols/digits.yaml")
    path.write_text(path.read_text().replace("weight_decay: 0.0005", "weight_decay: 1e-5"))
    assert load_params().protocols["digits"]["optimizer"]["weight_decay"] == 0.00001


@pytest.mark.parametrize(
    ("file", "edit", "line"),
    [
        ("methods/fixmatch.yaml", lambda t: t.update(learnr=1), "unknown key 'learnr'; did you mean 'learner'?"),
        ("methods/fixmatch.yaml", lambda t: t.pop("title"), "missing key 'title'; add it"),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(addons={"name": "daso"}),
            "addons: expected a list, got {'name': 'daso'}; write each entry as `- {name: daso}`",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(addons=1),
            "addons: expected a list, got 1; write each entry as `- {name: ...}`",
        ),
        ("protocols/digits.yaml", lambda t: t.update(batch_size="many"), "batch_size: expected an integer, got 'many'"),
        ("protocols/digits.yaml", lambda t: t.update(batch_size=32.0), "batch_size: expected an integer, got 32.0"),
        (
            "datasets/digits.yaml",
            lambda t: t.update(fit="crop"),
            "fit: not allowed with source 'digits', whose images are squares; remove it",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(lr=-1),
            "optimizer.lr: -1 is too small; set it above 0",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["teacher"].update(bn="author"),
            "teacher.bn: expected one of authors, pure_average, got 'author'; did you mean 'authors'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t.update(analyses=["histogramm"]),
            "analyses[0]: expected one of confusion, groups, histogram, motivation, precision_recall, similarity, "
            "tsne, got 'histogramm'; did you mean 'histogram'?",
        ),
        ("suites/smoke.yaml", lambda t: t.update(seeds=[0, 0]), "seeds: duplicate 0; list it once"),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(name="summary"),
            "table 'summary': the name of another section of the report's page; rename the table",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(rows=[]),
            "tables[0]: unknown key 'rows'; choose one of name, title, paper, dataset, settings, methods",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["source"].update(kind="digit"),
            "source.kind: expected one of digits, cifar10, cifar100, stl10, image_folder, semi_aves, got 'digit'; "
            "did you mean 'digits'?",
        ),
        (
            "pipeline.yaml",
            lambda t: t.update(suite="quikstart"),
            "suite: unknown suite 'quikstart'; did you mean 'quickstart'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(proto_temp=1),
            "add-on 'daso': unknown option 'proto_temp'; did you mean 'proto_temperature'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: (t["addons"][0].update(name="dasso"), t.pop("where")),
            "unknown add-on 'dasso'; did you mean 'daso'?",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(period="25"),
            f"add-on 'daso': period: expected an integer, {EPOCHS}, got '25'; write one of these",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].pop("period"),
            "add-on 'daso': missing option 'period'; set it to an integer of at least 1",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digit/*": {}}),
            "where: 'digit/*' matches no <dataset>/<setting>",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"daso.wieght": 1}}),
            "where: digits/*: add-on 'daso': unknown option 'wieght'; did you mean 'weight'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(where={"digits/*": {"daso.weight": 1}}),
            "where: digits/*: this method has no component 'daso'; choose one of fixmatch",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"dso.weight": 1}),
            "overrides: unknown learner, add-on or plan 'dso'; did you mean 'daso'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"optimizer.lrr": 1}),
            "overrides: optimizer: unknown option 'lrr'; did you mean 'lr'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(overrides={"weight": 1}),
            "overrides: expected component.option, got 'weight'",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["evaluation"].update(every=7),
            "evaluation.every: 7 does not divide 1200 steps; set it to a divisor of 1200",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["evaluation"].update(median_of=41),
            "evaluation.median_of: 41 is above the maximum 40 (evaluations of a run); lower it",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["network"].update(name="small_convnets"),
            "unknown network 'small_convnets'; did you mean 'small_convnet'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crst"}),
            "unknown plan 'crst'; did you mean 'crest'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crest", "generations": 2}),
            "plan 'crest': missing option 'exponent'; set it to a number of at least 0",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crest", "generations": 1, "exponent": 0.5}),
            "plan 'crest': generations: 1 is below the minimum 2; set it to 2 or more",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crt", "base": "supervisd", "steps": 20, "statistics": "frozen"}),
            "plan 'crt': unknown method 'supervisd'; did you mean 'supervised'?",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t.update(plan={"name": "crt", "base": "fixmatch", "steps": 20, "statistics": "frozen"}),
            "plan 'crt': 'fixmatch' itself depends on another method; name one that does not",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t.update(protocol="smok"),
            "unknown protocol 'smok'; did you mean 'smoke'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(methods=["fixmtch"]),
            "table 'smoke': unknown method 'fixmtch'; did you mean 'fixmatch'?",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(settings=["n20-m80-l20-u9"]),
            "table 'smoke': unknown setting 'n20-m80-l20-u9'; did you mean 'n20-m80-l20-u10'?",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(m1=800),
            "settings.n20-m80-l20-u10: a class needs 830 images (10 of them held out), but the smallest has 124; "
            "lower n1 or m1",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(gamma_l=21),
            "settings.n20-m80-l20-u10: the rarest class gets no labeled image; lower gamma_l or raise n1",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(tail={"n": 115, "gamma": 10, "share": 0.1}),
            "settings.tail: a class needs 125 images (10 of them held out), but the smallest has 124; "
            "lower n or set holdout: 0",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(tail={"n": 20, "gamma": 21, "share": 0.1}),
            "settings.tail: the rarest class gets no labeled image; lower gamma or raise n",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(whole={"n1": 125, "m1": "train", "gamma_l": 1, "holdout": 0}),
            "settings.whole: a class needs 125 images (0 of them held out), but the smallest has 124; lower n1",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"]["n20-m80-l20-u10"].update(holdout=55),
            "holdout: 55 is not divisible by 10 classes; set it to a multiple of 10",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(anneal="cosin"),
            "optimizer.anneal: expected one of constant, cosine, half_cosine, got 'cosin'; did you mean 'cosine'?",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.anneal": "none"}),
            "overrides: optimizer.anneal",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t.update(holdout=99),
            "holdout: 99 is not divisible by 10 classes; set it to a multiple of 10",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update({"A b": dict(t["settings"]["n20-m80-l20-u10"])}),
            "settings.A b: invalid name 'A b'; use only a-z, 0-9, '_' and '-'",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].update(pad=8),
            "augment.pad: 8 is too large to reflect 8 pixels; set it below 8",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].update(resize=8),
            "augment.resize: 8 is not below image_size 8; lower or remove it",
        ),
        ("datasets/digits.yaml", lambda t: t["augment"].pop("num_ops"), "augment: missing key 'num_ops'; add it"),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].pop("op_probability"),
            "augment: missing key 'op_probability'; add it",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["augment"].update(ops=[]),
            "augment.num_ops: 2 is not allowed without ops; list some or set num_ops: 0",
        ),
        (
            "datasets/digits.yaml",
            lambda t: t["settings"].update(every={"n1": 20, "m1": "all", "gamma_l": 20}),
            "settings.every.m1: 'all' is not allowed with source 'digits', which has no images without labels; "
            "set a number, or 'train' for all images that are not held out",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.milestones": 5}),
            "overrides: optimizer.milestones: expected a list, got 5",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.lr": "fast"}),
            "overrides: optimizer.lr: expected a number, got 'fast'",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.lr": 1e30}),
            "overrides: optimizer.lr: 1e+30 is too large; set it between -2^53 and 2^53",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"optimizer.factor": -3}),
            "overrides: optimizer.factor: -3 is too small; set it above 0",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"optimizer.milestones": ["x"]}}),
            f"where: digits/*: optimizer.milestones[0]: expected an integer, {EPOCHS}, got 'x'; write one of these",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["optimizer"].update(momentum=0),
            "optimizer.nesterov: true is not allowed with momentum 0; change one of them",
        ),
        (
            "methods/fixmatch.yaml",
            lambda t: t["learner"].update(threshold=1.5),
            "learner 'fixmatch': threshold: 1.5 is above the maximum 1; set it to 1 or less",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(proto_temperature=0),
            "add-on 'daso': proto_temperature: 0 is too small; set it above 0",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(blend=1.5),
            "add-on 'daso': blend: expected 'distribution' or a number in [0, 1], got 1.5",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t["addons"][0].update(warmup=99),
            "add-on 'daso': warmup 99 is shorter than period 100, so no pseudo-labels are counted",
        ),
        (
            "methods/fixmatch_daso.yaml",
            lambda t: t.update(where={"digits/*": {"daso.weight": -1}}),
            "where: digits/*: add-on 'daso': weight: -1 is below the minimum 0; set it to 0 or more",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["overrides"].update({"daso.warmup": 20}),
            "overrides: method 'fixmatch_daso': add-on 'daso': warmup 20 is shorter than period 25, so",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t["network"].update(strides=[1, 2]),
            "network 'small_convnet': 3 channels, 2 strides; give as many, at least 1",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(protocol="smoek"),
            "table 'smoke': unknown protocol 'smoek'; did you mean 'smoke'",
        ),
        (
            "suites/smoke.yaml",
            lambda t: t["tables"][0].update(metrics=["last", "mean"]),
            "table 'smoke': metrics: missing 'median', which gains and ranks use under protocol 'smoke'; add it",
        ),
        (
            "protocols/digits.yaml",
            lambda t: t.update(network={"name": "wide_resnet", "depth": 27, "width": 2}),
            "network 'wide_resnet': depth: expected 6 n + 4, got 27; choose 10, 16, 22, ...",
        ),
    ],
)
def test_each_error_is_one_line(params, file, edit, line):
    params(file, edit)
    (error,) = errors()
    assert error.startswith(f"params/{file}: {line}")


def test_all_errors_are_collected(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(learnr=1))
    params("protocols/smoke.yaml", lambda tree: tree.update(steps=0, titel="x"))
    Path("params/suites/smoke.yaml").write_text("title: [\n")
    Path("params/pipeline.yaml").unlink()
    assert errors() == [
        "params/protocols/smoke.yaml: unknown key 'titel'; did you mean 'title'?",
        "params/protocols/smoke.yaml: steps: 0 is below the minimum 1; set it to 1 or more",
        "params/methods/fixmatch.yaml: unknown key 'learnr'; did you mean 'learner'?",
        "params/suites/smoke.yaml: invalid YAML: line 2, column 1: expected the node content, but found '<stream end>'",
        "params/pipeline.yaml: missing; create or restore the file",
    ]


def test_suite_with_the_name_of_another_folder_of_reports_is_an_error(params):
    Path("params/suites/smoke.yaml").rename("params/suites/contradictions.yaml")
    (line,) = errors()
    file = "params/suites/contradictions.yaml"
    assert line == f"{file}: 'reports/contradictions' is not allowed as the report of a suite; rename the file"


def test_errors_of_other_files_are_reported_beside_a_broken_file(params):
    Path("params/datasets/digits.yaml").write_text("title: digits\n")
    params("protocols/smoke.yaml", lambda tree: tree.update(steps="six"))
    params("methods/fixmatch.yaml", lambda tree: tree["learner"].update(wieght=1))
    params("suites/smoke.yaml", lambda tree: tree["tables"][0]["methods"].append("fixmtch"))
    lines = errors()
    assert lines[0] == "params/datasets/digits.yaml: missing key 'num_classes'; add it"
    assert lines[-3:] == [
        f"params/protocols/smoke.yaml: steps: expected an integer, {EPOCHS}, got 'six'; write one of these",
        "params/methods/fixmatch.yaml: learner 'fixmatch': unknown option 'wieght'; did you mean 'weight'?",
        "params/suites/smoke.yaml: table 'smoke': unknown method 'fixmtch'; did you mean 'fixmatch'?",
    ]
    assert [line for line in lines if "datasets/digits.yaml" not in line] == lines[-3:]


def test_file_in_another_encoding(params):
    path = Path("params/methods/fixmatch.yaml")
    path.write_bytes("# a comment\ntitle: caf\u00e9\n".encode("latin-1"))
    assert errors() == [
        "params/methods/fixmatch.yaml: expected UTF-8 text, got the byte 0xe9 in line 2; save the file as UTF-8"
    ]


def test_duplicate_key(params):
    path = Path("params/protocols/smoke.yaml")
    path.write_text(path.read_text() + "steps: 40\n")
    (line,) = errors()
    assert line.startswith("params/protocols/smoke.yaml: invalid YAML: line ")
    assert 'found duplicate key "steps"' in line


def test_invalid_file_names(params):
    shutil.copy("params/methods/fixmatch.yaml", "params/methods/Fix Match.yml")
    assert errors() == [
        "params/methods/Fix Match.yml: expected the suffix .yaml, got .yml; rename the file",
        "params/methods/Fix Match.yml: invalid name 'Fix Match'; use only a-z, 0-9, '_' and '-'",
    ]


def test_empty_file_and_missing_folder(params, tmp_path):
    Path("params/suites/smoke.yaml").write_text("")
    assert errors() == ["params/suites/smoke.yaml: expected a mapping of keys to values, got null"]
    with pytest.raises(ParamsError, match="missing; run from the root of the project"):
        load_params(tmp_path / "nowhere")


def test_reading_params_does_not_import_torch():
    code = "import sys; from daso.config.load import load_params; load_params('params'); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
