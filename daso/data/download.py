"""Fetch a file from the first of several mirrors that has it, going on where a killed or cut download stopped.

Nothing is called by its final name before its checksum is right. Until then it is `<name>.part`.
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tqdm import tqdm

from daso.data.files import file_digest, locked
from daso.errors import DataError, one_line

CHUNK = 1 << 18  # bytes
FRUITLESS = 3  # tries in a row that bring no byte, before a mirror is given up
_CUT = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


class _MirrorError(Exception):
    """What a mirror answered that asking again will not mend."""


def fetch(
    urls: Sequence[str], target: Path, *, md5: str, hint: str = "", timeout: float = 30.0, pause: float = 1.0
) -> Path:
    """Download `target` unless it is there with the right MD5; mirrors are asked in their order.

    All mirrors serve the same bytes, so one goes on where another stopped. `timeout` and the `pause` between two
    tries are in seconds; `hint` ends the message of the DataError that is raised when no mirror delivers.
    """
    with locked(target.parent):
        if target.exists():
            if file_digest(target, "md5") == md5:
                return target
            logging.warning("%s: MD5 is not %s; it is downloaded again", target, md5)
            target.unlink()
        answers = []
        for url in urls:
            try:
                _from_mirror(url, target, md5, timeout, pause)
                logging.info("%s: downloaded from %s", target.name, shown(url))
                return target
            except _MirrorError as error:
                answers.append(one_line(f"{shown(url)}: {error}"))
                logging.warning("%s", answers[-1])
            except OSError as error:
                raise DataError(f"{target}: cannot be written ({error}); make room and try again") from error
    raise DataError(f"{target.name} cannot be downloaded ({'; '.join(answers) or 'no mirror is named'}){hint}")


def shown(url: str) -> str:
    """A URL without user, password and query: what may stand in a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _from_mirror(url: str, target: Path, md5: str, timeout: float, pause: float) -> None:
    """Complete the partial file from one mirror and give it its name; raise _MirrorError when that cannot be."""
    partial = target.with_name(f"{target.name}.part")
    resumed = partial.exists()
    if not url.startswith(("http://", "https://")):
        raise _MirrorError("neither http nor https")
    _complete(url, partial, timeout, pause)
    found = file_digest(partial, "md5")
    if found != md5 and resumed:  # what was there may be the start of something else
        partial.unlink()
        _complete(url, partial, timeout, pause)
        found = file_digest(partial, "md5")
    if found != md5:
        partial.unlink()
        raise _MirrorError(f"MD5 is {found} and should be {md5}")
    partial.replace(target)


def _complete(url: str, partial: Path, timeout: float, pause: float) -> None:
    """Ask again for the rest until the server has sent it all."""
    fruitless, most, last = 0, 0, ""
    while fruitless < FRUITLESS:
        before = _size(partial)
        most = max(most, before)
        try:
            if _more(url, partial, timeout):
                return
            last = "connection closed before the end"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # nothing after what is there: it is complete, or no part of this file
                if _total(error.headers.get("Content-Range")) == before:
                    return
                partial.unlink()
            elif error.code < 500:
                raise _MirrorError(f"HTTP {error.code} {error.reason}") from error
            last = f"HTTP {error.code} {error.reason}"
        except urllib.error.URLError as error:
            last = str(error.reason)
        except (ValueError, http.client.InvalidURL) as error:  # what is no URL, or no text of one
            raise _MirrorError(f"no such address ({error})") from error
        except _CUT as error:
            last = str(error) or type(error).__name__
        # Against the most there ever was: a server that always starts anew and always breaks off gets nowhere.
        fruitless = 0 if _size(partial) > most else fruitless + 1
        time.sleep(pause)
    raise _MirrorError(f"{last} ({FRUITLESS} tries)")


def _more(url: str, partial: Path, timeout: float) -> bool:
    """Append what one request brings; true when the file is as long as the server says it should be."""
    start = _size(partial)
    request = urllib.request.Request(
        url, headers={"User-Agent": "daso"} | ({"Range": f"bytes={start}-"} if start else {})
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status != 206:
            start = 0  # the server sends the whole file
        elif _start(response.headers.get("Content-Range")) != start:
            raise _MirrorError(f"it was asked for the rest from byte {start} and sends another part")
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            partial.open("ab") as file,
            tqdm(desc=partial.stem, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            file.truncate(start)
            while piece := response.read1(CHUNK):
                file.write(piece)
                bar.update(len(piece))
    return total is None or _size(partial) == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _start(content_range: str | None) -> int | None:
    """The first byte of `bytes 100-199/200`."""
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _total(content_range: str | None) -> int | None:
    """The length that `bytes */200` tells."""
    found = re.fullmatch(r"bytes \*/(\d+)", content_range or "")
    return int(found[1]) if found else None
