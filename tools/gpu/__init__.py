"""Check of everything that needs a GPU, for a GPU machine without network: docs/gpu.md."""
