"""Training loop around a method: batches, steps, evaluation, checkpoints, results."""
