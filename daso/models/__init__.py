"""Encoders, networks and the teacher that follows them."""
