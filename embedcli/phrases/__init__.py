"""Phrases: pairs of words that stand together more often than chance would have them."""
