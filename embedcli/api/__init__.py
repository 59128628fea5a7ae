"""What Python users call: the library's functions under the names of the public API."""
