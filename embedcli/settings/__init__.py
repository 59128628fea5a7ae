"""The settings of a run: what they are called, what they may be, where they are read from."""
