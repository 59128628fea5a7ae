"""Scores: analogies and word similarity under named protocols.

protocols.py (the rules, as data), files.py (reading), folded.py (which words are seen, and under
what spelling), analogies.py and similarity.py (scoring).
"""

from __future__ import annotations

from collections.abc import Iterable

from embedcli.embeddings import Embeddings
from embedcli.evaluation.analogies import AnalogyReport, Section, score_analogies
from embedcli.evaluation.files import read_evaluation_file
from embedcli.evaluation.protocols import resolve
from embedcli.evaluation.similarity import SimilarityReport, score_similarity

__all__ = ["AnalogyReport", "Report", "SimilarityReport", "evaluate"]

Report = AnalogyReport | SimilarityReport


def evaluate(
    embeddings: Embeddings,
    paths: Iterable[str],
    *,
    protocol: str = "word2vec",
    method: str | None = None,
    restrict: int | None = None,
    oov: str | None = None,
    bootstrap: int = 1000,
    seed: int = 1,
) -> list[Report]:
    """Score `embeddings` on analogy and similarity files, told apart by their content.

    Args:
        embeddings: the model.
        paths: the files.
        protocol: ``"word2vec"`` (analogies among the first 30,000 words) or ``"gensim"`` (300,000).
        method: ``"cosadd"`` or ``"cosmul"`` instead of the protocol's.
        restrict: see only the first `restrict` words (0: all) instead of the protocol's number.
        oov: ``"skip"`` or ``"wrong"`` instead of the protocol's.
        bootstrap: resamples for the interval of a rank correlation; 0 for none.
        seed: of the resampling.

    Returns:
        One report a file, in the order of `paths`.

    Raises:
        UsageError: no such protocol, method or rule.
        FormatError: a file that is neither kind, with the line.
        InputError: a vector is not finite.
    """
    rules = resolve(protocol, method=method, restrict=restrict, oov=oov)
    reports: list[Report] = []
    for path in paths:
        match read_evaluation_file(path):
            case [Section(), *_] as sections:
                reports.append(score_analogies(embeddings, path, sections, rules))
            case pairs:
                reports.append(
                    score_similarity(embeddings, path, pairs, rules, resamples=bootstrap, seed=seed)
                )
    return reports
