"""Classifiers as fastText's files: written, read back, and looked at as embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.classification.lines import cut_lines
from embedcli.classification.prediction import Predictor
from embedcli.cli.main import embed
from embedcli.formats import load, save
from embedcli.formats.classifiers import load_classifier

DATA = Path(__file__).parents[1] / "data"
SAID = json.loads((DATA / "classifier-labels.json").read_text())
NAMES = [name for name in SAID if name != "texts"]


@pytest.mark.parametrize("name", ["softmax", "ova", "hs", "ns"])
def test_a_file_of_fasttexts_is_written_again_as_it_was(name, tmp_path):
    path = DATA / f"classifier-{name}.bin"
    again = tmp_path / "again.fasttext.bin"
    save(load(path), again)

    assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("loss", ["softmax", "hs"])
def test_a_classifier_of_ours_predicts_the_same_from_both_files(loss, tmp_path):
    text, ours, theirs = (tmp_path / name for name in ("t.tsv", "m.safetensors", "m.fasttext.bin"))
    words = [f"w{i}" for i in range(9)]
    rows = [
        f"{'abc'[i % 3]}\t{words[i % 9]} {words[i * 5 % 9]} {words[i * i % 9]}" for i in range(90)
    ]
    text.write_text("\n".join(rows) + "\n")
    more = ["--dim", "8", "--lr", "0.5", "--loss", loss, "--subword", "1:2", "--buckets", "50"]
    run = CliRunner().invoke
    run(embed, ["classify", str(text), "-o", str(ours), "--word-ngrams", "2", *more])
    result = run(embed, ["export", str(ours), str(theirs)], catch_exceptions=False)
    assert 0 == result.exit_code, result.output
    texts = ["w1 w2 new", "w5", "", "w7 w7 w8 w0"]
    one, other = (Predictor(load_classifier(path), k=0).predict(texts) for path in (ours, theirs))

    assert [f"__label__{label}" for label in "abc"] == sorted(load(theirs).labels)
    assert one.ids.tolist() == other.ids.tolist()
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


WRITTEN = [
    (name, dtype)
    for name in formats.WRITTEN
    for dtype in ("float32", "float16", "int8")
    if name != "vocab" and dtype in getattr(formats.FORMATS[name], "dtypes", ("float32",))
]


@pytest.mark.parametrize(("name", "dtype"), WRITTEN)
def test_a_file_without_the_labels_says_so(name, dtype, tmp_path):
    model, out = str(DATA / "classifier-ova.bin"), tmp_path / "out"
    options = ["--format", name, *(["--dtype", dtype] if dtype != "float32" else [])]
    done = CliRunner().invoke(embed, ["export", model, str(out), *options])
    assert 0 == done.exit_code, done.output
    keeps = load(out).labels is not None
    assert keeps == (name in ("safetensors", "fasttext") and dtype == "float32")
    assert keeps != ("out: without the labels of the classifier: it predicts none" in done.stderr)


def test_fewer_dimensions_have_no_labels(tmp_path):
    model, out = str(DATA / "classifier-ova.bin"), str(tmp_path / "m.safetensors")
    done = CliRunner().invoke(embed, ["export", model, out, "--dim", "2"])
    assert (0, None) == (done.exit_code, load(out).labels)
    assert 1 == done.stderr.count("without the labels of the classifier")


@pytest.mark.parametrize("name", ["classifier-ova.bin", "classifier-hs.bin", NAMES[-1]])
def test_vectors_of_words_are_what_lines_of_one_word_get(name):
    embeddings, classifier = load(DATA / name), load_classifier(DATA / name)
    words = [word for word in embeddings.vocabulary if word != "</s>"]
    predictor = Predictor(classifier)
    end = classifier.dictionary._replace(end=-1)  # lines do not end with a token then
    predictor._given = end, *predictor._given[1:]
    block = cut_lines("".join(f"{word}\n" for word in words).encode())
    hidden, _ = predictor._hidden(
        block, slice(0, len(words)), np.empty(99, np.int32), np.empty(32, np.int64)
    )

    assert hidden == pytest.approx(np.array([embeddings[word] for word in words]), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_info_verify_and_neighbors_take_a_classifier(name):
    path = str(DATA / name)
    facts = json.loads(CliRunner().invoke(embed, ["info", path, "--json"]).stdout)

    assert (3, ["__label__x", "__label__y", "__label__z"]) == (
        facts["labels"],
        sorted(facts["first_labels"]),
    )
    assert 0 == CliRunner().invoke(embed, ["verify", path]).exit_code
    word = facts["first_words"][1]
    result = CliRunner().invoke(embed, ["neighbors", word, "-m", path, "-k", "3"])
    assert 3 == len(result.stdout.splitlines())
