"""Training on features: standardisation, drawn views, and a run that resumes bit for bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from daso.config.build import build
from daso.data.features import VIEW_KINDS, Features
from daso.data.split_rows import Split
from daso.draw import Draw
from daso.engine.feature_pool import FeaturePool, chosen_views, load_feature_pools
from daso.engine.loader import Loader
from daso.engine.resident import Resident, labeled_copies
from daso.methods.base import Views
from daso.models.features import standardise
from tests.engine.world import CONFIG, CPU, SUPERVISED, batches

NETWORK = {"name": "timm", "train": "head"}


def test_standardised_features_have_norm_five():
    """(4, 8) with mean (1, 0) and deviation (1, 2) is (3, 4), whose norm is 5 already; (1, 2) becomes (0, 5)."""
    features = torch.tensor([[4.0, 8.0], [1.0, 2.0]])
    result = standardise(features, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0]))
    assert torch.allclose(result, torch.tensor([[3.0, 4.0], [0.0, 5.0]]))


@pytest.mark.parametrize(("kind", "numbers"), [("plain", {0}), ("weak", {1, 2}), ("strong", {3, 4, 5, 6})])
def test_drawn_views_are_of_their_kind_and_all_occur(kind, numbers):
    drawn = chosen_views(kind, Draw(0, "u", torch.arange(20)), 50)
    assert drawn.shape == (20, 50)
    assert set(drawn.unique().tolist()) == numbers


@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_two_views_of_a_kind_are_different_rows(kind):
    draw = Draw(0, "u", torch.arange(20))
    first, second = chosen_views(kind, draw, 50), chosen_views(f"{kind}2", draw, 50)
    assert not (first == second).any()
    assert set(second.unique().tolist()) == set(first.unique().tolist())


def pool(labels, first=0):
    """Return a pool in which feature 0 is the label, feature 1 the number of the image and feature 2 of the view."""
    features = torch.zeros(len(labels), len(VIEW_KINDS), 3, dtype=torch.float16)
    features[..., 0] = torch.tensor(labels)[:, None]
    features[..., 1] = first + torch.arange(len(labels))[:, None]
    features[..., 2] = torch.arange(len(VIEW_KINDS))
    return FeaturePool(features, torch.tensor(labels))


def run_on_features(neck=None, **changes):
    data = Resident(pool([0] * 6 + [1] * 3), pool([0, 1] * 8, 100), pool([0, 1], 200), pool([0, 0, 1], 210))
    protocol = CONFIG["protocol"] | {"network": NETWORK | {"neck": neck}}
    return build({**CONFIG, "protocol": protocol, **changes}, data, CPU)


def test_batches_hold_views_of_their_rows():
    run = run_on_features()
    for batch in batches(run, 0, 6):
        for views, rows, first in ((batch.x, batch.x_index, 0), (batch.u, batch.u_index, 100)):
            for kind, features in views.items():
                assert features.dtype == torch.float32
                assert torch.equal(features[:, 1], (first + rows).float())
                assert {VIEW_KINDS[int(view)] for view in features[:, 2]} == {kind}


def test_evaluation_reads_plain_views():
    run = run_on_features()
    plain = run.data.test.images[:, 0].float()
    with torch.no_grad():
        assert torch.equal(run.predict(run.data.test)[0], run.models.teacher.classifier(plain))
    assert torch.equal(run.embed(run.data.test), plain)


@pytest.mark.parametrize("neck", [None, 2])
def test_stopped_run_resumes_bit_for_bit(tmp_path, neck):
    whole = run_on_features(neck)
    list(whole.fit(scratch=tmp_path / "whole.pt", on_step=lambda t: None, on_evaluation=lambda row: None))
    first, second = run_on_features(neck), run_on_features(neck)
    first.advance(4)
    first.save(tmp_path / "first.pt")
    second.restore(tmp_path / "first.pt")
    second.advance(6)
    for name, tensor in whole.models.teacher.state_dict().items():
        assert torch.equal(tensor, second.models.teacher.state_dict()[name]), name


def test_neck_is_trained_and_its_outputs_are_the_features():
    run = run_on_features(neck=2, method=SUPERVISED)
    before = run.models.student.encoder.neck[0].weight.detach().clone()
    run.advance(2)
    assert not torch.equal(run.models.student.encoder.neck[0].weight, before)
    assert run.embed(run.data.test).shape == (3, 2)


def stored_features(test):
    """Return features and a store of six training images: image i has the features (i, 1) in all views."""
    raw = np.repeat(np.stack([np.arange(6), np.ones(6)], 1)[:, None], 7, axis=1).astype(np.float16)
    rows = SimpleNamespace(dim=2, read=lambda numbers: raw.reshape(-1, 2)[numbers])
    numbers = {"train": np.arange(42).reshape(6, 7), "test": np.array(test, np.int64).reshape(-1, 1)}
    labels = {"train": np.array([0, 1, 0, 1, -1, -1]), "test": np.arange(len(test))}
    store = SimpleNamespace(dataset="d", labels=lambda part: labels[part], subsets={})
    blanks = np.array([[3, 4], [0, 2], [1, 0], [-4, 3]], np.float16)
    return Features(rows, numbers, np.zeros(2, np.float32), np.ones(2, np.float32), blanks, ""), store


def test_pools_of_a_split_hold_its_images():
    """Mean 0 and deviation 1 leave (i, 1) / sqrt(i^2 + 1) * 5."""
    features, store = stored_features([0, 35])
    split = Split(np.array([3, 1]), np.array([5]), np.array([2]))
    (data,) = load_feature_pools(features, store, [split], CPU)
    assert data.labeled.labels.tolist() == [1, 1]
    expected = 5 * torch.tensor([[3, 1], [1, 1]]) / torch.tensor([[10.0], [2.0]]).sqrt()
    assert torch.allclose(data.labeled.gather(torch.arange(2)), expected, atol=2e-3)
    assert torch.allclose(data.test.gather(torch.tensor([1]))[0], 5 * torch.tensor([5.0, 1.0]) / 26**0.5, atol=3e-3)
    assert data.unlabeled.labels.tolist() == [-1]


def test_blank_image_is_standardised_as_all_images():
    """Mean 0 and deviation 1 leave (0, 2), the second colour, as (0, 5), and (-4, 3), the fourth, with its norm 5."""
    features, store = stored_features([])
    split = Split(np.array([3, 1]), np.array([5]), np.array([2]))
    (data,) = load_feature_pools(features, store, [split], CPU)
    loader = Loader(data, CONFIG, Views(("plain",), ()), CPU)
    assert torch.allclose(loader.blank("zeros"), torch.tensor([[0.0, 5.0]]))
    assert torch.allclose(loader.blank("black"), torch.tensor([[-4.0, 3.0]]))


def test_labeled_copies_of_features():
    """Image 1 is the first of the unlabeled rows 1, 5 and 3; image 3 was added by a plan."""
    features, store = stored_features([])
    split = Split(np.array([0, 1, 3]), np.array([1, 5, 3]), np.array([2]), np.array([1]), np.array([4]))
    (data,) = load_feature_pools(features, store, [split], CPU)
    assert labeled_copies(data) == (0,)


def test_pools_with_images_of_their_own_share_no_labeled_image():
    assert labeled_copies(Resident(pool([0, 1]), pool([0, 1]), pool([0]), pool([1]))) == ()


def test_held_out_images_are_the_test_pool_if_a_store_has_no_test_images():
    """Image 4 is (4, 1) / sqrt(17) * 5."""
    features, store = stored_features([])
    split = Split(np.array([3, 1]), np.array([5]), np.array([], np.int64), test=np.array([2, 4]))
    (data,) = load_feature_pools(features, store, [split], CPU)
    assert data.test.labels.tolist() == [0, -1]
    assert torch.allclose(data.test.gather(torch.tensor([1]))[0], 5 * torch.tensor([4.0, 1.0]) / 17**0.5, atol=3e-3)
