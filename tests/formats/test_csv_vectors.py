# ruff: noqa: E501
# (a table is read line by line)
"""Tables of words and numbers as spreadsheets, pandas and R write them."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli import formats
from embedcli.errors import FormatError

PLAIN = {"a": [1, 2], "b": [3, 4]}
ACCEPTED = {
    "no header": (b"a,1.0,2.0\nb,3.0,4.0\n", {}, PLAIN),
    "a header": (b"word,d0,d1\na,1,2\nb,3,4\n", {}, PLAIN),
    "a header of numbers, by pandas": (b",0,1\na,1.0,2.0\nb,3.0,4.0\n", {}, PLAIN),
    "one that names the words, too": (b"word,0,1\na,1.5,2.5\nb,3.5,4.5\n", {}, {"a": [1.5, 2.5], "b": [3.5, 4.5]}),
    "semicolons": (b"a;1.0;2.0\nb;3.0;4.0\n", {}, PLAIN),
    "bars": (b"a|1.0|2.0\nb|3.0|4.0\n", {}, PLAIN),
    "tabs under a header": (b"word\tx\ty\na\t1\t2\nb\t3\t4\n", {}, PLAIN),
    "spaces behind commas": (b"a, 1.0, 2.0\nb, 3.0, 4.0\n", {}, PLAIN),
    "carriage returns": (b"a,1.0,2.0\r\nb,3.0,4.0\r\n", {}, PLAIN),
    "byte order mark": (b"\xef\xbb\xbfa,1,2\nb,3,4\n", {}, PLAIN),
    "no last newline": (b"a,1,2\nb,3,4", {}, PLAIN),
    "quotes": (b'"a ""x"", y",1,2\n"b\nc",3,4\n', {}, {'a "x", y': [1, 2], "b\nc": [3, 4]}),
    "all quoted, as R does": (b'"","V1","V2"\n"a","1","2"\n"b","3","4"\n', {}, PLAIN),
    "row names of R": (b'"","w","V1","V2"\n"1","a",1,2\n"2","b",3,4\n', {}, PLAIN),
    "numbering by pandas": (b",word,x,y\n0,a,1,2\n1,b,3,4\n", {}, PLAIN),
    "whole numbers as words": (b"item,x,y\n17,1.5,2\n18,3.5,4\n", {}, {"17": [1.5, 2], "18": [3.5, 4]}),
    "the same without a header": (b"17,1.5,2\n18,3.5,4\n", {}, {"17": [1.5, 2], "18": [3.5, 4]}),
    "words behind": (b"x,y,word\n1,2,a\n3,4,b\n", {"format": "csv"}, PLAIN),
    "the column asked for": (b"word,tag,x,y\na,N,1,2\nb,V,3,4\n", {"word_column": "word"}, PLAIN),
    "by its number": (b"N,a,1,2\nV,b,3,4\n", {"word_column": "2"}, PLAIN),
    "one dimension": (b"a,1\nb,3\n", {"format": "csv"}, {"a": [1], "b": [3]}),
    "latin-1": ("é,1,2\nb,3,4\n".encode("latin-1"), {"encoding": "latin-1"}, {"é": [1, 2], "b": [3, 4]}),
    "exponents": (b"a,1e-3,-2E5\nb,.5,4.\n", {}, {"a": [1e-3, -2e5], "b": [0.5, 4]}),
    "the first rows": (b"a,1,2\nb,3,4\nc,x\n", {"limit": 2}, PLAIN),
    "bad rows left out": (b"a,1,2\n\nc,x,1\nd,1\nn,nan,1\nb,3,4\n", {"bad_rows": "skip"}, PLAIN),
    "duplicates": (b"a,1,2\nb,3,4\na,5,6\n", {"duplicates": "first"}, PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_tables_as_they_are_written(tmp_path, name):
    content, options, expected = ACCEPTED[name]
    (tmp_path / "x").write_bytes(content)
    if "format" not in options:
        assert "csv" == formats.detect(tmp_path / "x")
    read = formats.load(tmp_path / "x", **options)
    assert list(expected) == read.vocabulary.words
    assert np.array_equal(np.array(list(expected.values()), np.float32), read.vectors)


def test_counts_are_kept(tmp_path):
    (tmp_path / "x").write_bytes(b"word,count,x,y\na,7,1,2\nb,5.0,3,4\n")
    read = formats.load(tmp_path / "x")
    assert ([7, 5], [[1, 2], [3, 4]]) == (read.vocabulary.counts.tolist(), read.vectors.tolist())


REFUSED = {
    "short row": (b"a,1,2\nb,3\n", {}, r"line 2: 2 cells, expected 3 \(--bad-rows"),
    "long row": (b"a,1,2\nb,3,4\nc,5,6,7\n", {}, "line 3: 4 cells, expected 3"),
    "blank row": (b"a,1,2\nb,3,4\n\n", {}, "line 3: an empty line among the rows"),
    "not a number": (b"a,1,2\n" * 1 + b"b,3,4\n" * 200 + b"c,x,1\n", {}, "line 202: 'x' in column 2 is not a plain number"),
    "nan": (b"a,1,2\nb,nan,4\n", {}, "line 2: 'nan' in column 2"),
    "a word twice": (b"a,1,2\nb,3,4\na,5,6\n", {}, "row 3: 'a' is already in row 1"),
    "no word": (b"a,1,2\n,3,4\n", {}, "row 2: the word is empty"),
    "several columns of words": (b"w,t,x,y\na,N,1,2\nb,V,3,4\n", {}, r"columns 'w', 't' may be the words \(--word-column"),
    "no such column": (b"w,x,y\na,1,2\nb,3,4\n", {"word_column": "v"}, "has no column 'v'; it has 'w', 'x', 'y'"),
    "no such number": (b"a,1,2\nb,3,4\n", {"word_column": "4"}, "has no column '4'; it has 3 without names"),
    "a quote without an end": (b'a,1,2\n"b,3,4\n', {}, "line 2: unexpected end of data"),
    "a bad count": (b"word,count,x,y\na,7,1,2\nb,-1,3,4\n", {}, "line 3: the count '-1' is none"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_clear_line(tmp_path, name):
    content, options, message = REFUSED[name]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        formats.load(tmp_path / "x", "csv", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"a\t1\t2\nb\t3\t4\n", b"a 1,5 2,5\nb 1,5 2,5\n", b"a,b 1 2\nc 3 4\n"]
)
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert "glove" == formats.detect(tmp_path / "x")
