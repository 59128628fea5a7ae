"""Write the docstrings and comments of this Python's standard library as a corpus.

    python examples/stdlib_corpus.py CORPUS.txt

English prose about programming that is on every machine with Python, so that `make demo` needs no
download: about 690,000 words, a paragraph a line. The texts behind `help("for")`, which the library
keeps as strings in `pydoc_data`, are taken too. Words are lower-cased runs of letters; punctuation
and digits go, and `file_name` becomes `file name`. Tests, installed packages and the bundled pip
are left out. The same Python gives the same bytes.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
WORD = re.compile(r"[^\W\d_]+")
PARAGRAPH_END = re.compile(r"\n\s*\n")


def sources(library: Path) -> Iterator[Path]:
    """Yield the library's modules in a fixed order."""
    for path in sorted(library.rglob("*.py")):
        if SKIPPED.isdisjoint(path.relative_to(library).parts):
            yield path


def docstrings(text: str, *, all_strings: bool) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each docstring, or of each string constant."""
    for node in ast.walk(ast.parse(text)):
        if all_strings:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each comment; comments on neighbouring lines are one."""
    first, last, block = 0, 0, ""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT:
                continue
            line = token.start[0]
            if line != last + 1:
                yield first, block
                first, block = line, ""
            block += token.string.lstrip("#! ") + "\n"
            last = line
    yield first, block


def paragraphs(path: Path) -> Iterator[str]:
    """Yield the words of each paragraph of prose in a module, in the order of its lines."""
    with tokenize.open(path) as file:
        text = file.read()
    is_help = path.parent.name == "pydoc_data"
    for _, prose in sorted([*docstrings(text, all_strings=is_help), *comments(path)]):
        for paragraph in PARAGRAPH_END.split(prose):
            words = WORD.findall(paragraph.lower())
            if len(words) > 1:
                yield " ".join(words)


def main(target: str) -> int:
    """Write the corpus to `target` and say how much it is."""
    warnings.simplefilter("ignore")  # old escapes in old modules
    n_words = n_modules = 0
    unfinished = Path(f"{target}.tmp")
    with unfinished.open("w", encoding="utf-8") as out:
        for path in sources(Path(sysconfig.get_paths()["stdlib"])):
            try:
                found = list(paragraphs(path))
            except (SyntaxError, UnicodeError, tokenize.TokenError) as error:
                print(f"{path}: left out: {error}", file=sys.stderr)
                continue
            out.writelines(f"{line}\n" for line in found)
            n_words += sum(line.count(" ") + 1 for line in found)
            n_modules += 1
    unfinished.replace(target)
    print(f"{target}: {n_words:,} words from {n_modules} modules", file=sys.stderr)
    return 0 if n_words else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} CORPUS.txt")
    sys.exit(main(sys.argv[1]))
