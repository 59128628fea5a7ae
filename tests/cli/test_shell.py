"""`embed shell`, from a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli.shell import _completer

WORDS = ["man", "woman", "king", "queen", "apple"]
VECTORS = [[2, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0.5, -1, -1]]


@pytest.fixture
def model(tmp_path):
    vectors = np.array(VECTORS, np.float32)
    save(Embeddings(Vocabulary.from_words(WORDS), vectors), str(tmp_path / "model.safetensors"))


def ask(run_embed, *lines):
    done = run_embed("shell", "-k", "1", input="".join(f"{line}\n" for line in lines))
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("king", "queen\t0.8165"),
        ("king - man + woman", "queen\t0.9753"),
        ("- man + woman + king", "queen\t0.9753"),
        ("man : king :: woman", "queen\t0.9753"),
        ("man ~ woman", "0.7071"),
        ("", None),
    ],
)
def test_questions(model, run_embed, line, answer):
    assert (0, [answer] if answer else [], "") == ask(run_embed, line)


def test_the_odd_one_and_the_number_of_answers(model, run_embed):
    code, lines, _ = ask(run_embed, "odd king queen apple", "k 2", "king", "quit", "queen")
    assert (0, 5) == (code, len(lines))
    assert "apple" == lines[0].split("\t")[0]


def test_answers_as_json_from_the_model_that_is_named(model, run_embed, tmp_path):
    (tmp_path / "model.safetensors").rename(tmp_path / "other.safetensors")
    lines = "king\nman  ~ woman\nodd man king apple\n"
    done = run_embed("shell", "other.safetensors", "-k", "1", "--json", input=lines)
    near, cosine, odd = map(json.loads, done.stdout.splitlines())
    assert ("king", ["queen"]) == (near["question"], [a["word"] for a in near["answers"]])
    assert ("man ~ woman", pytest.approx(0.7071, abs=1e-4)) == tuple(cosine.values())
    assert ["word", "cosine"] == list(odd["answers"][0])
    assert "apple" == odd["answers"][0]["word"]


def test_what_stands_for_an_unknown_word_is_said(model, run_embed):
    code, lines, talk = ask(run_embed, "King", "Man : king :: woman", "odd King queen apple")
    assert (0, ["queen\t0.8165", "queen\t0.9753"]) == (code, lines[:2])
    assert ["'King'", "'Man'", "'King'"] == [line.split()[-1] for line in talk.splitlines()]
    done = run_embed("shell", "--json", input="King ~ queen\n")
    assert {"King": "case variant"} == json.loads(done.stdout)["answered_by"]


def test_a_line_that_fails_does_not_end_it(model, run_embed):
    code, lines, talk = ask(run_embed, "quen", "man ~", "man -", "odd man woman", "king")
    assert (3, ["queen\t0.8165"], 4) == (code, lines, talk.count("\n"))
    assert "unknown word 'quen'; did you mean queen?" in talk
    assert "two words with ~ between them" in talk


def test_help_names_every_form(model, run_embed):
    code, lines, _ = ask(run_embed, "help")
    assert (0, 7) == (code, len(lines))


def test_completion_runs_through_the_words_in_order():
    complete = _completer(sorted(["king", "kings", "kin", "queen", "king of", "king\x1b[31m"]))
    assert ["kin", "king", "kings", None] == [complete("ki", i) for i in range(4)]
    assert ("queen", None, None) == (complete("q", 0), complete("q", 1), complete("", 0))


def test_at_a_terminal_tab_completes(model, tmp_path, command_environment):
    controller, terminal = pty.openpty()
    environment = command_environment | {"HOME": str(tmp_path), "TERM": "dumb"}
    environment.pop("XDG_STATE_HOME", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "embedcli", "shell", "-k", "1"],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path, env=environment,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while b"> " not in shown:
        shown += os.read(controller, 1000)
    os.write(controller, b"wom\t ~ man\nquit\n")
    while True:
        try:
            shown += os.read(controller, 1000)
        except OSError:  # Linux: the other side has closed
            break
        time.sleep(0.01)
    os.close(controller)
    assert 0 == process.wait(30)
    assert b"0.7071" in shown
    (history,) = tmp_path.rglob("shell-history")
    assert "woman ~ man\nquit\n" == history.read_text()
