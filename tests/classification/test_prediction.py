"""Labels and probabilities of fastText's classifiers, against what fastText says of the same files.

`tests/data/README.md` says how the files were made.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli.classification.lines import blocks_of_lines
from embedcli.classification.prediction import Predictor
from embedcli.cli.main import embed, main
from embedcli.errors import FormatError
from embedcli.formats.classifiers import load_classifier
from embedcli.kernels.line_features import Quantized, character_ngrams
from embedcli.settings.text_rules import TextRules
from embedcli.subwords.ngrams import NGrams
from embedcli.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data"
SAID = json.loads((DATA / "classifier-labels.json").read_text())
NAMES = [name for name in SAID if name != "texts"]
SOFTMAX = DATA / "classifier-softmax.bin"
ASKED = "classifier-softmax.bin"


def labels_of(classifier, labels, line):
    return [
        (classifier.labels[label], probability)
        for label, probability, _ in zip(
            labels.ids[line].tolist(),
            labels.probabilities[line].tolist(),
            range(labels.found[line]),
            strict=False,
        )
    ]


@pytest.mark.parametrize("name", NAMES)
def test_labels_and_probabilities_are_those_of_fasttext(name):
    classifier = load_classifier(DATA / name)
    labels = Predictor(classifier, k=0).predict(SAID["texts"])

    for line, (names, probabilities) in enumerate(SAID[name]):
        found = dict(labels_of(classifier, labels, line))
        expected = dict(zip(names, probabilities, strict=True))
        assert expected.keys() == found.keys(), SAID["texts"][line]
        assert list(expected.values()) == pytest.approx([found[n] for n in expected], abs=1e-6)


@pytest.mark.parametrize("name", ["classifier-softmax.bin", "classifier-hs.bin"])
def test_the_best_labels_come_first_and_those_below_the_threshold_not_at_all(name):
    classifier = load_classifier(DATA / name)
    everything = Predictor(classifier, k=0).predict(SAID["texts"])
    best = Predictor(classifier, k=2, threshold=0.2).predict(SAID["texts"])

    for line in range(len(SAID["texts"])):
        wanted = [(n, p) for n, p in labels_of(classifier, everything, line)[:2] if p >= 0.2]
        assert wanted == labels_of(classifier, best, line)


def test_a_quantised_matrix_stays_codes():
    classifier = load_classifier(DATA / "classifier-pruned.ftz")

    assert isinstance(classifier.inputs, Quantized)
    assert 300 == len(classifier.words) + classifier.ngrams.n_rows


def test_blocks_of_several_threads_come_in_order():
    classifier = load_classifier(SOFTMAX)
    predictor = Predictor(classifier)
    text = DATA / "classifier-lines.txt"
    blocks = list(blocks_of_lines([str(text)], TextRules())) * 9
    alone = [labels.ids.tolist() for _, labels in predictor.of_blocks(blocks, 1)]

    assert alone == [labels.ids.tolist() for _, labels in predictor.of_blocks(blocks, 3)]


def test_lines_are_cut_where_they_end(tmp_path, monkeypatch):
    monkeypatch.setattr("embedcli.classification.lines.BLOCK_BYTES", 5)
    text = tmp_path / "lines.txt"
    text.write_bytes(b"one two\n\nthree four five\r\nsix")
    blocks = blocks_of_lines([str(text)], TextRules())
    lines = [
        block.text[begin:end].tobytes()
        for block in blocks
        for begin, end in zip(block.begins, block.ends, strict=True)
    ]

    assert [b"one two", b"", b"three four five\r", b"six"] == lines


def test_predict_prints_a_line_for_each_line(tmp_path):
    text = tmp_path / "some.txt"
    text.write_text("".join(f"{t}\n" for t in SAID["texts"] if "\r" not in t))
    arguments = ["predict", str(text), "-m", str(DATA / ASKED), "--prob", "-k", "0"]
    result = CliRunner().invoke(embed, arguments)

    expected = []
    for asked, (names, probabilities) in zip(SAID["texts"], SAID[ASKED], strict=True):
        if "\r" not in asked:
            pairs = zip(names, probabilities, strict=True)
            expected.append("\t".join(f"{n}\t{p:.6g}" for n, p in pairs))
    found = result.stdout.splitlines()
    assert [line.split("\t")[::2] for line in expected] == [line.split("\t")[::2] for line in found]
    for one, other in zip(expected, found, strict=True):
        numbers = [[float(p) for p in line.split("\t")[1::2]] for line in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-6)


def test_predict_json_and_records(tmp_path):
    text = tmp_path / "some.jsonl"
    text.write_text("".join(json.dumps({"id": i, "t": t}) + "\n" for i, t in enumerate("ab")))
    arguments = [str(text), "-m", str(DATA / ASKED), "--field", "t"]
    result = CliRunner().invoke(embed, ["predict", *arguments, "--json"])
    classifier = load_classifier(DATA / ASKED)
    labels = Predictor(classifier).predict(["a", "b"])

    expected = [
        {"labels": [classifier.labels[int(i)]], "probabilities": [round(float(p), 6)]}
        for i, p in zip(labels.ids[:, 0], labels.probabilities[:, 0], strict=True)
    ]
    assert expected == [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("field", [False, True])
def test_keep_writes_the_lines_that_pass(tmp_path, field):
    classifier = load_classifier(SOFTMAX)
    texts = [text for text in SAID["texts"] if text.strip() and "\r" not in text]
    lines = [json.dumps({"t": text}) for text in texts] if field else texts
    asked, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    asked.write_text("".join(line + "\n" for line in lines))
    more = ["--field", "t"] if field else []
    arguments = [str(asked), "-m", str(SOFTMAX), "--keep", "y>=0.3", "-o", str(out), *more]
    CliRunner().invoke(embed, ["predict", *arguments], catch_exceptions=False)
    everything = Predictor(classifier, k=0).predict(texts)

    expected = [
        line
        for i, line in enumerate(lines)
        if dict(labels_of(classifier, everything, i))["__label__y"] >= 0.3
    ]
    assert 0 < len(expected) < len(lines)
    assert expected == out.read_text().splitlines()


REFUSED = {
    "a label that is not there": (["--keep", "nope>=0.5"], "names the label 'nope'"),
    "no number": (["--keep", "y>=often"], "must be a label and its least probability"),
    "two wishes": (["--keep", "y>=0.5", "--prob"], "prints lines, not labels"),
    "no classifier": (["-m", str(DATA / "fasttext.bin")], "holds embeddings (model 2)"),
    "not even fastText": (["-m", str(DATA / "gensim.vec")], "holds no classifier"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_predict_refuses(case, tmp_path, capsys):
    arguments, message = REFUSED[case]
    text = tmp_path / "t.txt"
    text.write_text("a b\n")
    model = [] if "-m" in arguments else ["-m", str(SOFTMAX)]
    code = main(["predict", str(text), *model, *arguments])

    said = capsys.readouterr().err.strip().splitlines()
    assert ((3 if "-m" in arguments else 2), 1) == (code, len(said))
    assert message in said[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_short_is_refused_wherever_it_was(name, tmp_path):
    whole = (DATA / name).read_bytes()
    cut = tmp_path / "cut.bin"
    for length in range(4, len(whole), 37):
        cut.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load_classifier(cut)
    cut.write_bytes(whole + b"\0")
    with pytest.raises(FormatError, match="more behind its last matrix"):
        load_classifier(cut)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_lie_are_refused_or_harmless(name, tmp_path):
    whole = (DATA / name).read_bytes()
    damaged = tmp_path / "damaged.bin"
    generator = np.random.default_rng(7)
    for _ in range(150):
        at = int(generator.integers(0, len(whole) - 8))
        value = int(generator.choice([-1, 0, 1, 7, 255, 2**31 - 1, -(2**31)]))
        damaged.write_bytes(whole[:at] + struct.pack("<i", value) + whole[at + 4 :])
        try:
            classifier = load_classifier(damaged)
        except FormatError as error:
            assert "\n" not in str(error)
            continue
        labels = Predictor(classifier).predict(SAID["texts"])
        assert (labels.ids >= 0).all()
        assert (labels.ids < len(classifier.labels)).all()


@pytest.mark.parametrize("lengths", [(1, 3), (2, 5), (3, 3)])
def test_compiled_n_grams_are_those_of_numpy(lengths):
    words = Vocabulary.from_words(["</s>", "a", "wörter", "語", "<>", "abcdefg", "x\udcffy"])
    rule = NGrams(*lengths, 77)
    ends = np.empty(len(words) + 1, np.int64)
    asked = (words.blob, words.offsets, *lengths, np.uint32(77), ends)
    character_ngrams(*asked, np.empty(0, np.int32))
    ids = np.empty(int(ends[-1]), np.int32)
    character_ngrams(*asked, ids)
    expected = rule.cut(words)

    assert (expected.ids.tolist(), expected.offsets.tolist()) == (ids.tolist(), ends.tolist())
