"""Scores: analogies and word similarity under named protocols.

protocols.py (the rules, as data), files.py (reading), folded.py (which words are seen, and under
what spelling), analogies.py and similarity.py (scoring).
"""

from __future__ import annotations

from collections.abc import Iterable

from embedcli.embeddings import Embeddings
from embedcli.evaluation.analogies import AnalogyReport, score_analogies
from embedcli.evaluation.files import Analogies, Similarities, read_evaluation_file
from embedcli.evaluation.folded import FoldedWords
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
    subwords: bool = True,
    unk: bool = False,
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
        subwords: give unknown words of similarity files vectors made of their subwords.
        unk: give those that are unknown after that the vector of ``<unk>``.
        bootstrap: resamples for the interval of a rank correlation; 0 for none.
        seed: of the resampling.

    Returns:
        One report a file, in the order of `paths`.

    Raises:
        UsageError: no such protocol, method or rule.
        FormatError: a file that is neither kind, with the line.
        InputError: a vector is not finite.
    """
    rules = resolve(
        protocol, method=method, restrict=restrict, oov=oov, subwords=subwords, token=unk
    )
    seen: dict[int | None, FoldedWords] = {}

    def first(n: int | None) -> FoldedWords:
        if n not in seen:
            seen[n] = FoldedWords.of(embeddings, n, rules.fold)
        return seen[n]

    reports: list[Report] = []
    for path in paths:
        match read_evaluation_file(path):
            case Analogies(sections):
                words = first(rules.analogy_words)
                reports.append(score_analogies(words, path, sections, rules))
            case Similarities(pairs):
                words = first(rules.similarity_words)
                reports.append(
                    score_similarity(words, path, pairs, rules, resamples=bootstrap, seed=seed)
                )
    return reports
