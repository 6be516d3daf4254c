"""Shared arithmetic: distributions, losses, similarities, schedules."""
