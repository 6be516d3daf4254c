"""Estimate the sizes of the unlabeled classes in an evaluation of a survey (Kim et al. 2020, supplement)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daso.ops.estimation import soft_confusion, solve_class_sizes

if TYPE_CHECKING:
    from daso.engine.trainer import Trainer


def class_size_columns(trainer: Trainer) -> dict[str, Any]:
    """Return "size_0", "size_1", ..., estimated from the errors on held-out images; all None if it is unreliable."""
    held_out, unlabeled = trainer.data.validation, trainer.data.unlabeled
    held_out_probs, unlabeled_probs = (
        trainer.predict(pool)[0].double().softmax(-1).numpy() for pool in (held_out, unlabeled)
    )
    sizes = solve_class_sizes(soft_confusion(held_out_probs, held_out.labels.cpu().numpy()), unlabeled_probs.sum(0))
    return {f"size_{k}": None if sizes is None else float(sizes[k]) for k in range(held_out_probs.shape[1])}
