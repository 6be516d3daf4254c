"""A finished run whose files say what a test wants them to, with their digests right."""

import hashlib

from daso.data.files import checksummed


def finish(folder, files, **result):
    """Write `files`, name -> text or bytes, and a train.json that names their digests; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (folder / "train.json").write_bytes(checksummed({**result, "files": digests}))
    return folder
