"""`embed explain`: contexts counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli.explain import command
from embedcli.errors import UnknownWordError
from embedcli.spaces.contexts import explain
from embedcli.text.corpus_reader import encode_corpus

LINES = ["a cat eats fish"] * 3 + ["the dog eats fish"] * 4 + ["cat dog run", "the end"]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(LINES) + "\n")
    words = Vocabulary.from_words(["eats", "fish", "the", "dog", "cat", "a", "run", "end"])
    vectors = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    save(Embeddings(words, vectors), str(tmp_path / "model.safetensors"))
    return tmp_path


def test_counts_and_pmi_are_those_of_a_loop(text):
    with encode_corpus([str(text / "corpus.txt")], min_count=1) as corpus:
        found = explain(corpus, ("cat", "dog"), window=2)
    tokens = [word for line in LINES for word in line.split()]
    beside = {"cat": [], "dog": []}
    for line in map(str.split, LINES):
        for i, word in enumerate(line):
            if word in beside:
                beside[word] += line[max(0, i - 2) : i] + line[i + 1 : i + 3]

    def pmi(word, context):
        share = beside[word].count(context) / len(beside[word])
        return np.log2(share / (tokens.count(context) / len(tokens)))

    assert ((4, 5), 1) == (found.counts, found.together)
    assert pmi("cat", "dog") == pytest.approx(found.pmi)
    assert {"eats", "fish"} == {shared.word for shared in found.shared}
    for shared in found.shared:
        assert (3, 4) == (shared.first_count, shared.second_count)
        assert pmi("cat", shared.word) == pytest.approx(shared.first_pmi)
        assert pmi("dog", shared.word) == pytest.approx(shared.second_pmi)
    assert ["cat dog run"] == found.lines  # never across lines


def test_words_that_never_meet(text):
    with encode_corpus([str(text / "corpus.txt")], min_count=1) as corpus:
        found = explain(corpus, ("a", "end"))
    assert (0, None, []) == (found.together, found.pmi, found.lines)


def test_explain_as_a_shell_sees_it(text, run_embed):
    done = run_embed("explain", "cat", "dog", "--corpus", "corpus.txt", "--window", "2")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert (0, "") == (done.returncode, done.stderr)
    assert ["fact", "cat", "4"] in rows
    assert ["context", "eats", "3", "4"] in [row[:4] for row in rows]
    assert ["line", "cat dog run"] == rows[-1]
    facts = json.loads(
        run_embed("explain", "cat", "dog", "--corpus", "corpus.txt", "--json").stdout
    )
    assert (1, [4, 5]) == (facts["together"], facts["counts"])


def test_a_text_in_another_encoding(text, monkeypatch):
    monkeypatch.chdir(text)
    lines = "\n".join(LINES) + "\ndéjà vu\n"
    (text / "wide.txt").write_bytes(lines.encode("utf-16-le"))
    asked = ["cat", "dog", "--corpus", "wide.txt", "--json", "--text-encoding", "utf-16-le"]
    done = CliRunner().invoke(command, asked)

    assert (0, [4, 5]) == (done.exit_code, json.loads(done.stdout)["counts"])


def test_another_case_is_another_spelling_and_not_another_word(text, run_embed):
    done = run_embed("explain", "Cat", "DOG", "--corpus", "corpus.txt", "--json")
    facts = json.loads(done.stdout)
    assert ("cat", "dog", [4, 5]) == (facts["first"], facts["second"], facts["counts"])
    assert "answered by another case: 'Cat', 'DOG'" in done.stderr


def test_what_the_vocabulary_lacks_is_not_its_first_word(text):
    with (
        encode_corpus([str(text / "corpus.txt")], min_count=1) as corpus,
        pytest.raises(UnknownWordError, match="'Cat'"),
    ):
        explain(corpus, ("Cat", "dog"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("cat", "dog"), 2, "--corpus"),
        (("cat", "cat", "--corpus", "corpus.txt"), 2, "'cat' twice"),
        (("cat", "Cat", "--corpus", "corpus.txt"), 2, "'cat' twice"),
        (("cat", "dgo", "--corpus", "corpus.txt"), 3, "did you mean dog?"),
        (("cat", "dog", "--corpus", "none.txt"), 3, "none.txt"),
    ],
)
def test_wrong_use(text, run_embed, arguments, code, message):
    done = run_embed("explain", *arguments)
    *_, error = done.stderr.splitlines()
    assert (code, "") == (done.returncode, done.stdout)
    assert message in error
