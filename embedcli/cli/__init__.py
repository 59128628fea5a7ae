"""The command line: one command a file, the logic in the library."""
