"""Errors that a user can fix: each message states the error, its place and the fix."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

# Errors of a path that cannot be written (no space, read-only), and of a path that cannot be used at all.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
UNUSABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
# Similarity, from 0 to 1, above which a word is taken for a misspelt one; that of the options `steps` and `sweeps` is
# 0.727.
CLOSE = 0.73
LONGEST = 1500  # characters of a printed line; file content that an error quotes may be longer


class DasoError(Exception):
    """Base of all errors that the command line prints without a traceback, one line for each argument.

    Names and file contents in a message are escaped, so they cannot break a line or garble a terminal.
    """

    def __init__(self, *lines: object) -> None:
        super().__init__("\n".join(one_line(str(line)) for line in lines))


def one_line(text: str) -> str:
    """Return the text as one line of at most about `LONGEST` characters, with unprintable characters escaped."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class ParamsError(DasoError):
    """An option is wrong or not allowed here, in a file under `params/` or on the command line."""


class DataError(DasoError):
    """A file is wrong or missing: images, an archive, a store, a split, a run, metrics, a bundle or a journal entry."""


class CheckpointError(DasoError):
    """A checkpoint is damaged or belongs to a different configuration."""


class BusyError(DasoError):
    """Another process holds the lock of this run or of every device."""


class StoppedError(DasoError):
    """A signal stopped a run; its checkpoint is written."""


class DivergedError(DasoError):
    """A loss is infinite or NaN; further training would be useless."""


class EstimateError(DasoError):
    """No reliable estimate of the class sizes of the unlabeled images exists."""


def error_line(error: DasoError | OSError) -> str:
    """Return the line to print for an error that a user can fix; raise any other OSError again."""
    if isinstance(error, DasoError):
        return str(error)
    if error.errno not in (*UNWRITABLE, *UNUSABLE):
        raise error
    use = "written" if error.errno in UNWRITABLE else "used"
    return one_line(f"{error.filename}: cannot be {use} ({error.strerror}); fix this and run the same command again")


def did_you_mean(word: object, known: Iterable[object], kind: str = "") -> str:
    """Return the end of an error about an unknown word: a close word, up to 12 known words, or how to list a kind."""
    words = [str(item) for item in known]
    if match := close_match(word, words):
        return match
    listing = f"; `daso list {kind}` lists them" if words and kind else ""
    return f"; choose one of {', '.join(words)}" if 0 < len(words) <= 12 else listing


def close_match(word: object, known: Iterable[object]) -> str:
    """Return `; did you mean 'x'?` for the closest known word, empty if none is close."""
    name = closest(word, known)
    return f"; did you mean '{name}'?" if name else ""


def closest(word: object, known: Iterable[object]) -> str | None:
    """Return the known word that alone begins with the given three or more letters, else a close one, else None."""
    words = [str(item) for item in known]
    longer = [each for each in words if each.startswith(str(word)) and len(str(word)) >= 3]
    return longer[0] if len(longer) == 1 else next(iter(get_close_matches(str(word), words, 1, CLOSE)), None)
