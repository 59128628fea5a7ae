"""Reading evaluation files: the syntaxes in the wild, and what is refused, with the line."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.evaluation import evaluate
from embedcli.evaluation.item_files import Analogies, Similarities, read_evaluation_file
from embedcli.vocabulary import Vocabulary

PAIRS = [("tiger", "cat", 7.35), ("book", "paper", 7.46)]


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "set.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_evaluation_file(str(path))

    return read


@pytest.mark.parametrize(
    "text",
    [
        "tiger\tcat\t7.35\nbook\tpaper\t7.46\n",
        "tiger\tcat\t7.35\r\nbook\tpaper\t7.46\r\n",
        "tiger cat 7.35\nbook  paper 7.46",
        "tiger,cat,7.35\nbook, paper, 7.46\n",
        "tiger;cat;7.35\nbook;paper;7.46\n",
        "\ufefftiger\tcat\t7.35\n\nbook\tpaper\t7.46\n",
        "# WordSim-353\n#\ntiger\tcat\t7.35\n# half\nbook\tpaper\t7.46\n",
        "Word 1,Word 2,Human (mean)\ntiger,cat,7.35\nbook,paper,7.46\n",
        "Word 1\tWord 2\tHuman (mean)\t1\t2\ntiger\tcat\t7.35\t9\t7\nbook\tpaper\t7.46\t8\t8\n",
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\ntiger\tcat\tN\t7.35\t1\nbook\tpaper\tN\t7.46\t2\n",
        "tiger\tcat\tN\t7.35\tNONE\nbook\tpaper\tN\t7.46\tSYNONYMS\n",
        "word1 word2 POS score\ntiger cat N 7.35\nbook paper N 7.46\n",
        "   tiger cat 7.35  \n\n\t\nbook paper 7.46\n",
    ],
)
def test_syntaxes_of_similarity_files(read, text):
    assert Similarities(PAIRS) == read(text)


def test_simlex_as_its_authors_publish_it(read):
    text = (
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD\n"
        "old\tnew\tA\t1.58\t2.72\t2.81\t2\t7.25\t1\t0.41\n"
        "smart\tintelligent\tA\t9.2\t1.75\t2.46\t1\t7.11\t1\t0.67\n"
    )

    assert Similarities([("old", "new", 1.58), ("smart", "intelligent", 9.2)]) == read(text)


def test_a_pair_that_comes_twice_counts_twice(read):
    assert Similarities([*PAIRS[:1] * 2]) == read("tiger cat 7.35\ntiger cat 7.35\n")


def test_words_that_look_like_numbers_or_hold_spaces(read):
    assert Similarities([("1", "2", 3.0)]) == read("1 2 3")
    assert Similarities([("New York", "nan", -1e-3)]) == read("New York\tnan\t-1e-3")


def test_sections_and_questions(read):
    found = read(": capitals of the world\r\nAthens Greece Oslo Norway\r\n:gram1\na  b\tc d\n")

    assert isinstance(found, Analogies)
    assert [
        ("capitals of the world", [("Athens", "Greece", "Oslo", "Norway")]),
        ("gram1", [("a", "b", "c", "d")]),
    ] == [(section.name, section.questions) for section in found.items]


def test_questions_without_a_section(read):
    found = read("Athens Greece Oslo Norway\nnan inf nan inf\n")

    assert isinstance(found, Analogies)
    assert [("(no section)", 2)] == [(s.name, len(s.questions)) for s in found.items]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no question and no pair"),
        ("\n  \n# only a comment\n", "no question and no pair"),
        (": s\na b c\n", "line 2: 3 words; a question has 4"),
        (": s\na b c d\na b c d e\n", "line 3: 5 words; a question has 4"),
        ("a b c d\nb c d e\na b c\n", "line 3: 3 words; a question has 4"),
        ("tiger cat\nbook paper\n", "line 1: 'tiger cat' is neither a question"),
        ("only a header\n", "line 1: 'only a header' is neither"),
        ("tiger\tcat\t7.35\nbook\tpaper\n", "line 2: 2 columns, .* column 3"),
        ("tiger\tcat\tnan\n", "line 1: the score in column 3 is 'nan', not a finite number"),
        ("a b nan\nc d 2\n", "line 1: the score in column 3 is 'nan'"),
        ("tiger cat 1\nbook paper inf\n", "line 2: the score in column 3 is 'inf'"),
        ("a,b,1\n\nc,d,much\ne,f,2\n", "line 3: the score in column 3 is 'much'"),
        ("a,b,1,9\nc,d,much,9\ne,f,2,9\ng,h,3,9\n", "line 2: the score in column 3 is 'much'"),
        ("tiger,cat,7.35\nbook\tpaper\t7.46\n", "line 2: 1 columns"),
        (b"caf\xe9 tea 3.0\n", "byte 3 is not UTF-8"),
        (b"\xff\xfea\0 \0b\0", "line 1: .a b. is neither a question"),  # UTF-16, as its mark says
    ],
)
def test_bad_files_are_refused_with_the_line(read, text, message):
    with pytest.raises(FormatError, match=rf"set\.txt.*{message}"):
        read(text)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FormatError, match=r"missing\.txt: No such file"):
        read_evaluation_file(str(tmp_path / "missing.txt"))
    with pytest.raises(FormatError, match="Is a directory"):
        read_evaluation_file(str(tmp_path))


def test_all_the_shared_sets_read_as_they_are(shared):
    sizes = {
        path.stem: len(read_evaluation_file(str(path)).items)
        for path in sorted((shared / "data/eval").glob("EN-*.txt"))
    }
    google = read_evaluation_file(str(shared / "data/eval/questions-words.txt"))

    assert {
        "EN-MTurk-771": 771,
        "EN-RG-65": 65,
        "EN-SIMLEX-999": 999,
        "EN-WS-353-ALL": 353,
        "EN-WS-353-REL": 252,
        "EN-WS-353-SIM": 203,
    } == sizes
    assert [506, 4524, 866, 2467, 506, 992, 812, 1332, 1122, 1056, 1599, 1560, 1332, 870] == [
        len(section.questions) for section in google.items
    ]


def test_kinds_are_told_apart_file_by_file(tmp_path):
    (tmp_path / "a").write_text(": s\na b c d\n")
    (tmp_path / "b").write_text("a b 1\nc d 2\na d 3\n")
    embeddings = Embeddings(
        Vocabulary.from_words("abcd"), np.random.default_rng(0).normal(size=(4, 3)).astype("f")
    )

    reports = evaluate(embeddings, [str(tmp_path / name) for name in "bab"])

    assert ["similarity", "analogies", "similarity"] == [report.kind for report in reports]
    assert reports[0] == reports[2]
