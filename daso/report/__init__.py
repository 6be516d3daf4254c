"""Metrics of a suite -> tables, figures and a page that sets them beside the published numbers."""
