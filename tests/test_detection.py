# ruff: noqa: E501
"""Formats told apart by what can be told for sure, and garbage that is refused by name."""

from __future__ import annotations

import gzip
import struct
from random import Random

import pytest

from embedcli import formats
from torture.detection import check


def test_random_small_models_are_what_they_are(tmp_path):
    outcomes = list(check(tmp_path, 500, Random(7)))
    assert [] == [outcome for outcome in outcomes if outcome.wrong]
    assert 9 <= len(outcomes)


def floats(*numbers, order="<"):
    return struct.pack(f"{order}{len(numbers)}f", *numbers)


NEWLINE = struct.unpack("<f", b"5\n\x80?")[0]  # a digit and a newline among its bytes
TELLING = {
    "a newline behind a digit in a float": (b"1 2\na " + floats(9.536743e-06, 1.0000012), "word2vec-bin"),
    "the same with D = 1": (b"1 1\na " + floats(NEWLINE) + b"\n", "word2vec-bin"),
    "the same in two rows": (b"2 1\na " + floats(NEWLINE) + b"b " + floats(NEWLINE), "word2vec-bin"),
    "the same, packed": (gzip.compress(b"1 1\na " + floats(NEWLINE)), "word2vec-bin"),
    "a float of printable characters": (b"1 1\na =abc", "word2vec-bin"),
    "a float that ends like a count": (b"1 2\n} 6\xd106\xbd\x95\t9\n", "word2vec-bin"),
    "a float with a space before a digit": (b"1 1\na \xe2 B7", "word2vec-bin"),
    "a brace where safetensors has one": (b"1 1\na \0\0{\x3f", "word2vec-bin"),
    "text of three characters a number": (b"2 1\na 1.5\nb 2.5\n", "word2vec"),
    "the same with more dimensions": (b"2 3\na 1.5 2.5 3.5\nb 4.5 5.5 6.5\n", "word2vec"),
    "the same with nan": (b"3 3\na 1.5 2.5 3.5\nb 4.5 nan 6.5\nc 1.5 2.5 3.5\n", "word2vec"),
    "words of numbers": (b"2 1\n1 2\n2 1\n", "word2vec"),
    "words with spaces": (b"2 2\niphone 6 1.0 2.0\nb 5.0 6.0\n", "word2vec"),
    "words in latin-1": (b"2 2\ncaf\xe9 1.0 2.0\nb 5.0 6.0\n", "word2vec"),
    "counts": (b"5 20\nb 10\n\x1b 3\n", "vocab"),
    "a word with a word of tar at the right place": (
        b"x" * 257 + b"ustaria 1.0 2.0\nb 1.0 2.0\n", "glove"),
}  # fmt: skip


@pytest.mark.parametrize("name", TELLING)
def test_what_follows_a_header(tmp_path, name):
    content, expected = TELLING[name]
    (tmp_path / "x").write_bytes(content)
    assert expected == formats.detect(tmp_path / "x")


def test_a_large_binary_file_without_a_newline(tmp_path):
    """Of which the head ends within the rows; every float begins with the same byte as a digit."""
    rows = b"".join(b"w%d " % i + floats(*[1.5] * 100) for i in range(5000))
    (tmp_path / "x").write_bytes(b"5000 100\n" + rows)
    assert "word2vec-bin" == formats.detect(tmp_path / "x")
    assert (5000, 100) == formats.load(tmp_path / "x").vectors.shape
