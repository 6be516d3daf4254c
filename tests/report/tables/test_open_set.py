from daso.report.results.collect import Cell
from daso.report.tables.accuracy import format_setting
from daso.report.tables.csv_files import format_table_csv
from daso.report.tables.open_set import open_set_table


def subset(images, mask_rate, above_threshold, accuracy):
    return {"images": images, "mask_rate": mask_rate, "above_threshold": above_threshold, "accuracy": accuracy}


def run(seed, **by_name):
    return {"seed": seed, "open_set": {"threshold": 0.95, "subsets": by_name}}


def test_subsets_of_unlabeled_images_are_rows_with_means_over_seeds():
    """Mask rates 40 and 50 % of images of the classes, 10 and 30 % of those of no class, which have no accuracy."""
    done = {
        0: run(0, inside=subset(232, 0.4, 0.5, 0.8), outside=subset(232, 0.1, 0.2, None)),
        1: run(1, inside=subset(232, 0.5, 0.5, 0.9), outside=subset(230, 0.3, 0.4, None)),
    }
    cells = [
        Cell("t", "open", "fixmatch", "d/open/p/fixmatch", (0, 1), done),
        Cell("t", "closed", "fixmatch", "r", (0,)),
    ]
    table = open_set_table(cells, {"fixmatch": "FixMatch"})
    assert format_table_csv(table) == (
        "Setting,Method,Unlabeled images,n,Images,Mask rate,Confident,Accuracy\n"
        "open,FixMatch,of the classes,2,232,45.0 ± 7.07,50.0 ± 0.00,85.0 ± 7.07\n"
        "open,FixMatch,of no class,2,230 to 232,20.0 ± 14.14,30.0 ± 14.14,–\n"
    )


def test_subsets_have_rows_without_a_mask_rate():
    done = {0: run(0, out=subset(122_208, None, 0.25, None))}
    (row,) = open_set_table([Cell("t", "s", "m", "r", (0,), done)], {"m": "M"}).rows
    assert row == ["s", "M", "subset out", "1", "122,208", "–", "25.0", "–"]


def test_runs_with_known_classes_have_no_row():
    cell = Cell("t", "s", "m", "r", (0,), {0: {"seed": 0}})
    assert open_set_table([cell], {"m": "M"}).rows == []


def test_setting_prints_its_share_of_images_of_no_class():
    setting = {"name": "s", "n1": 20, "m1": 80, "gamma_l": 20, "gamma_u": 10, "outside": {"classes": [9], "share": 0.5}}
    assert format_setting(setting)["m1"] == "80, 50 % of no class"
