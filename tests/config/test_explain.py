"""Options with their values and sources, compared with the files that set them."""

from copy import deepcopy

import pytest

from daso.config.explain import align_columns, explain, find_method, setting_incompatibilities
from daso.config.load import load_params
from daso.config.paper_names import paper_name, same_method
from daso.config.resolve import OptionSource, Run, trace_options
from daso.errors import ParamsError
from tests.repository import PARAMS

DASO = "params/methods/fixmatch_daso.yaml"
MATCHED, REVERSED = "digits/n20-m80-l20-u10", "digits/n20-m80-l20-u10r"


def row(text, key):
    """Return the printed value and source of an option."""
    (line,) = (line for line in text.splitlines() if line.split("  ")[0] == key)
    return [cell.strip() for cell in line.split("  ") if cell.strip()][1:]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("fixmatch_la_daso", "fixmatch_la_daso"),
        ("fixmatch+la+daso", "fixmatch_la_daso"),
        ("FixMatch + DASO + LA", "fixmatch_la_daso"),
        ("fixmatch+crest+", "fixmatch_crest_plus"),
        ("fixmatch+crest", "fixmatch_crest"),
        ("fixmatch+la+crest+", "fixmatch_la_crest_plus"),
        ("fixmatch+crest++la", "fixmatch_la_crest_plus"),
        ("remixmatch+crest+", "remixmatch_crest_plus"),
        ("remixmatch+daso", "remixmatch_daso"),
        ("meanteacher+daso", "mean_teacher_daso"),
        ("supervised", "supervised"),
        ("usadtm", "usadtm"),
    ],
)
def test_methods_by_their_names_in_the_paper(words, name):
    assert find_method(PARAMS, words) == name


@pytest.mark.parametrize("words", ["fixmatch+dasso", "fixmatch+daso+la+cb", "fixmatch+", "+fixmatch", "", "daso"])
def test_unknown_method_is_an_error(words):
    with pytest.raises(ParamsError, match=f"unknown method '{words}'".replace("+", r"\+")):
        find_method(PARAMS, words)


def test_unknown_method_suggests_the_closest_name():
    with pytest.raises(ParamsError, match=r"unknown method 'FixMatch\+dasso'; did you mean 'fixmatch\+daso'\?"):
        find_method(PARAMS, "FixMatch+dasso")


def test_name_of_two_methods_is_ambiguous(params):
    params("methods/fixmatch.yaml", lambda tree: tree.update(paper={"base": "fixmatch", "addons": "daso"}))
    with pytest.raises(ParamsError, match=r"ambiguous method 'fixmatch\+daso'; choose one of fixmatch, fixmatch_daso"):
        find_method(load_params(), "fixmatch+daso")


def test_every_method_of_the_paper_is_found_by_its_name():
    for name, tree in PARAMS.methods.items():
        if "paper" in tree:
            assert same_method(paper_name(tree["paper"]), paper_name(tree["paper"]).upper()), name
            assert find_method(PARAMS, paper_name(tree["paper"])) == name


def test_source_of_an_option_is_the_last_file_that_sets_it(params):
    where = {"digits/*": {"daso.weight": 2.0, "daso.period": 5}, "digits/*r": {"daso.weight": 3.0}}
    params("methods/fixmatch_daso.yaml", lambda tree: tree.update(where=where))
    sources = trace_options(load_params(), Run("digits", "n20-m80-l20-u10r", "digits", "fixmatch_daso", 0)).sources
    assert sources["daso.weight"] == OptionSource(DASO, ("where", "digits/*r"))
    assert sources["daso.period"] == OptionSource("params/protocols/digits.yaml", ("overrides",))
    assert sources["daso.blend"] == OptionSource(DASO)
    assert sources["fixmatch.threshold"] == OptionSource(DASO)
    assert sources["optimizer.lr"] == OptionSource("params/protocols/digits.yaml")
    assert str(sources["daso.weight"]) == f"{DASO}, where digits/*r"
    sources = trace_options(load_params(), Run("digits", "n20-m80-l20-u10", "digits", "supervised", 0)).sources
    assert sources["optimizer.lr"] == OptionSource("params/protocols/digits.yaml", ("overrides",))
    assert sources["optimizer.momentum"] == OptionSource("params/protocols/digits.yaml")


def test_explain_prints_the_order_of_a_tail_alone(params):
    params("datasets/digits.yaml", lambda tree: tree["settings"].update(n4={"n1": 4, "m1": "train", "gamma_l": 1}))
    lines = explain(load_params(), "fixmatch_daso", "digits", "digits/n4").splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("setting.")] == [
        ["setting.n1", "4"],
        ["setting.m1", "train"],
        ["setting.gamma_l", "1"],
    ]


def test_explain_prints_one_line_for_each_option(params):
    text = explain(load_params(), "fixmatch_daso", "digits", MATCHED)
    assert row(text, "daso.dist_temperature") == ["1.5", f"{DASO}, where digits/*-u10"]
    assert row(text, "daso.queue_length") == ["64", "params/protocols/digits.yaml, overrides"]
    assert row(text, "fixmatch.threshold") == ["0.95", DASO]
    heading = text.splitlines().index("add-on daso (daso/methods/addons/daso.py)")
    assert text.splitlines()[heading + 1].endswith("(Oh et al. 2022, section 3).")
    assert row(text, "small_convnet.channels") == ["[16, 32, 64]", "params/protocols/digits.yaml"]
    assert row(text, "steps") == ["1200", "params/protocols/digits.yaml"]
    assert row(text, "unlabeled_ratio") == ["2", DASO]
    assert row(text, "optimizer.lr") == ["0.03", "params/protocols/digits.yaml"]
    assert row(text, "setting.gamma_u") == ["10", "params/datasets/digits.yaml"]
    assert row(text, "setting.reversed") == ["false", "default"]
    assert text.splitlines()[-5:] == [
        "known differences from the papers",
        *(f"docs/fidelity.md#{tag}" for tag in ("teacher-bn", "confidence", "proportional-queue", "precision")),
    ]


def test_explain_lists_the_differences_of_protocol_and_setting():
    """The paper's protocol may run in bf16; that of Semi-Aves has pretrained weights and groups of images."""
    heading = "known differences from the papers\n"

    def tags(*arguments):
        listed = explain(PARAMS, "supervised", *arguments).split(heading)[1]
        return [line.removeprefix("docs/fidelity.md#") for line in listed.splitlines()]

    assert tags("paper") == ["precision"]
    assert set(tags("semi-aves", "semi-aves/in")) == {
        *("precision", "classifier-init", "classifier-rate", "groups-of-images"),
        *("resized-crop", "test-resize", "store-crop"),
    }
    assert "known differences from the papers: none" in explain(PARAMS, "supervised", "smoke", MATCHED)


def test_explain_prints_the_module_of_a_default():
    module = "daso/methods/addons/distribution_alignment.py"
    text = explain(PARAMS, "fixmatch_crest_plus")
    assert row(text, "distribution_alignment.enabled") == ["true", f"{module}, default"]


def test_explain_prints_the_comment_beside_a_value():
    text = explain(PARAMS, "usadtm")
    assert row(text, "usadtm.queue_factor")[-1] == "# authors' code"
    assert row(text, "usadtm.weight")[-1].endswith("usadtm.yaml")
    text = explain(PARAMS, "remixmatch_daso")
    assert "(daso/methods/addons/daso.py)  # after sharpening: the blend is not sharpened" in text
    text = explain(PARAMS, "supervised_ldam_drw")
    assert "(daso/methods/addons/ldam.py)  # from step 200,000 of 250,000 on" in text
    assert row(text, "ldam.start")[-1].endswith(".yaml")  # the comment may refer to any value on the line


def test_without_a_setting_the_options_in_where_are_listed(params):
    text = explain(load_params(), "fixmatch_daso", "digits")
    assert [line.split() for line in text.splitlines() if line.startswith("daso.dist_temperature")] == [
        ["daso.dist_temperature", "0.3", DASO, *["#", "searched", "in", "{0.3,", "0.5,", "1.0,", "1.5}"]],
        ["daso.dist_temperature", "1.5", f"{DASO},", "where", "digits/*-u10"],
    ]
    assert "setting." not in text.replace("--setting ", "")


def test_explain_lists_the_stages_of_a_plan():
    """Five generations of 50,000 steps; temperatures of alignment 1 - g / 4 + g / 4 * 0.5, g = 0..4."""
    text = explain(PARAMS, "fixmatch_crest_plus")
    stages = [line.split() for line in text.splitlines() if line.startswith("stage ")]
    assert [(words[1], words[2], words[-1]) for words in stages] == [
        ("g1", "50,000", "1.0"),
        ("g2", "50,000", "0.875"),
        ("g3", "50,000", "0.75"),
        ("g4", "50,000", "0.625"),
        ("last", "50,000", "0.5"),
    ]
    assert row(text, "steps")[1].endswith("fixmatch_crest_plus.yaml, plan")
    assert row(text, "distribution_alignment.temperature")[0] == "0.5"
    assert row(text, "crest.generations")[0] == "5"


def test_explain_prints_upstream_methods():
    assert row(explain(PARAMS, "supervised_crt"), "encoder from")[0] == "supervised"
    assert row(explain(PARAMS, "supervised_crt"), "steps")[0] == "100000"
    text = explain(PARAMS, "fixmatch_darp", "paper", "cifar10-lt/n500-m4000-l100-u1")
    assert row(text, "estimate from")[0] == "supervised_survey"
    assert "estimate from" not in explain(PARAMS, "fixmatch_darp", "paper", "cifar10-lt/n500-m4000-l100-u100")


def test_explain_names_the_fit_as_the_source_of_fitted_options():
    text, source = explain(PARAMS, "fixmatch_la", "photos"), f"{PARAMS.root}/protocols/photos.yaml, fit"
    assert row(text, "logit_adjustment.tau") == ["fitted, else 1.0", source]
    own = PARAMS.protocols["photos"]["optimizer"]["weight_decay"]
    assert row(text, "optimizer.weight_decay") == [f"fitted, else {own}", source]
    assert row(text, "fit.folds")[0] == "5"
    assert row(explain(PARAMS, "supervised", "photos"), "optimizer.weight_decay")[1] == source


def test_explain_reports_unknown_classes_of_unlabeled_images():
    line = "classes of the unlabeled images unknown: no pseudo-label recall or precision"
    assert line in explain(PARAMS, "fixmatch", "paper", "stl10-lt/n150-l10").splitlines()
    assert line not in explain(PARAMS, "fixmatch", "paper", "cifar10-lt/n500-m4000-l100-u100")


def test_incompatibilities_with_a_setting():
    project = deepcopy(PARAMS)
    place = "stl10-lt/n150-l10"
    assert setting_incompatibilities(project, "fixmatch_darp", "paper", place) == []
    project.methods["fixmatch_darp"]["where"]["stl10-lt/*"] = {"darp.prior": "true_counts"}
    (line,) = setting_incompatibilities(project, "fixmatch_darp", "paper", place)
    assert f"fixmatch_darp.yaml: {place}: add-on 'darp': prior 'true_counts' needs" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("papr", ""), "unknown protocol 'papr'; did you mean 'paper'"),
        (
            ("paper", "stl10-lt/n150-l1"),
            "unknown <dataset>/<setting> 'stl10-lt/n150-l1'; did you mean 'stl10-lt/n150-l10'",
        ),
        (("paper", "stl10-lt"), "unknown <dataset>/<setting> 'stl10-lt'"),
    ],
)
def test_unknown_protocols_and_settings(arguments, message):
    with pytest.raises(ParamsError, match=message):
        explain(PARAMS, "fixmatch", *arguments)


def test_every_method_can_be_explained():
    for name in PARAMS.methods:
        for line in explain(PARAMS, name).splitlines():
            assert line == line.rstrip()


def test_align_columns_pads_all_but_the_last_column():
    assert align_columns([("a", "bb", "c"), ("a line of its own",), ("dd", "", "e f")]) == (
        "a   bb  c\na line of its own\ndd      e f\n"
    )
