"""Classifiers: embeddings trained for labels, and their predictions for lines of text."""
