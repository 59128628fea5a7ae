"""Rows and JSON as commands print them, without a process."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import sqlite3
from contextlib import redirect_stdout

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli import output
from embedcli.errors import UnknownWordError
from embedcli.quoting import quoted


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self):
        return True


def test_rows_are_tab_separated_in_a_pipe(capsys):
    output.echo_rows([("cat", 0.123456, 7), ("dog", None, 8)], header=["word", "cosine", "rank"])

    assert "word\tcosine\trank\ncat\t0.1235\t7\ndog\tn/a\t8\n" == capsys.readouterr().out


def test_a_cell_stays_one_cell(capsys):
    output.echo_rows([("a\tb\nc\rd", 1)])

    assert "a\\tb\\nc\\rd\t1\n" == capsys.readouterr().out


def test_rows_are_handed_out_as_they_come(capsys):
    def rows():
        yield ("first",)
        assert "first\n" == capsys.readouterr().out
        yield ("second",)

    output.echo_rows(rows())

    assert "second\n" == capsys.readouterr().out


def test_rows_are_aligned_on_a_terminal():
    rows = [("cat", 1.5, "-"), ("日本語", -10.25, "x")]
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows(rows, header=["word", "score", "note"])

    expected = (
        "word       score  note\n"
        "cat       1.5000  -\n"
        "日本語  -10.2500  x\n"
    )  # fmt: skip
    assert expected == terminal.getvalue()


def test_no_rows_print_nothing():
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows([])

    assert "" == terminal.getvalue()


def test_a_header_alone_is_printed():
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows([], header=["word", "count"])

    assert "word  count\n" == terminal.getvalue()


def test_json_is_one_line_and_takes_numpy(capsys):
    output.echo_json({"word": "café", "vector": np.ones(2, np.float32), "n": np.int64(3)})

    assert '{"word": "café", "vector": [1.0, 1.0], "n": 3}\n' == capsys.readouterr().out


def test_json_for_a_terminal_escapes_what_a_terminal_would_obey():
    with redirect_stdout(Terminal()) as terminal:
        output.echo_json(["caf\u00e9"])
        output.echo_json(["caf\u00e9\x9b1m"])

    assert '["café"]\n["caf\\u00e9\\u009b1m"]\n' == terminal.getvalue()


def test_json_never_holds_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.echo_json(float("nan"))


PERSIAN, FAMILY, FLAG = (
    "\u0645\u06cc\u200c\u062e\u0648\u0631\u0645",
    "👩\u200d👩\u200d👧",
    "🏴\U000e0067\U000e0062\U000e007f",
)
OBEYED = [
    *map(chr, (*range(32), *range(127, 160))),
    *"\u2028\u2029\u202a\u202e\u2066\u2069\u206f\udcff",
]


@pytest.mark.parametrize(
    "text", [PERSIAN, FAMILY, FLAG, "e\u0301", "ש\u200f", "a\u00a0b\u3000c", "\ufeffx"]
)
def test_what_words_are_spelt_with_is_shown_as_it_is(text, capsys):
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows([(text,)])
        output.echo_json([text])
    output.talk(text)
    output.report_error(str(UnknownWordError(text, (text,))))

    assert f'{text}\n["{text}"]\n' == terminal.getvalue()
    assert f"{text}\nembed: error: unknown word '{text}'; did you mean {text}?\n" == (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("character", OBEYED)
def test_what_a_terminal_would_obey_reaches_none(character, capsys):
    text, shown = f"a{character}b", f"a{repr(character)[1:-1]}b"
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows([(text,)], header=["word"])
    output.talk(text)
    output.warn(text)
    output.report_error(str(UnknownWordError(text, (text,))))

    assert f"word\n{shown}\n" == terminal.getvalue()
    assert [
        shown,
        f"embed: warning: {shown}",
        f"embed: error: unknown word '{shown}'; did you mean {shown}?",
    ] == capsys.readouterr().err.split("\n")[:-1]


def test_a_stream_to_a_terminal_escapes_whoever_prints():
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "wb") as raw, output.DataStream(raw, encoding="utf-8") as stream:
        stream.write("a\x1b[31m\tb\n")
        stream.flush()
        assert b"a\\x1b[31m\tb\r\n" == os.read(controller, 100)
    os.close(controller)


@pytest.mark.parametrize(
    ("text", "shown"), [("a", "'a'"), ("it's", '"it\'s"'), ("a\\", "'a\\\\'"), ("'\"", "'\\'\"'")]
)
def test_quotes_are_those_of_repr(text, shown):
    assert shown == quoted(text) == repr(text)


def test_joiners_take_no_columns():
    with redirect_stdout(Terminal()) as terminal:
        output.echo_rows([(PERSIAN, "x"), ("123456", "x")])

    assert f"{PERSIAN}  x\n123456  x\n" == terminal.getvalue()


@pytest.mark.parametrize("kind", ["missing", "database", "tensor"])
def test_no_escape_reaches_stderr_from_files(kind, tmp_path, run_embed):
    name = "\x1b]0;x\x07\u202e.vec"
    if kind == "database":
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.execute('CREATE VIEW vectors AS SELECT * FROM "\x1b[31mred"')
            connection.commit()
    elif kind == "tensor":
        header = b'{"\\u001b[31m":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    done = run_embed("neighbors", "\x1b[31mred", "-m", name)

    assert 3 == done.returncode
    assert "\\x1b]0;x\\x07\\u202e.vec" in done.stderr
    assert [] == [c for c in done.stderr if c in "\x1b\x07\u202e"]


def test_a_word_with_tabs_and_newlines_is_one_cell_of_vectors(tmp_path, run_embed):
    words = ["a\tb", "c\nd"]
    save(
        Embeddings(Vocabulary.from_words(words), np.eye(2, dtype="f")), f"{tmp_path}/m.safetensors"
    )
    done = run_embed("vectors", *words, "-m", "m.safetensors")

    assert "a\\tb\t1.0\t0.0\nc\\nd\t0.0\t1.0\n" == done.stdout


def test_json_of_a_path_that_is_not_utf8_is_utf8_all_the_same(capsys):
    output.echo_json({"file": "caf\udce9.vec"})

    assert '{"file": "caf\\udce9.vec"}\n' == capsys.readouterr().out


def test_control_characters_are_escaped_for_a_terminal_only():
    word = "a\x1b]0;title\x07é\u202e"

    with redirect_stdout(Terminal()):
        assert "a\\x1b]0;title\\x07é\\u202e" == output.for_terminal(word)
    with redirect_stdout(io.StringIO()):
        assert word == output.for_terminal(word)
