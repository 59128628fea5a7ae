# ruff: noqa: E501
"""Formats told apart by what can be told for sure, and garbage that is refused by name."""

from __future__ import annotations

import gzip
import struct
from random import Random

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.vocabulary import Vocabulary
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
    "a float that looks like a hexadecimal number": (b"1 1\nkdezobfke 2x:6\n", "word2vec-bin"),
    "a float that ends like a count": (b"1 2\n} 6\xd106\xbd\x95\t9\n", "word2vec-bin"),
    "a float with a space before a digit": (b"1 1\na \xe2 B7", "word2vec-bin"),
    "a brace where safetensors has one": (b"1 1\na \0\0{\x3f", "word2vec-bin"),
    "text of three characters a number": (b"2 1\na 1.5\nb 2.5\n", "word2vec"),
    "the same with more dimensions": (b"2 3\na 1.5 2.5 3.5\nb 4.5 5.5 6.5\n", "word2vec"),
    "the same with nan": (b"3 3\na 1.5 2.5 3.5\nb 4.5 nan 6.5\nc 1.5 2.5 3.5\n", "word2vec"),
    "words of numbers": (b"2 1\n1 2\n2 1\n", "word2vec"),
    "words with spaces": (b"2 2\niphone 6 1.0 2.0\nb 5.0 6.0\n", "word2vec"),
    "words in latin-1": (b"2 2\ncaf\xe9 1.0 2.0\nb 5.0 6.0\n", "word2vec"),
    "a binary row that ends like a count": (b"1 1\n\xc3\xbc\xe3\x81\xbb {I\t6\n", "word2vec-bin"),
    "counts, the first word of which is a number and occurs once": (b"6183 1\n548 1\n", "vocab"),
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


GARBAGE = {
    "a matrix": (b"0.1 0.2 0.3\n0.4 0.5 0.6\n", "glove", "numbers such as '0.1' where words should be"),
    "a matrix by tabs": (b"-0.1\t0.2\n0\t0.5\n7.5\t1\n", "glove", "numbers such as '-0.1'"),
    "a matrix as NumPy writes it": (
        b"1.000000000000000056e-01 2.5e+00\n4.0e-01 1.0e+00\n", "glove", "is it a matrix"),
    "carriage returns": (b"2 2\ra 1 2\rb 3 4\r", None, "carriage return alone"),
    "carriage returns, GloVe": (b"a 1 2\rb 3 4\r", None, "carriage return alone"),
    "carriage returns behind the first line": (b"a 1 2\nb 3 4\rc 5 6\n", None, "line 2: a carriage return"),
    "a space in a word, binary": (
        b"2 2\nnew york " + floats(0.5, 2) + b"b " + floats(1, 2), "word2vec-bin",
        "row 2 is '?\\x00\\x00\\x00@b', which holds bytes of a number"),
    "the same with other numbers": (
        b"3 2\na " + floats(1.1, 2.2) + b"new york " + floats(0.1, 0.2) + b"b " + floats(1.1, 2.2),
        "word2vec-bin", "the word before it ('new', row 2) probably has a space"),
    "the same with newlines": (
        b"2 2\nnew york " + floats(0.5, 2) + b"\nb " + floats(1, 2) + b"\n", "word2vec-bin", "the first row does not end with a newline"),
    "big-endian": (
        b"2 3\na " + floats(0.1, -0.2, 0.3, order=">") + b"b " + floats(1.1, 1.2, -1.3, order=">"),
        "word2vec-bin", "big-endian"),
    "big-endian, whole numbers": (b"1 2\na " + floats(1, 2, order=">"), "word2vec-bin", "big-endian"),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_something_else_is_refused_unless_somebody_insists(tmp_path, name):
    content, forced, message = GARBAGE[name]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x")
    assert message in str(caught.value)
    if forced and "space" not in name and "same" not in name:
        assert 0 < len(formats.load(tmp_path / "x", forced))


def test_ids_of_items_are_no_matrix(tmp_path):
    (tmp_path / "x").write_bytes(b"17 0.5 1.5\n4 0.25 1\n0.5 1 1\n")
    assert ["17", "4", "0.5"] == formats.load(tmp_path / "x").vocabulary.words


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1, 1e3])
def test_no_model_is_taken_for_big_endian(tmp_path, scale):
    from embedcli.formats.garbage import binary_garbage

    numbers = np.random.default_rng(3).normal(0, scale, (200, 1, 5)).astype(np.float32)
    assert [None] * 200 == [binary_garbage((), one) for one in numbers]
    swapped = numbers.reshape(10, 20, 5).byteswap()
    assert scale == 1e-6 or all(binary_garbage((), one) for one in swapped)


def test_what_would_be_taken_for_garbage_is_not_written(tmp_path):
    def model(words, number):
        vectors = np.full((len(words), 3), number, np.float32)
        return Embeddings(Vocabulary.from_words(words), vectors)

    with pytest.raises(FormatError, match="cannot save as glove: all words are decimal numbers"):
        formats.save(model(["0.5", "-1"], 1), tmp_path / "x.glove")
    with pytest.raises(FormatError, match="NUL is of a number there"):
        formats.save(model(["a", "b\0"], 1), tmp_path / "x.bin")
    with pytest.raises(FormatError, match=r"cannot save as word2vec-bin, .*big-endian"):
        formats.save(model(["a", "b"], np.float32(1).byteswap()), tmp_path / "x.bin")
    assert [] == list(tmp_path.iterdir())
