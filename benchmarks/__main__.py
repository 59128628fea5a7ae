"""All claims in one run: ``python -m benchmarks`` from the root of the repository."""

from __future__ import annotations

import sys

from benchmarks import (
    accuracy,
    commands,
    determinism,
    glove,
    hierarchical,
    lookup,
    peers,
    phrases,
    safety,
    scaling,
    start,
)
from benchmarks.session import main

# peers before accuracy, which then need not train gensim with the first seed again.
CLAIMS = [
    peers, accuracy, scaling, determinism, start, lookup, commands, glove, hierarchical, phrases,
    safety,
]  # fmt: skip

if __name__ == "__main__":
    sys.exit(main({claim.NAME: claim.measure for claim in CLAIMS}))
