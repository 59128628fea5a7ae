"""Training: from an encoded corpus to two matrices."""
