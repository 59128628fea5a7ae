"""`classify` and `Classifier`: classifiers of lines in Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.model import LabelModel, classifier_of
from embedcli.classification.prediction import Predictor
from embedcli.embeddings import Embeddings
from embedcli.files.locks import locked
from embedcli.formats import save
from embedcli.formats.classifiers import load_classifier
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.classifier_config import ClassifierConfig
from embedcli.settings.text_rules import TextRules
from embedcli.text.tokens import Cutter, prepared
from embedcli.training.classifying import ClassifierTrainer
from embedcli.training.trainer import RunControl
from embedcli.vocabulary import Vocabulary

__all__ = ["Classifier", "classify"]


class Classifier:
    r"""A classifier of lines: `classify` trains one, `Classifier.load` reads one.

    Attributes:
        labels: the C labels, as the training text had them, with counts.
        words: the V words.
        embeddings: the same as `Embeddings`, with labels; None for one that was loaded.

    Example:
        >>> import pathlib
        >>> lines = "__label__up good fine\n__label__down bad poor\n" * 50
        >>> _ = pathlib.Path("lines.txt").write_text(lines)
        >>> classifier = embedcli.classify(["lines.txt"], dim=8, lr=0.5, threads=1)
        >>> classifier
        Classifier(2 labels, 5 words x 8)
        >>> labels, probabilities = classifier.predict(["a fine day", "so bad"])
        >>> labels
        [['__label__up'], ['__label__down']]
        >>> probabilities.shape, bool((probabilities > 0.5).all())
        ((2, 1), True)
    """

    def __init__(self, model: LabelModel, embeddings: Embeddings | None = None) -> None:
        self.embeddings = embeddings
        self.labels: Vocabulary = model.labels
        self.words: Vocabulary = model.words
        self._model = model
        rules = TextRules.from_settings(model.metadata.get("settings", {}))
        self._cut = Cutter(rules) if rules.rewrites else None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `embed classify` wrote, or fastText's supervised ``.bin`` or ``.ftz``.

        Raises:
            FormatError: the file is damaged, or holds no classifier.
            InputError: it cannot be read.
        """
        return cls(load_classifier(path))

    def predict(
        self, texts: Sequence[str], k: int = 1, threshold: float = 0.0
    ) -> tuple[list[list[str]], NDArray[np.float32]]:
        """The most probable labels of texts; a line end in a text is white space.

        Args:
            texts: n texts.
            k: the most labels of a text; 0 for all.
            threshold: the least probability of a label.

        Returns:
            The labels of each text, best first; and their probabilities, float32 (n, k), NaN where
            a text has fewer labels.
        """
        if self._cut is not None:
            lines = "\n".join(text.replace("\n", " ") for text in texts)
            cut = prepared(lines.encode(errors="surrogateescape"), self._cut)
            texts = cut.decode(errors="surrogateescape").split("\n")[: len(texts)]
        found = Predictor(self._model, k, threshold).predict(texts)
        rows = zip(found.ids.tolist(), found.found.tolist(), strict=True)
        names = [[self.labels[i] for i in ids[:n]] for ids, n in rows]
        chances = found.probabilities.copy()
        chances[np.arange(chances.shape[1]) >= found.found[:, None]] = np.nan
        return names, chances

    def __repr__(self) -> str:
        model = self._model
        return f"Classifier({len(self.labels)} labels, {len(self.words)} words x {model.dim})"


def classify(
    paths: Sequence[str | Path],
    config: ClassifierConfig | None = None,
    *,
    output: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    **settings: Any,
) -> Classifier:
    r"""Train a classifier on labelled lines, as `embed classify` does.

    Args:
        paths: files, or globs: ``__label__NAME`` among the words of a line, or NAME, a tab and the
            text.
        config: the settings; None: the defaults.
        output: a file to write it to, whole or not at all; its suffix decides the format
            (``.safetensors`` or ``.fasttext.bin``).
        on_progress: called about ten times a second.
        settings: more settings by name, as the options of `embed classify`: ``word_ngrams=2``.

    Raises:
        ConfigError: a setting out of range.
        CorpusError: a file cannot be read, or holds no labels, or one label only.
        TrainingError: the numbers diverge.

    Example:
        >>> import pathlib
        >>> _ = pathlib.Path("a.tsv").write_text("up\tgood fine\ndown\tbad poor\n" * 50)
        >>> classifier = embedcli.classify(["a.tsv"], dim=8, lr=0.5, threads=1)
        >>> classifier.predict(["good"])[0]
        [['up']]
    """
    chosen = (config or ClassifierConfig()).with_settings(settings).resolve()
    trainer = ClassifierTrainer()

    def trained() -> Embeddings:
        return trainer.train(
            [str(path) for path in paths],
            chosen,
            vocabulary=None,
            pretrained=None,
            scratch=None,
            on_progress=on_progress,
            control=RunControl(),
        )

    if output is None:
        embeddings = trained()
    else:
        with locked([str(output)]):
            embeddings = trained()
            save(embeddings, output)
    return Classifier(classifier_of(embeddings), embeddings)
