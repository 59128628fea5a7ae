"""Choosing settings by trying them."""
