"""The built project of tests/workflow, for tests that wear it out."""

from tests.workflow.conftest import built, changed, project

__all__ = ["built", "changed", "project"]
