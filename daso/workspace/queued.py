"""Skip jobs that a killed call of `snakemake` has left in the queue of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from daso.workspace.workflow_lock import snakemake_options

logger = logging.getLogger(__name__)  # not the root logger, to which Snakemake's messages go too


def without_finished(arguments: Sequence[str], finished: Callable[[Mapping[str, str]], bool]) -> list[str]:
    """Return the arguments of a job's `snakemake` without the trainings that another call has finished.

    `finished` returns True for the wildcards of a finished training. The result is empty if no job is left.
    """
    jobs = snakemake_options(arguments).target_jobs or []
    first = list(arguments).index("--target-jobs") + 1 if jobs else 0
    done = []
    for text, job in zip(arguments[first:], jobs, strict=False):
        if job.rulename == "train" and finished(job.wildcards_dict):
            logger.warning("%s: already finished by another call; not trained again", text)
            done.append(text)
    left = [text for text in arguments if text not in done]
    return [] if done and len(done) == len(jobs) else left
