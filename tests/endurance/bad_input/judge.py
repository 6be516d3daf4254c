"""What the command line makes of bad input: one line and a status, never a traceback, a hang or half a result."""

import contextlib
import hashlib
import io
import resource
import signal
from pathlib import Path

from daso.cli import main

SECONDS = 30  # far more than any input is worth
ROOM = 3 * 2**30  # bytes that a process may grow by


class Judge:
    """Calls verbs in this process and keeps the digest of every input that was refused or handled as documented."""

    def __init__(self):
        self.seen = {}

    def count(self, family, content):
        """Note an input, bytes or text, under its family; the same one twice counts once."""
        data = content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogatepass")
        self.seen.setdefault(family, set()).add(hashlib.sha256(data).digest())

    @property
    def total(self):
        """Distinct inputs, whatever their family."""
        return len(set().union(*self.seen.values()))

    def refused(self, family, content, *argv, says="", lines=1, verb=main):
        """A call that must end with status 1 and so many lines, or more where each names a file of params/."""
        status, said = call(*argv, verb=verb)
        assert status == 1, f"taken for good: {content!r:.300}"
        fine(said, lines)
        assert says in said, said
        self.count(family, content)
        return said

    def survived(self, family, content, *argv, verb=main):
        """A call that may find that the input is good; whether it does."""
        status, said = call(*argv, verb=verb)
        assert status in (0, 1), status
        if status:
            fine(said, 1)
            self.count(family, content)
        return status == 0

    def handled(self, family, content, *argv):
        """A call that must do what is documented of such an input."""
        status, said = call(*argv)
        assert status == 0, said
        self.count(family, content)


def fine(said, lines):
    """What was said is text for a person: no traceback, no control characters, and not too much of it."""
    told = said.split("\n")[:-1]
    assert "Traceback" not in said
    assert said.isascii() or said.replace("\n", "").isprintable(), repr(said)
    assert all(line.replace("\t", " ").isprintable() for line in told), repr(said)
    assert all(10 < len(line) < 2000 for line in told), said[:3000]
    assert len(told) == lines or (len(told) < 60 and all(line.startswith("params/") for line in told)), said[:3000]


def call(*argv, verb=main):
    """Status of a verb and what it wrote to stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), limited():
        status = verb([str(word) for word in argv])
    return status, said.getvalue()


@contextlib.contextmanager
def limited():
    """No hang and no explosion: an alarm, and a limit to the memory."""

    def ring(number, frame):
        raise AssertionError(f"still at work after {SECONDS} seconds")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before, old = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def instead(path, content):
    """A file with other content for a while; None: without the file."""
    path = Path(path)
    whole = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)  # never written into: it may be a link
    if content is not None:
        path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if whole is not None:
            path.write_bytes(whole)
