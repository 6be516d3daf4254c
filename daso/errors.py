"""What can go wrong for reasons a user can mend: each message says what, where and how to mend it."""

import errno

# What can be wrong with the place of a file: full, not to be written, no folder.
PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)


class DasoError(Exception):
    """Base of every error the command line prints as one line, without a traceback."""


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
