"""Precision, recall and F1 of a classifier, against sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedcli.classification.prediction import Predictor
from embedcli.cli.main import embed, main
from embedcli.evaluation.classified import score_classifier
from embedcli.formats.classifiers import is_classifier, load_classifier
from embedcli.settings.text_rules import TextRules

DATA = Path(__file__).parents[1] / "data"
MODEL = DATA / "classifier-softmax.bin"


@pytest.fixture
def test_file(tmp_path):
    """Lines of what the model says itself (x, y, z), with labels that are right or not."""
    classifier = load_classifier(MODEL)
    asked = json.loads((DATA / "classifier-labels.json").read_text())["texts"]
    texts = [t for t in asked if t.strip() and "__label__" not in t and "\r" not in t][:8]
    found = Predictor(classifier).predict(texts)
    said = [classifier.labels[int(i)] for i in found.ids[:, 0]]
    other = {"__label__x": "__label__y", "__label__y": "__label__z", "__label__z": "__label__x"}
    lines, right = [], []
    for number, (text, label) in enumerate(zip(texts, said, strict=True)):
        labels = {0: [other[label]], 1: ["__label__new"], 2: [label, other[label]]}.get(
            number, [label]
        )
        right.append((label, labels))
        lines.append(f"{' '.join(labels)} {text}\n")
    path = tmp_path / "test.txt"
    path.write_text("".join(lines) + "no label\n")
    return path, right


def test_precision_recall_and_f1(test_file):
    path, right = test_file
    report = score_classifier(load_classifier(MODEL), str(path), TextRules(), bootstrap=50)
    n_found = sum(said in labels for said, labels in right)
    n_labels = sum(len(labels) for _, labels in right)

    assert (6, 9, 8) == (n_found, n_labels, len(right))
    assert 200 * 6 / (8 + 9) == pytest.approx(report.score)
    assert {"precision": 75.0, "recall": pytest.approx(100 * 6 / 9)} == report.main_part.more
    assert report.main_part.low <= report.score <= report.main_part.high
    assert 1 == report.facts["without_label"]
    assert ["new"] == report.facts["unknown_labels"]
    by_label = {part.name: part for part in report.parts}
    for name in ("x", "y", "z", "new"):
        full = f"__label__{name}"
        found = sum(said == full and full in labels for said, labels in right)
        predicted = sum(said == full for said, _ in right)
        of_label = sum(full in labels for _, labels in right)
        if of_label:
            expected = 200 * found / (predicted + of_label)
            assert expected == pytest.approx(by_label[name].score)
            assert (predicted, of_label) == (by_label[name].seen, by_label[name].total)
    wrong = sum(n for row in report.facts["confusion"].values() for n in row.values())
    assert 2 == wrong


def test_evaluate_takes_a_classifier_for_what_it_is(test_file, capsys):
    path, _ = test_file
    arguments = ["evaluate", str(path), "-m", str(MODEL), "-m", str(DATA / "classifier-ova.bin")]
    result = CliRunner().invoke(embed, [*arguments, "--json"])
    first, second = json.loads(result.stdout)

    assert ("micro", "macro") == (first["parts"][-1]["name"], first["parts"][-2]["name"])
    assert second["gain"]["over"] == str(MODEL)
    assert 1 == main([*arguments[:4], "--fail-under", "99"])
    assert "below --fail-under 99" in capsys.readouterr().err


def test_lines_without_a_label_are_refused(tmp_path, capsys):
    path = tmp_path / "none.txt"
    path.write_text("a b\n")
    assert 3 == main(["evaluate", str(path), "-m", str(MODEL)])
    assert "has a label: write __label__NAME" in capsys.readouterr().err


def test_what_is_a_classifier():
    assert is_classifier(MODEL)
    assert is_classifier(DATA / "classifier-pruned.ftz")
    assert not is_classifier(DATA / "fasttext.bin")
    assert not is_classifier(DATA / "gensim.vec")
