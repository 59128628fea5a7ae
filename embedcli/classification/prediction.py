"""Predicts the labels of lines: compiled, by several threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcli.classification.lines import Block, cut_lines
from embedcli.classification.model import LabelModel
from embedcli.kernels.label_scores import SIGMOIDS, best_labels, best_leaves
from embedcli.kernels.line_features import WAITING, Dense, means

__all__ = ["Labels", "Predictor"]

_LINES: Final = 1024  # of which the means are held at once
_AHEAD: Final = 3  # blocks for each thread that are read, and not yet taken


class Labels(NamedTuple):
    """The labels of n lines, best first.

    Attributes:
        ids: int32 (n, k). probabilities: float32 (n, k).
        found: int64 (n,), how many of the k there are.
    """

    ids: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    found: NDArray[np.int64]

    def part(self, lines: slice) -> Labels:
        """Those of some lines; views."""
        return Labels(self.ids[lines], self.probabilities[lines], self.found[lines])


class Predictor:
    """Predicts.

    Args:
        classifier: what it predicts with.
        k: the most labels of a line; 0 for all.
        threshold: the least probability of a label.
    """

    def __init__(self, classifier: LabelModel, k: int = 1, threshold: float = 0.0) -> None:
        self.classifier = classifier
        n_labels = len(classifier.labels)
        self.k = min(k, n_labels) if k else n_labels
        self._threshold = np.float32(threshold)
        is_dense = isinstance(classifier.outputs, Dense)
        self._means = means(isinstance(classifier.inputs, Dense))
        if classifier.loss == "hs":
            self._leaves = best_leaves(is_dense)
        else:
            self._scores = best_labels(is_dense, classifier.loss == "softmax")
            self._outputs = classifier.columns if is_dense else classifier.outputs
        self._given = classifier.dictionary, classifier.buckets, classifier.features

    def predict(self, texts: Sequence[str]) -> Labels:
        """The labels of texts; a line end in one is white space.

        As all that fastText is given, they may hold lone surrogates, which stand for bytes.
        """
        lines = [text.replace("\n", " ").encode(errors="surrogateescape") for text in texts]
        return self.of_block(cut_lines(b"".join(line + b"\n" for line in lines)))

    def of_block(self, block: Block) -> Labels:
        """The labels of lines of text."""
        n = len(block.begins)
        labels = Labels(
            np.zeros((n, self.k + 1), np.int32),
            np.zeros((n, self.k + 1), np.float32),
            np.zeros(n, np.int64),
        )
        longest = int((block.ends - block.begins).max(initial=0))
        scratch = np.empty(longest // 2 + 2, np.int32), np.empty(WAITING, np.int64)
        for start in range(0, n, _LINES):
            part = slice(start, min(n, start + _LINES))
            hidden, counts = self._hidden(block, part, *scratch)
            self._label(hidden, counts, labels.part(part))
        return Labels(labels.ids[:, : self.k], labels.probabilities[:, : self.k], labels.found)

    def of_blocks(self, blocks: Iterable[Block], threads: int) -> Iterator[tuple[Block, Labels]]:
        """Each block and its labels, in order, by `threads` threads; a few blocks are held."""
        if threads == 1:
            yield from ((block, self.of_block(block)) for block in blocks)
            return
        waiting: deque[tuple[Block, Future[Labels]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for block in blocks:
                waiting.append((block, pool.submit(self.of_block, block)))
                if len(waiting) >= _AHEAD * threads:
                    first, labels = waiting.popleft()
                    yield first, labels.result()
            while waiting:
                first, labels = waiting.popleft()
                yield first, labels.result()

    def _hidden(
        self,
        block: Block,
        lines: slice,
        hashes: NDArray[np.int32],
        waiting: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The means of the features of some lines, float32 (n, D), and how many these are."""
        n = lines.stop - lines.start
        hidden = np.empty((n, self.classifier.dim), np.float32)
        counts = np.empty(n, np.int64)
        self._means(
            block.text,
            block.begins[lines],
            block.ends[lines],
            *self._given,
            self.classifier.inputs,
            hashes,
            waiting,
            hidden,
            counts,
        )
        return hidden, counts

    def _label(
        self, hidden: NDArray[np.float32], counts: NDArray[np.int64], labels: Labels
    ) -> None:
        classifier, n_labels = self.classifier, len(self.classifier.labels)
        if classifier.loss == "hs":
            stack, chances = np.empty(n_labels + 1, np.int32), np.empty(n_labels + 1, np.float32)
            self._leaves(
                hidden, counts, classifier.outputs, classifier.nodes, self._threshold, stack,
                chances, *labels,
            )  # fmt: skip
            return
        dots = np.empty(n_labels, np.float32)
        self._scores(hidden, counts, self._outputs, self._threshold, SIGMOIDS, dots, *labels)
