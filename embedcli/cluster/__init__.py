"""Training on more than one machine: a text in shards, and the steps that train it."""
