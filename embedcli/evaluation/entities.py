"""Entities in sequences of tags, and their F1, by the rules of conlleval (CoNLL 2000 to 2003).

An entity is its type and its first and last token; it counts as found only if all three are right.
A chunk begins at B-x or S-x, and also at I-x or E-x after O or after another type; it ends before
O, before another beginning, and after E-x or S-x.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Entity", "entities", "tally"]

Entity = tuple[str, int, int]


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of one sentence: type, first token, last token (from 0)."""
    found: set[Entity] = set()
    start, kind = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        letter, _, name = tag.partition("-")
        begins = letter in ("B", "S") or (letter in ("I", "E") and name != kind)
        if kind and (begins or letter == "O"):
            found.add((kind, start, i - 1))
            kind = ""
        if begins:
            start, kind = i, name
        if letter in ("E", "S"):
            found.add((kind, start, i))
            kind = ""
    return found


def tally(gold: Sequence[str], guessed: Sequence[str]) -> tuple[int, int, int]:
    """Entities found rightly, in `gold`, and in `guessed`, of one sentence."""
    wanted, got = entities(gold), entities(guessed)
    return len(wanted & got), len(wanted), len(got)
