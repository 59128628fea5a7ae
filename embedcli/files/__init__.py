"""Files: opening and unpacking them, and publishing them whole or not at all."""
