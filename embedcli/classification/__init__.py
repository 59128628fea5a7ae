"""Classifiers: embeddings that were learnt for labels, and what they say of lines of text."""
