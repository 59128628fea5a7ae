"""Writes the usage and options of every command in docs/cli.md, from the commands' own help.

    make docs

What stands between `<!-- NAME: from the help -->` and `<!-- end -->` is replaced; the rest is
written by hand. `tests/project/test_docs.py` fails where the page and the help differ.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path

import click

from embedcli.settings.config import settings
from embedcli.settings.reading import ReadingOptions

PAGE = Path(__file__).parent / "cli.md"
_PART = re.compile(r"(<!-- ([^:\n]+): from the help -->\n).*?(<!-- end -->)", re.DOTALL)
_EVERYWHERE = {"--quiet", "--verbose", "--help"}  # the page says once that every command takes them
_Row = tuple[str, str, str, str]  # parameter, flags, text, default and range
_JSON: _Row = ("as_json", "--json", "Print JSON.", "")
_RANGES = ((r"(\S+)<=x<=(\S+)", r"\1 to \2"), (r"x>=(\S+)", r"\1 or more"))


def rewritten(page: str) -> str:
    """The page with all of its generated parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}\n{_part(part[2])}\n{part[3]}", page)


def _part(name: str) -> str:
    if name == "reading a model":
        return _table(row for row in _rows("verify") if _is_of_reading(row))
    path = name.removeprefix("embed ")
    own = [row for row in _rows(path) if not _is_of_reading(row)]
    of_train = [] if path == "train" else [r for r in own if r in _rows("train") and r != _JSON]
    table = _table(row for row in own if row not in of_train)
    text = f"    {_usage(path)}\n\n{_description(path)}\n" + (f"\n{table}" if table else "")
    if of_train:
        flags = ", ".join(f"`{re.findall(r'--[a-z0-9-]+', row[1])[0]}`" for row in of_train)
        text += f"\nThese options are as in `embed train`: {flags}.\n"
    return text


def _is_of_reading(row: _Row) -> bool:
    """Whether a row is one of those that all commands have which read a model."""
    of_text = row[0] in settings()  # --encoding is that of a text, or that of a model
    is_known = row[0] in {each.name for each in fields(ReadingOptions)} and not of_text
    return row != _JSON and (is_known or row in _rows("verify"))


def _command(path: str) -> click.Command:
    first, *steps = path.split()
    command = import_module(f"embedcli.cli.{first}").command
    for step in steps:
        command = command.commands[step]
    return command


def _usage(path: str) -> str:
    command = _command(path)
    with click.Context(command) as context:
        return " ".join(["embed", path, *command.collect_usage_pieces(context)])


def _description(path: str) -> str:
    """The text of the help, a line a paragraph; examples stay as they are."""
    paragraphs = inspect.cleandoc(_command(path).help or "").replace("\\b\n", "\b\n").split("\n\n")
    return "\n\n".join(
        each.removeprefix("\b\n") if each.startswith("\b\n") else _marked(" ".join(each.split()))
        for each in paragraphs
    )


def _marked(text: str) -> str:
    """Text in which Markdown takes nothing for HTML."""
    return re.sub(r"<(\w+)>", r"`<\1>`", text)


@cache
def _rows(path: str) -> tuple[_Row, ...]:
    """The options of a command, in the order of its help."""
    rows = []
    command = _command(path)
    with click.Context(command) as context:
        for option in command.get_params(context):
            record = option.get_help_record(context)
            if record is None or not isinstance(option, click.Option):
                continue
            if _EVERYWHERE & {*option.opts}:
                continue
            text, *brackets = re.split(r"  \[(?=[^\]]*\])", record[1])
            extra = "; ".join(each.strip().removesuffix("]") for each in brackets)
            for pattern, words in _RANGES:
                extra = re.sub(pattern, words, extra)
            rows.append((str(option.name), record[0], text, extra.replace("default: ", "")))
    return tuple(rows)


def _table(rows: Iterable[_Row]) -> str:
    lines = []
    for _, *cells in rows:
        flags, text, extra = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
        lines.append(f"| `{flags}` | {_marked(text)} | {extra} |\n")
    return "".join(["| option | | default; range |\n|---|---|---|\n", *lines]) if lines else ""


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
