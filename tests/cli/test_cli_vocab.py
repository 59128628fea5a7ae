"""`embed vocab` as scripts call it."""

import gzip
import json
import os
import subprocess
import sys

import pytest

TEXT = "the cat saw the dog\nThe dog saw\n"


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus.txt").write_text(TEXT)
    return "corpus.txt"


def test_words_and_counts_go_to_stdout(run_embed, corpus):
    done = run_embed("vocab", corpus, "--min-count", "2")

    assert (0, "dog 2\nsaw 2\nthe 2\n") == (done.returncode, done.stdout)
    expected = "read 8 tokens = 6 of 3 words + 2 of rarer ones + 0 too long, in 2 lines\n"
    assert expected == done.stderr


def test_options(run_embed, tmp_path):
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    (tmp_path / "texts" / "deep" / "a.gz").write_bytes(gzip.compress(TEXT.encode()))
    done = run_embed(
        *("vocab", "texts", "--recursive", "--lowercase", "--max-vocab", 2, "--threads", 3),
        *("--min-count", 1, "-q"),
    )

    assert (0, "the 3\ndog 2\n", "") == (done.returncode, done.stdout, done.stderr)


def test_a_file_is_written_and_can_be_read_back(run_embed, corpus, tmp_path):
    from embedcli.formats.vocab import read_vocab

    done = run_embed("vocab", "-", "--min-count", 1, "-o", "out.vocab", input=TEXT)

    assert (0, "") == (done.returncode, done.stdout)
    assert "dog 2\nsaw 2\nthe 2\nThe 1\ncat 1\n" == (tmp_path / "out.vocab").read_text()
    assert [2, 2, 2, 1, 1] == read_vocab(tmp_path / "out.vocab").counts.tolist()


def test_json(run_embed, corpus):
    done = run_embed("vocab", corpus, "--min-count", 2, "--json")
    summary = {
        "read": 8,
        "kept": 6,
        "oov": 2,
        "unknown": 0,
        "too_long": 0,
        "too_long_bytes": 0,
        "lines": 2,
        "n_bytes": len(TEXT),
        "invalid": 0,
        "pruned_bound": 0,
        "n_words": 3,
    }

    assert summary | {"words": [["dog", 2], ["saw", 2], ["the", 2]]} == json.loads(done.stdout)
    done = run_embed("vocab", corpus, "--min-count", 2, "--json", "-o", "out.vocab")
    assert summary == json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["corpus.txt", "-o", "corpus.txt"], 2, "corpus.txt is both input and output"),
        (["corpus.txt", "-o", "no/such/place"], 5, "no/such/place"),
        (["corpus.txt", "--min-count", "0"], 2, "0 is not in the range"),
        (["corpus.txt"], 3, "no word of corpus.txt occurs 5 times: 5 types, 8 tokens, highest"),
        ([], 2, "Missing argument 'CORPUS...'"),
    ],
)
def test_refusals(run_embed, corpus, tmp_path, arguments, code, message):
    done = run_embed("vocab", *arguments)

    assert (code, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert TEXT == (tmp_path / "corpus.txt").read_text()


def test_a_warning_is_one_line(run_embed, tmp_path):
    (tmp_path / "corpus.txt").write_bytes(b"word " * 200 + b"caf\xe9")
    done = run_embed("vocab", "corpus.txt")

    assert 0 == done.returncode
    assert (
        "embed: warning: 1 malformed UTF-8 sequences in 1 tokens were replaced by U+FFFD"
        == done.stderr.splitlines()[0]
    )


def test_control_characters_are_escaped_on_a_terminal(command_environment, tmp_path):
    (tmp_path / "corpus.txt").write_bytes(b"\x1b[31mred plain")
    controller, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "embedcli", "vocab", "-q", "--min-count", "1", "corpus.txt"],
        stdout=terminal,
        check=True,
        cwd=tmp_path,
        env=command_environment,
    )

    assert b"\\x1b[31mred 1\r\nplain 1\r\n" == os.read(controller, 1000)
    os.close(controller)
    os.close(terminal)
