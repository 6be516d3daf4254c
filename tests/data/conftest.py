import hashlib
import io
import logging
import shutil
import struct
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from daso.data.catalog import make_store
from tests import semi_aves


class Mirror(BaseHTTPRequestHandler):
    """HTTP server of `content` at /<behaviour>/<name>; records every request as (behaviour, Range)."""

    content = b""
    requests: list[tuple[str, str | None]] = []

    def do_GET(self):
        behaviour, byte_range = self.path.split("/")[1], self.headers.get("Range")
        first = not any(name == behaviour for name, _ in self.requests)
        self.requests.append((behaviour, byte_range))
        if behaviour == "gone" or (behaviour == "busy" and first):
            self.send_error(404 if behaviour == "gone" else 503)
            return
        content = self.content[::-1] if behaviour == "wrong" else self.content
        ranged = bool(byte_range) and not behaviour.startswith("plain")
        start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if ranged else 0
        if start >= len(content):
            self.respond(416, [("Content-Range", f"bytes */{len(content)}")], b"", behaviour)
            return
        if behaviour == "shifted" and start:
            start -= 1
        headers = [("Content-Length", str(len(content) - start))]
        if ranged:
            headers.append(("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"))
        body = content[start:]
        if (behaviour == "cut" and first) or behaviour == "plain-cut":
            body = body[: len(body) // 2]
        self.respond(206 if ranged else 200, headers, body, behaviour)

    def respond(self, status, headers, body, behaviour):
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        step = 2000 if behaviour == "slow" else len(body) or 1
        try:
            for i in range(0, len(body), step):
                self.wfile.write(body[i : i + step])
                if behaviour == "slow":
                    time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args):
        pass


class Server:
    def __init__(self, port: int, handler: type[Mirror]):
        self.port, self.handler = port, handler

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}/file.bin"

    @property
    def requests(self) -> list[tuple[str, str | None]]:
        return self.handler.requests


@pytest.fixture
def serve(monkeypatch):
    """Return `serve(content)`, which starts a local server of this content; the URL selects a fault."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = []

    def start(content: bytes) -> Server:
        handler = type("Handler", (Mirror,), {"content": content, "requests": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return Server(server.server_port, handler)

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def _text(word: bytes) -> bytes:
    return b"U" + bytes([len(word)]) + word


def python2_batch(images: np.ndarray, **labels: list[int]) -> bytes:
    """Pickle a batch of CIFAR as Python 2 did: protocol 2, strings as bytes, the array by numpy.core.multiarray."""
    shape = b"M" + struct.pack("<H", len(images)) + b"M" + struct.pack("<H", 3072) + b"\x86"
    dtype = b"cnumpy\ndtype\n" + _text(b"u1") + b"K\x00K\x01\x87R(K\x03" + _text(b"|") + b"NNNJ" + b"\xff" * 4
    dtype += b"J" + b"\xff" * 4 + b"K\x00tb"
    data = images.astype(np.uint8).tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b") + b"\x87R"
    array += b"(K\x01" + shape + dtype
    array += b"\x89T" + struct.pack("<I", len(data)) + data + b"tb"
    listed = {name: b"](" + b"".join(b"K" + bytes([label]) for label in row) + b"e" for name, row in labels.items()}
    named = b"".join(_text(name.encode()) + row for name, row in listed.items())
    return b"\x80\x02}(" + named + _text(b"data") + array + b"u."


class TinyCifar:
    """Tiny archive of CIFAR-10: four random images per batch; row i of data_batch_b has label (4 (b - 1) + i) % 10."""

    def __init__(self):
        self.images = np.random.default_rng(0).integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
        self.labels = [i % 10 for i in range(20)] + [9, 0, 1, 2]
        names = [*(f"data_batch_{b}" for b in range(1, 6)), "test_batch"]
        files = {
            f"cifar-10-batches-py/{name}": python2_batch(rows(self.images), labels=rows(self.labels))
            for name, rows in zip(names, (lambda all, i=i: all[4 * i : 4 * i + 4] for i in range(6)), strict=True)
        }
        # The batches of the official archive are not in order.
        order = ["data_batch_4", "test_batch", "data_batch_3", "data_batch_2", "data_batch_5", "data_batch_1"]
        self.archive = make_tar({f"cifar-10-batches-py/{name}": files[f"cifar-10-batches-py/{name}"] for name in order})
        self.md5 = hashlib.md5(self.archive).hexdigest()


class TinyCifar100:
    """Tiny archive of CIFAR-100: a training image of each class, test images of classes 99, 0, 50; coarse labels 1."""

    def __init__(self):
        self.images = np.random.default_rng(1).integers(0, 256, (103, 3, 32, 32), dtype=np.uint8)
        self.labels = [*range(100), 99, 0, 50]
        parts = {"test": slice(100, 103), "train": slice(0, 100)}
        files = {
            f"cifar-100-python/{name}": python2_batch(
                self.images[rows], coarse_labels=[1] * len(self.labels[rows]), fine_labels=self.labels[rows]
            )
            for name, rows in parts.items()
        }
        self.archive = make_tar({**files, "cifar-100-python/meta": b"no batch"})
        self.md5 = hashlib.md5(self.archive).hexdigest()


class TinyStl10:
    """Tiny archive of STL-10: 60 labeled images, classes in turn, 7 unlabeled ones and a test image of each class."""

    def __init__(self):
        self.images = np.random.default_rng(2).integers(0, 256, (77, 3, 96, 96), dtype=np.uint8)  # (n, 3, H, W)
        columns = self.images.swapaxes(2, 3)  # as the archive stores them, column by column
        files = {
            "test_X.bin": columns[67:].tobytes(),
            "test_y.bin": bytes(range(1, 11)),
            "train_X.bin": columns[:60].tobytes(),
            "unlabeled_X.bin": columns[60:67].tobytes(),
            "train_y.bin": bytes(range(1, 11)) * 6,
        }
        self.archive = make_tar({f"stl10_binary/{name}": content for name, content in files.items()})
        self.md5 = hashlib.md5(self.archive).hexdigest()


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {**files, "cifar-10-batches-py/readme.html": b"<html>"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def tiny_cifar():
    return TinyCifar()


@pytest.fixture(scope="session")
def tiny_cifar100():
    return TinyCifar100()


@pytest.fixture(scope="session")
def tiny_stl10():
    return TinyStl10()


@pytest.fixture
def tar():
    """Return `tar(files)`, which returns the bytes of a .tar.gz archive."""
    return make_tar


@pytest.fixture(scope="session")
def cifar10_store(cifar10_zip, tmp_path_factory):
    """Make the store of all of CIFAR-10 from image files that the environment variable names."""
    source = {"kind": "cifar10", "md5": "0" * 32, "urls": [], "override": "DASO_CIFAR10"}
    config = {"dataset": "cifar10-lt", "source": source, "num_classes": 10, "image_size": 32}
    config["images"] = {"train": 50_000, "unlabeled": 0, "test": 10_000, "smallest_class": 5000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASO_CIFAR10", str(cifar10_zip))
        return make_store(config, tmp_path_factory.mktemp("cifar10") / "store")


@pytest.fixture
def save_image(tmp_path):
    """Return `save_image(name, color, size, mode)`, which saves a uniform image below tmp_path."""

    def save(name: str, color=0, size=(4, 4), mode="RGB"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, color).save(path)
        return path

    return save


@pytest.fixture
def photos(tmp_path):
    """Save noise images of classes a, b, c with increasing brightness: 4, 3 and 2 for training, 1 each for testing."""
    draw = np.random.default_rng(0)
    for part, sizes in (("train", (4, 3, 2)), ("test", (1, 1, 1))):
        for k, (name, n) in enumerate(zip("abc", sizes, strict=True)):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(draw.integers(70 * k, 70 * k + 60, (12, 9, 3), np.uint8)).save(folder / f"{i:02}.png")
    return tmp_path / "photos"


@pytest.fixture
def lines(caplog):
    """Return `lines()`, which returns the lines logged so far."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture(scope="session")
def original_aves(tmp_path_factory):
    """Write the small data set with the files of Semi-Aves: images in folders, text lists."""
    return semi_aves.write(tmp_path_factory.mktemp("aves") / "raw")


@pytest.fixture
def raw(original_aves, tmp_path):
    """Return a copy of the small data set of Semi-Aves, which a test may damage."""
    return shutil.copytree(original_aves, tmp_path / "raw")
