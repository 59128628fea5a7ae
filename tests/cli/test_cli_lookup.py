"""`embed neighbors` and `embed analogy` as a shell sees them."""

from __future__ import annotations

import json
import os
import pty
from importlib import import_module

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, save
from embedcli.errors import InputError

WORDS = ["man", "woman", "king", "queen", "apple", "1,000"]
VECTORS = [[2, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0.5, -1, -1], [0, 0, 0]]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save(Embeddings(Vocabulary.from_words(WORDS), np.array(VECTORS, np.float32)), str(path))
    return path


def test_tab_separated_in_a_pipe(run_embed, model):
    done = run_embed("neighbors", "queen", "apple", "-k", "2")

    assert (0, "") == (done.returncode, done.stderr)
    assert (
        "queen\t1\twoman\t0.8165\nqueen\t2\tking\t0.8165\n"
        "apple\t1\tman\t0.3333\napple\t2\t1,000\t0.0000\n"
    ) == done.stdout


def test_a_table_on_a_terminal(run_embed, model):
    reader, terminal = pty.openpty()
    run_embed("neighbors", "king", "-k", "1", stdout=terminal)
    shown = os.read(reader, 10_000).decode().replace("\r\n", "\n")
    os.close(terminal)
    os.close(reader)

    assert "query  rank  neighbour  cosine\nking      1  queen      0.8165\n" == shown


def test_json(run_embed, model):
    done = run_embed("neighbors", "king", "--positive", "woman", "--negative", "man", "--json")
    (answer,) = json.loads(done.stdout)

    assert 0 == done.returncode
    assert ("king + woman - man", ["king", "woman"], ["man"]) == (
        answer["query"],
        answer["positive"],
        answer["negative"],
    )
    assert "queen" == answer["neighbors"][0]["word"]
    assert 0.8 < answer["neighbors"][0]["cosine"] < 1


def test_lists_are_split_at_commas_unless_the_word_holds_one(run_embed, model):
    done = run_embed("neighbors", "--positive", "king,woman", "--positive", "1,000", "-k", "1")

    assert "king + woman + 1,000\t1\tqueen\t0.9428\n" == done.stdout


def test_words_from_stdin_one_a_line(run_embed, model):
    done = run_embed("neighbors", "man", "-", "-k", "1", input="king\r\n\nqueen")

    assert ["man", "king", "queen"] == [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_unknown_words_are_reported_and_the_others_answered(run_embed, model):
    done = run_embed("neighbors", "Queem", "king", "zebra", "-k", "1")

    assert 3 == done.returncode
    assert "king\t1\tqueen\t0.8165\n" == done.stdout
    assert (
        "embed: error: unknown word 'Queem'; did you mean queen?\n"
        "embed: error: unknown word 'zebra'\n"
    ) == done.stderr


def test_unknown_words_in_json(run_embed, model):
    done = run_embed("neighbors", "kings", "king", "-k", "1", "--json")
    unknown, known = json.loads(done.stdout)

    assert 3 == done.returncode
    assert None is unknown["neighbors"]
    assert [{"word": "kings", "suggestions": ["king"]}] == unknown["unknown"]
    assert ["queen"] == [neighbor["word"] for neighbor in known["neighbors"]]


@pytest.mark.parametrize("option", ["--positive", "--negative"])
def test_an_unknown_word_in_a_sum(run_embed, model, option):
    done = run_embed("neighbors", "king", option, "wuman")

    assert (3, "") == (done.returncode, done.stdout)
    assert "unknown word 'wuman'; did you mean woman, man?" in done.stderr


def test_nothing_to_look_up(run_embed, model):
    done = run_embed("neighbors")

    assert (2, "") == (done.returncode, done.stdout)
    assert "give a WORD, or - to read words from stdin" in done.stderr


def test_no_words_on_stdin_is_no_error(run_embed, model):
    assert (0, "", "") == (
        (done := run_embed("neighbors", "-", input="\n")).returncode,
        done.stdout,
        done.stderr,
    )


@pytest.mark.parametrize("command", [["neighbors", "king"], ["analogy", "man", "king", "woman"]])
def test_restrict(run_embed, model, command):
    done = run_embed(*command, "--restrict", "1")

    assert 1 >= len(done.stdout.splitlines())
    assert "queen" not in done.stdout


@pytest.mark.parametrize("command", [["neighbors", "king"], ["analogy", "man", "king", "woman"]])
def test_a_model_that_is_not_there(run_embed, command):
    done = run_embed(*command)

    assert (3, "") == (done.returncode, done.stdout)
    assert "model.safetensors" in done.stderr


def test_analogy(run_embed, model):
    done = run_embed("analogy", "man", "king", "woman", "-k", "2")

    assert 0 == done.returncode
    assert "1\tqueen\t0.9753" == done.stdout.splitlines()[0]
    assert 2 == len(done.stdout.splitlines())


def test_analogy_in_json(run_embed, model):
    done = run_embed("analogy", "man", "king", "woman", "-k", "1", "--json", "--method", "cosmul")
    answer = json.loads(done.stdout)

    assert ("man", "king", "woman", "cosmul") == tuple(
        answer[key] for key in ("a", "b", "c", "method")
    )
    assert ["queen"] == [one["word"] for one in answer["answers"]]
    assert pytest.approx(1.0446, abs=1e-4) == answer["answers"][0]["quotient"]


def test_analogy_of_an_unknown_word(run_embed, model):
    done = run_embed("analogy", "man", "king", "womann")

    assert (3, "") == (done.returncode, done.stdout)
    assert "embed: error: unknown word 'womann'; did you mean woman?\n" == done.stderr


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        ("neighbors king", "-m MODEL"),
        ("vectors king", "-m MODEL"),
        ("analogy a b c", "-m MODEL"),
        ("odd a b c", "-m MODEL"),
        ("subwords king", "-m MODEL"),
        ("cluster", "-m MODEL"),
        ("explain a b --corpus text", "-m MODEL"),
        ("evaluate pairs", "-m MODEL"),
        ("info", "MODEL"),
        ("shell", "MODEL"),
        ("plot -o map.html", "MODEL"),
    ],
)
def test_where_there_is_no_model_it_is_said_how_to_make_or_name_one(
    arguments, how, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("a b\n")
    (tmp_path / "pairs").write_text("a\tb\t1\nb\tc\t2\nc\td\t3\n")
    name, *rest = arguments.split()
    command = import_module(f"embedcli.cli.{name}").command
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(command, rest, catch_exceptions=False)
    assert (
        "there is no model.safetensors in this directory: train a model (embed train CORPUS), or "
        f"name one ({how}, or the variable EMBED_MODEL)"
    ) == str(caught.value)


def test_a_model_that_is_named_and_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBED_MODEL", "other.safetensors")
    command = import_module("embedcli.cli.odd").command
    with pytest.raises(InputError, match=r"^cannot read other\.safetensors: No such file"):
        CliRunner().invoke(command, ["a", "b", "c"], catch_exceptions=False)
