"""Text that was not prepared is said to be, in one line, with the share and the options."""
# ruff: noqa: RUF001 (letters of other scripts look alike)

import numpy as np
import pytest

from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus
from embedcli.text.forms import forms_of
from embedcli.text.words import Words, concatenate

pytestmark = pytest.mark.filterwarnings("error")  # elsewhere texts are of any form

CODE = "x1 y2 z3 f(x) k=v a_b w 10 20 30 40 50 60 70 The the Q r:\n"


def words(*listed, counts=None):
    made = []
    for number, word in enumerate(listed):
        data = word if isinstance(word, bytes) else word.encode()
        blob = np.frombuffer(data + bytes(300), np.uint8)
        count = 1 if counts is None else counts[number]
        made.append(Words(blob, np.array([0, len(data)]), np.array([count])))
    return concatenate(made)


@pytest.mark.parametrize(
    "word",
    [
        "end.",
        'said."',
        "(see",
        "x,",
        "“quoted",
        "«mot",
        "mot»",
        "نعم،",
        "है।",
        "天。",
        "b)",
        "…”no",
        "a’",
    ],
)
def test_punctuation_at_an_end(word):
    assert 3 == forms_of(words("word", word, counts=[9, 3])).punctuated


@pytest.mark.parametrize(
    "word",
    [
        "a",
        ".",
        "...",
        "don't",
        "well-known",
        "3.14",
        "a_b",
        "C++",
        "é",
        "—",
        "#x",
        b"\x80",
        b"\xff\x80",
    ],
)
def test_no_punctuation_at_an_end(word):
    assert 0 == forms_of(words("word", word)).punctuated


@pytest.mark.parametrize(
    ("word", "is_unspaced"),
    [
        ("天安门上太阳升指引", True),
        ("ภาษาไทยไม่มีช่องว่าง", True),
        ("こんにちはせかいのひと", True),
        ("天安门", False),
        ("Donaudampfschifffahrtsgesellschaft", False),
        ("안녕하세요여러분반갑습니다", False),
        ("достопримечательность", False),
        (b"\x80" * 40, False),
    ],
)
def test_scripts_without_spaces(word, is_unspaced):
    size = len(word if isinstance(word, bytes) else word.encode())
    assert is_unspaced * 2 * size == forms_of(words(word, "x", counts=[2, 1])).unspaced_bytes


def counted(tmp_path, text, **rules):
    path = tmp_path / "a.txt"
    path.write_text(text)
    count_corpus([str(path)], rules=TextRules(**rules), min_count=1)


def test_one_line_with_shares_and_options(tmp_path):
    expected = (
        r"a\.txt: 11% of the words have punctuation at their ends; 6% begin with a capital, beside "
        r"the same word in lower case: try --tokenizer words --lowercase$"
    )
    with pytest.warns(UserWarning, match=expected) as caught:
        counted(tmp_path, CODE * 10)
    assert 1 == len(caught)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"tokenizer": "words"}, r": 5% of the words begin with a capital, .*: try --lowercase$"),
        (
            {"lowercase": True},
            ": 11% of the words have punctuation at their ends: try --tokenizer words$",
        ),
        (
            {"lowercase": False},
            ": 11% of the words have punctuation at their ends: try --tokenizer words$",
        ),
    ],
)
def test_options_that_are_given_are_not_named(tmp_path, rules, expected):
    with pytest.warns(UserWarning, match=expected):
        counted(tmp_path, CODE * 10, **rules)


@pytest.mark.parametrize(
    "rules",
    [{"as_text": True}, {"items": True}, {"tokenizer": "words", "lowercase": True}],
)
def test_nothing_is_said(tmp_path, rules):
    counted(tmp_path, CODE * 10, **rules)  # warnings are errors


def test_few_tokens_and_prepared_text_are_left_alone(tmp_path):
    counted(tmp_path, CODE)
    counted(tmp_path, "the old house stood on a hill and New York is far\n" * 30)


def test_a_token_a_line(tmp_path):
    with pytest.warns(
        UserWarning, match=r"a line holds one token, and windows do not cross lines$"
    ):
        counted(tmp_path, "the\nold\nhouse\nis\nold\n\n" * 50)


def test_chinese_in_lines(tmp_path):
    expected = "90% of the text has no spaces between its words: try --tokenizer unicode$"
    with pytest.warns(UserWarning, match=expected):
        counted(tmp_path, "天安门上太阳升指引 天\n" * 100)


def test_syntax_is_named_alone(tmp_path):
    with pytest.warns(UserWarning, match="it looks like JSON") as caught:
        counted(tmp_path, '{"text": "good morning, to you"}\n' * 50)
    assert 1 == len(caught)
