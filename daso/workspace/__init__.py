"""Upkeep of a working copy: current outputs, lock, import, archive, publication, deletion."""
