"""Add-ons, one file each."""
