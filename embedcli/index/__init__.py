"""Approximate nearest neighbours, for models too large or questions too many for exact ones."""
