"""Fixtures of the report's tests, used here too."""

from tests.report.conftest import nowhere, params

__all__ = ["nowhere", "params"]
