"""Download a file from the first mirror that has it, resuming interrupted downloads.

The file is `<name>.part` until its checksum is verified.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tqdm import tqdm

from daso.data.files import file_digest
from daso.errors import DataError, one_line
from daso.locks import lock_folder

CHUNK_BYTES = 1 << 18  # bytes
Check = Callable[[Path], str]  # returns the problem of a file, empty without one
MAX_FAILURES = 3  # number of consecutive requests without a new byte after which the next mirror is tried
_INTERRUPTED = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


class _MirrorError(Exception):
    """Failure of a mirror that a further request would not fix."""


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    md5: str = "",
    sha256: str = "",
    check: Check = lambda path: "",
    hint: str = "",
    timeout: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Download `target` unless it exists and passes the checks; try mirrors in order.

    A file passes if `check` returns no problem and its SHA-256, or MD5 if that is not known, is right; without both, no
    digest is known. All mirrors serve the same bytes, so a download continues at the next mirror where it stopped.
    `timeout` and the `pause` between two requests are in seconds; `hint` ends the message of the DataError that is
    raised if no mirror delivers the file.
    """

    def problem(path: Path) -> str:
        return check(path) or _wrong_digest(path, md5, sha256)

    with lock_folder(target.parent):
        if target.exists():
            if not (wrong := problem(target)):
                return target
            logging.warning("%s: damaged, %s; downloading it again", target, wrong)
            target.unlink()
        failures = []
        for url in urls:
            try:
                _from_mirror(url, target, problem, timeout, pause)
                logging.info("%s: downloaded from %s", target.name, shown(url))
                return target
            except _MirrorError as error:
                failures.append(one_line(f"{shown(url)}: {error}"))
                logging.warning("%s", failures[-1])
            except OSError as error:
                raise DataError(f"{target}: cannot be written ({error}); free disk space and try again") from error
    raise DataError(f"{target.name}: cannot be downloaded ({'; '.join(failures) or 'no URL given'}){hint}")


def shown(url: str) -> str:
    """Return a URL without user, password and query, safe to print."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _wrong_digest(path: Path, md5: str, sha256: str) -> str:
    """Return the difference of a file's digest from the expected one; empty if they are equal or none is expected."""
    name, algorithm, expected = ("SHA-256", "sha256", sha256) if sha256 else ("MD5", "md5", md5)
    actual = file_digest(path, algorithm) if expected else ""
    return "" if actual == expected else f"expected {name} {expected}, got {actual}"


def _from_mirror(url: str, target: Path, problem: Check, timeout: float, pause: float) -> None:
    """Complete the partial file from one mirror and rename it; raises _MirrorError if this mirror cannot deliver."""
    partial = target.with_name(f"{target.name}.part")
    resumed = partial.exists()
    if not url.startswith(("http://", "https://")):
        raise _MirrorError("not an http or https URL")
    _complete(url, partial, timeout, pause)
    wrong = problem(partial)
    if wrong and resumed:  # the resumed part may belong to a different file
        partial.unlink()
        _complete(url, partial, timeout, pause)
        wrong = problem(partial)
    if wrong:
        partial.unlink()
        raise _MirrorError(wrong)
    partial.replace(target)


def _complete(url: str, partial: Path, timeout: float, pause: float) -> None:
    """Request the missing bytes until the server has sent all of them."""
    failures, largest, last = 0, 0, ""
    while failures < MAX_FAILURES:
        before = _size(partial)
        largest = max(largest, before)
        try:
            if _request_rest(url, partial, timeout):
                return
            last = "connection closed before the end"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # no bytes follow: the part is complete, or belongs to a different file
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return
                partial.unlink()
            elif error.code < 500:
                raise _MirrorError(f"HTTP {error.code} {error.reason}") from error
            last = f"HTTP {error.code} {error.reason}"
        except urllib.error.URLError as error:
            last = str(error.reason)
        except (ValueError, http.client.InvalidURL) as error:  # a malformed URL
            raise _MirrorError(f"not a valid URL ({error})") from error
        except _INTERRUPTED as error:
            last = str(error) or type(error).__name__
        # Compared with the largest size so far, since a server without Range may restart and break off forever.
        failures = 0 if _size(partial) > largest else failures + 1
        time.sleep(pause)
    raise _MirrorError(f"{last} ({MAX_FAILURES} tries)")


def _request_rest(url: str, partial: Path, timeout: float) -> bool:
    """Append the bytes of one request; return True if the file has the length that the server reports."""
    start = _size(partial)
    request = urllib.request.Request(
        url, headers={"User-Agent": "daso"} | ({"Range": f"bytes={start}-"} if start else {})
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status != 206:
            start = 0  # the server sends the whole file
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _MirrorError(f"server sent the wrong byte range; expected it to start at byte {start}")
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            partial.open("ab") as file,
            tqdm(desc=partial.stem, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            file.truncate(start)
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    return total is None or _size(partial) == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
