"""Not only words: items as they are, windows as wide as lines, shuffled lines, what comes next."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from embedcli import Embeddings, TrainConfig, Vocabulary, load, save, train
from embedcli.errors import ConfigError, InputError
from embedcli.evaluation.histories import Lines, cut_last, read_lines, shuffled, without_last
from embedcli.evaluation.next_item import score_next_item
from embedcli.evaluation.recommenders import baselines, recommenders
from embedcli.formats.vocab import read_vocab, write_vocab
from embedcli.kernels.sampling import shuffle
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus, encode_corpus
from embedcli.training.sampling import noise_distribution, random_key
from tests import reference

ITEMS = TextRules(items=True, separator=",")
BASKETS = "whole milk,rolls\ncoffee ,whole milk,rolls\nUHT-milk\nwhole milk,coffee \n"


@pytest.fixture
def baskets(tmp_path):
    path = tmp_path / "baskets.csv"
    path.write_text(BASKETS)
    return path


def lines(*rows):
    """Lines of items named by letters, a to e."""
    ids = np.array(["abcde".index(item) for row in rows for item in row], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Lines(Vocabulary.from_words("abcde"), ids, offsets, "digest")


def rows_of(these):
    return [
        "".join("abcde"[i] for i in these.ids[a:b])
        for a, b in zip(these.offsets, these.offsets[1:], strict=False)
    ]


def test_items_keep_their_spaces_and_case(baskets):
    vocabulary, tally = count_corpus([str(baskets)], rules=ITEMS, min_count=1)

    expected = {"whole milk": 3, "coffee ": 2, "rolls": 2, "UHT-milk": 1}
    assert expected == dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))
    assert (8, 4) == (tally.read, tally.lines)


@pytest.mark.parametrize("separator", ["\\t", "\t", "::", "·"])
def test_any_separator(tmp_path, separator):
    path = tmp_path / "items"
    path.write_text(BASKETS.replace(",", separator.replace("\\t", "\t")))
    with encode_corpus(
        [str(path)], rules=TextRules(items=True, separator=separator), min_count=1
    ) as corpus:
        assert [0, 2, 5, 6, 8] == corpus.offsets.tolist()
        assert "coffee " in corpus.vocabulary


def test_items_without_a_separator_are_apart_by_white_space(baskets):
    vocabulary, _ = count_corpus([str(baskets)], rules=TextRules(items=True), min_count=1)

    assert "milk,rolls" in vocabulary


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"separator": ","}, "separator is ',', but only items have one: add --items"),
        ({"items": True, "separator": ""}, "separator is '', but must be text"),
        ({"items": True, "separator": "a\n"}, "no line end"),
        ({"items": True, "lowercase": True}, "lowercase is True, but items are kept as they are"),
        ({"items": True, "digits": "zero"}, "digits is zero, but items are kept as they are"),
        ({"items": True, "tokenizer": "words"}, "tokenizer is words, but items are kept"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**settings)
    assert message in str(caught.value)


def test_the_window_and_subsampling_follow_from_items():
    words, items = TrainConfig().resolve(), TrainConfig(items=True).resolve()

    assert (5, 1e-4) == (words.window, words.sample)
    assert ("line", 0.0) == (items.window, items.sample)
    assert (5, 99) == (words.widest_window(100), items.widest_window(100))
    chosen = TrainConfig(items=True, window=3, sample=0.01).resolve()
    assert (3, 0.01) == (chosen.window, chosen.sample)


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_the_window_is_the_line(baskets, arch):
    config = TrainConfig(
        items=True, separator=",", arch=arch, min_count=1, epochs=1, threads=1, dim=8, negative=2
    )
    model = train([baskets], config)

    (epoch,) = model.metadata["epochs"]
    contexts = 2 * 1 + 3 * 2 + 2 * 1 if arch == "skipgram" else 7
    assert (3 * contexts, 7, 1) == (epoch["pairs"], epoch["trained"], epoch["alone"])
    assert "line" == model.metadata["settings"]["window"]


def test_a_line_longer_than_small_chunks_is_one_window(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text(" ".join(f"i{n % 50}" for n in range(3000)) + "\n")
    config = TrainConfig(items=True, epochs=1, threads=1, dim=8, negative=1, arch="cbow")
    model = train([path], config)

    assert 3000 == model.metadata["epochs"][0]["trained"]


def test_shuffle_is_its_twin_and_stays_within_lines():
    generator = np.random.default_rng(1)
    offsets = np.array([0, 1, 1, 6, 40])
    tokens = generator.permutation(40).astype(np.int32)
    key = random_key(1, "shuffle", 2, 3)
    fast, slow = np.empty(50, np.int32), np.empty(50, np.int32)
    shuffle(tokens, offsets, key, fast)
    reference.shuffle(tokens, offsets, int(key), slow)

    assert slow[:40].tolist() == fast[:40].tolist()
    assert fast[:40].tolist() != tokens.tolist()
    for a, b in itertools.pairwise(offsets):
        assert sorted(tokens[a:b]) == sorted(fast[a:b])


def test_all_orders_are_equally_likely():
    lines_ = np.arange(0, 3 * 6000 + 1, 3)
    shuffled = np.empty(3 * 6000, np.int32)
    tokens = np.tile(np.arange(3, dtype=np.int32), 6000)
    shuffle(tokens, lines_, random_key(7, "shuffle"), shuffled)
    orders = np.bincount(shuffled.reshape(-1, 3) @ [9, 3, 1])

    assert 6 == np.count_nonzero(orders)
    assert abs(orders[orders > 0] - 1000).max() < 150


def test_shuffled_lines_differ_by_epoch_and_repeat_by_seed(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join("a b c d e f g h i j" for _ in range(50)))
    settings = {"window": 1, "min_count": 1, "epochs": 2, "threads": 1, "dim": 8, "sample": 0}
    plain = train([path], TrainConfig(**settings))
    first, second = (train([path], TrainConfig(**settings, shuffle=True)) for _ in range(2))

    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert first.vectors.tobytes() != plain.vectors.tobytes()


def test_a_negative_exponent_prefers_the_rare():
    shares = np.diff(noise_distribution(np.array([100, 10, 1]), -0.5), prepend=0)

    assert np.allclose([1, 10**0.5, 10], shares / shares[0])


def test_a_vocabulary_of_items_is_read_back(tmp_path):
    words = Vocabulary.from_words(["whole milk", "coffee ", "x"], [3, 2, 1])
    write_vocab(words, tmp_path / "x.vocab")
    back = read_vocab(tmp_path / "x.vocab")

    assert "whole milk\t3\ncoffee \t2\nx\t1\n" == (tmp_path / "x.vocab").read_text()
    assert (words.words, [3, 2, 1]) == (back.words, back.counts.tolist())


def test_lines_are_cut_before_their_last_item():
    found = cut_last(lines("ab", "cbac", "d", "baab", "bab", "bbad"))

    assert (["a", "bba"], [1, 3]) == (rows_of(found.known), found.answers.tolist())
    assert (1, 3) == (found.short, found.repeated)
    assert ["a", "d", "cb"] == rows_of(without_last(lines("ab", "d", "cba")))


def test_lines_of_a_file(baskets):
    found = read_lines(str(baskets), ITEMS)

    assert 4 == len(found.vocabulary)
    assert [0, 2, 5, 6, 8] == found.offsets.tolist()


def test_baselines_are_what_their_formulas_say():
    past = lines("ab", "abc", "abb", "de")
    found = baselines(past, np.arange(5), 5)
    (popular,) = found["popularity"]([np.array([0])])
    (together,) = found["co-occurrence"]([np.array([0, 2])])
    (cosine,) = found["item-item cosine"]([np.array([0])])

    assert [3, 3, 1, 1, 1] == popular.tolist()
    assert np.allclose([1 / 1, 3 / 3 + 1 / 1, 1 / 3, 0, 0], together)
    assert np.allclose([0, 3 / 3, 1 / 3**0.5, 0, 0], cosine)


def test_lines_without_order_are_shuffled_each_for_itself():
    found = shuffled(lines("abc", "d", *["abcde"] * 200), 1)

    assert [sorted(row) for row in rows_of(found)] == [list("abc"), ["d"], *[list("abcde")] * 200]
    last = [row[-1] for row in rows_of(found)[2:]]
    assert all(20 < last.count(item) < 60 for item in "abcde")
    assert rows_of(found) == rows_of(shuffled(lines("abc", "d", *["abcde"] * 200), 1))


def test_what_is_long_past_and_the_order_are_baselines_of_their_own():
    past = lines("abc", "acb", "cab", "abbe")
    found = baselines(past, np.arange(5), 5, recent=2)
    history = np.array([3, 2, 0])  # d, c, a

    def scores(name, *items):
        return found[name]([np.array(items)])[0].tolist()

    assert scores("co-occurrence, last 2", 3, 2, 0) == scores("co-occurrence", 2, 0)
    assert scores("co-occurrence, last 1", 3, 2, 0) == scores("co-occurrence", 0)
    # after a: b at once and c then; c and then b; b at once; b at once, b again and e
    (rules,) = found["sequential rules"]([history]).tolist()
    assert [0, 1 + 1 / 2 + 1 + 1 + 1 / 2, 1 / 2 + 1, 0, pytest.approx(1 / 3)] == rules


def test_rules_reach_ten_items():
    past = Lines(Vocabulary.from_words("abcdefghijkl"), np.arange(12), np.array([0, 12]), "digest")
    (rules,) = baselines(past, np.arange(12), 12, recent=1)["sequential rules"]([np.array([0])])

    assert np.allclose([0, *(1 / n for n in range(1, 11)), 0], rules)


def test_a_model_ranks_by_the_last_items_too(letters):
    both = Embeddings(letters.vocabulary, letters.vectors, letters.vectors)
    found = recommenders(both, recent=2)
    history = np.array([3, 2, 0, 0])

    assert ["nearest", "predicted", "nearest, last 2", "predicted, last 2"] == list(found)
    for name in ("nearest", "predicted"):
        recent, one = found[f"{name}, last 2"]([history]), found[name]([np.array([0])])
        assert one.tolist() == recent.tolist()


def test_of_lines_without_order_any_item_is_asked_for(letters):
    asked = lines(*["ab"] * 40, *["cd"] * 40)
    reports = score_next_item(letters, "x", asked, recent=None, bootstrap=0, cutoffs=(1,))

    assert ["popularity", "co-occurrence", "item-item cosine", "nearest"] == [
        report.subject for report in reports
    ]
    assert "next item: an item drawn by seed 1 of each line among all 4" in reports[0].protocol_line
    answers = cut_last(shuffled(asked, 1)).answers
    assert 4 == len(set(answers.tolist()))


def test_unknown_items_count_for_nothing_in_the_baselines():
    found = baselines(lines("ab", "abc"), np.array([0, -1, 1, -1, -1]), 2)

    assert [[2, 1]] == found["popularity"]([np.array([0])]).tolist()
    assert np.allclose([[0, 0.5]], found["co-occurrence"]([np.array([0])]))


def test_vectors_rank_by_cosine_and_by_output_vectors():
    model = Embeddings(
        Vocabulary.from_words("abc"),
        np.array([[1, 0], [4, 3], [0, 5]], np.float32),
        np.array([[0, 1], [0, 2], [3, 0]], np.float32),
    )
    found = recommenders(model)

    assert np.allclose([[1, 0.8, 0]], found["nearest"]([np.array([0])]))
    assert np.allclose([[2.5, 5, 1.5]], found["predicted"]([np.array([0, 2])]))
    made = {"settings": {"ns_exponent": -0.5}}
    words = Vocabulary.from_words("abc", [100, 4, 1])
    model = Embeddings(words, model.vectors, model.output_vectors, made)
    noise = -0.5 * np.log([100, 4, 1])
    scores = recommenders(model)["predicted"]([np.array([0, 2])])
    assert np.allclose(np.array([2.5, 5, 1.5]) + noise, scores)
    assert {"nearest"} == set(recommenders(Embeddings(model.vocabulary, model.vectors)))


@pytest.fixture
def letters():
    """A model that puts b next to a, and knows no e."""
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0.1]], np.float32)
    return Embeddings(Vocabulary.from_words("abcd", [4, 3, 2, 1]), vectors)


def test_hit_rate_and_ndcg(letters):
    asked = lines("ab", "ac", "ad", "ae", "eb", "a")
    reports = score_next_item(letters, "x", asked, cutoffs=(1, 2), bootstrap=50)
    scores = {(r.subject, part.more["k"]): part for r in reports for part in r.parts}
    first = reports[0].parts[0]

    assert (3, 5, 1) == (first.seen, first.total, reports[0].facts["short"])
    assert pytest.approx(100 / 3) == scores["nearest", 1].score
    assert pytest.approx(200 / 3) == scores["nearest", 2].score
    assert pytest.approx(100 * (1 + 1 / np.log2(3)) / 3) == scores["nearest", 2].more["ndcg"]
    # without the last items only a and e were ever seen: b, c, d are equal, and rank 2
    assert 0 == scores["popularity", 1].score
    assert 100 == scores["popularity", 2].score
    assert scores["nearest", 2].low <= 200 / 3 <= scores["nearest", 2].high
    gain = scores["nearest", 2].score - scores["co-occurrence", 2].score
    assert pytest.approx(gain) == scores["nearest", 2].gain.gain
    assert scores["co-occurrence", 2].gain is None


def test_unknown_answers_can_count_as_missed(letters):
    asked = lines("ab", "ac", "ad", "ae", "eb")
    report, *_ = score_next_item(letters, "x", asked, wrong_if_unknown=True, bootstrap=0)

    assert pytest.approx(60) == report.score
    assert None is report.parts[0].low
    assert "counted as missed" in report.protocol_line


def test_baselines_can_count_other_lines(letters):
    popular, *_ = score_next_item(
        letters, "x", lines("ab"), training=lines("bd", "b"), cutoffs=(1,)
    )

    assert ("popularity", 100) == (popular.subject, popular.score)


def test_nothing_asked_is_an_error(letters):
    with pytest.raises(InputError, match="x: no line has two different items"):
        score_next_item(letters, "x", lines("a", "bb"))


def test_next_item_as_scripts_call_it(run_embed, baskets, letters):
    (baskets.parent / "past.csv").write_text(BASKETS.replace(",rolls", ""))
    options = ("--items", "--separator", ",", "--min-count", 1, "--dim", 8, "--threads", 1)
    assert 0 == run_embed("train", "past.csv", *options, "-q").returncode
    done = run_embed("evaluate", "--next-item", "baskets.csv", "-k", "1,2", "--bootstrap", 9)
    header, *rows = [line.split("\t") for line in done.stdout.splitlines()]

    assert (0, 20) == (done.returncode, len(rows))
    assert [
        "popularity", "co-occurrence", "item-item cosine", "co-occurrence, last 5",
        "co-occurrence, last 1", "sequential rules", "nearest", "predicted", "nearest, last 5",
        "predicted, last 5",
    ] == [row[header.index("method")] for row in rows[:10]]  # fmt: skip
    done = run_embed("evaluate", "--next-item", "baskets.csv", "--unordered", "--bootstrap", 9)
    assert (0, 6) == (done.returncode, len(done.stdout.splitlines()))
    done = run_embed("evaluate", "--next-item", "past.csv", "--json")
    assert "was trained on past.csv itself" in done.stderr
    (report,) = json.loads(done.stdout)
    assert {"model", "path", "scores", "seen", "total"} <= set(report)
    save(letters, str(baskets.parent / "letters.vec"))
    more = ("-m", "letters.vec", "--next-item", "past.csv", "--fail-under", "1")
    assert 1 == run_embed("evaluate", *more, "--separator", ",").returncode


def test_thresholds_of_next_items(run_embed, baskets, letters):
    save(letters, str(baskets.parent / "letters.vec"))
    (baskets.parent / "x.csv").write_text("a,b\nb,a\na,c\n")
    (baskets.parent / "unknown.csv").write_text("x,y\ny,x\n")
    task = ("evaluate", "-m", "letters.vec", "--separator", ",", "--next-item")
    gain = run_embed(*task, "x.csv", "-k", 1, "--fail-under-gain", 101)
    undefined = run_embed(*task, "unknown.csv", "--fail-under", 0)

    assert (1, True) == (gain.returncode, "below --fail-under-gain 101: +" in gain.stderr)
    assert "x.csv: 3 of 3 lines; 0 more hold one item only" in gain.stderr
    message = "below --fail-under 0: n/a (0 of 2 covered) by letters.vec on unknown.csv"
    assert (1, True) == (undefined.returncode, message in undefined.stderr)


def test_baskets_of_groceries(shared, tmp_path):
    baskets = shared / "data" / "tasks" / "baskets.csv"
    if not baskets.exists():
        pytest.skip("needs baskets.csv")
    vocabulary, tally = count_corpus([str(baskets)], rules=ITEMS, min_count=1)

    assert (169, 43_367, 9_835) == (len(vocabulary), tally.read, tally.lines)
    assert ("whole milk", 2513) == (vocabulary[0], int(vocabulary.counts[0]))


def test_load_keeps_what_the_model_says_of_its_text(run_embed, baskets):
    run_embed("train", "baskets.csv", "--items", "--separator", ",", "--min-count", 1, "--dim", 4)
    settings = load(baskets.parent / "model.safetensors").metadata["settings"]

    chosen = replace(ITEMS, tokenizer="whitespace", lowercase=False)
    assert chosen == TextRules.from_settings(settings)
