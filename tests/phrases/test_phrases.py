"""Phrases: gensim's and word2phrase's, whatever the threads; files; the command."""

import json

import numpy as np
import pytest

from embedcli.errors import FormatError, UsageError
from embedcli.phrases import finding, linking
from embedcli.phrases.finding import Phrase, PhraseRules, PhraseText
from embedcli.phrases.phrase_list import read_phrases, write_phrases
from embedcli.phrases.scores import PairCounts, score_pairs
from embedcli.text.corpus_reader import encode_corpus

LINES = ["new york is big", "i love new york city", "york is new", "big new york city lights"]


def text_of(path, threads=1):
    return PhraseText(encode_corpus([str(path)], min_count=1), threads=threads)


def written(text):
    return b"".join(bytes(view) for view in text.write()).decode()


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture(scope="module")
def zipfian(tmp_path_factory):
    """20,000 words with pairs, triples and overlaps that go together."""
    generator = np.random.default_rng(3)
    words = [f"w{n}" for n in range(300)]
    shares = 1 / np.arange(1, 301)
    tokens = generator.choice(words, 20_000, p=shares / shares.sum()).tolist()
    for place in generator.integers(0, 19_990, 1500).tolist():
        i = place % 37
        tokens[place : place + 3] = [f"w{100 + i}", f"w{200 + i}", f"w{140 + i % 20}"]
    lines = [" ".join(tokens[i : i + 17]) for i in range(0, len(tokens), 17)]
    path = tmp_path_factory.mktemp("phrases") / "zipfian.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("score", "threshold", "gensims"),
    [("gensim", 10.0, "default"), ("gensim", 1.0, "default"), ("npmi", 0.3, "npmi")],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_phrases_are_those_of_gensim(zipfian, score, threshold, gensims, threads):
    phrases = pytest.importorskip("gensim.models.phrases")
    lines = [line.split() for line in zipfian.read_text().splitlines()]
    model = phrases.Phrases(lines, min_count=5, threshold=threshold, scoring=gensims)
    text = text_of(zipfian, threads)
    found = text.find(PhraseRules(score, threshold))
    text.join(found)

    assert 30 < len(found)
    expected = {phrase: float(value) for phrase, value in model.export_phrases().items()}
    assert expected == pytest.approx({phrase.joined: phrase.score for phrase in found}, rel=1e-12)
    assert [" ".join(line) for line in model[lines]] == written(text).splitlines()


def test_a_second_pass_is_that_of_gensim(zipfian):
    phrases = pytest.importorskip("gensim.models.phrases")
    lines = [line.split() for line in zipfian.read_text().splitlines()]
    # Another delimiter, as gensim would count a_b + c and a + b_c as the same phrase.
    first = phrases.Phrases(lines, min_count=5, threshold=10)
    second = phrases.Phrases(first[lines], min_count=5, threshold=5, delimiter="~")
    text = text_of(zipfian)
    for threshold, delimiter in ((10, "_"), (5, "~")):
        text.join(text.find(PhraseRules("gensim", threshold, delimiter=delimiter)))

    result = written(text).splitlines()
    assert [" ".join(line) for line in second[first[lines]]] == result
    assert any("~" in line for line in result)


CONNECTED = [
    "the bank of england and the bank of the west",
    "of a bank of england",
    "bank england of bank of england or",
    "the west of the west of bank",
    "in",
]


@pytest.mark.parametrize(
    ("score", "gensims", "threshold", "min_count"),
    [("gensim", "default", 0.1, 1), ("npmi", "npmi", 0.2, 2)],
)
@pytest.mark.parametrize("n_connectors", [0, 1, 4, 9])
def test_connectors_are_those_of_gensim(
    zipfian, score, gensims, threshold, min_count, n_connectors
):
    phrases = pytest.importorskip("gensim.models.phrases")
    connectors = frozenset(f"w{n}" for n in range(n_connectors))
    lines = [line.split() for line in zipfian.read_text().splitlines()]
    # No joined word may be spelt like another: gensim would add their counts.
    model = phrases.Phrases(
        lines, min_count=min_count, threshold=threshold, scoring=gensims,
        connector_words=connectors, delimiter="~",
    )  # fmt: skip
    text = text_of(zipfian, 2)
    found = text.find(
        PhraseRules(score, threshold, min_count, delimiter="~", connectors=connectors)
    )
    text.join(found)

    expected = {phrase: float(value) for phrase, value in model.export_phrases().items()}
    assert (n_connectors > 0) == any(phrase.between for phrase in found)
    assert expected == pytest.approx({phrase.joined: phrase.score for phrase in found}, rel=1e-12)
    assert [" ".join(line) for line in model[lines]] == written(text).splitlines()


@pytest.mark.parametrize("first_slots", [2, 1 << 12])
def test_english_connectors(tmp_path, monkeypatch, first_slots):
    monkeypatch.setattr(linking, "FIRST_SLOTS", first_slots)
    monkeypatch.setattr(linking, "IDS_AT_ONCE", 8)
    (tmp_path / "x").write_text("\n".join(CONNECTED))
    text = text_of(tmp_path / "x")
    rules = PhraseRules("word2vec", -1.0, 1, connectors=linking.ENGLISH)
    found = {phrase.joined: phrase.count for phrase in text.find(rules)}
    assert {"bank_of_england": 3, "west_of_the_west": 1} == {
        joined: count
        for joined, count in found.items()
        if joined.startswith(("bank_of_e", "west_of_the_w"))
    }
    only = [Phrase("bank", "england", "bank_of_england", 3, 1.0, ("of",))]
    text.join(only)
    assert [
        "the bank_of_england and the bank of the west",
        "of a bank_of_england",
        "bank england of bank_of_england or",
        "the west of the west of bank",
        "in",
    ] == written(text).splitlines()


def test_words_and_phrases_are_kept_out(small):
    text = text_of(small)
    rules = PhraseRules("word2vec", 0.0, 1)
    all_found = {phrase.joined for phrase in text.find(rules)}
    for kept_out, gone in (
        ("york", {joined for joined in all_found if "york" in joined}),
        ("new_york", {"new_york"}),
        ("new york", {"new_york"}),
    ):
        rules = PhraseRules("word2vec", 0.0, 1, kept_out=frozenset([kept_out]))
        assert gone == all_found - {phrase.joined for phrase in text.find(rules)}
        assert gone


def test_connectors_on_the_command_line(run_embed, tmp_path):
    (tmp_path / "x").write_text("\n".join(CONNECTED) + "\n")
    (tmp_path / "words").write_text("of\nthe\n\n")
    (tmp_path / "out").write_text("west\n")
    options = ("--connectors", "words", "--min-count", 1, "--threshold", 0, "--keep-out", "out")
    done = run_embed("phrases", "x", *options, "--save", "p.tsv", "-q")
    assert (0, "the bank_of_england and") == (done.returncode, done.stdout[:23])
    assert "bank\tengland\tbank_of_england\t3\t" in (tmp_path / "p.tsv").read_text()
    applied = run_embed("phrases", "x", "--apply", "p.tsv", "-q")
    assert (0, done.stdout) == (applied.returncode, applied.stdout)
    listed = json.loads(run_embed("phrases", "x", *options, "--json", "-q").stdout)
    assert {"of"} == {row["between"] for row in listed if row["phrase"] == "bank_of_england"}
    done = run_embed("phrases", "x", "--apply", "p.tsv", "--connectors", "english")
    assert (2, True) == (done.returncode, "leave one of them out" in done.stderr)
    done = run_embed("phrases", "x", "--connectors", "none")
    assert (3, True) == (done.returncode, "none cannot be read" in done.stderr)


def test_scores_are_what_their_formulas_say():
    pairs = PairCounts(np.array([0, 1]), np.array([1, 2]), np.array([8, 4]), 6)
    counts = np.array([10, 20, 5, 0])

    assert np.allclose([(8 - 5) / 10 / 20 * 35, -np.inf], score_pairs("word2vec", pairs, counts, 5))
    assert np.allclose([(8 - 5) / 10 / 20 * 9, -np.inf], score_pairs("gensim", pairs, counts, 5))
    p, a, b = 8 / 35, 10 / 35, 20 / 35
    npmi = np.log(p / (a * b)) / -np.log(p)
    assert np.allclose([npmi, -np.inf], score_pairs("npmi", pairs, counts, 5))
    with pytest.raises(UsageError, match="no score 'x'"):
        score_pairs("x", pairs, counts, 5)


def test_parts_and_threads_change_nothing(zipfian, monkeypatch):
    rules = PhraseRules("gensim", 5.0)
    expected = text_of(zipfian).find(rules)
    monkeypatch.setattr(finding, "TABLE_BYTES", 1 << 16)
    monkeypatch.setattr(finding, "FIRST_SLOTS", 4)

    assert expected == text_of(zipfian, threads=2).find(rules)


def test_a_word_is_in_one_phrase_at_most(small):
    text = text_of(small)
    text.join([Phrase("new", "york", "new_york", 0, 0), Phrase("york", "city", "york-city", 0, 0)])

    expected = [line.replace("new york", "new_york") for line in LINES]
    assert expected == written(text).splitlines()
    text.join([Phrase("new_york", "city", "big", 0, 0), Phrase("no", "such", "no_such", 0, 0)])
    assert "i love big" == written(text).splitlines()[1]
    assert 1 == text.vocabulary.words.count("big")


def test_a_file_of_phrases_is_read_back(tmp_path):
    passes = [[Phrase("a", "b", "a_b", 7, 12.5)], [], [Phrase("a_b", "c", "abc", 5, 1.0)]]
    write_phrases(passes, str(tmp_path / "p.tsv"))
    found = read_phrases(str(tmp_path / "p.tsv"))

    assert "1\ta\tb\ta_b\t7\t12.5" == (tmp_path / "p.tsv").read_text().splitlines()[1]
    assert [[(p.first, p.second, p.joined) for p in phrases] for phrases in passes] == [
        [(p.first, p.second, p.joined) for p in phrases] for phrases in found
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b\n", "line 1: expected the header pass first second phrase count score"),
        ("pass\tfirst\tsecond\tphrase\n1\ta\tb\n", "line 2: expected a pass"),
        ("pass\tfirst\tsecond\tphrase\n0\ta\tb\ta_b\n", "line 2: expected a pass"),
        ("pass\tfirst\tsecond\tphrase\n1\ta\tb c\ta_b\n", "line 2: expected a pass"),
    ],
)
def test_files_that_hold_no_phrases(tmp_path, content, message):
    (tmp_path / "p.tsv").write_text(content)
    with pytest.raises(FormatError) as caught:
        read_phrases(str(tmp_path / "p.tsv"))
    assert message in str(caught.value)


def test_the_command(run_embed, zipfian, tmp_path):
    options = ("--score", "npmi", "--threshold", "0.5,0.4", "--passes", 2, "-q")
    done = run_embed("phrases", zipfian, *options, "--save", "p.tsv", "-o", "out.txt")
    assert (0, "") == (done.returncode, done.stdout)
    text = (tmp_path / "out.txt").read_text()
    assert "w100_w200" in text
    applied = run_embed("phrases", zipfian, "--apply", "p.tsv", "-q")
    assert (0, text) == (applied.returncode, applied.stdout)
    listed = run_embed("phrases", zipfian, *options, "--json")
    rows = json.loads(listed.stdout)
    assert {1, 2} == {row["pass"] for row in rows}
    assert {"first", "second", "phrase", "count", "score", "pass"} == set(rows[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--items"], "--items are ids in no order"),
        (["--delimiter", "a b"], "--delimiter is 'a b', but must be text without white space"),
        (["--threshold", "x"], "--threshold is 'x', but must be numbers by commas"),
    ],
)
def test_refusals(run_embed, small, arguments, message):
    done = run_embed("phrases", "small.txt", *arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert message in done.stderr
