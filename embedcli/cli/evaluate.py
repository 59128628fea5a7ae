"""`embed evaluate`: score models on analogy and word-similarity files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.evaluate_kinds import KINDS, kind_options
from embedcli.cli.evaluate_request import Request
from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option, threshold_option
from embedcli.cli.options import (
    default_model,
    json_option,
    text_encoding_option,
    verbosity_options,
    warn_without_effect,
)
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]


@click.command()
@kind_options
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="A file of vectors in any format that embed reads. Repeatable.  "
    "[default: EMBED_MODEL, or model.safetensors]",
)
@click.option(
    "--protocol",
    type=click.Choice(["word2vec", "gensim"]),
    default="word2vec",
    show_default=True,
    help="The rules of scoring. word2vec searches the first 30,000 words for analogies and all "
    "words for similarity; gensim searches the first 300,000 for both.",
)
@click.option(
    "--method",
    type=click.Choice(["cosadd", "cosmul", "pairdistance", "cosavg", "lrcos"]),
    help="How analogies and pairs are answered. cosavg and lrcos learn from the other pairs of the "
    "section or file.  [default: cosadd]",
)
@click.option(
    "--restrict",
    type=click.IntRange(min=0),
    metavar="N",
    help="Search only the first N words; 0 searches all.",
)
@click.option(
    "--oov",
    type=click.Choice(["skip", "wrong"]),
    help="Unknown words: skip leaves out their questions, pairs and lines; wrong counts them as "
    "wrong, or as cosine 0.  [default: skip]",
)
@click.option(
    "--kind",
    type=click.Choice(["analogies", "similarity", "pairs", "categories", "odd"]),
    help="The kind of the FILEs.  [default: detected from their content]",
)
@click.option(
    "--skip-bad-lines",
    is_flag=True,
    help="Leave out and count malformed lines. Without it, a malformed line is an error.",
)
@click.option(
    "--subwords/--no-subwords",
    default=True,
    help="Compose vectors of unknown words from their subwords, if the model has any. Analogies "
    "and pairs never do.  [yes]",
)
@click.option(
    "--unk/--no-unk", default=False, help="Give other unknown words the vector of <unk>.  [no]"
)
@number_option(
    "--bootstrap",
    default=1000,
    text="The number of bootstrap resamples for 95 % intervals; 0 for no intervals.",
    least=0,
    most=1000000,
)
@threshold_option(
    "--fail-under",
    "Exit with 1 if a model scores below X on a file: percent correct, 100 x Spearman's rho, hit "
    "rate, accuracy or F1.",
)
@threshold_option(
    "--fail-under-gain",
    "Exit with 1 if the interval of a gain begins below X. Gains are over the first model, over "
    "one-hot features (--task), or over co-occurrence (--next-item).",
)
@text_encoding_option
@reading_options
@json_option
@verbosity_options
def command(
    models: tuple[str, ...],
    fail_under: float | None,
    fail_under_gain: float | None,
    reading: ReadingOptions,
    as_json: bool,
    **options: Any,
) -> None:
    r"""Score embeddings on FILEs of analogies, pairs, similarity, categories or odd ones out.

    \b
        embed evaluate questions-words.txt EN-WS-353-ALL.txt -m a.safetensors -m b.safetensors
        embed evaluate --task spam.train.tsv spam.test.tsv
        embed evaluate --next-item baskets.csv
        embed evaluate reviews.test.txt -m classifier.safetensors

    The kind of a FILE is detected from its content. Every score is printed with a line that states
    its rules. On a terminal the output is tables. Elsewhere it is tab-separated with a header: one
    line for each section of an analogy file, then semantic, syntactic and total; one line for any
    other file. Scores are percent, or 100 x Spearman's rho for similarity. An undefined score is
    n/a.

    With a classifier as the model, FILEs hold labelled lines. Precision, recall and F1 are reported
    by label and in all, and P@5.

    --task compares the same classifier on the model's features and on one-hot features. TRAIN and
    TEST hold label<TAB>text, fastText labels or CoNLL columns.

    --next-item reports hit rate and NDCG of the last item of each line, by the whole line and by
    its last items, beside popularity, co-occurrence and sequential rules. Train the model on the
    lines without their last items.
    """
    from embedcli import load
    from embedcli.cli.evaluate_classified import CLASSIFIED
    from embedcli.cli.evaluate_output import check_thresholds, show
    from embedcli.formats.classifiers import is_classifier

    asked = [name for name in KINDS if options[name]]
    if len(asked) != 1:
        more = "; not two of them" if asked else ""
        raise UsageError(f"give {', or '.join(kind.asked for kind in KINDS.values())}{more}")
    kind = KINDS[asked[0]]
    models = models or (default_model(),)
    if asked[0] == "files" and is_classifier(models[0]):
        kind = CLASSIFIED
    others = frozenset[str]().union(*(other.uses for other in KINDS.values())) - kind.uses
    warn_without_effect(others, f"with {kind.asked.split()[0]}")
    if asked == ["item_files"] and not options["ordered"]:
        warn_without_effect(["recent"], "with --unordered")
    request = Request(models, partial(load, reading=reading), options[asked[0]], options)
    if fail_under_gain is not None and not kind.has_gain(request):
        raise UsageError("--fail-under-gain compares models: give a second -m")
    reports = kind.score(request)
    show(reports, kind.layout, as_json=as_json)
    check_thresholds(reports, fail_under, fail_under_gain)
