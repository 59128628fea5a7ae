"""``python -m torture``."""

from __future__ import annotations

import signal
import sys

from torture.suite import main

if __name__ == "__main__":
    # What is ignored is inherited: under nohup, SIGHUP would not reach what it is sent to.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.exit(main())
