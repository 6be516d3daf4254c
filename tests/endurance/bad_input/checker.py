"""What the command line makes of bad input: one line and a status, never a traceback, a hang or half a result."""

import contextlib
import hashlib
import io
import resource
import signal
from pathlib import Path

from daso.cli import main

SECONDS = 30  # far more than any input is worth
MEMORY = 3 * 2**30  # bytes that a process may grow by


class Checker:
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

    def refuses(self, family, content, *argv, says="", lines=1, verb=main):
        """A call that must end with status 1 and so many lines, or more where each names a file of params/."""
        status, output = call(*argv, verb=verb)
        assert status == 1, f"taken for good: {content!r:.300}"
        assert_readable(output, lines)
        assert says in output, output
        self.count(family, content)
        return output

    def accepts(self, family, content, *argv, verb=main):
        """A call that may find that the input is good; whether it does."""
        status, output = call(*argv, verb=verb)
        assert status in (0, 1), status
        if status:
            assert_readable(output, 1)
            self.count(family, content)
        return status == 0

    def succeeds(self, family, content, *argv):
        """A call that must do what is documented of such an input."""
        status, output = call(*argv)
        assert status == 0, output
        self.count(family, content)


def assert_readable(output, lines):
    """What was said is text for a person: no traceback, no control characters, and not too much of it."""
    told = output.split("\n")[:-1]
    assert "Traceback" not in output
    assert output.isascii() or output.replace("\n", "").isprintable(), repr(output)
    assert all(line.replace("\t", " ").isprintable() for line in told), repr(output)
    assert all(10 < len(line) < 2000 for line in told), output[:3000]
    assert len(told) == lines or (len(told) < 60 and all(line.startswith("params/") for line in told)), output[:3000]


def call(*argv, verb=main):
    """Status of a verb and what it wrote to stderr."""
    output = io.StringIO()
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()), resource_limits():
        status = verb([str(word) for word in argv])
    return status, output.getvalue()


@contextlib.contextmanager
def resource_limits():
    """No hang and no explosion: an alarm, and a limit to the memory."""

    def on_alarm(number, frame):
        raise AssertionError(f"still at work after {SECONDS} seconds")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before, old = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, on_alarm)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def replaced_file(path, content):
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
