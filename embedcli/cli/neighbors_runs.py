"""`embed neighbors` with several models: which neighbours they agree on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from embedcli.cli.output import echo_json, echo_rows, report_error
from embedcli.errors import UnknownWordError, UsageError
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.lookup.query import Query

__all__ = ["model_paths", "show_agreement"]

_PLACE = "{}"


def model_paths(models: Sequence[str], runs: int | None) -> list[str]:
    """The models meant: as given, or with ``--runs N`` one path with {} in it, for 1 to N.

    Raises:
        UsageError: there is no {}, or are several paths.
    """
    if runs is None:
        return list(models)
    if len(models) != 1 or _PLACE not in models[0]:
        raise UsageError(f"--runs {runs} wants one -m with {{}} in it, such as -m 'run-{{}}.vec'")
    return [models[0].replace(_PLACE, str(number)) for number in range(1, runs + 1)]


def show_agreement(
    models: Sequence[Embeddings],
    queries: Iterable[Query],
    k: int,
    restrict: int | None,
    fallbacks: Fallbacks,
    *,
    as_json: bool,
) -> None:
    """Print the neighbours of each query and how many models have them."""
    from embedcli.spaces.agreement import agreement

    answers = [
        (query, *agreement(models, query, k, restrict=restrict, fallbacks=fallbacks))
        for query in queries
    ]
    if as_json:
        echo_json(
            [
                {
                    "query": str(query),
                    "models": able,
                    "neighbors": [
                        {"word": a.word, "runs": a.runs, "cosine": a.cosine} for a in found
                    ],
                }
                for query, found, able in answers
            ]
        )
    else:
        echo_rows(
            (
                (str(query), rank, a.word, a.cosine, f"{a.runs}/{able}")
                for query, found, able in answers
                for rank, a in enumerate(found, 1)
            ),
            ("query", "rank", "neighbour", "cosine", "runs") if sys.stdout.isatty() else None,
        )
    failed = [str(query) for query, _, able in answers if not able]
    for query_text in failed:
        report_error(f"{quoted(query_text)}: none of the {len(models)} models knows all of it")
    if failed:
        click.get_current_context().exit(UnknownWordError.exit_code)
