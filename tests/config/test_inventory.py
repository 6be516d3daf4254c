from daso.config.inventory import describe_setting, inventory
from tests.repository import PARAMS, ROOT


def line(text, name):
    (match,) = (line for line in text.splitlines() if line.split()[0] == name)
    return [cell.strip() for cell in match.split("  ") if cell.strip()]


def test_list_names_the_components_of_methods():
    text = inventory(PARAMS, "methods")
    assert line(text, "fixmatch_la_daso") == [
        "fixmatch_la_daso",
        "fixmatch + logit_adjustment + daso",
        "FixMatch + LA + DASO",
    ]
    assert line(text, "supervised")[1] == "supervised"
    assert len(text.splitlines()) == len(list((ROOT / "params/methods").glob("*.yaml")))


def test_list_describes_settings_by_their_class_sizes():
    """500 to 500 / 100 = 5 labeled images and 4,000 to 40 unlabeled ones; 450 / 20 = 22.5 is rounded down."""
    text = inventory(PARAMS, "settings")
    labeled, unlabeled = line(text, "cifar10-lt/n500-m4000-l100-u100r")[1:]
    assert labeled == "labeled: 1,236 images, 500 to 5 per class (gamma 100)"
    assert unlabeled == "unlabeled: 9,922 images, 40 to 4,000 per class (gamma 100, reversed)"
    assert line(text, "cifar10-lt/n500-m4000-l100-u1")[2] == "unlabeled: 40,000 images, 4,000 per class (gamma 1)"
    labeled, unlabeled = line(text, "stl10-lt/n450-l20")[1:]
    assert "450 to 22 per class (gamma 20)" in labeled
    assert unlabeled == ("unlabeled: all; classes of the unlabeled images unknown: no pseudo-label recall or precision")
    assert line(text, "cifar10-lt/n5000-g200-p30")[1:] == [
        "labeled: 3,365 images, 1,500 to 8 per class (gamma 200)",
        "unlabeled: 7,838 images, 3,500 to 17 per class, the other 70 % of each class",
    ]
    assert line(text, "cifar100/n25")[1:] == [
        "labeled: 2,500 images, 25 per class (gamma 1)",
        "unlabeled: all images that are not held out, including the labeled ones",
    ]
    assert describe_setting({"labeled": 0.2}, 10) == (
        "labeled: 20 % of each class, natural class sizes",
        "unlabeled: the rest",
    )


def test_list_describes_datasets_suites_and_protocols():
    assert line(inventory(PARAMS, "datasets"), "stl10-lt")[1:3] == [
        "stl10",
        "10 classes, 96 x 96 pixels, 12 settings",
    ]
    assert line(inventory(PARAMS, "suites"), "cifar10-lt-main")[1:3] == ["protocol paper", "72 runs"]
    assert line(inventory(PARAMS, "suites"), "quickstart")[2].endswith("runs, default")
    assert line(inventory(PARAMS, "protocols"), "paper")[1:4] == [
        "250,000 steps of 64 labeled images",
        "wide_resnet: depth 28, width 2",
        "compared with published numbers",
    ]
    assert line(inventory(PARAMS, "protocols"), "smoke")[3] == "not compared with published numbers"
