import pytest

from daso.report.tables.differences import differences_table

METHOD = {"title": "Supervised", "learner": {"name": "supervised"}}


@pytest.mark.parametrize(
    ("dataset", "protocol", "tags"),
    [
        ({"augment": {"pad": 4}}, {"network": {"name": "wide_resnet"}}, set()),
        ({"augment": {"pad": 4, "resize": 32}}, {}, {"resize"}),
        ({"augment": {"crop": {}}, "fit": "crop"}, {}, {"resized-crop", "test-resize", "store-crop"}),
        ({"augment": {"pad": 4}}, {"network": {"weights": "a.pth"}}, {"classifier-init", "classifier-rate"}),
        ({"augment": {"pad": 4}}, {"images_per_group": 128}, {"groups-of-images"}),
    ],
)
def test_differences_of_dataset_and_protocol_are_listed(dataset, protocol, tags):
    assert tags_of_rows(dataset, [{"name": "s"}], protocol, []) == tags


def test_differences_of_setting_and_device_are_listed():
    runs = [{"provenance": {"precision": "fp32"}}, {"provenance": {"precision": "bf16"}}]
    assert tags_of_rows({}, [{}, {"outside": {"classes": [7]}}], {}, runs[:1]) == {"images-of-no-class"}
    assert tags_of_rows({}, [{}], {}, runs) == {"precision"}


def tags_of_rows(dataset, settings, protocol, runs):
    """Return the tags in the rows of a table of one method, which has none of its own."""
    table = {"methods": [METHOD], "dataset": dataset, "settings": settings}
    rows = differences_table(table, protocol, runs).rows
    assert {row[1] for row in rows} <= {"all"}
    return {row[0].split("]")[0].lstrip("[") for row in rows}
