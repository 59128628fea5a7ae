# ruff: noqa: E501
# (a table is read line by line)
"""Options on reading: blemishes that whole families of vector files have, and what is said."""

import gzip
import inspect
import struct
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

import embedcli
from embedcli import formats
from embedcli.cli.main import COMMANDS, LazyGroup, embed
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, UsageError
from embedcli.files.publish import publish
from embedcli.formats.row_words import checked_words
from embedcli.formats.vocab import read_vocab
from embedcli.settings.config import TrainConfig
from embedcli.settings.reading import ReadingOptions
from embedcli.training.continuing import read_pretrained
from embedcli.vocabulary import Vocabulary

SPACES = b"3 2\na 1.0 2.0\niphone 6 3.0 4.0\nb 5.0 6.0\n"
PLAIN = {"a": [1, 2], "b": [3, 4]}
OPTIONS = ("format", "limit", "encoding", "decode_errors", "duplicates", "bad_rows", "header")


def binary(*rows):
    return b"".join(b"%b %b\n" % (word, struct.pack("<2f", *vector)) for word, *vector in rows)


BLEMISHED = {
    "a header of a row too few": (
        b"1 2\na 1 2\nb 3 4\n", {"header": "ignore"}, PLAIN,
        ["the header promises 1 rows; read the 2 that are there"]),
    "a header of rows that head cut off": (
        b"999 2\na 1 2\nb 3 4\n", {"header": "ignore"}, PLAIN,
        ["the header promises 999 rows; read the 2 that are there"]),
    "the same in binary": (
        b"3 2\n" + binary((b"a", 1, 2), (b"b", 3, 4)), {"header": "ignore"}, PLAIN,
        ["the header promises 3 rows; read the 2 that are there"]),
    "binary with a row more": (
        b"1 2\n" + binary((b"a", 1, 2), (b"b", 3, 4)), {"header": "ignore"}, PLAIN,
        ["the header promises 1 rows; read the 2 that are there"]),
    "duplicates": (
        b"4 2\na 1 2\nb 3 4\na 5 6\nb 7 8\n", {"duplicates": "first"}, PLAIN,
        ["2 rows left out: 2 of a word that was there before"]),
    "duplicates in binary": (
        b"3 2\n" + binary((b"a", 1, 2), (b"a", 5, 6), (b"b", 3, 4)), {"duplicates": "first"}, PLAIN,
        ["1 row left out: 1 of a word that was there before"]),
    "nan": (
        b"3 2\na 1 2\nn nan 4\nb 3 4\n", {"bad_rows": "skip"}, PLAIN,
        ["1 row left out: 1 with what is no number or not finite"]),
    "nan in binary": (
        b"3 2\n" + binary((b"a", 1, 2), (b"n", 1, np.nan), (b"b", 3, 4)), {"bad_rows": "skip"}, PLAIN,
        ["1 row left out: 1 with a number that is not finite"]),
    "beyond float32": (
        b"a 1 2\nn 1 1e39\nb 3 4\n", {"bad_rows": "skip"}, PLAIN,
        ["1 row left out: 1 with a number that is not finite"]),
    "a blank last line": (
        b"2 2\na 1 2\nb 3 4\n\n", {"bad_rows": "skip"}, PLAIN, ["1 row left out: 1 blank"]),
    "a tab and a space for words": (
        b"4 2\na 1 2\n\t 8 8\n  9 9\nb 3 4\n", {"bad_rows": "skip"}, PLAIN,
        ["2 rows left out: 2 without a word"]),
    "an empty word in binary": (
        b"3 2\n" + binary((b"a", 1, 2), (b"", 9, 9), (b"b", 3, 4)), {"bad_rows": "skip"}, PLAIN,
        ["1 row left out: 1 without a word"]),
    "rows of other widths": (
        b"a 1 2\nx 1\ny 1 2 3\nb 3 4\n", {"bad_rows": "skip"}, PLAIN,
        ["2 rows left out: 1 with too few numbers, 1 with too many numbers"]),
    "several at once": (
        b"9 2\na 1 2\n\na 1 2\nn 1 nan\nb 3 4\n",
        {"bad_rows": "skip", "duplicates": "first", "header": "ignore"}, PLAIN,
        ["the header promises 9 rows; read the 3 that are there",
         "3 rows left out: 1 blank, 1 with what is no number or not finite, "
         "1 of a word that was there before"]),
    "numbers in words": (
        SPACES, {"numbers_in_words": True}, {"a": [1, 2], "iphone 6": [3, 4], "b": [5, 6]}, []),
    "numbers in the first word": (
        b"2 2\niphone 6 1 2\nb 3 4\n", {"numbers_in_words": True}, {"iphone 6": [1, 2], "b": [3, 4]}, []),
    "latin-1": (
        b"2 2\ncaf\xe9 1 2\nb 3 4\n", {"encoding": "latin-1"}, {"café": [1, 2], "b": [3, 4]}, []),
    "latin-1 in binary": (
        b"2 2\n" + binary((b"caf\xe9", 1, 2), (b"b", 3, 4)), {"encoding": "latin-1"},
        {"café": [1, 2], "b": [3, 4]}, []),
    "gbk": ("中 1 2\n国 3 4\n".encode("gbk"), {"encoding": "gbk"}, {"中": [1, 2], "国": [3, 4]}, []),
    "words that mend to the same": (
        b"3 2\ncaf\xe9 1 2\ncaf\xe8 5 6\nb 3 4\n", {"decode_errors": "replace", "duplicates": "first"},
        {"caf\ufffd": [1, 2], "b": [3, 4]},
        ["bytes of 2 words replaced by U+FFFD", "1 row left out: 1 of a word that was there before"]),
    "a limit": (b"3 2\na 1 2\nb 3 4\nc 5 6\n", {"limit": 2}, PLAIN, []),
    "a limit before what is damaged": (b"a 1 2\nb 3 4\nc x\n", {"limit": 2}, PLAIN, []),
    "a limit in binary": (
        b"3 2\n" + binary((b"a", 1, 2), (b"b", 3, 4), (b"c", 5, 6)), {"limit": 2}, PLAIN, []),
    "a limit, packed": (gzip.compress(b"3 2\na 1 2\nb 3 4\nc 5 6\n"), {"limit": 2}, PLAIN, []),
}  # fmt: skip


@pytest.mark.parametrize("name", BLEMISHED)
def test_blemishes_are_mended_when_asked_and_counted(tmp_path, name):
    content, options, expected, said = BLEMISHED[name]
    path = tmp_path / "vectors"
    path.write_bytes(content)
    heard = []
    read = formats.load(path, on_mended=heard.append, **options)
    assert list(expected) == read.vocabulary.words
    assert list(expected.values()) == read.vectors.tolist()
    assert [f"{path}: {line}" for line in said] == heard
    if "limit" not in options:
        with pytest.raises(FormatError):
            formats.load(path)


@pytest.mark.parametrize("name", [n for n in formats.WRITTEN if n != "vocab"])
def test_a_limit_in_every_format(tmp_path, name):
    words = Vocabulary.from_words(["a", "b", "c"], [3, 2, 1])
    vectors = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    formats.save(Embeddings(words, vectors), tmp_path / "x", name)
    read = embedcli.load(tmp_path / "x", limit=2)
    assert (["a", "b"], [[1, 2], [3, 4]]) == (read.vocabulary.words, read.vectors.tolist())
    assert 3 == len(embedcli.load(tmp_path / "x", limit=9))


@pytest.mark.parametrize("name", ["npy", "parquet", "sqlite", "word2vec-bin", "model2vec"])
def test_rows_that_are_not_finite_are_left_out_of_every_format(tmp_path, name, monkeypatch):
    """Written by somebody who does not look: the checks of our writers are taken away."""
    vectors = np.array([[1, 2], [3, np.nan], [5, 6]], np.float32)
    model = Embeddings(Vocabulary.from_words(["a", "b", "c"], [3, 2, 1]), vectors)
    entry = formats.FORMATS[name]
    monkeypatch.setattr(sys.modules[entry.write.__module__], "check_savable", lambda model: None)
    if isinstance(entry, formats.Folder):
        (tmp_path / "x").mkdir()
        entry.write(model, tmp_path / "x", "float32")
    else:
        with publish(tmp_path / "x") as sink:
            entry.write(model, sink)
    with pytest.raises(FormatError, match=r"row 2 \('b'\): a number is not finite .*--bad-rows"):
        embedcli.load(tmp_path / "x", name)
    said = []
    read = embedcli.load(tmp_path / "x", name, bad_rows="skip", on_mended=said.append)
    assert (["a", "c"], [[1, 2], [5, 6]]) == (read.vocabulary.words, read.vectors.tolist())
    assert [f"{tmp_path / 'x'}: 1 row left out: 1 with a number that is not finite"] == said
    counts = read.vocabulary.counts
    assert counts is None or [3, 1] == counts.tolist()


def test_a_limit_of_words_and_counts(tmp_path):
    (tmp_path / "x").write_bytes(b"a 3\nb 2\nc x\n")
    read = read_vocab(tmp_path / "x", ReadingOptions(limit=2))
    assert (["a", "b"], [3, 2]) == (read.words, read.counts.tolist())


@pytest.mark.parametrize("row", [b"1.0 " * 100, struct.pack("<100f", *range(100))])
def test_a_limit_stops_reading(tmp_path, monkeypatch, row):
    """Of a file of 40 MB, 100 rows: no more than its beginning is taken."""
    from embedcli.files.source import Source

    with (tmp_path / "x").open("wb") as file:
        file.write(b"100000 100\n")
        for i in range(100_000):
            file.write(b"%d %b\n" % (i, row))
    taken = []
    original = Source.read
    monkeypatch.setattr(
        Source, "read", lambda self, n: taken.append(part := original(self, n)) or part
    )
    read = embedcli.load(tmp_path / "x", limit=100)
    assert (100, "99") == (len(read), read.vocabulary.words[-1])
    assert sum(map(len, taken)) < 10e6


def test_words_that_mend_to_the_same_are_told_both_options(tmp_path):
    (tmp_path / "x").write_bytes(b"2 1\ncaf\xe9 1\ncaf\xe8 2\n")
    with pytest.raises(FormatError, match="--decode-errors replace --duplicates first mends it"):
        embedcli.load(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"2 1\ncaf\xe9 1\ncat 2\n")
    with pytest.raises(FormatError, match="--decode-errors replace mends it, --encoding names"):
        embedcli.load(tmp_path / "x")


def test_no_option_is_named_that_does_not_help():
    """Where rows cannot be left out: of models whose other rows belong to the words."""
    whole = ReadingOptions(duplicates="first").keeping_rows
    with pytest.raises(FormatError, match=r"row 2: 'a' is already in row 1$"):
        checked_words("x", [b"a", b"a"], whole)
    with pytest.raises(FormatError, match=r"row 2: the word is empty$"):
        checked_words("x", [b"a", b""], whole)
    with pytest.raises(FormatError, match=r"\(--encoding .*, --decode-errors keep leaves it"):
        checked_words("x", [b"caf\xe9", b"caf\xe8"], whole)
    with pytest.raises(FormatError, match=r"\(--decode-errors replace mends it, --encoding"):
        checked_words("x", [b"caf\xe9", b"cat"], whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duplicates": "last"}, "duplicates is 'last'; it may be 'refuse' or 'first'"),
        ({"encoding": "no-such"}, "no encoding 'no-such'"),
        ({"encoding": "rot13"}, "no encoding 'rot13'"),
        ({"encoding": "utf-16"}, "iconv -f utf-16 -t UTF-8"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_options_that_mean_nothing(options, message):
    with pytest.raises(UsageError) as caught:
        ReadingOptions(**options)
    assert message in str(caught.value)


def parameters(name):
    command = LazyGroup().get_command(click.Context(embed), name)
    return {parameter.name for parameter in command.params}


# Commands without a model to read, and those that go on with or begin from one of their own kind.
WITHOUT = {
    "classify", "combine", "doctor", "phrases", "predict", "shard", "tune", "vocab", "warm",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT))
def test_every_command_that_takes_a_model_has_the_options(name):
    asked = {*OPTIONS, "numbers_in_words"} - ({"encoding"} if name == "train" else set())
    assert set() == asked - parameters(name)


def test_a_command_says_what_it_mended(tmp_path):
    (tmp_path / "x.vec").write_bytes(b"5 2\na 1 2\na 1 2\n\t 1 1\nb 3 nan\nc 3 4\n")
    path = str(tmp_path / "x.vec")
    options = ["--duplicates", "first", "--bad-rows", "skip"]
    done = CliRunner().invoke(embed, ["vectors", "c", "-m", path, *options])
    assert "c\t3.0\t4.0\n" == done.stdout
    assert (
        f"{path}: 3 rows left out: 1 without a word, 1 with what is no number or not finite, "
        "1 of a word that was there before\n" == done.stderr
    )


def test_vectors_to_begin_with_are_read_by_the_same_options(tmp_path):
    path = tmp_path / "given.txt"
    path.write_bytes(b"9 4\na 1 2 3 4\nb 4 3 2 nan\nb 1 1 1 1\na 0 0 0 0\n")
    config, said = TrainConfig(init=str(path)), []
    with pytest.raises(FormatError, match="--header ignore reads the rows that are there"):
        read_pretrained(config, {}, ReadingOptions())
    ways = {"header": "ignore", "bad_rows": "skip", "duplicates": "first"}
    config, given = read_pretrained(config, {}, ReadingOptions(**ways, on_mended=said.append))
    assert (4, ["a", "b"]) == (config.dim, given.vocabulary.words)
    assert 2 == len(said)


def test_an_index_is_of_the_whole_model(tmp_path):
    (tmp_path / "x.vec").write_bytes(b"2 1\na 1\nb 2\n")
    arguments = ["neighbors", "a", "-m", str(tmp_path / "x.vec"), "--index", "ivf", "--limit", "1"]
    result = CliRunner().invoke(embed, arguments)
    assert isinstance(result.exception, UsageError)
    assert "--limit 1 cannot apply" in str(result.exception)


def test_the_keywords_of_load_are_those_of_the_options():
    assert "reading" in inspect.signature(embedcli.load).parameters
    with pytest.raises(TypeError, match="duplicate"):
        embedcli.load("x", duplicate="first")
