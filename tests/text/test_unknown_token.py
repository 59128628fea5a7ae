"""`--unk`: the words that are left out, kept as one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from embedcli import TrainConfig, Vocabulary, save, train
from embedcli.lookup.out_of_vocabulary import resolve
from embedcli.text.corpus_reader import encode_corpus
from embedcli.vocabulary import UNKNOWN

LINES = ["a b a rare1", "b a c c", "a rare2 rare3 b c", "a b"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("\n".join(LINES))
    return path


def decoded(corpus):
    words = [corpus.vocabulary[i] for i in corpus.ids.tolist()]
    return [words[a:b] for a, b in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)]


def expected(words):
    return [[w if w in words else UNKNOWN for w in line.split()] for line in LINES]


@pytest.mark.parametrize("more", [{}, {"memory": 1}])  # with tables on disk, too
def test_words_left_out_are_kept_as_one(text, more):
    with encode_corpus([str(text)], min_count=3, unk=True) as corpus:
        assert expected("abc") == decoded(corpus)
        assert ["a", "b", UNKNOWN, "c"] == corpus.vocabulary.words  # < comes before c
        assert [5, 4, 3, 3] == corpus.vocabulary.counts.tolist()
        tally = corpus.tally
        assert (15, 15, 0, 3) == (tally.read, tally.kept, tally.oov, tally.unknown)


def test_max_vocab_counts_the_other_words(text):
    with encode_corpus([str(text)], min_count=1, max_vocab=1, unk=True) as corpus:
        assert [UNKNOWN, "a"] == corpus.vocabulary.words
        assert expected("a") == decoded(corpus)
        assert [10, 5] == corpus.vocabulary.counts.tolist()


@pytest.mark.parametrize("max_vocab", [1, 3, 7])
def test_words_of_equal_counts_are_cut_all_the_same(text, max_vocab):
    text.write_text("a b c d e f g h\n" * 5)
    with encode_corpus([str(text)], min_count=1, max_vocab=max_vocab, unk=True) as corpus:
        kept = "abcdefgh"[:max_vocab]
        assert {*kept, UNKNOWN} == set(corpus.vocabulary)
        assert [[w if w in kept else UNKNOWN for w in "abcdefgh"]] * 5 == decoded(corpus)
        tally = corpus.tally
        n_unknown = 5 * (8 - max_vocab)
        assert (40, 40, 0, n_unknown) == (tally.read, tally.kept, tally.oov, tally.unknown)


def test_words_of_a_model_that_are_cut_are_unknown(text):
    base = Vocabulary.from_words(["a", "z"], [9, 8])
    with encode_corpus([str(text)], min_count=1, max_vocab=2, base=base, unk=True) as corpus:
        assert {"a", "z", UNKNOWN} == set(corpus.vocabulary)
        assert expected("a") == decoded(corpus)


@pytest.mark.parametrize("times", [1, 9])
def test_the_word_itself_may_stand_in_the_text(text, times):
    text.write_text("\n".join([*LINES, " ".join([UNKNOWN] * times)]))
    with encode_corpus([str(text)], min_count=3, unk=True) as corpus:
        counts = dict(zip(corpus.vocabulary, corpus.vocabulary.counts.tolist(), strict=True))
        assert {"a": 5, "b": 4, "c": 3, UNKNOWN: 3 + times} == counts
        assert sorted(counts.values(), reverse=True) == list(counts.values())
        assert [*expected("abc"), [UNKNOWN] * times] == decoded(corpus)
        assert 3 + times == corpus.tally.unknown


@pytest.mark.parametrize("words", [["c", "a"], ["c", UNKNOWN, "a"]])
def test_a_given_vocabulary_keeps_its_order(text, words):
    given = Vocabulary.from_words(words)
    with encode_corpus([str(text)], vocabulary=given, unk=True) as corpus:
        assert (words if UNKNOWN in words else [*words, UNKNOWN]) == corpus.vocabulary.words
        assert expected("ac") == decoded(corpus)
        tally = Counter(word for line in expected("ac") for word in line)
        assert [tally[w] for w in corpus.vocabulary] == corpus.vocabulary.counts.tolist()


def test_a_given_vocabulary_with_counts_gets_a_row(text):
    given = Vocabulary.from_words(["c", "a"], [70, 50])
    with encode_corpus([str(text)], vocabulary=given, unk=True) as corpus:
        assert ["c", "a", UNKNOWN] == corpus.vocabulary.words
        assert [70, 50, 7] == corpus.vocabulary.counts.tolist()
        assert expected("ac") == decoded(corpus)


@pytest.mark.parametrize("arch", ["skipgram", "cbow", "glove"])
def test_words_of_a_file_and_the_others_are_trained(text, tmp_path, arch):
    given = Vocabulary.from_words(["c", "a"], [70, 50])
    config = TrainConfig(arch=arch, dim=8, unk=True, sample=0, threads=1, epochs=1, seed=3)
    models = [train([text], config, vocabulary=given) for _ in range(2)]
    assert ["c", "a", UNKNOWN] == models[0].vocabulary.words
    assert np.isfinite(models[0].vectors).all()
    assert models[0].vectors.tobytes() == models[1].vectors.tobytes()


def test_a_measured_text_has_no_row_more_than_the_trained_one(text, tmp_path):
    """Nothing is left out of what is trained, so there is no row for what else is measured."""
    other = tmp_path / "valid"
    other.write_text("a b never heard of c\n")
    config = TrainConfig(
        dim=8, min_count=1, unk=True, sample=0, threads=1, epochs=1, valid=str(other)
    )
    with pytest.warns(UserWarning, match="<unk> has nothing to learn from"):
        model = train([text], config)
    assert UNKNOWN not in model
    assert (3, 3) == tuple(model.metadata["held_out"][name] for name in ("kept", "oov"))


def test_a_vocabulary_that_grows_adds_up(text):
    base = Vocabulary.from_words(["z", UNKNOWN], [2, 7])
    with encode_corpus([str(text)], min_count=3, base=base, unk=True) as corpus:
        counts = dict(zip(corpus.vocabulary, corpus.vocabulary.counts.tolist(), strict=True))
        assert {UNKNOWN: 10, "a": 5, "b": 4, "c": 3, "z": 2} == counts
        assert expected("abc") == decoded(corpus)


def test_tokens_too_long_are_dropped_all_the_same(tmp_path):
    path = tmp_path / "text"
    path.write_text(f"a {'x' * 300} b a İ{'İ' * 127}\n")  # the last is too long in lower case only
    with (
        pytest.warns(UserWarning, match="more than 256 bytes, which are left out"),
        encode_corpus([str(path)], min_count=2, unk=True) as corpus,
    ):
        assert (1, 3) == (corpus.tally.too_long, corpus.tally.kept - 1)


def test_nothing_to_learn_from_is_said(text):
    with (
        pytest.warns(UserWarning, match="<unk> has nothing to learn from"),
        encode_corpus([str(text)], min_count=1, unk=True) as corpus,
    ):
        assert UNKNOWN not in corpus.vocabulary


def test_it_is_trained_and_answers(text, tmp_path):
    text.write_text("\n".join(LINES * 50 + [f"only{i} a b" for i in range(200)]))
    config = TrainConfig(dim=8, min_count=10, unk=True, sample=0, threads=1, epochs=2)
    model = train([text], config)
    assert model.metadata["settings"]["unk"]
    assert 200 == model.metadata["corpus"]["unknown"]
    assert ["unknown token"] == resolve(model, ["never"]).sources
    np.testing.assert_array_equal(resolve(model, ["never"]).vectors[0], model[UNKNOWN])
    assert model.output_vectors[model.vocabulary.get(UNKNOWN)].any()
    save(model, tmp_path / "m.safetensors")


def test_the_command_says_how_many(text, run_embed, tmp_path):
    options = ("--min-count", 3, "--threads", 1, "--dim", 4, "--sample", 0)
    done = run_embed("train", text, "--unk", *options)
    assert 0 == done.returncode
    assert "0 out of it + 0 too long; of the first, 3 as <unk>" in done.stderr
    done = run_embed("train", "--resume", text)
    assert "is complete: nothing to do" in done.stderr
