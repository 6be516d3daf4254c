"""Names of the settings of params/: their numbers, the order of the unlabeled classes and the kind of draw."""

from daso.data.class_sizes import long_tail
from tests.repository import PARAMS


def test_settings_are_named_after_their_numbers_and_fit_the_classes():
    sizes = {"digits": 124, "cifar10-lt": 5000, "cifar100-lt": 500, "stl10-lt": 500}  # images of the smallest class
    sizes |= {"cifar10": 5000, "cifar100": 500}
    for name, size in sizes.items():
        tree = PARAMS.datasets[name]
        assert tree["images"]["smallest_class"] == size
        for setting, n in tree["settings"].items():
            if "share" in n:
                assert setting == f"n{n['n']}-g{n['gamma']}-p{100 * n['share']:g}"
                assert n["n"] + n["holdout"] <= size
                continue
            assert setting == name_of_tails(n)
            drawn = n["n1"] + (0 if isinstance(n["m1"], str) else n["m1"])
            assert drawn + n.get("holdout", tree["holdout"]) // tree["num_classes"] <= size
            assert min(long_tail(n["n1"], n["gamma_l"], tree["num_classes"])) >= 1


def name_of_tails(setting):
    """Return the name of a setting by its numbers; `first` and `in` need a hold-out of 0."""
    letters = {"middle": "m", "head-tail": "ht", "arbitrary": "a", "gaussian": "g", "inverse-gaussian": "ig"}
    order = "r" if setting.get("reversed") else letters.get(setting.get("shape"), "")
    unlabeled = f"-u{setting.get('gamma_u', '')}{order}"
    match setting["m1"]:
        case "train":
            return f"n{setting['n1']}"
        case "all":
            name = f"n{setting['n1']}-l{setting['gamma_l']}"
        case m1:
            name = f"n{setting['n1']}-m{m1}-l{setting['gamma_l']}{unlabeled}"
    if "outside" in setting:
        name += f"-o{round(100 * setting['outside']['share'])}"
    first, copies = "selection" in setting, setting.get("unlabeled_includes_labeled")
    assert setting.get("holdout") == 0 or not (first or copies)
    return name + ("-first" if first else "") + ("-in" if copies else "")
