"""What is done with whole spaces of vectors: made smaller, turned, compared, grouped, summed."""
