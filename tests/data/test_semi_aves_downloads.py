"""Download of the archives of the small Semi-Aves (`tests.semi_aves`) from a local server."""

import hashlib

import pytest

from tests import semi_aves
from tests.semi_aves import errors_of, make_aves


@pytest.fixture
def archives(tmp_path):
    """Write the data set with archives; return their folder, from which a test removes the one that is served."""
    return semi_aves.write(tmp_path / "raw", "archives")


def given(url, sha256=None):
    return {"test": {"urls": [url], "sha256": sha256}}


def test_interrupted_archive_is_resumed_and_its_digest_recorded(archives, serve, lines):
    """The connection closes after the first half; the other half is requested from there on."""
    path, expected = archives / "test.tar.gz", make_aves(archives).sha256
    content = path.read_bytes()
    path.unlink()
    server = serve(content)
    assert make_aves(archives, archives=given(server.url("cut"))).sha256 == expected
    assert server.requests == [("cut", None), ("cut", f"bytes={len(content) // 2}-")]
    assert path.read_bytes() == content
    digest = hashlib.sha256(content).hexdigest()
    assert (archives / "test.tar.gz.sha256").read_text() == f"{digest}  test.tar.gz\n"
    assert f"test.tar.gz: SHA-256 {digest}" in lines()
    assert make_aves(archives, archives=given(server.url("cut"))).sha256 == expected
    assert len(server.requests) == 2


def test_archive_that_differs_from_the_recorded_or_published_digest_is_refused(archives, serve):
    url, path = serve(b"").url("gone"), archives / "test.tar.gz"
    make_aves(archives, archives=given(url))
    recorded = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"\0")
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    (archives.parent / "store").rename(archives.parent / "first")
    assert errors_of(archives, archives=given(url)) == [
        f"raw/test.tar.gz: expected SHA-256 {recorded} as in raw/test.tar.gz.sha256, got {actual}; restore the file, "
        "or delete test.tar.gz.sha256 to accept it"
    ]
    assert errors_of(archives, archives=given(url, "0" * 64)) == [
        f"raw/test.tar.gz: expected SHA-256 {'0' * 64}, got {actual}; delete it, and it is downloaded again"
    ]


def test_downloaded_archive_has_the_published_digest(archives, serve):
    content = (archives / "test.tar.gz").read_bytes()
    (archives / "test.tar.gz").unlink()
    server, digest = serve(content), hashlib.sha256(content).hexdigest()
    (line,) = errors_of(archives, archives=given(server.url("wrong"), digest))  # the bytes in reverse order
    assert line.startswith(f"test.tar.gz: cannot be downloaded ({server.url('wrong')}: not a tar.gz archive); correct ")
    (line,) = errors_of(archives, archives=given(server.url("good"), "0" * 64))
    assert f"{server.url('good')}: expected SHA-256 {'0' * 64}, got {digest}" in line
    assert make_aves(archives, archives=given(server.url("good"), digest)).labels("test").tolist()[:4] == [0, 0, 0, 1]


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_web_page_that_is_served_instead_of_an_archive_is_named(archives, serve, sha256):
    (archives / "test.tar.gz").unlink()
    url = serve(b"\n<!DOCTYPE html><title>Google Drive - Virus scan warning</title>").url("good")
    assert errors_of(archives, archives=given(url, sha256)) == [
        f"test.tar.gz: cannot be downloaded ({url}: a web page instead of an archive); correct the URLs of test in the "
        "dataset's file, or put raw/test.tar.gz there"
    ]
    assert not list(archives.glob("test.tar*"))


def test_nothing_is_downloaded_before_all_other_files_are_there(archives, serve):
    server = serve(b"")
    for name in ("test", "u_train_in"):
        (archives / f"{name}.tar.gz").unlink()
    (line,) = errors_of(archives, archives=given(server.url("good")))
    assert line.startswith("raw: missing folder u_train_in/ and archive u_train_in.tar.gz; ")
    (archives / "val.txt").unlink()
    (archives / "u_train_in.tar.gz").write_bytes(semi_aves.tar({}))
    (line,) = errors_of(archives, archives=given(server.url("good")))
    assert line.startswith("raw/val.txt: missing list; ")
    assert server.requests == []
