"""`python -m embedcli` is `embed`."""

import sys

from embedcli.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
