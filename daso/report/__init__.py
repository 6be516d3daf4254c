"""Report of a suite: tables, figures and verdicts against the published numbers, made from the metrics of its runs."""
