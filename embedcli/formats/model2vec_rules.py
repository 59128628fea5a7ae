"""The text rules of a model as ``tokenizer.json`` of Hugging Face tokenizers.

What it can say: normal forms, lower case, digits, white space, runs of letters, marks and numbers,
items by their separator. Regular expressions are not copied, as two libraries mean different things
by the same one, and ICU's dictionaries are not in it: such a model gets white space, with a
warning. Digits are replaced before the text is cut there and after it here, which is the same where
the cut does not depend on it.
"""

from __future__ import annotations

import warnings
from typing import Any

from embedcli.settings.text_rules import TextRules

__all__ = ["normalizer", "pre_tokenizer"]

_DIGITS = {"zero": (r"\d", "0"), "hash": (r"\d", "#"), "number": (r"\d+(?:[.,]\d+)*", "0")}

_JOINED = r"(?![\x{200B}\x{600}-\x{605}\x{6DD}\x{70F}\x{890}\x{891}\x{8E2}])\p{Cf}"


def normalizer(rules: TextRules) -> dict[str, Any] | None:
    """What is done to a text before it is cut; None for nothing."""
    steps: list[dict[str, Any]] = []
    if rules.normalize is not None:
        steps.append({"type": rules.normalize})
    if rules.lowercase in ("tr", "az"):
        for capital, letter in (("I\u0307", "i"), ("\u0130", "i"), ("I", "\u0131")):
            steps.append({"type": "Replace", "pattern": {"String": capital}, "content": letter})
    elif rules.lowercase == "lt":
        _warn("lower-case text as Lithuanian does")
    if rules.lowercase:
        steps.append({"type": "Lowercase"})
    if rules.digits == "zero" or (rules.digits != "keep" and rules.tokenizer == "whitespace"):
        pattern, content = _DIGITS[rules.digits]
        steps.append({"type": "Replace", "pattern": {"Regex": pattern}, "content": content})
    elif rules.digits != "keep":
        _warn(f"replace digits as --digits {rules.digits} does after --tokenizer {rules.tokenizer}")
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else {"type": "Sequence", "normalizers": steps}


def pre_tokenizer(rules: TextRules) -> dict[str, Any]:
    """How a text is cut."""
    separator = rules.separator_bytes
    if separator is not None:
        return {
            "type": "Split",
            "pattern": {"String": separator.decode()},
            "behavior": "Removed",
            "invert": False,
        }
    if rules.tokenizer == "words":
        return {
            "type": "Split",
            "pattern": {"Regex": rf"[\p{{L}}\p{{N}}](?:[\p{{L}}\p{{M}}\p{{N}}]|{_JOINED})*"},
            "behavior": "Removed",
            "invert": True,
        }
    if rules.tokenizer != "whitespace":
        _warn(f"cut text as --tokenizer {rules.tokenizer} does")
    return {"type": "WhitespaceSplit"}


def _warn(what: str) -> None:
    warnings.warn(
        f"tokenizer.json cannot {what}: what it is given should be prepared already, with spaces "
        "between the tokens",
        stacklevel=3,
    )
