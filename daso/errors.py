"""What can go wrong for reasons a user can mend: each message says what, where and how to mend it."""

import errno

# What can be wrong with the place of a file: no room, or not to be written; or no place at all, not for reading either.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
UNUSABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
LONGEST = 1500  # characters of a line: what a file says may be without end


class DasoError(Exception):
    """Base of every error the command line prints as one line, without a traceback.

    Of several lines each is an argument. What a name or a file holds cannot break a line, nor upset a terminal.
    """

    def __init__(self, *lines: object) -> None:
        super().__init__("\n".join(one_line(str(line)) for line in lines))


def one_line(text: str) -> str:
    """A text that stays on its line and on its page: what cannot be printed is escaped, what is endless is cut."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class ParamsError(DasoError):
    """A file under `params/` or an option in it is wrong; raised before the DAG is built."""


class DataError(DasoError):
    """A download, an archive, an image folder, a store or a split is wrong or missing."""


class CheckpointError(DasoError):
    """A checkpoint is damaged or belongs to another configuration."""


class BusyError(DasoError):
    """Another process holds the lock of this run or of every device."""


class StoppedError(DasoError):
    """A signal stopped a run; its state is saved."""


class DivergedError(DasoError):
    """A loss is infinite or no number: what follows would be no result."""


class EstimateError(DasoError):
    """No estimate of the unlabeled classes' sizes can be trusted."""


def error_line(error: DasoError | OSError) -> str:
    """The line for an error that a user can mend; any other OSError is raised again."""
    if isinstance(error, DasoError):
        return str(error)
    if error.errno not in (*UNWRITABLE, *UNUSABLE):
        raise error
    verb = "written" if error.errno in UNWRITABLE else "used"
    return one_line(f"{error.filename}: cannot be {verb} ({error.strerror}); mend it, and run the same command again")
