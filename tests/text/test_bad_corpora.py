"""Bad texts: the exit code and the one clear line, or what is read of them and the warning."""

import bz2
import gzip
import io
import os
import sqlite3
import subprocess
import sys
import zipfile

import pytest

from embedcli.errors import CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus, encode_corpus

SAFE = "plain words that are no trouble at all\n" * 200


def a_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("text.txt", SAFE)
    return file.getvalue()


def a_database(path):
    with sqlite3.connect(path) as database:
        database.execute("create table t (x text)")
    database.close()
    return path.read_bytes()


LATIN1 = "été déjà là-bas où l'élève étudiait\n".encode("latin-1") * 50

# what: bytes, fragment of the message
REFUSED = {
    "empty": (b"", "is empty"),
    "empty gzip": (gzip.compress(b""), "is empty"),
    "only line ends": (b"\n\n\n", r"holds only white space \(3 bytes\)"),
    "only spaces, tabs, NUL": (b" \t\0 \0\n", "holds only white space"),
    "one token": (b"\n hello \n", "holds 1 token; nothing to predict"),
    "two tokens": (
        b"hello world",
        "no word of .* occurs 5 times: 2 types, 2 tokens, highest count 1; try --min-count 1",
    ),
    "rare words": (b"a a a b b c", "3 types, 6 tokens, highest count 3; try --min-count 2"),
    "UTF-16LE without BOM": (SAFE.encode("utf-16-le"), "looks like UTF-16LE .*iconv"),
    "UTF-16BE without BOM": (SAFE.encode("utf-16-be"), "looks like UTF-16BE"),
    "UTF-32": (SAFE.encode("utf-32"), "is UTF-32 text, not text.*iconv -f UTF-32"),
    "UTF-32 without BOM": (SAFE.encode("utf-32-be"), "looks like UTF-32BE"),
    "Latin-1": (LATIN1, "does not look like UTF-8 text: 300 of 300 tokens"),
    "nothing but one token": (b"x" * 1_000_000, "no token of at most 256 bytes, but 1 longer"),
    "gzip, truncated": (gzip.compress(SAFE.encode())[:-5], "is truncated"),
    "bz2, truncated": (bz2.compress(SAFE.encode())[:-5], "is truncated"),
    "gzip, garbage behind": (
        gzip.compress(SAFE.encode()) + b"garbage",
        "is damaged|is truncated: .*something else follows it",  # gzip's words, or isal's
    ),
    "gzip, wrong checksum": (
        gzip.compress(SAFE.encode())[:-8] + b"12345678",
        "is damaged: .*is the download complete?",
    ),
    "zip": (a_zip(), "is a zip archive .*unzip -p"),
    "zip in gzip": (gzip.compress(a_zip()), "is a zip archive"),
    "Parquet": (b"PAR1\x15\x04" + bytes(100), "is a Parquet file"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF document.*pdftotext"),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(100), r"is a program \(ELF\)"),
    "SQLite": (b"SQLite format 3\0" + bytes(100), "is an SQLite database"),
    "tar": (b"text.txt".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive.*tar -xOf"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "is an image"),
    "NumPy": (b"\x93NUMPY\1\0", "is a NumPy array"),
    "model": ((100).to_bytes(8, "little") + b'{"syn0":{}}', "is a safetensors file"),
}

# what: bytes, words in order of count and bytes
READ = {
    "no final line end": (b"a b\nlast", ["a", "b", "last"]),
    "CRLF": (b"a b\r\nc a\r\n", ["a", "b", "c"]),
    "CR alone": (b"a b\rc a\r", ["a", "b", "c"]),
    "byte order mark": (b"\xef\xbb\xbfa b a", ["a", "b"]),
    "UTF-16LE": ("a é a".encode("utf-16"), ["a", "é"]),
    "UTF-16BE": (b"\xfe\xff" + "a 😀 a".encode("utf-16-be"), ["a", "😀"]),
    "wide spaces": (
        "a\u00a0b\u2009c\u3000d\u0085e\u2028f\u2029g\x1ch\x1fi".encode(),
        list("abcdefghi"),
    ),
    "marks and emoji": (
        "a\u200db c\u200bd \u202be e\u0301 👩\u200d👩\u200d👧 f\u00adg".encode(),
        sorted(["a\u200db", "c\u200bd", "\u202be", "e\u0301", "👩\u200d👩\u200d👧", "f\u00adg"]),
    ),
    "NFC and NFD": ("\u00e9 e\u0301".encode(), ["e\u0301", "\u00e9"]),
    "all the same": (b"same " * 1000, ["same"]),
    "odd words": (
        b'</s> <unk> __label__x NaN inf -1 " \\ # // \xe2\x80\x8b',
        sorted(["</s>", "<unk>", "__label__x", "NaN", "inf", "-1", '"', "\\", "#", "//", "\u200b"]),
    ),
    "control sequences": (
        b"\x1b[31mred \x1b]52;c;YQ==\x07 x\x7f",
        ["\x1b[31mred", "\x1b]52;c;YQ==\x07", "x\x7f"],
    ),
    "gzip": (gzip.compress(b"a b"), ["a", "b"]),
    "two gzip members": (gzip.compress(b"a b\n") + gzip.compress(b"c"), ["a", "b", "c"]),
    "gzip, zeros behind": (gzip.compress(b"a b\n") + bytes(100), ["a", "b"]),
}

# what: bytes, words, fragment of the warning
WARNED = {
    "a mark inside": (
        b"a a \xef\xbb\xbfb",
        ["a", "\ufeffb"],
        "1 tokens hold a byte order mark",
    ),
    "a little Latin-1": (
        b"word " * 200 + b"caf\xe9",
        ["word", "caf\ufffd"],
        "1 malformed UTF-8 sequences in 1 tokens were replaced by U\\+FFFD",
    ),
    "overlong, surrogate, five bytes, cut": (
        b"word " * 999 + b"\xc0\xaf \xed\xa0\x80 \xf8\x88\x80\x80\x80 \xe2\x82",
        ["word", *sorted("\ufffd" * n for n in (1, 2, 3, 5))],
        "11 malformed UTF-8 sequences in 4 tokens",
    ),
    "256 and 257 bytes": (
        b"a " + b"x" * 256 + b" " + b"y" * 257,
        ["a", "x" * 256],
        "50% of the text, by bytes, are 1 tokens of more than 256 bytes",
    ),
    "cut by the edge of a block": (
        b" " * ((1 << 20) - 2) + b"\n" + b"word " * 999 + b"\xe2\x82" + b"a",
        ["word", "\ufffda"],
        "1 malformed UTF-8 sequences in 1 tokens",
    ),
    "NUL at byte 65,537": (
        b"a b\n" * 16_384 + b"b\0c\0",
        ["b", "a", "c"],
        "2 NUL bytes were taken for white space",
    ),
    "git-LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        sorted(
            ["version", "https://git-lfs.github.com/spec/v1", "oid", "sha256:4d7a", "size", "12345"]
        ),
        "the first line looks like a git-LFS pointer",
    ),
    "HTML page": (
        b"\n<!DOCTYPE html>\n<html>404",
        ["<!DOCTYPE", "<html>404", "html>"],
        "the first line looks like an HTML page",
    ),
}


@pytest.fixture
def write(tmp_path):
    def write_file(data):
        (tmp_path / "corpus.txt").write_bytes(data)
        return str(tmp_path / "corpus.txt")

    return write_file


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("threads", [1, 2])
def test_refused(write, name, threads):
    data, message = REFUSED[name]
    with pytest.raises(CorpusError, match=message) as caught:
        encode_corpus([write(data)], threads=threads)
    assert 3 == caught.value.exit_code
    assert "\n" not in str(caught.value)
    assert "corpus.txt" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "rules", "message"),
    [
        (b"... !!!\n", {"tokenizer": "words"}, r"no token of .* is found by --tokenizer words"),
        (b"... !!!\n", {"tokenizer": "unicode"}, "is found by --tokenizer unicode"),
        (b"a b\n", {"tokenizer": "pattern", "pattern": "[0-9]"}, r"matches --pattern '\[0-9\]'"),
        (b",,,\n", {"items": True, "separator": ","}, "holds only the separator ',' and line ends"),
    ],
)
def test_a_text_without_a_token_names_what_looked_for_them(write, data, rules, message):
    with pytest.raises(CorpusError, match=message):
        encode_corpus([write(data)], rules=TextRules(**rules))


@pytest.mark.parametrize("name", READ)
def test_read(write, name):
    data, words = READ[name]
    vocabulary, tally = count_corpus([write(data)], min_count=1)

    assert words == vocabulary.words
    assert tally.read == tally.kept + tally.too_long


@pytest.mark.parametrize("name", WARNED)
@pytest.mark.parametrize("threads", [1, 2])
def test_read_with_a_warning(write, name, threads):
    data, words, message = WARNED[name]
    with pytest.warns(UserWarning, match=message):
        vocabulary, _ = count_corpus([write(data)], min_count=1, threads=threads)

    assert words == vocabulary.words


def test_a_real_database(tmp_path):
    path = tmp_path / "corpus.txt"
    a_database(path)
    with pytest.raises(CorpusError, match="is an SQLite database"):
        encode_corpus([str(path)])


def test_line_ends_of_other_systems_give_the_same(write):
    unix = encode_corpus([write(b"a b a\nb b a\na\n")], min_count=1)
    windows = encode_corpus([write(b"a b a\r\nb b a\r\na\r\n")], min_count=1)

    assert unix.ids.tolist() == windows.ids.tolist()
    assert unix.offsets.tolist() == windows.offsets.tolist() == [0, 3, 6, 7]


@pytest.mark.parametrize("n", [20_000, 2_000_000])
def test_long_sentences_lose_nothing(write, n):
    corpus = encode_corpus([write(b"a b " * (n // 2))])

    assert [0, n] == corpus.offsets.tolist()
    assert n == len(corpus.ids) == corpus.tally.kept


def test_two_hundred_megabytes_from_two_hundred_kilobytes(command_environment, tmp_path):
    with gzip.open(tmp_path / "bomb.gz", "wb") as file:
        for _ in range(100):
            file.write(b"a b " * (1 << 18))
        file.write(b" ")
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    # Started by a small process: the peak of a child counts what its parent held when it began.
    code = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "embedcli", "vocab", "bomb.gz"]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=command_environment,
        check=True,
    )
    *words, last = done.stdout.splitlines()

    assert ["a 26214400", "b 26214400"] == words
    assert "+ 1 too long" in done.stderr
    returned, peak = map(int, last.split())
    assert 0 == returned
    assert peak < 450_000  # KiB, of which Python, NumPy and Numba are 200,000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["empty"], 3, "empty is empty"),
        (["."], 3, ". is a directory; to read all files below it: --recursive"),
        (["missing"], 3, "missing: no such file"),
        (["-"], 3, "standard input is empty"),
        (["zip"], 3, "zip is a zip archive (or a document made of one), not text"),
        (["-", "-"], 2, "standard input (-) can be read once only"),
    ],
)
def test_exit_codes(run_embed, tmp_path, arguments, code, message):
    (tmp_path / "empty").touch()
    (tmp_path / "zip").write_bytes(a_zip())
    done = run_embed("vocab", *arguments)

    assert (code, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"embed: error: {message}")
    assert 1 == done.stderr.count("\n")


def test_a_terminal_is_not_read(run_embed):
    _, terminal = os.openpty()
    done = run_embed("vocab", "-", stdin=terminal)
    os.close(terminal)

    assert 2 == done.returncode
    assert "reading from terminal?" in done.stderr
