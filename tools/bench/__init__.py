"""Benchmarks: speed against plain PyTorch, the machine's ceiling and growing problem sizes; accuracy by precision."""
