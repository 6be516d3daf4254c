"""Predictions that name the super-class of an image whose class is uncertain."""

import csv
import io

import numpy as np
import pytest

from daso.deploy.predict_files import PredictionOptions, predict_files
from daso.errors import DasoError
from tests.data.photo_cases import save_noise
from tests.deploy.models import CONVNET, record_of

SUPER_CLASSES = ["flower", "tree", "flower"]  # of aster, beech and clover
PROBABILITIES = [[0.45, 0.2, 0.35], [0.1, 0.7, 0.2], [0.25, 0.4, 0.35], [0.3, 0.45, 0.25]]


class FixedPredictor:
    """Predictor with the probabilities above for images in the order of their names."""

    def __init__(self, **changes):
        self.record = {**record_of(CONVNET, [0]), "digest": "0" * 64, **changes}

    def probabilities(self, images):
        return np.array(PROBABILITIES[: len(images)]), np.zeros(len(images))


@pytest.fixture
def photos(tmp_path):
    for i in range(len(PROBABILITIES)):
        save_noise(tmp_path / f"photos/{i}.png", i)
    return str(tmp_path / "photos")


def rows(photos, **options):
    text, summary = predict_files(
        FixedPredictor(super_classes=SUPER_CLASSES), [photos], None, PredictionOptions(**options)
    )
    return list(csv.DictReader(io.StringIO(text))), summary


def test_uncertain_class_backs_off_to_a_certain_super_class(photos):
    """Abstains below .5. Aster .45 with clover .35: flower .8. Beech .7 is certain. Beech .4 and .45 are all trees."""
    predicted, summary = rows(photos, back_off=True)
    assert [row["class"] for row in predicted] == ["aster", "beech", "beech", "beech"]
    assert [row["abstain"] for row in predicted] == ["yes", "no", "yes", "yes"]
    assert [row["super_class"] for row in predicted] == ["flower", "", "", ""]
    assert [row["super_class_probability"] for row in predicted] == ["0.8000", "", "", ""]
    assert "4 images predicted (3 abstained, 1 of them with a super-class, 0 unlike" in str(summary)


def test_super_class_is_that_of_the_most_probable_class(photos):
    """From .39 on: beech .4 in the third row is certain, though flower has .6."""
    predicted, _ = rows(photos, back_off=True, abstain_below=0.39)
    assert [row["abstain"] for row in predicted] == ["no"] * 4
    assert {row["super_class"] for row in predicted} == {""}


def test_rows_have_no_super_class_unless_it_is_chosen(photos):
    predicted, summary = rows(photos)
    assert "super_class" not in predicted[0]
    assert "3 abstained, 0 unlike" in str(summary)


def test_model_without_super_classes_cannot_back_off(photos):
    with pytest.raises(DasoError, match="--back-off: flowers has no super-classes; list super_classes in the file of"):
        predict_files(FixedPredictor(), [photos], None, PredictionOptions(back_off=True))
