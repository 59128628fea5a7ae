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
    """Score `embeddings` on files of any kind (`item_files.py`), told apart by their content.

    Args:
        embeddings: the model.
        paths: the files.
        protocol: ``"word2vec"`` (analogies among the first 30,000 words) or ``"gensim"`` (300,000).
        method: one of `METHODS` in `protocols.py` instead of the protocol's.
        restrict: see only the first `restrict` words (0: all) instead of the protocol's number.
        oov: ``"skip"`` or ``"wrong"`` instead of the protocol's.
        subwords: give unknown words of similarity files vectors made of their subwords.
        unk: give those that are unknown after that the vector of ``<unk>``.
        kind: one of `KINDS` in `item_files.py` instead of what the content of the files says.
        encoding: what they are encoded in, where no byte order mark says it; UTF-8 if None.
        skip_bad_lines: leave out lines that are not what the others are; reports count them.
        bootstrap: resamples for the interval of a rank correlation; 0 for none.
        seed: of the resampling.

    Returns:
        One report a file, in the order of `paths`.

    Raises:
        UsageError: no such protocol, method, rule or kind.
        FormatError: a file that is of no kind, with the line.
        InputError: a vector is not finite.
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
