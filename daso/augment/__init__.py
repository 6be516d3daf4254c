"""Weak and strong views of images: batched, pixel for pixel those of Pillow."""
