"""How many images the classes of a long-tailed setting have: arithmetic on its numbers alone, without data."""

from __future__ import annotations

Counts = tuple[int, ...]
# Said where an unlabeled image may be of any class.
UNKNOWN = "classes of the unlabeled images unknown: no pseudo-label recall or precision"


def long_tail(n_head: int, gamma: float, num_classes: int) -> Counts:
    """Images of every rank: floor(n_head * gamma^(-r / (K - 1))), r = 0..K-1 (Oh et al. 2022, section 4.1).

    In float64, as the authors count; gamma <= 1 leaves n_head of every class.
    """
    if gamma <= 1:
        return (n_head,) * num_classes
    return tuple(int(n_head * (1 / gamma) ** (rank / (num_classes - 1))) for rank in range(num_classes))
