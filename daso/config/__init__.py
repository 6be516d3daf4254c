"""Read, check and resolve params/ into the configuration of each run, and compute the keys of all outputs."""
