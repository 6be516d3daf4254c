import hashlib
import logging
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daso.data.download import fetch, shown
from daso.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(serve):
    return serve(CONTENT)


@pytest.fixture
def get(server, tmp_path):
    def get(*behaviours: str, **more) -> bytes:
        urls = [server.url(behaviour) for behaviour in behaviours]
        return fetch(urls, tmp_path / "raw/file.bin", md5=MD5, pause=0, timeout=5, **more).read_bytes()

    return get


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("raw/*"))


def test_downloaded_once(server, get, tmp_path):
    assert get("good") == CONTENT
    assert get("good") == CONTENT
    assert server.requests == [("good", None)]
    assert names(tmp_path) == ["file.bin"]


def test_second_mirror_is_used_when_the_first_lacks_the_file(server, get):
    assert get("gone", "good") == CONTENT
    assert server.requests == [("gone", None), ("good", None)]


def test_busy_mirror_is_tried_again(server, get):
    assert get("busy") == CONTENT
    assert server.requests == [("busy", None), ("busy", None)]


def test_interrupted_download_is_resumed(server, get, tmp_path):
    assert get("cut") == CONTENT
    assert server.requests == [("cut", None), ("cut", "bytes=150000-")]
    assert names(tmp_path) == ["file.bin"]


def test_next_mirror_resumes_the_download(server, get, tmp_path):
    """A server without Range that always breaks off is left after three tries; its bytes are kept."""
    assert get("plain-cut", "good") == CONTENT
    assert [name for name, _ in server.requests] == ["plain-cut"] * 4 + ["good"]
    assert server.requests[-1] == ("good", "bytes=150000-")


def test_server_without_range_restarts_the_download(server, get, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/file.bin.part").write_bytes(CONTENT[:1000])
    assert get("plain") == CONTENT
    assert server.requests == [("plain", "bytes=1000-")]


def test_server_that_sends_the_wrong_byte_range_is_refused(server, get, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/file.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(DataError, match="server sent the wrong byte range; expected it to start at byte 1000"):
        get("shifted")


def test_complete_part_is_renamed(server, get, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/file.bin.part").write_bytes(CONTENT)
    assert get("good") == CONTENT
    assert server.requests == [("good", "bytes=300000-")]


@pytest.mark.parametrize("rest", [b"\0" * 1000, b"\0" * 300_000, b"\0" * 300_001])
def test_part_of_a_different_file_is_discarded(server, get, tmp_path, rest):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/file.bin.part").write_bytes(rest)
    assert get("good") == CONTENT
    assert server.requests[-1] == ("good", None)


def test_file_with_wrong_checksum_is_discarded(server, get, tmp_path):
    with pytest.raises(DataError, match=f"expected MD5 {MD5}, got {hashlib.md5(CONTENT[::-1]).hexdigest()}"):
        get("wrong")
    assert names(tmp_path) == []
    assert get("wrong", "good") == CONTENT


def test_damaged_file_is_downloaded_again(server, get, tmp_path, caplog):
    assert get("good") == CONTENT
    (tmp_path / "raw/file.bin").write_bytes(CONTENT[:-1])
    with caplog.at_level(logging.WARNING):
        assert get("good") == CONTENT
    assert "downloading it again" in caplog.text


def test_error_names_every_mirror_and_its_failure(server, get, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/file.bin"
        with pytest.raises(DataError) as caught:
            fetch(
                [server.url("gone"), closed, "ftp://nowhere/file.bin", server.url("wrong")],
                tmp_path / "raw/file.bin",
                md5=MD5,
                hint="; set DASO_X to another URL",
                pause=0,
            )
    message = str(caught.value)
    assert message.startswith(f"file.bin: cannot be downloaded ({server.url('gone')}: HTTP 404 Not Found; {closed}: ")
    assert "Connection refused" in message
    assert "ftp://nowhere/file.bin: not an http or https URL" in message
    assert f"{server.url('wrong')}: expected MD5" in message
    assert message.endswith("; set DASO_X to another URL")
    assert "\n" not in message


def test_shown_url_has_no_password():
    assert shown("https://me:secret@host.org:8/a/b.gz?token=1#x") == "https://host.org:8/a/b.gz"


DOWNLOAD = """
import sys
from pathlib import Path
from daso.data.download import fetch
fetch(sys.argv[1:2], Path(sys.argv[2]), md5=sys.argv[3], pause=0)
"""


def test_killed_download_is_resumed(server, get, tmp_path):
    target, partial = tmp_path / "raw/file.bin", tmp_path / "raw/file.bin.part"
    process = subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, server.url("slow"), str(target), MD5], cwd=ROOT, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, errors
    assert errors == b""  # no progress bar without a terminal
    assert names(tmp_path) == ["file.bin.part"]
    size = partial.stat().st_size
    assert 0 < size < len(CONTENT)
    assert get("good") == CONTENT
    assert server.requests[-1] == ("good", f"bytes={size}-")


def test_two_processes_download_a_file_once(server, tmp_path):
    """The second process waits for the first and then uses its file."""
    command = [sys.executable, "-c", DOWNLOAD, server.url("slow"), str(tmp_path / "raw/file.bin"), MD5]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    errors = b"".join(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], errors
    assert (tmp_path / "raw/file.bin").read_bytes() == CONTENT
    assert server.requests == [("slow", None)]
    assert b"raw: waiting for another process that writes here" in errors


def test_unprintable_url_is_escaped(tmp_path, caplog):
    with pytest.raises(DataError, match=r"https://\\udcff/"):
        fetch(["https://\udcff/"], tmp_path / "raw/file.bin", md5=MD5, pause=0, timeout=5)
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    assert all(line.isprintable() for line in lines)
