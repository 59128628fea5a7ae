"""Fetch text8, the first 100 MB of cleaned English Wikipedia that word2vec's demo trains on.

    python examples/fetch_text8.py data/text8.txt [--url URL] [--sha256 DIGEST]

The archive is checked before anything is unpacked; the target appears complete or not at all. The
digest is the one that many projects pin for text8.zip (31,344,016 bytes); a mirror may be named by
`--url`, and its file has to be the same. Uses only the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO
from urllib.request import urlopen

URL = "http://mattmahoney.net/dc/text8.zip"
SHA256 = "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"


def download(url: str, archive: BinaryIO) -> str:
    """Write what `url` serves to `archive`; return its SHA-256."""
    digest = hashlib.sha256()
    with urlopen(url, timeout=60) as response:  # noqa: S310 (the user names the URL)
        while piece := response.read(1 << 20):
            digest.update(piece)
            archive.write(piece)
    return digest.hexdigest()


def unpack(archive: BinaryIO, target: Path) -> None:
    """Unpack the one file of the archive to `target`."""
    unfinished = target.with_suffix(".tmp")
    with zipfile.ZipFile(archive) as files:
        (name,) = files.namelist()
        with files.open(name) as packed, unfinished.open("wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    unfinished.replace(target)


def main() -> int:
    """Fetch, check, unpack; return the exit code."""
    parser = argparse.ArgumentParser(description="Fetch text8 and check it.")
    parser.add_argument("target", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--sha256", default=SHA256, help="what the archive must hash to")
    wanted = parser.parse_args()
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted.target.parent) as archive:
            digest = download(wanted.url, archive)
            if digest != wanted.sha256:
                print(f"{wanted.url}: SHA-256 {digest}, expected {wanted.sha256}", file=sys.stderr)
                return 1
            unpack(archive, wanted.target)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"{wanted.url}: {error}", file=sys.stderr)
        return 1
    print(f"{wanted.target}: {wanted.target.stat().st_size:,} bytes, checked", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
