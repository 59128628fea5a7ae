"""Parts of words, and vectors made from those of the parts."""
