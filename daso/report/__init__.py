"""Report of a suite: tables, figures and verdicts against the published numbers, computed from the metrics of its runs."""
