"""Batched weak and strong views of images, bit-identical to Pillow."""
