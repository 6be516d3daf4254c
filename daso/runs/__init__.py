"""Training runs from configuration to files."""
