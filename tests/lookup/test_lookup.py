"""Words in, words out, on a hand-made plane where the answers can be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli.embeddings import Embeddings
from embedcli.errors import UnknownWordError, UsageError
from embedcli.lookup.query import Query, analogy, neighbors
from embedcli.vocabulary import Vocabulary

WORDS = ["man", "woman", "king", "queen", "apple", "nothing"]
VECTORS = [[2, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1], [0.5, -1, -1], [0, 0, 0]]


@pytest.fixture
def embeddings():
    return Embeddings(Vocabulary.from_words(WORDS), np.array(VECTORS, np.float32))


def names(answers):
    return [word for word, _ in answers]


def test_neighbors_of_a_word(embeddings):
    (answers,) = neighbors(embeddings, [Query(("queen",))], 3)

    assert ["woman", "king", "man"] == names(answers)
    assert pytest.approx([2 / 6**0.5, 2 / 6**0.5, 1 / 3**0.5]) == [c for _, c in answers]


def test_several_queries_keep_their_order(embeddings):
    answers = neighbors(embeddings, [Query(("king",)), Query(("woman",), ("man",))], 2)

    assert ["queen", "man"] == names(answers[0])
    assert "queen" == names(answers[1])[0]


def test_restrict_limits_answers_and_not_queries(embeddings):
    (answers,) = neighbors(embeddings, [Query(("apple",))], 9, restrict=2)

    assert ["man", "woman"] == names(answers)


def test_a_query_is_shown_as_a_sum():
    assert "king + woman - man" == str(Query(("king", "woman"), ("man",)))
    assert "- man" == str(Query((), ("man",)))


@pytest.mark.parametrize("method", ["cosadd", "cosmul"])
def test_analogy(embeddings, method):
    answers = analogy(embeddings, ("man", "king", "woman"), 2, method=method)

    assert "queen" == answers[0].word
    assert 2 == len(answers)


def test_cosmul_by_hand(embeddings):
    best = analogy(embeddings, ("man", "king", "woman"), 1, method="cosmul")[0]
    to_king = to_woman = (1 + 2 / 6**0.5) / 2
    to_man = (1 + 1 / 3**0.5) / 2

    assert pytest.approx(to_king * to_woman / (to_man + 0.001), abs=1e-6) == best.score


@pytest.mark.parametrize("method", ["cosadd", "cosmul"])
def test_more_answers_than_words(embeddings, method):
    assert 3 == len(analogy(embeddings, ("man", "king", "woman"), 99, method=method))
    assert 1 == len(analogy(embeddings, ("king", "queen", "apple"), 9, method=method, restrict=1))
    assert 1 == len(analogy(embeddings, ("man", "queen", "man"), 9, method=method, restrict=2))


def test_unknown_words_are_named_with_suggestions(embeddings):
    with pytest.raises(UnknownWordError, match=r"unknown word 'Quen'; did you mean queen\?"):
        analogy(embeddings, ("man", "king", "Quen"), method="cosmul")


def test_unknown_method(embeddings):
    with pytest.raises(UsageError, match="cosadd, cosmul"):
        analogy(embeddings, ("man", "king", "woman"), method="cossub")


def test_many_words_are_found_as_one_by_one():
    words = [f"user_{i:012d}" for i in range(5_000)] + ["", "é", "日本語" * 9, "a\0b"]
    vocabulary = Vocabulary.from_words(words)
    asked = [words[i] for i in (4_999, 0, 17, 5_000, 5_001, 5_002, 5_003)]

    assert [4_999, 0, 17, 5_000, 5_001, 5_002, 5_003] == vocabulary.find(asked)
    assert [None] * 5 == vocabulary.find(["user_", "user_000000005000", "e", "日本", "a"])
    assert [] == vocabulary.find([])
    assert [None] * 4 == Vocabulary.from_words([]).find(["a", "b", "", "d"])


@pytest.mark.parametrize("word", ["\udcff", "caf\udce9", "\ud800"])
def test_words_that_are_not_utf8_are_unknown(embeddings, word):
    assert None is embeddings.vocabulary.get(word)
    assert [None] * 5 == embeddings.vocabulary.find([word] * 5)
    with pytest.raises(UnknownWordError):
        neighbors(embeddings, [Query((word,))])
