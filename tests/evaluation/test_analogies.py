"""Analogies: equal to answering one question after another, and to gensim under its protocol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.embeddings import Embeddings
from embedcli.errors import UsageError
from embedcli.evaluation import analogies, evaluate
from embedcli.evaluation.analogies import Section, score_analogies
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.protocols import resolve
from embedcli.vocabulary import Vocabulary

WORDS = ["the", "The", "cat", "dog", "CAT", "Dog", "cats", "dogs", "THE", "Cats"]


def embeddings_of(words, seed=0, dim=6):
    vectors = np.random.default_rng(seed).standard_normal((len(words), dim), np.float32)
    return Embeddings(Vocabulary.from_words(words), vectors)


def one_by_one(embeddings, questions, protocol):
    """Answer each question as the papers write it down: (seen, correct)."""
    words = list(embeddings.vocabulary)[: protocol.analogy_words]
    units = {w: embeddings[w] / np.linalg.norm(embeddings[w].astype(np.float64)) for w in words}
    first = {}
    for word in words:
        first.setdefault(word.upper(), word)
    seen = correct = 0
    for question in questions:
        forms = [word.upper() for word in question]
        if not all(form in first for form in forms):
            continue
        seen += 1
        a, b, c = (units[first[form]] for form in forms[:3])
        candidates = [word for word in words if word.upper() not in forms[:3]]
        if protocol.method == "cosadd":
            scores = [units[w] @ (b - a + c) for w in candidates]
        else:
            near = {w: [(1 + units[w] @ x) / 2 for x in (a, b, c)] for w in candidates}
            scores = [near[w][1] * near[w][2] / (near[w][0] + 0.001) for w in candidates]
        best = candidates[int(np.argmax(scores))] if candidates else ""
        correct += best.upper() == forms[3]
    return seen, correct


questions = st.lists(st.tuples(*[st.sampled_from([*WORDS, "bird"])] * 4), min_size=1, max_size=60)


@pytest.mark.parametrize("method", ["cosadd", "cosmul"])
@given(questions=questions, seed=st.integers(0, 5), n=st.integers(1, 12))
def test_equals_one_question_after_another(method, questions, seed, n):
    embeddings = embeddings_of(WORDS, seed)
    protocol = resolve("word2vec", method=method, restrict=n)
    words = FoldedWords.of(embeddings, n, protocol.fold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analogies, "TABLE_CELLS", 20)
        patch.setattr(analogies, "BATCH_QUESTIONS", 3)
        report = score_analogies(words, "x", [Section("s", questions)], protocol)

    assert one_by_one(embeddings, questions, protocol) == (
        (report.answers >= 0).sum(),
        (report.answers == 1).sum(),
    )


@pytest.fixture(scope="module")
def gensim_vectors(tmp_path_factory):
    """Random vectors in which analogies hold about half of the time; words in several cases."""
    gensim = pytest.importorskip("gensim")
    generator = np.random.default_rng(8)
    stems = [f"stem{i}" for i in range(150)]
    words = [f"{stem}{ending}" for stem in stems for ending in ("", "s", "ed")]
    words += [word.capitalize() for word in words[::7]]
    ending = {"": 0, "s": 1, "d": 2}
    shifts = generator.standard_normal((3, 20))
    vectors = np.array(
        [shifts[ending.get(w[-1], 0)] + generator.standard_normal(20) for w in words], np.float32
    )
    keyed = gensim.models.KeyedVectors(20)
    keyed.add_vectors(words, vectors)
    path = tmp_path_factory.mktemp("analogies") / "questions.txt"
    lines = []
    for section, end in (("plain", "s"), ("gram1-past", "ed"), ("gram2-unknown", "ing")):
        lines.append(f": {section}")
        pairs = generator.integers(0, 150, (400, 2))
        lines += [f"stem{i} stem{i}{end} Stem{j} stem{j}{end}" for i, j in pairs if i != j]
    path.write_text("\n".join(lines) + "\n")
    return keyed, Embeddings(Vocabulary.from_words(words), vectors), path


@pytest.mark.parametrize("oov", ["skip", "wrong"])
def test_equals_gensim_under_its_protocol(gensim_vectors, oov):
    keyed, embeddings, path = gensim_vectors
    score, sections = keyed.evaluate_word_analogies(str(path), dummy4unknown=oov == "wrong")
    (report,) = evaluate(embeddings, [str(path)], protocol="gensim", oov=oov)
    ours = {part.name: part for part in report.parts}

    assert 0 < score < 1
    assert pytest.approx(100 * score, abs=1e-9) == report.score
    for section in sections[:-1]:
        right, n = len(section["correct"]), len(section["correct"]) + len(section["incorrect"])
        part = ours[section["section"]]
        assert n == (part.total if oov == "wrong" else part.seen)
        assert right == round((part.score or 0) * n / 100)


def test_the_google_questions_on_a_million_word_corpus(shared, gensim_vectors):
    """All of them are read, counted by section, and scored as gensim scores them."""
    questions = str(shared / "data/eval/questions-words.txt")
    text = (shared / "data/eval/questions-words.txt").read_text().split()
    words = sorted({word.lower() for word in text if ":" not in word})[::2]
    embeddings = embeddings_of(words, dim=5)
    keyed = type(gensim_vectors[0])(5)
    keyed.add_vectors(words, embeddings.vectors)
    (report,) = evaluate(embeddings, [questions], protocol="gensim")
    _, sections = keyed.evaluate_word_analogies(questions)
    *parts, semantic, syntactic, total = report.parts

    assert 14 == len(parts)
    assert (8_869, 10_675, 19_544) == (semantic.total, syntactic.total, total.total)
    starts = np.cumsum([0, *(part.total for part in parts[:-1])])
    right = np.add.reduceat(report.answers == 1, starts, dtype=int).tolist()
    assert [len(s["correct"]) for s in sections[:-1] if s["correct"] or s["incorrect"]] == [
        n for n, part in zip(right, parts, strict=True) if part.seen
    ]
    assert total.seen == sum(len(sections[-1][k]) for k in ("correct", "incorrect"))


def test_undefined_is_none_and_not_zero():
    words = FoldedWords.of(embeddings_of(["a", "b"]), None, str.upper)
    protocol = resolve("word2vec")
    report = score_analogies(words, "x", [Section("s", [("x", "y", "z", "w")])], protocol)

    assert [(None, None, 0, 1)] * 3 == [
        (p.score, p.more["score_of_all"], p.seen, p.total) for p in report.parts if p.total
    ]
    assert None is report.score


def test_a_section_of_which_nothing_is_known_is_all_wrong_where_unknown_is_wrong():
    words = FoldedWords.of(embeddings_of(["a", "b"]), None, str.upper)
    sections = [Section("s", [("x", "y", "z", "w")] * 2), Section("gram", [])]
    report = score_analogies(words, "x", sections, resolve("word2vec", oov="wrong"))

    assert [
        ("s", 0.0, 0.0, 0, 2),
        ("gram", None, None, 0, 0),
        ("semantic", 0.0, 0.0, 0, 2),
        ("syntactic", None, None, 0, 0),
        ("total", 0.0, 0.0, 0, 2),
    ] == [(p.name, p.score, p.more["score_of_all"], p.seen, p.total) for p in report.parts]
    assert 0.0 == report.score


def test_all_words_are_query_words():
    words = FoldedWords.of(embeddings_of(["a", "b", "c"]), None, str.upper)
    sections = [Section("s", [("a", "b", "c", "c"), ("a", "a", "a", "a")])]

    assert 0.0 == score_analogies(words, "x", sections, resolve("word2vec")).score


def test_zero_vectors_are_no_accident():
    embeddings = Embeddings(Vocabulary.from_words("abcd"), np.zeros((4, 3), np.float32))
    words = FoldedWords.of(embeddings, None, str.upper)
    sections = [Section("s", [("a", "b", "c", "d")])]

    for method in ("cosadd", "cosmul"):
        report = score_analogies(words, "x", sections, resolve("gensim", method=method))
        assert 100.0 == report.score  # d is the only word left


def test_what_a_protocol_says_of_itself():
    words = FoldedWords.of(embeddings_of(WORDS), 4, str.upper)
    protocol = resolve("word2vec", method="cosmul", restrict=4, oov="wrong")
    report = score_analogies(words, "x", [Section("s", [])], protocol)

    assert (
        "protocol word2vec, changed in method and oov and restrict: 3CosMul (eps 0.001) on unit "
        "vectors, first 4 of 10 words, case folded, query words excluded, questions with an "
        "unknown word counted wrong"
    ) == report.protocol_line.partition(", ")[2]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"name": "mikolov"}, "no protocol 'mikolov'; there are word2vec, gensim"),
        ({"name": "gensim", "method": "add"}, "no method 'add'; there are cosadd, cosmul"),
        ({"name": "gensim", "oov": "zero"}, "no oov rule 'zero'; there are skip, wrong"),
        ({"name": "gensim", "restrict": -1}, "restrict is -1"),
    ],
)
def test_rules_that_do_not_exist(rules, message):
    with pytest.raises(UsageError, match=message):
        resolve(**rules)


def test_restrict_to_all_words():
    assert None is resolve("word2vec", restrict=0).analogy_words
    assert ("restrict",) == resolve("word2vec", restrict=0).changed
    assert () == resolve("word2vec", restrict=30_000, method="cosadd").changed[1:]
