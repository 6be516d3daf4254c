"""One file for each way of bending a learner."""
