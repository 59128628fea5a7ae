"""Training a classifier: the numbers of a round, the same bytes, and what becomes of bad input."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli.classification.examples import read_examples
from embedcli.classification.model import classifier_of
from embedcli.classification.prediction import Predictor
from embedcli.cli.main import embed, main
from embedcli.formats import load
from embedcli.kernels.jit import _name
from embedcli.kernels.labelled_rounds import labelled_rounds
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.settings.text_rules import TextRules
from embedcli.training.classifier import classifier_run
from embedcli.training.classifier_model import Features
from tests.reference.labelled_rounds import softmax_round

LOSSES = ("softmax", "ova", "hs", "ns")


@pytest.fixture
def lines(tmp_path):
    """Lines of three labels, told by their words; some have two labels."""
    generator = np.random.default_rng(4)
    words = [f"w{i}" for i in range(30)]
    text = []
    for _ in range(400):
        label = int(generator.integers(3))
        chosen = generator.choice(words[8 * label : 8 * label + 12], generator.integers(2, 9))
        more = " __label__extra" if chosen[0].endswith("7") else ""
        text.append(f"__label__{'abc'[label]}{more} {' '.join(chosen)}\n")
    path = tmp_path / "lines.txt"
    path.write_text("".join(text))
    return path


def examples_of(path, **more):
    return read_examples([str(path)], TextRules(), **more)


def rows_of(run):
    run.train(lambda progress: None)
    return b"".join(np.ascontiguousarray(rows).tobytes() for rows in run._work.model.rows())


def test_a_round_is_what_numpy_makes_of_it(tmp_path):
    path = tmp_path / "few.txt"
    path.write_text("__label__a one two\n__label__b two three three\n__label__a one\n")
    examples = examples_of(path)
    config = ClassifierConfig(
        dim=5, epochs=1, lr=0.7, schedule="constant", threads=1, subword="2:3", word_ngrams=2,
        buckets=50,
    ).resolve()  # fmt: skip
    run = classifier_run(examples, config)
    run._work.model.rows()[1][:] = np.random.default_rng(0).normal(size=(2, 5))
    before = [rows.astype(np.float64) for rows in run._work.model.rows()]
    parts = Features(examples, config).parts
    features, labels = [], []
    for line in range(3):
        tokens = examples.tokens[examples.offsets[line] : examples.offsets[line + 1]]
        rows = [parts.rows[parts.offsets[t] : parts.offsets[t + 1]] for t in tokens]
        pairs = [
            parts.places[(int(parts.hashes[a]) * 116049371 + int(parts.hashes[b])) % (1 << 64) % 50]
            for a, b in pairwise(tokens)
        ]
        features.append(np.concatenate([*rows, pairs]).astype(np.int64))
        labels.append(int(examples.label_ids[line]))
    expected = softmax_round(*before, features, labels, 0.7)
    run.train(lambda progress: None)

    for one, other in zip(expected, run._work.model.rows(), strict=False):
        assert other == pytest.approx(one, abs=1e-5)
    assert expected[2] / 3 == pytest.approx(run.epochs[0].loss, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_bytes_do_not_depend_on_threads_nor_on_pauses(lines, loss):
    examples = examples_of(lines, min_count=2)
    settings = {"dim": 5, "epochs": 3, "loss": loss, "lr": 0.5, "word_ngrams": 2, "buckets": 64}

    def begun(threads):
        return classifier_run(examples, ClassifierConfig(threads=threads, **settings).resolve())

    expected = rows_of(begun(1))
    assert [expected] * 2 == [rows_of(begun(threads)) for threads in (3, 7)]

    paused = begun(2)
    assert not paused.train(lambda progress: None, lambda: True)
    state, resumed = paused.state(), begun(1)
    saved = paused._work.model
    inputs, outputs = resumed._work.model.rows()
    inputs[:], outputs[:] = saved.rows()
    resumed.epochs, resumed._chunk = list(state.epochs), state.chunk
    assert expected == rows_of(resumed)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_it_has_learnt_it_predicts(lines, tmp_path, loss):
    out = tmp_path / "out.safetensors"
    more = ["--loss", loss, "--dim", "8", "--epochs", "30", "--lr", "0.5", "--subword", "1:2"]
    arguments = ["classify", str(lines), "-o", str(out), *more, "--buckets", "99"]
    result = CliRunner().invoke(embed, arguments, catch_exceptions=False)
    assert 0 == result.exit_code
    embeddings = load(out)
    classifier = classifier_of(embeddings)
    texts = [line.split(" ") for line in lines.read_text().splitlines()]
    labels = Predictor(classifier).predict([" ".join(words) for words in texts])

    right = [
        classifier.labels[int(found)] in words
        for words, found in zip(texts, labels.ids[:, 0], strict=True)
    ]
    assert np.mean(right) > 0.9
    assert {"__label__a", "__label__b", "__label__c", "__label__extra"} == set(embeddings.labels)
    assert (4, 8) == embeddings.output_vectors.shape
    assert 0 == CliRunner().invoke(embed, ["verify", str(out)]).exit_code


def test_words_alone_have_vectors_beside_n_grams_of_words(lines, tmp_path):
    out = tmp_path / "out.safetensors"
    main(["classify", str(lines), "-o", str(out), "--dim", "8", "--word-ngrams", "2"])
    embeddings = load(out)

    assert (0, 0) == (embeddings.subwords.units.shortest, embeddings.subwords.units.longest)
    assert np.array_equal(embeddings.vectors, embeddings.subwords.word_rows)
    assert "w1" in embeddings
    assert "never" not in embeddings.vocabulary


def test_many_labels_lose_more_than_two_at_first(tmp_path):
    path, out = tmp_path / "many.txt", tmp_path / "out.safetensors"
    path.write_text("".join(f"__label__{i % 40} w{i % 40} w{i % 7}\n" for i in range(200)))

    assert 0 == main(["classify", str(path), "-o", str(out), "--dim", "8", "--epochs", "1"])
    assert load(out).metadata["loss"][0] == pytest.approx(np.log(40), rel=0.01)


def test_labels_may_stand_before_a_tab(tmp_path):
    path = tmp_path / "lines.tsv"
    path.write_text("very good\ta b c\nbad\td e\nno label here\nbad\te f\n")
    examples = examples_of(path)

    assert ["bad", "very good"] == examples.labels.words
    assert ([1, 0, 0], 1) == (examples.label_ids.tolist(), examples.without)
    assert ["</s>", "e", "a", "b", "c", "d", "f"] == examples.words.words


def test_labels_anywhere_in_a_line_each_once(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a __label__x b __label__y\n__label__x c __label__x\nnone\n__label__z\n")
    examples = examples_of(path)

    assert ["__label__x", "__label__y", "__label__z"] == examples.labels.words
    assert [0, 1, 0, 2] == examples.label_ids.tolist()
    assert [0, 2, 3, 4] == examples.label_offsets.tolist()
    assert [3, 2, 1] == np.diff(examples.offsets).tolist()


def test_text_rules_are_those_of_training_again(tmp_path):
    path, out = tmp_path / "lines.txt", tmp_path / "out.safetensors"
    path.write_text("__label__Up Good,GOOD\n__label__Down bad;Bad\n" * 50)
    more = ["--tokenizer", "words", "--lowercase", "--dim", "8", "--lr", "0.5"]
    main(["classify", str(path), "-o", str(out), *more])
    asked = tmp_path / "asked.txt"
    asked.write_text("so GoOd!\nso bAd!\n")
    result = CliRunner().invoke(embed, ["predict", str(asked), "-m", str(out)])

    assert ["good", "bad"] == sorted(set(load(out).vocabulary) - {"</s>"}, reverse=True)
    assert ["__label__Up", "__label__Down"] == result.stdout.splitlines()


def test_held_out_lines_are_measured_and_those_of_new_labels_left_out(lines, tmp_path, capsys):
    held, out = tmp_path / "held.txt", tmp_path / "out.safetensors"
    held.write_text("__label__a w1 w2 new\n__label__never w3\n")
    main(["classify", str(lines), "-o", str(out), "--valid", str(held), "--dim", "8"])
    meta = load(out).metadata

    assert (1, 1) == (meta["held_out"]["lines"], meta["held_out"]["unknown_label"])
    assert all(epoch["held_out"] > 0 for epoch in meta["epochs"])
    assert "1 held-out lines have only labels that training never saw" in capsys.readouterr().err


def test_a_complete_run_is_not_trained_again(lines, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    arguments = ["classify", str(lines), "-o", str(out), "--dim", "8"]
    main(arguments)
    before = out.read_bytes()
    assert 0 == main([*arguments, "--resume"])
    assert "is complete: nothing to do" in capsys.readouterr().err
    assert before == out.read_bytes()


BAD = {
    "no labels": ("a b\nc d\n", [], 3, "has a label: write __label__NAME"),
    "one label": ("__label__x a\n__label__x b\n", [], 3, "have the label '__label__x'"),
    "pieces": ("__label__x a\n", ["--subword", "x.model"], 2, "n-grams of characters: 2:5"),
    "another output": ("__label__x a\n", ["-o", "x.vec"], 2, "is written as .safetensors"),
    "no held-out label": (
        "__label__x a\n__label__y b\n",
        ["--valid", "lines.txt"],
        3,
        "no line of",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, more, expected, message = BAD[case]
    (tmp_path / "bad.txt").write_text(text)
    (tmp_path / "lines.txt").write_text("__label__other a\n")
    code = main(["classify", "bad.txt", *more])

    said = capsys.readouterr().err.strip().splitlines()
    assert (expected, 1) == (code, len(said)), said
    assert message in said[0]


def test_json_says_how_it_was_made(lines, tmp_path):
    out = tmp_path / "out.safetensors"
    arguments = ["classify", str(lines), "-o", str(out), "--dim", "8", "--json"]
    result = CliRunner().invoke(embed, arguments)
    meta = json.loads(result.stdout)

    assert ("classifier", 4) == (meta["settings"]["arch"], meta["corpus"]["labels"])


def test_kernels_are_kept_under_names_that_every_process_gives_them():
    for loss in LOSSES:
        json.dumps(_name(labelled_rounds(4, 1, loss).py_func))  # no object of this process
