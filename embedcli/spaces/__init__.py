"""Whole spaces of vectors: reducing, rotating, comparing and averaging them."""
