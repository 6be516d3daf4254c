"""Fixtures of the report's tests that those of plans use too."""

from tests.report.conftest import nowhere, params

__all__ = ["nowhere", "params"]
