"""Lead the file names that labeling tools return back to the photos of a folder.

Tools return the path that they were given, a URL with an escaped path, or only a file name with a random prefix. A path
that is that of a photo, relative to the folder, names it. Any other text names a photo only if no other one fits.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # that Label Studio puts before the names of uploaded files
UPLOADED = re.compile(r"(?:^|[/=])upload/\d+/([^/?#&]+)$")
LOCAL_FILE = re.compile(r"[?&]d=([^&#]*)")  # path in a URL of Label Studio's local files
LIKELY = 3  # photos that an error names


class PhotoNames:
    """Photos of a folder, by the names under which tools may know them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.exact = {_nfc(name): name for name in names}
        self.by_file = defaultdict[str, list[str]](list)  # file name -> paths
        self.by_upload = defaultdict[str, list[str]](list)  # file name after an upload -> paths
        self.by_case = defaultdict[str, list[str]](list)  # file name in lower case -> paths
        for name in sorted(self.exact):
            file = _file(name)
            self.by_file[file].append(name)
            self.by_upload[_uploaded_name(file)].append(name)
            self.by_case[file.casefold()].append(name)

    def find(self, given: str) -> list[str]:
        """Return all photos that a tool may mean; one photo alone is certain."""
        path = _nfc(given.strip())
        if exact := self.exact.get(path) or self.exact.get(path.removeprefix("./")):
            return [exact]
        names = set[str]()
        for path, is_upload in _locations(_nfc(given.strip())):
            names.update(self._uploads(path) if is_upload else self._at(path))
        return [self.exact[name] for name in sorted(names)]

    def likely(self, given: str) -> list[str]:
        """Return photos whose file name differs from the given one only in case, or whose folder is another one."""
        files = {_file(path).casefold() for path, _ in _locations(_nfc(given.strip()))}
        files |= {UPLOAD_PREFIX.sub("", file) for file in files}
        return [self.exact[name] for file in sorted(files) for name in self.by_case.get(file, [])][:LIKELY]

    def _at(self, path: str) -> list[str]:
        """Return photos such that one of both paths ends with the other."""
        same_file = self.by_file.get(_file(path), [])
        return [name for name in same_file if f"/{name}".endswith(f"/{path}") or f"/{path}".endswith(f"/{name}")]

    def _uploads(self, path: str) -> list[str]:
        """Return photos that may have been uploaded under a file name, with a prefix or without."""
        file = _file(path)
        names = {_uploaded_name(file), _uploaded_name(UPLOAD_PREFIX.sub("", file))}
        return [photo for name in names for photo in self.by_upload.get(name, [])]


def _locations(given: str) -> list[tuple[str, bool]]:
    """Return the paths that a text may stand for, each with True if a tool may have changed its file name."""
    if local := LOCAL_FILE.search(given):
        return [(_relative(path), False) for path in {local[1], unquote(local[1]), unquote_plus(local[1])}]
    if uploaded := UPLOADED.search(given):
        return [(_nfc(file), True) for file in {uploaded[1], unquote(uploaded[1])}]
    is_url = re.match(r"\w+://", given)
    path = re.sub(r"[?#].*$", "", re.sub(r"^\w+://[^/]*", "", given)) if is_url else given
    paths = {_relative(each) for each in (path, unquote(path))}
    has_prefix = {each for each in paths if "/" not in each and UPLOAD_PREFIX.match(each)}
    return [*((each, False) for each in sorted(paths)), *((each, True) for each in sorted(has_prefix))]


def _relative(path: str) -> str:
    """Return a path with slashes, without a drive and without slashes and dots at its beginning."""
    return re.sub(r"^(?:[A-Za-z]:)?(?:\.?/)*", "", _nfc(path).replace("\\", "/"))


def _uploaded_name(file: str) -> str:
    """Return a file name as Django, on which Label Studio is built, stores it."""
    return re.sub(r"[^-\w.]", "", file.strip().replace(" ", "_"))


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
