"""Write the files of a finished run with given content and correct checksums."""

import hashlib

from daso.data.files import checksummed


def finish(folder, files, **result):
    """Write `files`, name -> text or bytes, and a train.json with their digests; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (folder / "train.json").write_bytes(checksummed({**result, "files": digests}))
    return folder
