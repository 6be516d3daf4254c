"""Export of a model of CIFAR-10 images: probabilities from 200 files equal those of predictions."""

import numpy as np
import pytest
import torch

from daso.deploy.export import export_onnx
from daso.deploy.export_check import predicted, read_by
from daso.deploy.model import classifier_of, with_digest
from daso.deploy.predict_files import decode_squares
from daso.models.features import standardise
from tests.deploy.models import LITE0, frozen_model, record_of
from tools.photo_folder import write_photos

pytestmark = pytest.mark.endurance


def centroid_model(folder):
    """Return a model that classifies by the class means of the features of 100 photos."""
    photos = sorted(folder.glob("train/*/*"))
    classes = sorted(path.name for path in folder.glob("train/*"))
    labels = torch.tensor([classes.index(path.parent.name) for path in photos])
    record = record_of({**LITE0, "image_size": 128}, [0], classes=classes)
    record["reading"] = {"image_size": 128, "fit": "pad", "bits": 16}
    record["dataset"]["image_size"] = 128
    network = classifier_of(frozen_model(LITE0))
    squares = torch.from_numpy(decode_squares(list(map(str, photos)), record)[0])
    pixels = (squares.float() / 255 - network.pixel_mean) / network.pixel_std
    with torch.inference_mode():
        features = torch.cat([network.encoder(part) for part in pixels.split(16)])
    mean, std = features.mean(0), features.std(0).clamp_min(1e-3)
    scaled = standardise(features, mean, std)
    means = torch.stack([scaled[labels == k].mean(0) for k in range(len(classes))])
    weights = {"member.0.classifier.weight": means, "member.0.classifier.bias": -(means**2).sum(1) / 2}
    return with_digest(record, {"mean": mean, "std": std, "labeled": features.half(), **weights})


def test_probabilities_of_200_files_are_those_of_predict(cifar10_zip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photos(cifar10_zip, tmp_path / "photos", (10, 10), (1, 1), 20, 0)
    model, files = centroid_model(tmp_path / "photos"), sorted((tmp_path / "photos/test").glob("*/*"))
    assert len(files) == 200
    list(export_onnx(model, tmp_path / "export"))
    read = read_by(tmp_path / "export/classify.py", tmp_path / "export/model.onnx", list(map(str, files)))
    expected = predicted(model, list(map(str, files)))
    np.testing.assert_allclose(read, expected, rtol=0, atol=1e-4)
    classes = model.record["classes"]
    right = [classes[k] == path.parent.name for k, path in zip(read[:, :-1].argmax(1), files, strict=True)]
    assert np.mean(right) > 0.5  # chance is 0.1
