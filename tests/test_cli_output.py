"""Rows and JSON as commands print them, without a process."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
import pytest

from embedcli.cli import output


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


def test_control_characters_are_escaped_for_a_terminal_only():
    word = "a\x1b]0;title\x07é\u202e"

    with redirect_stdout(Terminal()):
        assert "a\\x1b]0;title\\x07é\\u202e" == output.for_terminal(word)
    with redirect_stdout(io.StringIO()):
        assert word == output.for_terminal(word)
