"""Fixtures shared with the report's tests."""

from tests.report.conftest import nowhere, params

__all__ = ["nowhere", "params"]
