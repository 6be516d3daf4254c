import pytest

from daso.report.tables.differences import differences_table

METHOD = {"title": "Supervised", "learner": {"name": "supervised"}}


@pytest.mark.parametrize(
    ("augment", "protocol", "tags"),
    [
        ({"pad": 4}, {"network": {"name": "wide_resnet"}}, set()),
        ({"pad": 4, "resize": 32}, {}, {"resize"}),
        ({"crop": {}}, {}, {"resized-crop", "test-resize"}),
        ({"pad": 4}, {"network": {"weights": "a.pth"}}, {"classifier-init", "classifier-rate"}),
        ({"pad": 4}, {"images_per_group": 128}, {"groups-of-images"}),
    ],
)
def test_differences_of_dataset_and_protocol_are_listed(augment, protocol, tags):
    table = {"methods": [METHOD], "dataset": {"augment": augment}}
    rows = differences_table(table, protocol, []).rows
    assert {row[0].split("]")[0].lstrip("[") for row in rows} - {"teacher-bn"} == tags
    assert {row[1] for row in rows} <= {"all"}
