"""Tools around the project: run by `make`, never by training."""
