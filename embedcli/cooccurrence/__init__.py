"""Co-occurrences: from an encoded corpus to the cells of a matrix."""
