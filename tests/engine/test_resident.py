import logging
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from daso.data.bundle import write_bundle
from daso.data.files import digest
from daso.data.split import make_split
from daso.data.split_rows import Split
from daso.data.store import Store, load_store, write_store
from daso.engine import resident
from daso.engine.resident import Pool, Streamed, labeled_copies, load_all, load_resident

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
    """Record the rows of each part that are read from a store."""
    read, images = {"train": [], "test": []}, Store.images

    def recorded(self, part, rows=None):
        read[part] += ["all"] if rows is None else list(rows)
        return images(self, part, rows)

    monkeypatch.setattr(Store, "images", recorded)
    return read


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_pools_have_the_pixels_and_labels_of_their_rows(store, memory):
    data = load_resident(store, FIRST, CPU, memory)
    for name in ("labeled", "unlabeled", "validation"):
        rows, pool = getattr(FIRST, name), getattr(data, name)
        assert len(pool) == len(rows)
        assert torch.equal(all_of(pool), packed(TRAIN[rows]))
        assert pool.labels.dtype == torch.int64
        assert pool.labels.tolist() == LABELS[rows].tolist()
    assert torch.equal(all_of(data.test), packed(TEST))
    assert data.test.labels.tolist() == [-1, 0, 1, -1, 0, 1]


def test_pseudo_labels_of_a_plan_are_the_labels_of_the_last_labeled_images(store):
    """Rows 2 and 17 are of class 1; row 9 is of unknown class with pseudo-label 0: (1, 2) images, (0, 2) drawn."""
    data = load_resident(store, Split(np.array([2, 17, 9]), np.array([9, 1]), np.array([5]), np.array([0])), CPU)
    assert data.labeled.labels.tolist() == [1, 1, 0]
    assert data.unlabeled.labels.tolist() == [-1, 0]
    assert data.labeled.counts(2) == (1, 2)
    assert data.labeled.counts(2, drawn=True) == (0, 2)
    assert data.unlabeled.counts(2) == data.unlabeled.counts(2, drawn=True) == (1, 0)


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_labeled_copies_are_rows_of_the_unlabeled_pool(store, memory):
    """Of the unlabeled rows 9, 17, 39, 2 and 0, the second and the fourth were drawn as labeled; a plan added 9."""
    split = Split(np.array([30, 2, 17, 9]), np.array([9, 17, 39, 2, 0]), np.array([5]), np.array([0]))
    assert labeled_copies(load_resident(store, split, CPU, memory)) == (1, 3)
    assert labeled_copies(load_resident(store, split._replace(pseudo_labeled=np.array([])), CPU, memory)) == (0, 1, 3)
    assert labeled_copies(load_resident(store, FIRST, CPU, memory)) == ()


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [
        ({"in": [0, 10], "out": [10, 40]}, {"in": [True, False, True], "out": [False, True, False]}),
        ({"in": [1, 10], "out": [10, 39], "x": [39, 40]}, {"in": [True, False, False], "x": [False, True, False]}),
        ({"in": [0, 40]}, {}),
        ({"in": [0, 40], "out": [40, 40]}, {}),
        ({}, {}),
    ],
)
def test_images_of_several_subsets_are_known_by_their_rows(store, subsets, expected):
    """The unlabeled rows are 9, 39 and 0."""
    data = load_resident(replace(store, subsets=subsets), FIRST, CPU)
    assert {name: mask.tolist() for name, mask in data.unlabeled.subsets.items()} == expected


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_rows_have_any_shape_and_any_order(store, memory):
    pool = load_resident(store, FIRST, CPU, memory).unlabeled  # rows 9, 39, 0
    images = pool.gather(torch.tensor([[2, 0], [0, 1], [0, 2]]))
    assert images.dtype == torch.int32
    assert torch.equal(images, packed(TRAIN[[0, 9, 9, 39, 9, 0]]).view(3, 2, SIDE, SIDE))
    assert torch.equal(pool.gather(torch.tensor([1, 0, 1, 1])), packed(TRAIN[[39, 9, 39, 39]]))
    assert torch.equal(pool.gather(torch.tensor(2)), packed(TRAIN[:1])[0])
    assert pool.gather(torch.empty(5, 0, dtype=torch.int64)).shape == (5, 0, SIDE, SIDE)


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_batches_have_all_images_once_in_order(store, memory):
    data = load_resident(store, FIRST, CPU, memory)
    batches = list(data.test.batches(4))
    assert [len(images) for images in batches] == [4, 2]
    assert torch.equal(torch.cat(batches), packed(TEST))
    assert torch.equal(torch.cat(list(data.labeled.batches(1))), packed(TRAIN[[30, 2, 17]]))
    assert [len(images) for images in data.labeled.batches(3)] == [3]


@pytest.mark.parametrize("memory", [None, 0], ids=["resident", "streamed"])
def test_parts_of_a_split_may_be_empty(store, memory):
    empty = np.empty(0, np.int64)
    data = load_resident(store, Split(np.array([7]), empty, empty), CPU, memory)
    assert len(data.unlabeled) == len(data.validation) == 0
    assert list(data.validation.batches(10)) == []
    assert torch.equal(all_of(data.labeled), packed(TRAIN[[7]]))


def test_pool_without_rows_has_all_images():
    images = torch.arange(3 * 4, dtype=torch.int32).view(3, 2, 2)
    pool = Pool(images, torch.tensor([1, 0, 1]))
    assert len(pool) == 3
    assert pool.gather(torch.tensor([[2], [0]])).tolist() == [[[[8, 9], [10, 11]]], [[[0, 1], [2, 3]]]]
    assert torch.equal(torch.cat(list(pool.batches(2))), images)


def test_splits_share_images_on_the_device(store, reads):
    """Both splits have 13 rows of the train part together, each read and stored once."""
    one, two = load_all(store, [FIRST, SECOND], CPU)
    union = sorted({30, 2, 17, 9, 39, 0, 5, 11, 8, 21, 20, 38, 1})
    assert reads == {"train": union, "test": list(range(6))}
    assert one.labeled.images.shape == (13, SIDE, SIDE)
    assert len({getattr(data, name).images.data_ptr() for data in (one, two) for name in NAMES[:3]}) == 1
    assert one.test.images.data_ptr() == two.test.images.data_ptr()
    alone = [load_resident(store, split, CPU) for split in (FIRST, SECOND)]
    for shared, own in zip((one, two), alone, strict=True):
        for one, other in zip(shared, own, strict=True):
            assert torch.equal(all_of(one), all_of(other))
            assert torch.equal(one.labels, other.labels)


def test_images_are_copied_to_the_device_in_blocks(store, monkeypatch):
    """Blocks of two images; eight train images and six test images."""
    calls, images = [], Store.images

    def counted(self, part, rows):
        calls.append(len(rows))
        return images(self, part, rows)

    monkeypatch.setattr(Store, "images", counted)
    monkeypatch.setattr(resident, "COPY_BYTES", 2 * 3 * SIDE**2)
    data = load_resident(store, SECOND, CPU)
    assert calls == [2, 2, 2, 2] + [2, 2, 2]
    assert torch.equal(all_of(data.unlabeled), packed(TRAIN[[8, 39, 21, 20]]))
    assert torch.equal(all_of(data.test), packed(TEST))


@pytest.mark.parametrize(
    ("images", "train", "test"),
    [(7 + 6, False, False), (7 + 5, False, True), (7, False, True), (6, True, False), (5, True, True)],
)
def test_parts_that_do_not_fit_are_streamed(store, caplog, images, train, test):
    """Seven train images and six test images, with memory for some of them."""
    with caplog.at_level(logging.INFO):
        data = load_resident(store, FIRST, CPU, memory=images * IMAGE)
    for pool, streamed in zip(data, (train, train, train, test), strict=True):
        assert isinstance(pool.images, Streamed) == streamed
    for part, streamed in (("7 train", train), ("6 test", test)):
        (message,) = [message for message in caplog.messages if part in message]
        assert ("streamed" in message) == streamed


def test_one_byte_too_little_memory_streams_the_part(store):
    assert isinstance(load_resident(store, FIRST, CPU, memory=7 * IMAGE).labeled.images, torch.Tensor)
    assert isinstance(load_resident(store, FIRST, CPU, memory=7 * IMAGE - 1).labeled.images, Streamed)


def test_free_memory_is_the_default_limit(store, monkeypatch):
    monkeypatch.setattr(resident, "memory_for_images", lambda device: 6 * IMAGE)
    assert isinstance(load_resident(store, FIRST, CPU).labeled.images, Streamed)
    monkeypatch.setattr(resident, "memory_for_images", lambda device: 7 * IMAGE)
    assert isinstance(load_resident(store, FIRST, CPU).labeled.images, torch.Tensor)


def test_images_may_use_four_fifths_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(resident.machine, "free_memory", lambda: 1_024_000)
    assert resident.memory_for_images(CPU) == 819_200


class Counted:
    """Images that record which rows are read."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.read = images, list[int]()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.read += rows.tolist()
        return self.images[rows]


def test_gather_reads_requested_rows_once_in_disk_order():
    images = Counted(TRAIN)
    pool = Pool(
        Streamed(images.__getitem__, SIDE, CPU),
        torch.zeros(5, dtype=torch.int64),
        torch.tensor([31, 3, 22, 4, 13]),
    )
    gathered = pool.gather(torch.tensor([[0, 3], [4, 0], [3, 3]]))
    assert images.read == [4, 13, 31]
    assert torch.equal(gathered.view(6, SIDE, SIDE), packed(TRAIN[[31, 4, 13, 31, 4, 4]]))


def test_batches_of_a_streamed_pool_are_read_lazily():
    images = Counted(TEST)
    batches = Pool(Streamed(images.__getitem__, SIDE, CPU), torch.zeros(6, dtype=torch.int64)).batches(2)
    next(batches)
    assert images.read == [0, 1]
    next(batches)
    assert images.read == [0, 1, 2, 3]


def test_streamed_images_stay_on_disk(store, reads):
    data = load_resident(store, FIRST, CPU, memory=0)
    assert reads == {"train": [], "test": []}
    row = int(data.unlabeled.rows[1])
    data.unlabeled.gather(torch.tensor([1]))
    assert reads == {"train": [row], "test": []}


def bundled(tmp_path: Path) -> tuple[Store, list[Split], Store]:
    """Write a bundle of two splits, six of 40 rows each, and 6 test images; return its store, splits, whole store."""
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
        split_digest = digest(config | {"class_order": "native"})
        protocol = {"network": {"name": "wide_resnet"}}
        runs.append(run | {"seed": seed, "split_config_sha256": split_digest, "plan": {}, "protocol": protocol})
    write_bundle(tmp_path / "bundle", runs, tmp_path)
    return load_store(tmp_path / "bundle/data/store/toy"), splits, whole


@pytest.mark.parametrize("memory", [None, 0])
def test_rows_of_a_bundle_are_always_loaded_to_the_device(tmp_path, memory):
    """A bundle has no memory map to stream from, and contains only the rows of its splits."""
    store, splits, whole = bundled(tmp_path)
    assert [len(rows) for split in splits for rows in split.parts.values()] == [2] * 6
    with zipfile.ZipFile(store.folder / "train.zip") as archive:
        rows_packed = len(archive.namelist())
    assert rows_packed < 40
    loaded = load_all(store, splits, CPU, memory)
    for data, split in zip(loaded, splits, strict=True):
        for pool, rows in zip(data[:3], split[:3], strict=True):
            assert isinstance(pool.images, torch.Tensor)
            assert torch.equal(all_of(pool), packed(TRAIN[rows]))
        assert torch.equal(all_of(data.test), packed(TEST))
    assert len(loaded[0].labeled.images) == rows_packed


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_on_a_gpu_equal_those_on_the_cpu(store):
    """Resident or streamed, gathered without host-device synchronization."""
    device = torch.device("cuda", torch.cuda.current_device())
    pools = [load_resident(store, FIRST, device, memory).unlabeled for memory in (None, 0)]
    rows = torch.tensor([[2, 0], [0, 1], [0, 2]])
    for pool in pools:
        pool.gather(rows)  # the first call may synchronize
    torch.cuda.set_sync_debug_mode("error")
    try:
        gathered = [pool.gather(rows) for pool in pools]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for images in gathered:
        assert images.device == device
        assert torch.equal(images.cpu(), packed(TRAIN[[0, 9, 9, 39, 9, 0]]).view(3, 2, SIDE, SIDE))
