"""Scores: analogies, word similarity, categories and odd ones out under named protocols.

protocols.py (the rules, as data), item_files.py (reading), folded.py (which words are seen, and
under what spelling), analogies.py, similarity.py and groups.py (scoring), report.py (what they
return).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from embedcli.embeddings import Embeddings
from embedcli.evaluation.analogies import score_analogies
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.groups import score_categories, score_odd
from embedcli.evaluation.item_files import (
    Analogies,
    Categories,
    Content,
    OddOnes,
    Similarities,
    read_evaluation_file,
)
from embedcli.evaluation.protocols import resolve
from embedcli.evaluation.report import Report
from embedcli.evaluation.similarity import score_similarity

__all__ = ["Report", "evaluate"]

_SCORERS: Final[dict[type[Content], Callable[..., Report]]] = {
    Analogies: score_analogies,
    Similarities: score_similarity,
    Categories: score_categories,
    OddOnes: score_odd,
}


def evaluate(
    embeddings: Embeddings,
    paths: Iterable[str],
    *,
    protocol: str = "word2vec",
    method: str | None = None,
    restrict: int | None = None,
    oov: str | None = None,
    subwords: bool = True,
    unk: bool = False,
    kind: str | None = None,
    encoding: str | None = None,
    skip_bad_lines: bool = False,
    bootstrap: int = 1000,
    seed: int = 1,
) -> list[Report]:
    r"""Score `embeddings` on analogies, word similarity, categories or odd ones out.

    The kind of each file (`item_files.py`) is detected by its content.

    Args:
        embeddings: the model.
        paths: the evaluation files.
        protocol: ``"word2vec"`` (analogies among the first 30,000 words) or ``"gensim"`` (300,000).
        method: one of `METHODS` in `protocols.py`; None: that of the protocol.
        restrict: use only the first `restrict` words, 0 for all; None: the protocol's number.
        oov: ``"skip"`` or ``"wrong"``, for items with unknown words; None: that of the protocol.
        subwords: in similarity files, make vectors of unknown words from their subwords.
        unk: use the vector of ``<unk>`` for words that are still unknown.
        kind: one of `KINDS` in `item_files.py`; None detects it.
        encoding: the encoding of files without a byte order mark; None means UTF-8.
        skip_bad_lines: skip malformed lines. The reports count them.
        bootstrap: number of resamples for the interval of a rank correlation; 0 for no interval.
        seed: seed of the resampling.

    Returns:
        One report for each file, in the order of `paths`. ``report.score`` is a percentage for
        analogies, categories and odd ones out, and 100 times Spearman's rho for similarity.

    Raises:
        UsageError: there is no such protocol, method, rule or kind.
        FormatError: a file is of no kind; the message names the line.
        InputError: a file cannot be read, or a vector is not finite.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> vocabulary = embedcli.Vocabulary.from_words(["cat", "dog", "car"])
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> _ = Path("pairs.tsv").write_text("cat\tdog\t9\ndog\tcar\t3\ncat\tcar\t1\n")
        >>> [report] = embedcli.evaluate(embedcli.Embeddings(vocabulary, vectors), ["pairs.tsv"])
        >>> report.score
        100.0
    """
    rules = resolve(
        protocol, method=method, restrict=restrict, oov=oov, subwords=subwords, token=unk
    )
    folded: dict[int | None, FoldedWords] = {}

    def scored(path: str) -> Report:
        content = read_evaluation_file(path, kind, encoding=encoding, skip_bad_lines=skip_bad_lines)
        is_analogies = isinstance(content, Analogies)
        n = rules.analogy_words if is_analogies else rules.similarity_words
        if n not in folded:
            folded[n] = FoldedWords.of(embeddings, n, rules.fold)
        more: dict[str, Any] = {"skipped": content.skipped, "resamples": bootstrap, "seed": seed}
        return _SCORERS[type(content)](folded[n], path, content.items, rules, **more)

    return [scored(path) for path in paths]
