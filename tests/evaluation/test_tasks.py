"""`embed evaluate --task`: files, features, entities, and probes that learn what can be learnt."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, load, save
from embedcli.errors import FormatError, MissingExtraError
from embedcli.evaluation.entities import entities, tally
from embedcli.evaluation.features import Lookup, OneHot, shapes, windows
from embedcli.evaluation.probes import ONE_HOT, _fit, probe
from embedcli.evaluation.tasks import Examples, Sentences, read_task
from embedcli.lookup.exact import unit_rows
from embedcli.lookup.out_of_vocabulary import Fallbacks, resolve
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", set()),
        ("B-a I-a O", {("a", 0, 1)}),
        ("B-a B-a", {("a", 0, 0), ("a", 1, 1)}),
        ("I-a I-a I-b", {("a", 0, 1), ("b", 2, 2)}),  # conlleval: I- after another type begins
        ("O I-a", {("a", 1, 1)}),
        ("B-a I-b", {("a", 0, 0), ("b", 1, 1)}),
        ("S-a S-a B-b I-b E-b O", {("a", 0, 0), ("a", 1, 1), ("b", 2, 4)}),
        ("B-x-y I-x-y", {("x-y", 0, 1)}),
    ],
)
def test_entities_are_those_of_conlleval(tags, expected):
    assert expected == entities(tags.split())


def test_an_entity_counts_only_with_both_ends_and_type():
    gold = ["B-a", "I-a", "O", "B-b", "O", "B-a"]
    guess = ["B-a", "I-a", "O", "B-a", "O", "B-a"]
    assert (2, 3, 3) == tally(gold, guess)
    assert (0, 1, 1) == tally(["B-a", "I-a"], ["B-a", "O"])


def test_files_are_told_apart(tmp_path):
    (tmp_path / "a").write_text("spam\tWin £10 now!\nham\tit's me\n")
    (tmp_path / "b").write_text("__label__x one two\n__label__y three\n")
    (tmp_path / "c").write_text("EU NNP B-org\nrejects VB O\n\n-DOCSTART- -X- O\n\nPeter B-per\n\n")
    assert Examples(
        [["Win", "£", "10", "now", "!"], ["it", "'", "s", "me"]], ["spam", "ham"]
    ) == read_task(str(tmp_path / "a"))
    assert ["x", "y"] == read_task(str(tmp_path / "b")).labels
    assert Sentences([["EU", "rejects"], ["Peter"]], [["B-org", "O"], ["B-per"]]) == read_task(
        str(tmp_path / "c")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a single example"),
        ("no label here\n", "line 1: expected label<TAB>text"),
        ("a\tb\nx\n", "line 2: expected label<TAB>text"),
        ("a O\n\nb O\nc\n", "line 4: expected a token and a tag"),
    ],
)
def test_broken_files_name_the_line(tmp_path, content, message):
    (tmp_path / "x").write_text(content)
    with pytest.raises(FormatError, match=message):
        read_task(str(tmp_path / "x"))


def test_the_encoding_of_a_task(synonyms, run_embed):
    for name in ("train.tsv", "test.tsv"):
        text = (synonyms / name).read_text().replace("good1", "güt1")
        (synonyms / name).write_bytes(text.encode("utf-16-le"))
    task = ("evaluate", "--task", "train.tsv", "test.tsv", "--no-one-hot", "--bootstrap", 0)
    done = run_embed(*task, "--text-encoding", "utf-16-le")
    assert (0, 3) == (done.returncode, done.stdout.count("\n"))
    done = run_embed(*task, "--text-encoding", "ascii")
    assert (3, True) == (done.returncode, "characters are not ascii; --text" in done.stderr)
    done = run_embed(*task, "--text-encoding", "nonsense")
    assert (2, True) == (done.returncode, "encoding is 'nonsense', but" in done.stderr)


def test_a_byte_order_mark_says_the_encoding(tmp_path):
    (tmp_path / "x").write_bytes("a\tbé\n".encode("utf-16"))
    assert Examples([["bé"]], ["a"]) == read_task(str(tmp_path / "x"))
    (tmp_path / "y").write_bytes(b"a\tb\xe9\n")
    assert Examples([["bé"]], ["a"]) == read_task(str(tmp_path / "y"), "cp1252")
    with pytest.raises(FormatError, match=r"y: byte 3 is not UTF-8; .*iconv"):
        read_task(str(tmp_path / "y"))


def test_features_of_texts_and_tokens():
    model = Embeddings(
        Vocabulary.from_words(["cat", "Dog"]), np.array([[3, 4], [0, 2]], np.float32)
    )
    lookup = Lookup(model)
    texts = [["Cat", "Dog", "eel"], [], ["eel"]]
    means = [[0.3, 0.9], [0, 0], [0, 0]]  # the unknown word does not count
    assert np.allclose(means, lookup.texts(texts))
    assert 0.5 == lookup.unknown
    assert [[4, 0, 1], [0, 1, 2], [1, 2, 4], [4, 3, 4]] == windows(texts).tolist()
    assert np.allclose(
        [[0, 0, 0.6, 0.8, 0, 1], [0.6, 0.8, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0], [0] * 6],
        lookup.tokens(texts),
    )
    hot = OneHot([["Cat", "cat", "dog"]])
    assert [[1, 1], [0, 0], [0, 0]] == hot.texts(texts).toarray().tolist()
    assert [0, 0, 1, 0, 0, 1] == hot.tokens(texts).toarray()[0].tolist()
    assert (4, 24) == shapes(texts).shape
    assert 14.0 == shapes([["Cat", "USA", "x"], ["7", "@a", "!"]]).sum()  # 2 + 3 + 2, twice


@pytest.fixture
def synonyms(tmp_path):
    """A task that words alone cannot solve: the test words never occur in training."""
    rng = np.random.default_rng(0)
    words = [f"{kind}{i}" for kind in ("good", "bad") for i in range(40)]
    center = np.repeat([[1.0, 0, 0], [-1, 0, 0]], 40, axis=0)
    vectors = (center + rng.normal(scale=0.3, size=(80, 3))).astype(np.float32)
    save(Embeddings(Vocabulary.from_words(words), vectors), str(tmp_path / "model.safetensors"))
    for name, low, high in (("train", 0, 20), ("test", 20, 40)):
        with (
            (tmp_path / f"{name}.tsv").open("w") as file,
            (tmp_path / f"{name}.conll").open("w") as columns,
        ):
            for i in range(low, high):
                for kind in ("good", "bad"):
                    file.write(f"{kind}\t{kind}{i} {kind}{(i + 3 - low) % 20 + low}\n")
                columns.write(f"good{i} B-x\nbad{i} O\n\n")
    return tmp_path


def test_vectors_help_where_words_are_new(synonyms, run_embed):
    task = ("--task", "train.tsv", "test.tsv")
    done = run_embed("evaluate", *task, "--fail-under", "90", "--fail-under-gain", "10")
    rows = list(csv.DictReader(done.stdout.splitlines(), delimiter="\t"))
    scores = {(row["features"], row["metric"]): float(row["score"]) for row in rows}
    assert (0, "") == (done.returncode, done.stderr)
    assert 95 < scores["model.safetensors", "accuracy"] <= 100
    assert 50 == scores[ONE_HOT, "accuracy"]
    assert ["40", "3", "43"] == [row["columns"] for row in rows if row["metric"] == "accuracy"]
    assert float(rows[2]["gain"]) == scores["model.safetensors", "accuracy"] - 50
    assert float(rows[2]["gain_low"]) < float(rows[2]["gain"]) < float(rows[2]["gain_high"])
    assert "40 training and 40 test texts, 2 labels; logistic regression" in rows[0]["protocol"]


def test_tagging_by_entities(synonyms, run_embed):
    done = run_embed("evaluate", "--task", "train.conll", "test.conll", "--json")
    (result,) = json.loads(done.stdout)
    hot, vectors = result["features"]
    assert (ONE_HOT, 3 * 40 + 24) == (hot["features"], hot["columns"])
    assert ("model.safetensors", 3 * 3 + 24) == (vectors["features"], vectors["columns"])
    assert "f1" == vectors["scores"][0]["name"]
    assert 90 < vectors["scores"][0]["score"]


def test_the_same_seed_gives_the_same_report(synonyms):
    import embedcli

    models = {"m": embedcli.load(synonyms / "model.safetensors")}
    paths = str(synonyms / "train.tsv"), str(synonyms / "test.tsv")
    assert probe(models, *paths) == probe(models, *paths)
    first, *_ = probe(models, *paths, bootstrap=0)
    assert (None, None) == (first.parts[0].low, first.parts[0].gain)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give FILEs to score on, or --task TRAIN TEST"),
        (("x", "--task", "train.tsv", "test.tsv"), 2, "not two of them"),
        (("--task", "train.tsv", "test.conll"), 3, "not of one kind"),
        (("--task", "train.tsv", "none"), 3, "none: No such file"),
        (("--task", "one.tsv", "test.tsv"), 3, "all examples have the same label"),
        (("--task", "train.tsv", "test.tsv", "--fail-under", "101"), 1, "below --fail-under 101:"),
        (("--task", "train.tsv", "test.tsv", "--fail-under-gain", "60"), 1, "gain 60: +"),
    ],
)
def test_wrong_use_and_thresholds(synonyms, run_embed, arguments, code, message):
    (synonyms / "one.tsv").write_text("a\tgood1\na\tbad1\n")
    done = run_embed("evaluate", *arguments)
    assert code == done.returncode
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_missing_sklearn_names_the_command(synonyms, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[task\]'"):
        probe({}, str(synonyms / "train.tsv"), str(synonyms / "test.tsv"))


@pytest.fixture
def spelt():
    """A model that knows words by their n-grams; its text was lower-cased."""
    rng = np.random.default_rng(2)
    words = Vocabulary.from_words(["walking", "talking", "cats"], [3, 2, 1])
    units = NGrams(3, 4, 200)
    ids = np.unique(units.cut(words).ids)
    rows = [rng.normal(size=(n, 4)).astype("f") for n in (3, len(ids))]
    subwords = Subwords(units, rows[0], ids, rows[1])
    metadata = {"settings": {"lowercase": True}}
    return Embeddings(words, subwords.of_vocabulary(words), metadata=metadata, subwords=subwords)


def test_tokens_are_made_of_subwords_as_embed_vectors_makes_them(spelt):
    texts = [["Walking", "BALKING"], ["balking", "%"], ["cats"]]
    made = resolve(spelt, ["balking"]).vectors
    units = unit_rows(np.concatenate([spelt.vectors[:1], made, made, spelt.vectors[2:]]))
    lookup = Lookup(spelt)
    expected = [units[:2].mean(axis=0), units[2], units[3]]
    assert np.allclose(expected, lookup.texts(texts), atol=1e-6)
    assert (0.2, 0.4) == (lookup.unknown, lookup.made)
    assert np.allclose(units[1], lookup.tokens(texts)[1, 4:8], atol=1e-6)
    plain = Lookup(spelt, Fallbacks(subwords=False, token=False))
    assert np.allclose([units[0], np.zeros(4), units[3]], plain.texts(texts), atol=1e-6)
    assert (0.6, 0.0) == (plain.unknown, plain.made)


def test_a_model_with_case_makes_tokens_as_they_are_spelt(spelt):
    cased = Embeddings(spelt.vocabulary, spelt.vectors, subwords=spelt.subwords)
    expected = unit_rows(resolve(cased, ["Balking"], Fallbacks(case=False)).vectors)
    assert np.allclose(expected, Lookup(cased).texts([["Balking"]]), atol=1e-6)


def test_the_unknown_token_answers_only_where_it_is_asked_to():
    model = Embeddings(Vocabulary.from_words(["a", "<unk>"]), np.eye(2, dtype="f"))
    assert [[1, 0]] == Lookup(model).texts([["a", "b"]]).tolist()
    assert [[0.5, 0.5]] == Lookup(model, Fallbacks()).texts([["a", "b"]]).tolist()


def test_one_hot_features_can_be_turned_off(synonyms, run_embed):
    models = {name: load(synonyms / "model.safetensors") for name in ("m", "same")}
    paths = str(synonyms / "train.tsv"), str(synonyms / "test.tsv")
    every = probe({"m": models["m"]}, *paths, bootstrap=20)
    alone = probe(models, *paths, one_hot=False, bootstrap=20)
    assert ["m", "same"] == [report.subject for report in alone]
    assert every[1].score == alone[0].score
    assert (None, 0.0) == (alone[0].main_part.gain, alone[1].main_part.gain.gain)
    task = ("evaluate", "--task", "train.tsv", "test.tsv", "--no-one-hot", "--fail-under-gain", "0")
    done = run_embed(*task)
    assert (2, True) == (done.returncode, "give a second -m" in done.stderr)
    save(models["m"], str(synonyms / "copy.vec"))
    done = run_embed(*task, "-m", "model.safetensors", "-m", "copy.vec")
    assert (0, 5) == (done.returncode, done.stdout.count("\n"))


def test_only_the_frequent_tokens_have_columns(synonyms, monkeypatch):
    monkeypatch.setattr("embedcli.evaluation.features.ONE_HOT_COLUMNS", 2)
    hot = OneHot([["a", "b", "c"], ["C", "b", "d"]])
    assert [[1, 1], [0, 1]] == hot.texts([["a", "c", "B"], ["c"]]).toarray().tolist()
    assert 2 == hot.left_out
    (report,) = probe({}, str(synonyms / "train.tsv"), str(synonyms / "test.tsv"))
    line = report.protocol_line
    assert (2, True) == (report.facts["columns"], "without the 38 rarest tokens" in line)


def test_columns_that_no_row_has_change_no_guess():
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    dense = rng.integers(0, 2, (60, 30)) * (np.arange(30) % 3 > 0)
    labels = np.array(["a", "b", "c"])[dense[:, [1, 2]].sum(axis=1)]
    rows, asked = csr_matrix(dense[:40], dtype=np.float32), csr_matrix(dense[40:], dtype=np.float32)
    theirs = LogisticRegression(C=1.0, max_iter=100).fit(rows, labels[:40]).predict(asked)
    assert theirs.tolist() == _fit(rows, labels[:40], 1.0)(asked).tolist()


def test_resamples_are_the_same_in_blocks(synonyms, monkeypatch):
    paths = str(synonyms / "train.tsv"), str(synonyms / "test.tsv")
    whole = probe({}, *paths, bootstrap=30)
    monkeypatch.setattr("embedcli.evaluation.bootstrap.COUNTS_AT_ONCE", 100)
    assert whole == probe({}, *paths, bootstrap=30)


def test_real_messages(shared):
    tasks = shared / "data" / "tasks"
    noise = Embeddings(Vocabulary.from_words(["a"]), np.ones((1, 2), np.float32))
    hot, vectors, _ = probe(
        {"noise": noise}, str(tasks / "spam.train.tsv"), str(tasks / "spam.test.tsv"), bootstrap=50
    )
    assert 98 < hot.score
    assert hot.score > vectors.score
    assert 0.9 < vectors.facts["unknown"]
