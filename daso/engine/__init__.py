"""Training loop for all methods: batches, steps, evaluation, checkpoints, results."""
