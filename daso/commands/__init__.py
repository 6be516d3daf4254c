"""The command line: commands and their flags."""
