"""Look-ups: words or vectors in, the words nearest to them out."""
