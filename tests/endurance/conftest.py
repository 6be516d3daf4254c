"""The built project of tests/workflow, for tests that wear it out."""

from tests.workflow.conftest import _programs, built, changed, project

__all__ = ["_programs", "built", "changed", "project"]
