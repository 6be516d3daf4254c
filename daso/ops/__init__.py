"""Arithmetic that methods share: distributions, losses, similarities, schedules."""
