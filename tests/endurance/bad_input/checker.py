"""Check the command line on bad input: one line of error and a status, never a traceback, a hang or partial output."""

import contextlib
import io
import resource
import signal
from pathlib import Path

from daso.cli import main

SECONDS = 30  # time limit, far more than any input needs
MEMORY = 3 * 2**30  # bytes by which a process may grow


def expect_error(*argv, message=""):
    """Run a command that must end with status 1 and one line, or more if each names a file of params/."""
    status, output = call(*argv)
    assert status == 1, f"accepted: {argv}"
    assert_readable(output)
    assert message in output, output
    return output


def accepts(*argv):
    """Run a command that may succeed or fail with one line; return True if it succeeds."""
    status, output = call(*argv)
    assert status in (0, 1), status
    if status:
        assert_readable(output)
    return status == 0


def assert_readable(output):
    """Assert that errors are readable text: no traceback, no control characters, few lines of moderate length."""
    lines = output.split("\n")[:-1]
    assert "Traceback" not in output
    assert output.isascii() or output.replace("\n", "").isprintable(), repr(output)
    assert all(line.replace("\t", " ").isprintable() for line in lines), repr(output)
    assert all(10 < len(line) < 2000 for line in lines), output[:3000]
    only_params = len(lines) < 60 and all(line.startswith(("params/", "params: ")) for line in lines)
    assert len(lines) == 1 or only_params, output[:3000]


def call(*argv):
    """Return the exit status and the stderr of a command."""
    output = io.StringIO()
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()), resource_limits():
        status = main([str(argument) for argument in argv])
    return status, output.getvalue()


@contextlib.contextmanager
def resource_limits():
    """Limit the time and the memory of the block."""

    def on_alarm(number, frame):
        raise AssertionError(f"still running after {SECONDS} seconds")

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
    """Replace the content of a file in the block; None deletes the file."""
    path = Path(path)
    original = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)  # not overwritten, because it may be a link
    if content is not None:
        path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if original is not None:
            path.write_bytes(original)
