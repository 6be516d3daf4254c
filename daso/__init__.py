"""Reproducible baselines for class-imbalanced semi-supervised learning."""
