"""`embed evaluate` as a shell sees it."""

from __future__ import annotations

import csv
import json
import os
import pty

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli import info
from embedcli.cli.evaluate import command
from embedcli.cli.evaluate_kinds import KINDS

WORDS = ["man", "woman", "king", "queen", "apple"]
VECTORS = [[2, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0.5, -1, -1]]


@pytest.fixture
def files(tmp_path):
    vectors = np.array(VECTORS, np.float32)
    save(Embeddings(Vocabulary.from_words(WORDS), vectors), str(tmp_path / "model.safetensors"))
    worse = Embeddings(Vocabulary.from_words(WORDS[::-1]), vectors)
    save(worse, str(tmp_path / "worse.vec"))
    (tmp_path / "analogies.txt").write_text(
        ": family\nman king woman queen\nman woman king apple\n: gram1\na b c d\n"
    )
    (tmp_path / "pairs.tsv").write_text(
        "man\twoman\t9\nking\tqueen\t9.5\nman\tapple\t1\npear\tman\t2\n"
    )
    return tmp_path


def rows(done):
    return list(csv.DictReader(done.stdout.splitlines(), delimiter="\t"))


def test_tab_separated_in_a_pipe(run_embed, files):
    done = run_embed("evaluate", "analogies.txt", "pairs.tsv")
    table = rows(done)

    assert (0, "") == (done.returncode, done.stderr)
    assert [
        ("analogies.txt", "family", "50.00", "50.00", "2", "2"),
        ("analogies.txt", "gram1", "n/a (0 of 1 covered)", "n/a", "0", "1"),
        ("analogies.txt", "semantic", "50.00", "50.00", "2", "2"),
        ("analogies.txt", "syntactic", "n/a (0 of 1 covered)", "n/a", "0", "1"),
        ("analogies.txt", "total", "50.00", "33.33", "2", "3"),
        ("pairs.tsv", "pairs", "100.00", "80.00", "3", "4"),
    ] == [
        tuple(row[key] for key in ("file", "part", "score", "score_of_all", "seen", "total"))
        for row in table
    ]
    assert {"model.safetensors"} == {row["model"] for row in table}
    assert all("protocol word2vec: " in row["protocol"] for row in table)


def test_tables_on_a_terminal(run_embed, files):
    reader, terminal = pty.openpty()
    arguments = ("evaluate", "analogies.txt", "pairs.tsv", "-m", "model.safetensors")
    run_embed(*arguments, "-m", "worse.vec", "--bootstrap", "0", stdout=terminal)
    shown = os.read(reader, 10_000).decode().splitlines()
    os.close(terminal)
    os.close(reader)

    assert "model.safetensors, analogies.txt" == shown[0]
    assert ["section", "score", "score_of_all", "seen", "total"] == shown[1].split()
    assert ["total", "50.00", "33.33", "2", "3"] == shown[6].split()
    assert "protocol word2vec: 3CosAdd" in shown[7]
    assert ["model.safetensors"] == shown[9].split()
    assert ["pairs.tsv", "100.00", "n/a", "n/a", "80.00"] == shown[11].split()[:5]
    assert "protocol word2vec: Spearman" in shown[12]
    assert ["score", "model.safetensors", "worse.vec"] == shown[-8].split()
    assert ["pairs.tsv", "100.00"] == shown[-6].split()[:2]
    assert "gain over model.safetensors on the items that both know" in shown[-4]
    assert ["pairs.tsv", "worse.vec", "-50.00", "n/a", "n/a", "3"] == shown[-1].split()


def test_json(run_embed, files):
    done = run_embed("evaluate", "analogies.txt", "pairs.tsv", "--json", "--protocol", "gensim")
    analogies, pairs = json.loads(done.stdout)

    assert (50.0, "analogies") == (analogies["score"], analogies["kind"])
    assert None is analogies["parts"][1]["score"]
    assert ("gensim", "cosadd", 5) == tuple(
        analogies["protocol"][key] for key in ("name", "method", "words")
    )
    assert "3CosAdd on unit vectors, first 5 of 5 words" in analogies["protocol"]["line"]
    assert ("similarity", 3, 4) == (
        pairs["kind"],
        pairs["parts"][0]["seen"],
        pairs["parts"][0]["total"],
    )


def test_several_models_of_any_format(run_embed, files):
    done = run_embed("evaluate", "pairs.tsv", "-m", "worse.vec", "-m", "model.safetensors")

    assert ["worse.vec", "model.safetensors"] == [row["model"] for row in rows(done)]
    assert rows(done)[0]["score"] != rows(done)[1]["score"]


def test_the_model_of_the_environment(run_embed, files):
    done = run_embed("evaluate", "pairs.tsv", env={"EMBED_MODEL": "worse.vec"})

    assert ["worse.vec"] == [row["model"] for row in rows(done)]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--fail-under", "50"], 0, ""),
        (["--fail-under", "50.5"], 1, "below --fail-under 50.5: 50.00 by model.safetensors"),
        (["--restrict", "1", "--fail-under", "0"], 1, "n/a (0 of 3 covered) by"),
        (["--oov", "wrong", "--fail-under", "50"], 1, "33.33 by"),
    ],
)
def test_fail_under(run_embed, files, arguments, code, says):
    done = run_embed("evaluate", "analogies.txt", *arguments)

    assert code == done.returncode
    assert says in done.stderr
    assert 5 == len(rows(done))  # the scores are printed either way


def test_rules_are_stated(run_embed, files):
    done = run_embed(
        "evaluate", "analogies.txt", "--method", "cosmul", "--restrict", "4", "--oov", "wrong"
    )

    assert "changed in method and oov and restrict: 3CosMul" in rows(done)[0]["protocol"]
    assert "first 4 of 5 words" in rows(done)[0]["protocol"]


def test_no_interval_without_resamples(run_embed, files):
    (row,) = rows(run_embed("evaluate", "pairs.tsv", "--bootstrap", "0"))

    assert ("n/a", "n/a") == (row["low"], row["high"])
    assert "interval" not in row["protocol"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 2), (["none.txt"], 3), (["model.safetensors"], 3), (["pairs.tsv", "--oov", "x"], 2)],
)
def test_wrong_use(run_embed, files, arguments, code):
    done = run_embed("evaluate", *arguments)

    assert (code, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "without_effect"),
    [
        (
            "pairs.tsv --separator , --train x --no-one-hot -k 5 --recent 2 --unordered",
            "--one-hot --train --separator --cutoff --recent --ordered",
        ),
        (
            "--task labels.tsv labels.tsv --protocol gensim --restrict 0 --oov wrong --recent 2",
            "--recent --protocol --restrict --oov",
        ),
        (
            "--next-item pairs.tsv --method cosmul --kind pairs --no-subwords --skip-bad-lines",
            "--method --kind --skip-bad-lines --subwords",
        ),
        ("--next-item pairs.tsv --recent 3 --unordered", "--recent"),
        ("--next-item pairs.tsv --recent 3 --oov wrong --separator \\t", ""),
        ("pairs.tsv --protocol gensim --oov wrong --no-unk --bootstrap 0", ""),
    ],
)
def test_options_without_effect_give_a_warning(files, arguments, without_effect, monkeypatch):
    monkeypatch.chdir(files)
    lines = [f"{label}\t{words}" for label, words in [("a", "man king"), ("b", "apple")] * 3]
    (files / "labels.tsv").write_text("\n".join(lines))
    done = CliRunner().invoke(command, [*arguments.split(), "--bootstrap", "0"])
    assert 0 == done.exit_code, done.output
    how = arguments.split()[0] if arguments.startswith("--") else "FILEs"
    how = "--unordered" if without_effect == "--recent" else how
    expected = [
        f"embed: warning: {name} decides nothing with {how}" for name in without_effect.split()
    ]
    assert expected == [line for line in done.stderr.splitlines() if "decides nothing" in line]


def test_every_option_of_evaluate_is_of_some_kind_or_of_all():
    of_all = {"bootstrap", "fail_under", "fail_under_gain", "text_encoding", "models"}
    of_all |= {"files", "tasks", "item_files", "as_json", "quiet", "verbose"}
    of_all |= {parameter.name for parameter in info.command.params}  # how models are read
    some = frozenset().union(*(kind.uses for kind in KINDS.values()))
    names = {parameter.name for parameter in command.params}
    assert sorted(some) == sorted(names - of_all)
