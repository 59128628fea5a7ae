"""More than one machine: shards of a text, and what is done to each."""
