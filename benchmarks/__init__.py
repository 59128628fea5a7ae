"""What embed claims of its speed, memory and accuracy, measured beside its peers: `make bench`.

One file a claim (peers, accuracy, scaling, start, lookup), each runnable alone with
``python -m benchmarks.peers``. How they measure, and what would be unfair, is in
docs/benchmarks.md.
"""
