import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from daso.data.bundle import write_bundle
from daso.data.files import digest
from daso.data.split import make_split
from daso.data.store import Store, load_store, write_store
from daso.engine import resident
from daso.engine.resident import Pool, Streamed, load, load_all
from daso.errors import DataError
from daso.records import Split

CPU = torch.device("cpu")
SIDE = 4
IMAGE = 4 * SIDE**2  # bytes of a packed image
random = np.random.default_rng(0)
TRAIN = random.integers(0, 256, (40, 3, SIDE, SIDE), dtype=np.uint8)
TEST = random.integers(0, 256, (6, 3, SIDE, SIDE), dtype=np.uint8)
LABELS = np.arange(40) % 3 - 1
# Seven and eight rows of the train part, 2 and 39 in both: 13 in all.
FIRST = Split(np.array([30, 2, 17]), np.array([9, 39, 0]), np.array([5]))
SECOND = Split(np.array([2, 11]), np.array([8, 39, 21, 20]), np.array([38, 1]))
NAMES = ("labeled", "unlabeled", "validation", "test")


def packed(images: np.ndarray) -> torch.Tensor:
    wide = images.astype(np.int32)
    return torch.from_numpy(wide[:, 0] + 256 * wide[:, 1] + 65536 * wide[:, 2])


def all_of(pool: Pool) -> torch.Tensor:
    return pool.gather(torch.arange(len(pool)))


@pytest.fixture
def store(tmp_path) -> Store:
    parts = {"train": (TRAIN, LABELS), "test": (TEST, LABELS[:6])}
    return write_store(tmp_path / "store", "toy", ["a", "b"], parts, {})


@pytest.fixture
def reads(monkeypatch) -> dict[str, list[int]]:
    """The rows of each part that anyone asks a store for."""
    seen, images = {"train": [], "test": []}, Store.images

    def spied(self, part, rows=None):
        seen[part] += ["everything"] if rows is None else list(rows)
        return images(self, part, rows)

    monkeypatch.setattr(Store, "images", spied)
    return seen


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_pools_have_the_pixels_and_labels_of_their_rows(store, memory):
    data = load(store, FIRST, CPU, memory)
    for name in ("labeled", "unlabeled", "validation"):
        rows, pool = getattr(FIRST, name), getattr(data, name)
        assert len(pool) == len(rows)
        assert torch.equal(all_of(pool), packed(TRAIN[rows]))
        assert pool.labels.dtype == torch.int64
        assert pool.labels.tolist() == LABELS[rows].tolist()
    assert torch.equal(all_of(data.test), packed(TEST))
    assert data.test.labels.tolist() == [-1, 0, 1, -1, 0, 1]


def test_a_plans_guesses_are_the_labels_of_the_last_labeled_images(store):
    """Rows 2 and 17 are of class 1; row 9, of no known one, is guessed to be of 0: (1, 2) images, (0, 2) drawn."""
    data = load(store, Split(np.array([2, 17, 9]), np.array([9, 1]), np.array([5]), np.array([0])), CPU)
    assert data.labeled.labels.tolist() == [1, 1, 0]
    assert data.unlabeled.labels.tolist() == [-1, 0]
    assert data.labeled.counts(2) == (1, 2)
    assert data.labeled.counts(2, drawn=True) == (0, 2)
    assert data.unlabeled.counts(2) == data.unlabeled.counts(2, drawn=True) == (1, 0)


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_rows_have_any_shape_and_any_order(store, memory):
    pool = load(store, FIRST, CPU, memory).unlabeled  # rows 9, 39, 0
    images = pool.gather(torch.tensor([[2, 0], [0, 1], [0, 2]]))
    assert images.dtype == torch.int32
    assert torch.equal(images, packed(TRAIN[[0, 9, 9, 39, 9, 0]]).view(3, 2, SIDE, SIDE))
    assert torch.equal(pool.gather(torch.tensor([1, 0, 1, 1])), packed(TRAIN[[39, 9, 39, 39]]))
    assert torch.equal(pool.gather(torch.tensor(2)), packed(TRAIN[:1])[0])
    assert pool.gather(torch.empty(5, 0, dtype=torch.int64)).shape == (5, 0, SIDE, SIDE)


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_batches_cover_everything_once_in_order(store, memory):
    data = load(store, FIRST, CPU, memory)
    batches = list(data.test.batches(4))
    assert [len(images) for images in batches] == [4, 2]
    assert torch.equal(torch.cat(batches), packed(TEST))
    assert torch.equal(torch.cat(list(data.labeled.batches(1))), packed(TRAIN[[30, 2, 17]]))
    assert [len(images) for images in data.labeled.batches(3)] == [3]


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_a_split_may_lack_a_part(store, memory):
    nothing = np.empty(0, np.int64)
    data = load(store, Split(np.array([7]), nothing, nothing), CPU, memory)
    assert len(data.unlabeled) == len(data.validation) == 0
    assert list(data.validation.batches(10)) == []
    assert torch.equal(all_of(data.labeled), packed(TRAIN[[7]]))


def test_a_pool_of_images_that_lie_there_already():
    images = torch.arange(3 * 4, dtype=torch.int32).view(3, 2, 2)
    pool = Pool(images, torch.tensor([1, 0, 1]))
    assert len(pool) == 3
    assert pool.gather(torch.tensor([[2], [0]])).tolist() == [[[[8, 9], [10, 11]]], [[[0, 1], [2, 3]]]]
    assert torch.equal(torch.cat(list(pool.batches(2))), images)


def test_splits_share_what_lies_on_the_device(store, reads):
    """The train part's rows of both are 13, each read and kept once."""
    one, two = load_all(store, [FIRST, SECOND], CPU)
    union = sorted({30, 2, 17, 9, 39, 0, 5, 11, 8, 21, 20, 38, 1})
    assert reads == {"train": union, "test": list(range(6))}
    assert one.labeled.images.shape == (13, SIDE, SIDE)
    assert len({getattr(data, name).images.data_ptr() for data in (one, two) for name in NAMES[:3]}) == 1
    assert one.test.images.data_ptr() == two.test.images.data_ptr()
    alone = [load(store, split, CPU) for split in (FIRST, SECOND)]
    for shared, own in zip((one, two), alone, strict=True):
        for mine, theirs in zip(shared, own, strict=True):
            assert torch.equal(all_of(mine), all_of(theirs))
            assert torch.equal(mine.labels, theirs.labels)


def test_images_come_to_the_device_in_pieces(store, monkeypatch):
    """A piece is of two images: eight to train on, six to test on."""
    calls, images = [], Store.images

    def counted(self, part, rows):
        calls.append(len(rows))
        return images(self, part, rows)

    monkeypatch.setattr(Store, "images", counted)
    monkeypatch.setattr(resident, "PIECE", 2 * 3 * SIDE**2)
    data = load(store, SECOND, CPU)
    assert calls == [2, 2, 2, 2] + [2, 2, 2]
    assert torch.equal(all_of(data.unlabeled), packed(TRAIN[[8, 39, 21, 20]]))
    assert torch.equal(all_of(data.test), packed(TEST))


@pytest.mark.parametrize(
    ("images", "train", "test"),
    [(7 + 6, False, False), (7 + 5, False, True), (7, False, True), (6, True, False), (5, True, True)],
)
def test_what_does_not_fit_is_streamed(store, caplog, images, train, test):
    """Seven images to train on and six to test on, in memory for some of them."""
    with caplog.at_level(logging.INFO):
        data = load(store, FIRST, CPU, memory=images * IMAGE)
    for pool, streamed in zip(data, (train, train, train, test), strict=True):
        assert isinstance(pool.images, Streamed) == streamed
    for part, streamed in (("7 train", train), ("6 test", test)):
        (message,) = [message for message in caplog.messages if part in message]
        assert ("streamed" in message) == streamed


def test_one_byte_less_is_too_little(store):
    assert isinstance(load(store, FIRST, CPU, memory=7 * IMAGE).labeled.images, torch.Tensor)
    assert isinstance(load(store, FIRST, CPU, memory=7 * IMAGE - 1).labeled.images, Streamed)


def test_memory_is_what_is_free_unless_it_is_told(store, monkeypatch):
    monkeypatch.setattr(resident, "free_memory", lambda device: 6 * IMAGE)
    assert isinstance(load(store, FIRST, CPU).labeled.images, Streamed)
    monkeypatch.setattr(resident, "free_memory", lambda device: 7 * IMAGE)
    assert isinstance(load(store, FIRST, CPU).labeled.images, torch.Tensor)


def test_images_may_take_four_fifths_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(resident.machine, "free_memory", lambda: 1_024_000)
    assert resident.free_memory(CPU) == 819_200


class Counted:
    """Images that count what is read of them."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.read = images, list[int]()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.read += rows.tolist()
        return self.images[rows]


def test_only_the_rows_asked_for_are_read_each_once_and_in_the_order_on_disk():
    images = Counted(TRAIN)
    pool = Pool(Streamed(images, CPU), torch.zeros(5, dtype=torch.int64), torch.tensor([31, 3, 22, 4, 13]))
    gathered = pool.gather(torch.tensor([[0, 3], [4, 0], [3, 3]]))
    assert images.read == [4, 13, 31]
    assert torch.equal(gathered.view(6, SIDE, SIDE), packed(TRAIN[[31, 4, 13, 31, 4, 4]]))


def test_batches_of_a_streamed_pool_are_read_when_they_are_asked_for():
    images = Counted(TEST)
    batches = Pool(Streamed(images, CPU), torch.zeros(6, dtype=torch.int64)).batches(2)
    next(batches)
    assert images.read == [0, 1]
    next(batches)
    assert images.read == [0, 1, 2, 3]


def test_what_is_streamed_stays_on_disk(store, reads):
    data = load(store, FIRST, CPU, memory=0)
    assert reads == {"train": ["everything"], "test": ["everything"]}
    for pool in data:
        assert isinstance(pool.images.images, np.memmap)


def bundled(tmp_path: Path) -> tuple[Store, list[Split], Store]:
    """A bundle of two splits of six rows each of 40 and 6 test images; its store, the splits, the whole store."""
    labels = np.arange(40) % 2
    parts = {"train": (TRAIN, labels), "test": (TEST, labels[:6])}
    whole = write_store(tmp_path / "data/store/toy", "toy", ["a", "b"], parts, {})
    runs, splits = [], []
    for seed in (0, 1):
        setting = {"name": "small", "n1": 1, "m1": 1, "gamma_l": 1, "gamma_u": 1, "reversed": False}
        path = tmp_path / f"data/splits/toy/small/s{seed}.json"
        config = {"dataset": "toy", "setting": setting, "seed": seed, "num_classes": 2, "holdout": 2}
        splits.append(make_split(config | {"class_order": "native"}, whole, path).split)
        run = {"run": f"toy/small/smoke/m/s{seed}", "key": "k", "dataset": {"name": "toy"}, "setting": setting}
        checksummed = digest(config | {"class_order": "native"})
        runs.append(run | {"seed": seed, "split_config_sha256": checksummed, "plan": {}})
    write_bundle(tmp_path / "bundle", runs, tmp_path)
    return load_store(tmp_path / "bundle/data/store/toy"), splits, whole


@pytest.mark.parametrize("memory", [None, 0])
def test_a_bundle_is_on_the_device_with_the_rows_it_has(tmp_path, memory):
    """It has no map to stream from, and other rows it has none of."""
    store, splits, whole = bundled(tmp_path)
    assert [len(rows) for split in splits for rows in split.parts.values()] == [2] * 6
    assert len(store.present("train")) < 40
    carried = load_all(store, splits, CPU, memory)
    for data, split in zip(carried, splits, strict=True):
        for pool, rows in zip(data[:3], split[:3], strict=True):
            assert isinstance(pool.images, torch.Tensor)
            assert torch.equal(all_of(pool), packed(TRAIN[rows]))
        assert torch.equal(all_of(data.test), packed(TEST))
    assert len(carried[0].labeled.images) == len(store.present("train"))


def test_a_split_that_a_bundle_does_not_carry_is_refused(tmp_path):
    store, splits, whole = bundled(tmp_path)
    (absent, *_) = sorted(set(range(40)) - set(store.present("train").tolist()))
    with pytest.raises(DataError, match=f"row {absent} is missing in this bundle"):
        load(store, splits[0]._replace(validation=np.array([absent])), CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_streamed_and_resident_batches_of_a_gpu_are_those_of_the_cpu(store):
    """And gathering them waits for nothing."""
    device = torch.device("cuda", torch.cuda.current_device())
    pools = [load(store, FIRST, device, memory).unlabeled for memory in (None, 0)]
    rows = torch.tensor([[2, 0], [0, 1], [0, 2]])
    for pool in pools:
        pool.gather(rows)  # what is done once
    torch.cuda.set_sync_debug_mode("error")
    try:
        gathered = [pool.gather(rows) for pool in pools]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for images in gathered:
        assert images.device == device
        assert torch.equal(images.cpu(), packed(TRAIN[[0, 9, 9, 39, 9, 0]]).view(3, 2, SIDE, SIDE))
