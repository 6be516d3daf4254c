"""The working copy: what Snakemake, DVC and Git keep in it."""
