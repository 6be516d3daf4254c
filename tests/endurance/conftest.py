"""Fixtures of tests/workflow, such as the built project, for the endurance tests."""

from tests.workflow.conftest import _programs, built, changed, project

__all__ = ["_programs", "built", "changed", "project"]
