"""Phrases: word pairs that are neighbours more often than by chance."""
