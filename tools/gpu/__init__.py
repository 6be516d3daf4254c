"""Check of everything that a CPU cannot show, on a GPU machine without network: docs/gpu.md."""
