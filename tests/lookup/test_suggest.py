"""Did you mean: case first, then edit distance, then frequency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.lookup import suggest
from embedcli.lookup.suggest import Suggester
from embedcli.vocabulary import Vocabulary


def slow_distance(a, b):
    """Optimal string alignment, as in a textbook."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1,
                table[i][j - 1] + 1,
                table[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[len(a)][len(b)]


def slow_suggest(words, word, n):
    allowed = 2 if len(word) > 4 else 1 if len(word) > 1 else 0
    near = [(slow_distance(w.lower(), word.lower()), i) for i, w in enumerate(words)]
    return tuple(words[i] for distance, i in sorted(near)[:n] if distance <= allowed)


letters = st.text("abAé", min_size=1, max_size=8)


@given(st.lists(letters, min_size=1, max_size=30, unique=True), letters)
def test_equals_the_textbook(words, word):
    assert slow_suggest(words, word, 5) == Suggester(Vocabulary.from_words(words)).suggest(word, 5)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("PARIS", ("Paris", "parts", "pairs")),
        ("gemrany", ("Germany", "germane")),
        ("Munchen", ("München",)),
        ("東亰", ("東京",)),
        ("xylophone", ()),
        ("q", ()),
        ("", ()),
        ("p" * 10_000, ()),
    ],
)
def test_words_people_mistype(word, expected):
    words = ["Paris", "parts", "Germany", "München", "東京", "pairs", "germane", "the"]

    assert expected == Suggester(Vocabulary.from_words(words)).suggest(word)


def test_the_more_frequent_of_equals_comes_first_across_chunks(monkeypatch):
    monkeypatch.setattr(suggest, "WORDS_AT_ONCE", 2)
    words = ["zebra", "hello", "jelly", "cello", "bella", "belle"]

    assert ("hello", "cello", "bella") == Suggester(Vocabulary.from_words(words)).suggest("bello")


def test_an_empty_vocabulary_suggests_nothing():
    assert () == Suggester(Vocabulary.from_words([])).suggest("word")


def test_lower_case_of_more_than_one_character_keeps_the_word_whole():
    words = ["İstanbul", "xİx"]

    assert ("İstanbul",) == Suggester(Vocabulary.from_words(words)).suggest("İstanbuk")
