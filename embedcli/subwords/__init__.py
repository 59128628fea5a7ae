"""Subwords, and the vectors that they make."""
