"""`embed evaluate`: score models on analogy and word-similarity files."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.options import (
    json_option,
    text_encoding_option,
    threshold_option,
    verbosity_options,
)
from embedcli.cli.reading import reading_options
from embedcli.errors import UsageError
from embedcli.quoting import quoted

if TYPE_CHECKING:
    from embedcli.reading import ReadingOptions

__all__ = ["command"]


def _cutoffs(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    if not re.fullmatch(r"[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*", value):
        raise UsageError(
            f"--cutoff is {quoted(value)}, but must be whole numbers by commas: 1,5,10"
        )
    return [int(number) for number in value.split(",")]


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--task",
    "tasks",
    nargs=2,
    multiple=True,
    metavar="TRAIN TEST",
    help="Instead of FILEs: train a classifier on TRAIN and score it on TEST, with the vectors and "
    "with one-hot features; may be repeated.",
)
@click.option(
    "--one-hot/--no-one-hot",
    default=True,
    help="With --task: score one-hot features too, and what the vectors gain over them; without, "
    "models gain over the first.  [yes]",
)
@click.option(
    "--next-item",
    "item_files",
    multiple=True,
    metavar="FILE",
    help="Instead of FILEs: predict the last item of each line from those before it; may be "
    "repeated.",
)
@click.option(
    "--train",
    "training",
    metavar="FILE",
    help="What the baselines of --next-item count: the text the model was trained on.  "
    "[default: the lines without their last items]",
)
@click.option(
    "--separator",
    metavar="TEXT",
    help="What stands between the items of --next-item.  [default: as the model was trained]",
)
@click.option(
    "--cutoff",
    "-k",
    "cutoffs",
    default="10",
    show_default=True,
    metavar="K,K",
    callback=_cutoffs,
    help="Among how many items the last one should be.",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Any file of vectors that embed reads; may be given several times. "
    "[default: EMBED_MODEL, or model.safetensors]",
)
@click.option(
    "--protocol",
    type=click.Choice(["word2vec", "gensim"]),
    default="word2vec",
    show_default=True,
    help="Whose rules to score by: word2vec sees the first 30,000 words for analogies and all for "
    "similarity, gensim 300,000 for both.",
)
@click.option(
    "--method",
    type=click.Choice(["cosadd", "cosmul", "pairdistance", "cosavg", "lrcos"]),
    help="How analogies and pairs are answered: cosadd; cosavg and lrcos learn from all pairs of a "
    "section or file but the one that is asked.",
)
@click.option(
    "--restrict",
    type=click.IntRange(min=0),
    metavar="N",
    help="See only the first N words; 0 for all.",
)
@click.option(
    "--oov",
    type=click.Choice(["skip", "wrong"]),
    help="Score without questions, pairs and lines that hold an unknown word (skip, as both "
    "protocols), or with them as wrong and as cosine 0.",
)
@click.option(
    "--kind",
    type=click.Choice(["analogies", "similarity", "pairs", "categories", "odd"]),
    help="What the FILEs are, instead of what is in them says.",
)
@click.option(
    "--skip-bad-lines",
    is_flag=True,
    help="Leave out lines that cannot be read, and count them, instead of refusing the FILE.",
)
@click.option(
    "--subwords/--no-subwords",
    default=True,
    help="Words that the model does not hold get vectors made of their subwords, if it has any; "
    "not in analogies and pairs.  [yes]",
)
@click.option(
    "--unk/--no-unk", default=False, help="Those still unknown get the vector of <unk>.  [no]"
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="Resamples for 95 % intervals; 0 for none.",
)
@threshold_option(
    "--fail-under",
    "Exit with 1 unless every model scores X or more on every file: percent of analogies, "
    "100 x Spearman's rho, hit rate.",
)
@threshold_option(
    "--fail-under-gain",
    "Exit with 1 unless the interval of every gain, over the first model or with --task over "
    "one-hot features, begins at X or above; the gain itself with --bootstrap 0.",
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

    What is in a file says which kind it is. The rules are those of a named protocol, and the line
    that states them is always printed. Elsewhere than on a terminal: tab-separated with a header,
    one line a section of an analogy file (and semantic, syntactic, total), one any other file.
    Scores are percent, or 100 x Spearman's rho for similarity; n/a is what cannot be computed.

    --task asks whether a task gets better with the vectors: label<TAB>text, fastText labels or
    CoNLL columns; the same classifier on the model's features and on one-hot ones.

    --next-item asks what comes next: hit rate and NDCG of the last item of each line, beside
    popularity and co-occurrence. Train on the lines without their last items.
    """
    from embedcli import load
    from embedcli.cli.evaluate_kinds import KINDS, Request
    from embedcli.cli.evaluate_output import check_thresholds, show

    asked = [name for name in KINDS if options[name]]
    if len(asked) != 1:
        more = "; not two of them" if asked else ""
        raise UsageError(f"give FILEs to score on, or --task TRAIN TEST, or --next-item FILE{more}")
    kind = KINDS[asked[0]]
    models = models or (os.environ.get("EMBED_MODEL") or "model.safetensors",)
    request = Request(models, partial(load, reading=reading), options[asked[0]], options)
    if fail_under_gain is not None and not kind.has_gain(request):
        raise UsageError("--fail-under-gain compares models: give a second -m")
    reports = kind.score(request)
    show(reports, kind.layout, as_json=as_json)
    check_thresholds(reports, fail_under, fail_under_gain)
