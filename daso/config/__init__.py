"""From the files of params/ to what a run is made of: reading, checking, resolving, keys."""
