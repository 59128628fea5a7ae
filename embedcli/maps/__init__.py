"""Pictures of spaces: words laid out in two dimensions, pages to look around in, curves."""
