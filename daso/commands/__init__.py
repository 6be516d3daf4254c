"""Commands of the command line and their flags."""
