"""Results of a suite's runs: cells, curves, published numbers and verdicts."""
