"""Runs the commands in docs/lookup.md and docs/evaluation.md, and writes what they print.

    cd DIRECTORY && python -m docs.outputs

DIRECTORY holds `FILES`, the text and the evaluation files, without their folders. Every block
fenced as `console` is run, in order, in that directory and on a terminal. The first block of
docs/lookup.md trains the model of both pages. `tests/project/test_docs_outputs.py` fails if a page
and the outputs differ.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

PAGES = [Path(__file__).parent / name for name in ("lookup.md", "evaluation.md")]
FILES = (
    "wiki-1m.txt.gz",
    "eval/questions-words.txt",
    *(f"eval/EN-{name}.txt" for name in ("WS-353-ALL", "SIMLEX-999", "MTurk-771", "RG-65")),
)
_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
_LANES = "8"  # of the vectors: with another number a model has other bytes


def rewritten(page: str, directory: Path) -> str:
    """The page with the outputs that its commands have in `directory`."""
    return _BLOCK.sub(lambda block: _outputs(block[1], directory), page)


def _outputs(block: str, directory: Path) -> str:
    commands = [line for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"{each}\n{_output(each[2:], directory)}" for each in commands)


def _output(command: str, directory: Path) -> str:
    """What a command prints on a terminal, errors included."""
    bin_of_embed = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if name != "EMBED_MODEL"} | {
        "PATH": f"{bin_of_embed}:{os.environ['PATH']}",
        "EMBED_LANES": _LANES,
        "NO_COLOR": "1",
    }
    reader, terminal = pty.openpty()
    with subprocess.Popen(  # noqa: S603 (the commands of our own page)
        ["/bin/bash", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ):
        os.close(terminal)
        printed = b"".join(iter(lambda: _read(reader), b""))
    os.close(reader)
    return re.sub(r"\r?\x1b\[K", "", printed.decode()).replace("\r\n", "\n")


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 16)
    except OSError:  # Linux says so when the last one who could write has gone
        return b""


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text(), Path.cwd()))
