"""Trained models of one's own images: predictions, exports, and lists of images."""
