"""`embed neighbors`: the words nearest to a word, or to a sum of words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.neighbors_runs import model_paths, show_agreement
from embedcli.cli.neighbors_vectors import show_vectors
from embedcli.cli.number_options import number_option, restrict_option
from embedcli.cli.options import default_model, json_option, verbosity_options
from embedcli.cli.output import echo_json, echo_rows, report_error, talk
from embedcli.cli.progress_bar import show_progress
from embedcli.cli.unknown import MAX_HINTS, fallback_options, say_answered, stdin_lines
from embedcli.errors import UnknownWordError, UsageError
from embedcli.files.watch import Watch

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.lookup.index import Index
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.lookup.query import Neighbor, Query
    from embedcli.settings.reading import ReadingOptions
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]

_BATCH = 1024  # queries searched in one pass over the vectors


@dataclass(frozen=True)
class Answer:
    """What a query gave: neighbours, or the words in it that nothing is known of.

    `sources` says of the words that are not in the vocabulary how they were answered.
    """

    query: Query
    found: Sequence[Neighbor] = ()
    unknown: Sequence[UnknownWordError] = field(default=())
    sources: Mapping[str, str] = field(default_factory=dict)


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=click.Path(),  # unchecked; tells the shell to complete file names
    metavar="MODEL",
    help="Vector file in any format that embed reads. Several: count how many of them have a "
    "neighbour.  [default: EMBED_MODEL, or model.safetensors]",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Read N models: {} in -m stands for 1 to N.",
)
@number_option("-k", default=10, text="Neighbours per query.")
@click.option(
    "--positive", multiple=True, metavar="A,B", help="Words to add to every WORD, or to each other."
)
@click.option("--negative", multiple=True, metavar="A,B", help="Words to subtract.")
@click.option(
    "--vector",
    "files",
    multiple=True,
    metavar="FILE.npy",
    help="Query the rows of a NumPy array instead of words; may be repeated.",
)
@restrict_option("Answer from the N most frequent words only")
@click.option(
    "--index",
    "kind",
    type=click.Choice(["ivf", "hnsw"]),
    help="Search an approximate index; it is built when needed (pip install 'embedcli[ann]').",
)
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    words: tuple[str, ...],
    models: tuple[str, ...],
    runs: int | None,
    k: int,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    files: tuple[str, ...],
    restrict: int | None,
    kind: str | None,
    fallbacks: Fallbacks,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Show the words nearest to each WORD by cosine; - reads words from stdin, one per line.

    \b
        embed neighbors cat
        embed neighbors king --positive woman --negative man
        embed neighbors cat -m 'run-{}.safetensors' --runs 5
        embed neighbors - --index ivf < words.txt

    Columns: query, rank, neighbour, cosine. On a terminal they are aligned under a header; in a
    pipe they are tab-separated, without one. --json prints a list with one object per query: query,
    positive, negative, and neighbors, a list of word and cosine.

    Sums are of unit vectors. The words of a query are never answers.

    A word that is not in the vocabulary is looked up by its subwords, another spelling of its case
    or <unk>. A message on stderr says so, and answered_by in JSON; --no-subwords,
    --no-case-variants and --no-unk turn it off. A query with a word that is still unknown is an
    error on stderr. The other queries are answered, and the exit code is 3. In JSON its neighbors
    are null, and unknown lists each word with suggestions.

    With several models, neighbours that most models agree on come first. The cosine is the mean
    over the models that have the neighbour; a fifth column counts them: 4/5.

    --vector FILE.npy queries the rows of an array, as `embed vectors -o` writes it. The queries are
    named FILE.npy[0] and so on, and any word may be an answer.

    --index is for a million words and many queries. Cosines stay exact, but a neighbour may be
    missing. The share that is found is measured when the index is built, and printed. Without a
    WORD, the command only builds the index.
    """
    import embedcli
    from embedcli.lookup.query import neighbors

    if files and (words or positive or negative or len(models) > 1 or runs):
        raise UsageError("--vector is a query of its own, of one model: give no word and one -m")
    models = models or (default_model(),)
    paths = model_paths(models, runs)
    if kind is not None:
        _check_index(kind, paths, restrict, reading.limit)
    watches = [Watch(path) for path in paths]
    spaces = [embedcli.load(path, reading=reading) for path in paths]
    embeddings = spaces[0]
    added, taken = (_split(values, embeddings.vocabulary) for values in (positive, negative))
    if not (words or added or taken or kind or files):
        raise UsageError("nothing to look up: give a WORD, or - to read words from stdin")
    if len(spaces) > 1:
        queries = _queries(words, added, taken)
        show_agreement(spaces, queries, k, restrict, fallbacks, as_json=as_json)
        return
    index = None if kind is None else _open_index(paths[0], embeddings, kind)
    if files:
        show_vectors(embeddings, files, k, restrict, index, as_json=as_json)
    if not (words or added or taken):
        return
    search = partial(
        neighbors, embeddings, k=k, restrict=restrict, index=index, fallbacks=fallbacks
    )
    failed: list[Answer] = []
    queries = _queries(words, added, taken)
    answered: dict[str, str] = {}
    batches = _batches(queries, watches[0])
    answers = _reported(_answers(embeddings, batches, search, fallbacks), failed, answered)
    if as_json:
        recall = {} if index is None else {"recall": index.recall}
        echo_json([_as_json(answer) | recall for answer in answers])
    else:
        header = ("query", "rank", "neighbour", "cosine") if sys.stdout.isatty() else None
        echo_rows(_rows(answers), header)
    say_answered(answered)
    if failed:
        click.get_current_context().exit(UnknownWordError.exit_code)


def _check_index(kind: str, paths: Sequence[str], restrict: int | None, limit: int | None) -> None:
    if restrict is not None:
        raise UsageError(f"--index {kind} holds all words: --restrict {restrict} cannot apply")
    if limit is not None:
        raise UsageError(f"--index {kind} is of the whole model: --limit {limit} cannot apply")
    if len(paths) > 1:
        raise UsageError(f"--index {kind} is for one model, not {len(paths)}")


def _open_index(model: str, embeddings: Embeddings, kind: str) -> Index:
    """The index, made if need be; how far it can be trusted is said."""
    from embedcli.lookup.index_files import index_path, open_index

    with show_progress() as on_progress:
        index = open_index(
            model,
            embeddings,
            kind,
            on_build=lambda target: talk(f"{target}: indexing {len(embeddings):,} words"),
            on_progress=on_progress,
        )
    talk(f"{index_path(model, kind)}: finds {index.recall:.1%} of the 10 nearest neighbours")
    return index


def _split(values: Sequence[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """``A,B`` is two words, unless the vocabulary holds it as one (``1,000``)."""
    parts = ([value] if value in vocabulary else value.split(",") for value in values)
    return tuple(word for part in parts for word in part if word)


def _queries(
    words: Sequence[str], added: tuple[str, ...], taken: tuple[str, ...]
) -> Iterator[Query]:
    from embedcli.lookup.query import Query

    if not words:
        yield Query(added, taken)
    for word in words:
        for each in filter(None, stdin_lines()) if word == "-" else [word]:
            yield Query((each, *added), taken)


def _batches(queries: Iterator[Query], watch: Watch) -> Iterator[list[Query]]:
    """The queries, many at a time; they may take long to come, and the model may change."""
    while batch := list(islice(queries, _BATCH)):
        watch.check()
        yield batch


def _answers(
    embeddings: Embeddings,
    batches: Iterable[Sequence[Query]],
    search: Callable[[Sequence[Query]], list[list[Neighbor]]],
    fallbacks: Fallbacks,
) -> Iterator[Answer]:
    """Answer batch by batch, in order."""
    from embedcli.lookup.out_of_vocabulary import resolve
    from embedcli.lookup.suggest import Suggester

    suggester = Suggester(embeddings.vocabulary)
    n_hints = MAX_HINTS
    for batch in batches:
        resolved = resolve(
            embeddings, sorted({word for query in batch for word in query.words}), fallbacks
        )
        pairs = zip(resolved.words, resolved.sources, strict=True)
        unknown, answered = {word for word, source in pairs if source is None}, resolved.answered()
        good = [query for query in batch if unknown.isdisjoint(query.words)]
        found = iter(search(good) if good else ())
        for query in batch:
            errors = []
            for word in query.words:
                if word in unknown:
                    hints = suggester.suggest(word) if n_hints > 0 else ()
                    n_hints -= 1
                    errors.append(UnknownWordError(word, hints))
            if errors:
                yield Answer(query, (), errors)
            else:
                made = {word: answered[word] for word in query.words if word in answered}
                yield Answer(query, next(found), (), made)


def _reported(
    answers: Iterable[Answer], failed: list[Answer], answered: dict[str, str]
) -> Iterator[Answer]:
    """Pass answers on; report unknown words on stderr, and collect those answers in `failed`.

    `answered` collects the words that were answered without being in the vocabulary.
    """
    for answer in answers:
        answered |= answer.sources
        for error in answer.unknown:
            report_error(str(error))
        if answer.unknown:
            failed.append(answer)
        yield answer


def _rows(answers: Iterable[Answer]) -> Iterator[tuple[str, int, str, float]]:
    for answer in answers:
        for rank, (word, cosine) in enumerate(answer.found, 1):
            yield str(answer.query), rank, word, cosine


def _as_json(answer: Answer) -> dict[str, Any]:
    query = answer.query
    result: dict[str, Any] = {
        "query": str(query),
        "positive": query.positive,
        "negative": query.negative,
        "neighbors": [{"word": word, "cosine": cosine} for word, cosine in answer.found],
    }
    if answer.sources:
        result["answered_by"] = answer.sources
    if answer.unknown:
        unknown = [{"word": e.word, "suggestions": e.suggestions} for e in answer.unknown]
        result |= {"neighbors": None, "unknown": unknown}
    return result
