"""Lists of pairs, categories and odd ones: read, and scored as their papers say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, evaluate, save
from embedcli.errors import FormatError, UsageError
from embedcli.evaluation.analogies import Section, score_analogies
from embedcli.evaluation.comparison import compare
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.item_files import read_evaluation_file
from embedcli.evaluation.pairs import logistic
from embedcli.evaluation.protocols import resolve
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.query import analogy

LINKED = [
    ("man", ("woman", "lady")),
    ("king", ("queen",)),
    ("boy", ("girl", "lass")),
    ("uncle", ("aunt",)),
    ("duke", ("duchess", "nobody")),
    ("zork", ("zorkess",)),
]
WORDS = [w for a, b in LINKED[:-1] for w in (a, *b)] + [f"w{i}" for i in range(30)]
WORDS.remove("nobody")


@pytest.fixture
def embeddings():
    """Words whose targets lie in one direction from them, more or less."""
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((len(WORDS), 12)).astype(np.float32)
    place = {word: i for i, word in enumerate(WORDS)}
    shift = generator.standard_normal(12) * 2
    for word, targets in LINKED[:-1]:
        for target in targets:
            if target in place:
                noise = generator.standard_normal(12) * 0.9
                vectors[place[target]] = vectors[place[word]] + shift + noise
    return Embeddings(Vocabulary.from_words(WORDS), vectors)


def best(scores, *excluded):
    scores = scores.copy()
    scores[[WORDS.index(word) for word in excluded]] = -np.inf
    return WORDS[int(scores.argmax())]


def by_hand(embeddings, method):
    """Pair by pair, as the definitions say."""
    units = dict(zip(WORDS, unit_rows(embeddings.vectors), strict=True))
    table = np.array(list(units.values()))
    if method == "cosavg":
        return [_by_mean(units, table, c, right) for c, right in LINKED]
    answers = []
    for a, bs in LINKED:
        for c, right in LINKED:
            if a == c:
                continue
            b = bs[0]
            if not {a, b, c} <= set(WORDS):
                answers.append(-1)
                continue
            scores = table @ (units[b] - units[a] + units[c])
            if method == "pairdistance":
                away = table - units[c]
                away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
                scores = away @ (units[b] - units[a])
            answers.append(int(best(scores, a, b, c) in right))
    return answers


def _by_mean(units, table, c, right):
    if c not in units:
        return -1
    others = [pair for pair in LINKED[:-1] if pair[0] != c]
    means = [np.mean([units[t] for t in ts if t in units], axis=0) for _, ts in others]
    query = units[c] + np.mean(means, axis=0) - np.mean([units[a] for a, _ in others], axis=0)
    return int(best(table @ query, c) in right)


@pytest.mark.parametrize("method", ["cosadd", "pairdistance", "cosavg"])
def test_methods_equal_their_definitions(embeddings, method):
    words = FoldedWords.of(embeddings, None, str.upper)
    sections = [Section("family", (), LINKED)]
    report = score_analogies(words, "x", sections, resolve("word2vec", method=method))
    expected = by_hand(embeddings, method)

    assert expected == report.answers.tolist()
    assert 0 < expected.count(1) < len(expected)
    (part,) = report.parts
    n_seen = len(expected) - expected.count(-1)
    assert ("family", n_seen, len(expected)) == (part.name, part.seen, part.total)
    assert 100 * expected.count(1) / n_seen == part.score
    assert "pairs" == report.kind


def test_one_question_by_pairdistance_is_what_the_file_asks(embeddings):
    found = analogy(embeddings, ("man", "woman", "king"), 1, method="pairdistance")[0]
    units = dict(zip(WORDS, unit_rows(embeddings.vectors), strict=True))
    away = {w: u - units["king"] for w, u in units.items() if w not in ("man", "woman", "king")}
    offset = units["woman"] - units["man"]
    cosines = {w: v @ offset / np.linalg.norm(v) / np.linalg.norm(offset) for w, v in away.items()}

    assert max(cosines, key=cosines.get) == found.word
    assert pytest.approx(cosines[found.word], abs=1e-6) == found.score


def test_lrcos_finds_targets_that_no_offset_leads_to():
    """All targets lie in one direction, and near their sources in the others."""
    generator = np.random.default_rng(5)
    n = 12
    sources = generator.standard_normal((n, 8)).astype(np.float32)
    sources[:, 0] = 0
    targets = sources + 0.5 * generator.standard_normal((n, 8)).astype(np.float32)
    targets[:, 0] = 3
    noise = generator.standard_normal((60, 8)).astype(np.float32)
    noise[:, 0] = -1
    names = [f"a{i}" for i in range(n)] + [f"b{i}" for i in range(n)] + [f"x{i}" for i in range(60)]
    space = Embeddings(Vocabulary.from_words(names), np.concatenate([sources, targets, noise]))
    pairs = [Section("s", (), [(f"a{i}", (f"b{i}",)) for i in range(n)])]
    words = FoldedWords.of(space, None, str.upper)
    report = score_analogies(words, "x", pairs, resolve("word2vec", method="lrcos"))

    assert report.score is not None and report.score >= 75
    assert n == report.main_part.seen
    assert "LRCos" in report.protocol_line


def test_the_regression_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(1)
    for n, dim in ((40, 6), (10, 30)):
        x = unit_rows(generator.standard_normal((n, dim)))
        y = x[:, 0] + 0.3 * generator.standard_normal(n) > 0
        theirs = linear.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, y)
        weights, bias = logistic(x, y, 1.0)
        assert np.allclose(theirs.coef_[0], weights, atol=1e-5)
        assert np.allclose(theirs.intercept_[0], bias, atol=1e-5)


def test_methods_that_learn_ask_each_pair_of_a_section_once(embeddings):
    questions = [("man", "woman", "king", "queen"), ("king", "queen", "boy", "girl")] * 2
    words = FoldedWords.of(embeddings, None, str.upper)
    sections = [Section("s", questions), Section("gram", [("x", "y", "z", "w")])]
    report = score_analogies(words, "x", sections, resolve("word2vec", method="cosavg"))

    assert [(3, 3), (0, 2)] == [(part.seen, part.total) for part in report.parts[:2]]


def read(tmp_path, text, **options):
    path = tmp_path / "set.txt"
    path.write_text(text)
    return read_evaluation_file(str(path), **options)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (
            "man\twoman/lady\nking\tqueen\n",
            None,
            [("man", ("woman", "lady")), ("king", ("queen",))],
        ),
        ("man woman/lady\nking queen\n", None, [("man", ("woman", "lady")), ("king", ("queen",))]),
        ("man,woman\nking,queen\n", None, [("man", ("woman",)), ("king", ("queen",))]),
        ("man woman\nking queen\n", "pairs", [("man", ("woman",)), ("king", ("queen",))]),
    ],
)
def test_pairs_are_read(tmp_path, text, kind, expected):
    (section,) = read(tmp_path, text, kind=kind).items

    assert ("set", expected) == (section.name, section.pairs)


@pytest.mark.parametrize(
    "text",
    [
        "cat\tanimal\ndog\tanimal\ncar\tvehicle\nbus\tvehicle\n",
        "cat,animal\n# x\n\ndog,animal\ncar,vehicle\nbus,vehicle\n",
        "animal\tcat\nanimal\tdog\nvehicle\tcar\nvehicle\tbus\n",
    ],
)
def test_categories_are_read(tmp_path, text):
    expected = [("cat", "animal"), ("dog", "animal"), ("car", "vehicle"), ("bus", "vehicle")]

    assert expected == read(tmp_path, text).items


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b c d x\na b c d y\n", None),
        ("a\tb\tc\td\tx\na\tb\tc\td\ty\n", None),
        ("a\nb\nc\nd\n\nx\ny\n", None),
        ("a b c d x\na b c d y\n", "odd"),
    ],
)
def test_odd_ones_are_read(tmp_path, text, kind):
    assert [(tuple("abcd"), "x"), (tuple("abcd"), "y")] == read(tmp_path, text, kind=kind).items


def test_a_short_line_is_what_its_kind_says(tmp_path):
    assert [(("a", "b", "c"), "d")] == read(tmp_path, "a b c d\n", kind="odd").items
    with pytest.raises(FormatError, match="line 1: 2 words; three or more"):
        read(tmp_path, "a b\n", kind="odd")
    with pytest.raises(UsageError, match="no kind 'x'; there are analogies"):
        read(tmp_path, "a b\n", kind="x")


@pytest.mark.parametrize(
    ("text", "kept", "message"),
    [
        ("a\tb\t1\nc\td\ne\tf\t2\n", 2, "line 2: 2 columns"),
        ("a\tb\t1\nc\td\tmuch\ne\tf\t2\n", 2, "line 2: the score in column 3 is 'much'"),
        ("a\tb\t1\nc\td\t\x00\ne\tf\tnan\ng\th\t3\n", 2, "line 2: the score in column 3"),
        (b"a\tb\t1\nc\td\xe9\t2\ne\tf\t3\n", 2, "line 2: byte 3 is not UTF-8"),
    ],
)
def test_bad_lines_are_left_out_and_counted(tmp_path, text, kept, message):
    path = tmp_path / "set.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError):
        read_evaluation_file(str(path))
    found = read_evaluation_file(str(path), skip_bad_lines=True)

    assert kept == len(found.items)
    assert message in found.skipped[0]


@pytest.mark.parametrize(
    ("text", "kept"),
    [(": s\na b c\na b c d\n", 1), ("a/b\tc\nman\twoman/lady\nx\t/\n", 2)],
)
def test_bad_questions_and_pairs_are_left_out(tmp_path, text, kept):
    (section,) = read(tmp_path, text, skip_bad_lines=True).items

    assert kept == len(section.pairs or section.questions)


def test_a_file_of_bad_lines_alone_is_refused(tmp_path):
    with pytest.raises(FormatError, match="line 2: 3 words; a question has 4; and no other line"):
        read(tmp_path, ": s\na b c\n", skip_bad_lines=True)
    with pytest.raises(FormatError, match=r"line 2: the score .* and no other line"):
        read(tmp_path, "a b nan\na b nan\n", skip_bad_lines=True)


GROUPS = ["cat", "dog", "cow", "car", "bus", "tram"]


@pytest.fixture
def groups(tmp_path):
    generator = np.random.default_rng(2)
    vectors = np.repeat(np.eye(2, 6), 3, axis=0) + 0.1 * generator.standard_normal((6, 6))
    space = Embeddings(Vocabulary.from_words(GROUPS), vectors.astype(np.float32))
    save(space, str(tmp_path / "model.safetensors"))
    return space


def scored(tmp_path, space, text, **rules):
    (tmp_path / "set.txt").write_text(text)
    return evaluate(space, [str(tmp_path / "set.txt")], **rules)[0]


CATEGORIES = "cat\tanimal\ndog\tanimal\ncow\tvehicle\ncar\tvehicle\nbus\tvehicle\nzebra\tanimal\n"


def test_purity_by_hand(tmp_path, groups):
    skipped = scored(tmp_path, groups, CATEGORIES)
    counted = scored(tmp_path, groups, CATEGORIES, oov="wrong")

    assert [1, 1, 0, 1, 1, -1] == skipped.answers.tolist()
    assert ("categories", 80.0, 5, 6) == (
        skipped.kind,
        skipped.score,
        skipped.parts[0].seen,
        skipped.parts[0].total,
    )
    assert pytest.approx(400 / 6) == counted.score == skipped.parts[0].more["score_of_all"]
    assert "words that are unknown left out" in skipped.protocol_line
    gain = compare("m", skipped, skipped)
    assert (0.0, 5) == (gain.gain, gain.items)


def test_odd_ones_by_hand(tmp_path, groups):
    text = "cat dog cow zebra car\ncar bus tram car cat\ncat dog dog car cow\n"
    report = scored(tmp_path, groups, text, kind="odd")
    words = scored(tmp_path, groups, "cat\ndog\ncow\n\ncar\nbus\n")

    assert [-1, 1, 0] == report.answers.tolist()
    part = report.parts[-1]
    assert ("odd one out", 50.0, 2, 3) == (part.name, part.score, part.seen, part.total)
    assert pytest.approx(100 / 3) == part.more["score_of_all"]
    assert report.parts[0].name == "position" and 50.0 < report.parts[0].score < 100.0
    assert ([1, 1], 100.0, 100.0) == (words.answers.tolist(), words.score, words.parts[0].score)


@pytest.mark.parametrize(
    "text", ["x y z v w\n", "x\tanimal\ny\tanimal\nz\tb\nw\tb\n", "x\ty/z\nv\tw\n"]
)
def test_of_which_nothing_is_known(tmp_path, groups, text):
    assert None is scored(tmp_path, groups, text).score
    assert 0.0 == scored(tmp_path, groups, text, oov="wrong").score


def test_all_kinds_in_one_call(tmp_path, groups, run_embed):
    (tmp_path / "c.tsv").write_text(CATEGORIES)
    (tmp_path / "o.txt").write_text("cat\ndog\ncow\n\ncar\nbus\n")
    (tmp_path / "p.tsv").write_text("cat\tdog/cow\ncar\tbus\n")
    (tmp_path / "s.tsv").write_text("cat\tdog\t9\ncat\tbus\ncat\ttram\t2\ncow\tdog\t8\n")
    files = ("c.tsv", "o.txt", "p.tsv", "s.tsv")
    refused = run_embed("evaluate", *files)
    done = run_embed("evaluate", *files, "--skip-bad-lines", "--json", "--bootstrap", "0")
    kinds = {one["kind"]: one for one in json.loads(done.stdout)}

    assert (3, True) == (refused.returncode, "s.tsv, line 2: 2 columns" in refused.stderr)
    assert 0 == done.returncode
    assert ["categories", "odd", "pairs", "similarity"] == list(kinds)
    assert [0, 0, 0, 1] == [one["skipped"] for one in kinds.values()]
    assert [3, 2] == [kinds[kind]["parts"][0]["seen"] for kind in ("similarity", "pairs")]
    assert "1 bad line left out" in kinds["similarity"]["protocol"]["line"]
    assert "embed: warning: 1 bad line left out; s.tsv, line 2: 2 columns" in done.stderr


def test_odd_leaves_unknown_words_out(groups, run_embed):
    words = ("cat", "dog", "car", "zebra", "\u200cx")
    refused = run_embed("odd", *words)
    done = run_embed("odd", *words, "--skip-unknown", "--json")
    few = run_embed("odd", "cat", "dog", "zebra", "--skip-unknown")

    assert (3, 3) == (refused.returncode, few.returncode)
    answer = json.loads(done.stdout)
    assert (0, "car", ["zebra", "\u200cx"]) == (done.returncode, answer["odd"], answer["skipped"])
    assert "2 unknown words left out: 'zebra', '\u200cx'\n" == done.stderr
