"""Encoders, networks and the teacher, an EMA of the student."""
