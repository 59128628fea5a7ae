"""Scores: analogies, word similarity, categories and odd ones out under named protocols.

protocols.py (the rules, as data), files.py (reading), folded.py (which words are seen, and under
what spelling), analogies.py, similarity.py and groups.py (scoring).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from embedcli.embeddings import Embeddings
from embedcli.evaluation.analogies import AnalogyReport, score_analogies
from embedcli.evaluation.files import (
    Analogies,
    Categories,
    OddOnes,
    Similarities,
    read_evaluation_file,
)
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.groups import GroupReport, score_categories, score_odd
from embedcli.evaluation.protocols import resolve
from embedcli.evaluation.similarity import SimilarityReport, score_similarity

__all__ = ["AnalogyReport", "GroupReport", "Report", "SimilarityReport", "evaluate"]

Report = AnalogyReport | SimilarityReport | GroupReport


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
    """Score `embeddings` on files of any kind (`files.py`), told apart by their content.

    Args:
        embeddings: the model.
        paths: the files.
        protocol: ``"word2vec"`` (analogies among the first 30,000 words) or ``"gensim"`` (300,000).
        method: one of `METHODS` in `protocols.py` instead of the protocol's.
        restrict: see only the first `restrict` words (0: all) instead of the protocol's number.
        oov: ``"skip"`` or ``"wrong"`` instead of the protocol's.
        subwords: give unknown words of similarity files vectors made of their subwords.
        unk: give those that are unknown after that the vector of ``<unk>``.
        kind: one of `KINDS` in `files.py` instead of what the content of the files says.
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
    seen: dict[int | None, FoldedWords] = {}

    def first(n: int | None) -> FoldedWords:
        if n not in seen:
            seen[n] = FoldedWords.of(embeddings, n, rules.fold)
        return seen[n]

    reports: list[Report] = []
    for path in paths:
        content = read_evaluation_file(path, kind, encoding=encoding, skip_bad_lines=skip_bad_lines)
        words = first(
            rules.analogy_words if isinstance(content, Analogies) else rules.similarity_words
        )
        report: Report
        match content:
            case Analogies(sections):
                report = score_analogies(words, path, sections, rules)
            case Similarities(pairs):
                report = score_similarity(words, path, pairs, rules, resamples=bootstrap, seed=seed)
            case Categories(given):
                report = score_categories(words, path, given, rules)
            case OddOnes(questions):
                report = score_odd(words, path, questions, rules)
        reports.append(replace(report, skipped=content.skipped))
    return reports
