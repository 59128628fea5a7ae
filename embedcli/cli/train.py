"""`embed train`: text in, models out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli import run_report
from embedcli.cli.cluster_options import Cluster, check_options, cluster_options, digest_text
from embedcli.cli.model_options import given_options
from embedcli.cli.options import (
    DEFAULT_MODEL,
    Duration,
    json_option,
    train_options,
    verbosity_options,
)
from embedcli.cli.output import echo_json, talk, warn
from embedcli.cli.parameter_files import named_files
from embedcli.cli.run_needs import show_cluster_plan, show_estimate, show_needs, show_plan
from embedcli.cli.signals import Deferred, heard
from embedcli.files.targets import is_plain, real_path
from embedcli.quoting import shell_line
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.settings.reading import ReadingOptions
    from embedcli.text.corpus import Corpus
    from embedcli.training.callbacks import Callbacks, Setup
    from embedcli.vocabulary import Vocabulary

__all__ = ["command", "resume_line"]


@click.command(short_help="Train embeddings from text.")
@click.argument("corpus", nargs=-1)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Output file; may be repeated.  [default: model.safetensors]",
)
@click.option(
    "--format", "to", metavar="F", help="Format of the output; by default its suffix decides."
)
@click.option(
    "--vocab",
    "vocab_file",
    metavar="FILE",
    help="Train exactly the words in this file: one a line, or as `embed vocab -o FILE` writes "
    "them. --min-count does not apply.",
)
@click.option("--resume", is_flag=True, help="Continue from the newest checkpoint of the output.")
@click.option(
    "--checkpoint-every",
    "every",
    type=Duration(),
    default="10m",
    show_default=True,
    envvar="EMBED_TRAIN_CHECKPOINT_EVERY",
    help="How often to save a checkpoint beside the output; or `never`.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the memory, disk and time that training needs, and stop."
)
@cluster_options
@train_options
@given_options
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    outputs: tuple[str, ...],
    to: str | None,
    vocab_file: str | None,
    resume: bool,
    every: float,
    dry_run: bool,
    cluster: str | None,
    sync_every: float,
    config: TrainConfig,
    chosen: dict[str, Value],
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Train a vector for each word of CORPUS: files, globs, directories, or - for standard input.

    CORPUS holds one sentence or document a line, with words separated by white space. It may be
    compressed with gzip, bzip2, xz or zstd. Training uses all cores. Skip-gram and CBOW with
    negative sampling give the same bytes for any number of threads, unless --hogwild is given.

    \b
        embed train corpus.txt
        embed neighbors cat

    The suffix of -o decides the format: .safetensors (embed's own format, which keeps everything),
    .vec or .txt (word2vec text), .bin (word2vec binary), .glove.txt.

    `embed train --resume` continues a run that was interrupted or killed. Text and settings come
    from the checkpoint. The checkpoint is deleted when all outputs are written.

    --cluster trains on a Dask cluster (docs/cluster.md). --json prints the metadata that the model
    stores about the run. docs/training.md describes the algorithms and how the defaults were
    chosen.
    """
    from embedcli.files.locks import locked
    from embedcli.training.continuing import kept_subwords, read_pretrained
    from embedcli.training.outputs import check_outputs, find_targets
    from embedcli.training.precompile import begin_precompiling

    is_named, outputs = bool(outputs), outputs or (DEFAULT_MODEL,)
    targets, named = find_targets(outputs, to), list(named_files())
    check_outputs(targets, config, corpus, named)
    spool = f"{outputs[0]}.stdin" if is_plain(outputs[0]) else None
    where = Cluster(cluster, sync_every, spool) if cluster else None
    check_options(where, chosen)
    config, pretrained = read_pretrained(config, chosen, reading)
    config = config.resolve() if where is None else where.resolve(config, chosen)
    if pretrained is not None:
        run_report.say_differences(pretrained, config)
    began = time.perf_counter()
    if not corpus and not resume:
        raise click.UsageError("Missing argument 'CORPUS...'.", click.get_current_context())
    if not resume:
        run_report.warn_of_unused(chosen, config)
    if dry_run:
        vocabulary = _vocabulary(vocab_file, config, targets)
        plain = [target for target in targets if is_plain(target[0])]
        if where is not None:
            show_cluster_plan(where, corpus, vocabulary, config, plain, as_json=as_json)
            return
        from embedcli.training.callbacks import Setup

        scratch = real_path(plain[0][0]).parent if plain else None
        subwords = kept_subwords(pretrained, config)
        setup = Setup(corpus, config, vocabulary, subwords, plain, bool(plain), scratch)
        base = pretrained.vocabulary if pretrained is not None and config.continue_from else None
        show_plan(setup, base, as_json=as_json)
        return
    with locked(outputs):
        precompiler = None if resume or where is not None else begin_precompiling(config)
        from embedcli.training.callbacks import LocalTrainer
        from embedcli.training.session import Session

        session = Session(
            corpus,
            targets,
            outputs,
            config,
            chosen,
            None if math.isinf(every) else every,
            _vocabulary(vocab_file, config, targets),
            vocab_file,
            pretrained,
            reading,
            named,
            LocalTrainer() if where is None else where,
            _callbacks(where, vocab_file, to),
            precompiler=precompiler,
            began=began,
            spares=not is_named,
        )
        embeddings = session.run(resume=resume)
    if not session.was_complete:
        run_report.warn_of_few_words(embeddings.vocabulary, session.config)
        run_report.warn_of_subsampling(embeddings, session.config)
        run_report.summarise(embeddings, outputs, time.perf_counter() - began)
    if as_json:
        echo_json(dict(embeddings.metadata))


def _vocabulary(
    vocab_file: str | None, config: TrainConfig, targets: Sequence[tuple[str, str]]
) -> Vocabulary | None:
    """The words of --vocab, which every output must be able to hold."""
    from embedcli import formats
    from embedcli.formats.vocab import read_words

    vocabulary = read_words(vocab_file, spaced=config.items) if vocab_file else None
    for _, name in targets:
        formats.check_contents(name, vocabulary)
    return vocabulary


def _callbacks(where: Cluster | None, vocab_file: str | None, to: str | None) -> Callbacks:
    """What the command does beside the session: talk, forecasts and signals."""
    from embedcli.training.callbacks import Callbacks

    is_given = vocab_file is not None
    signals = Deferred()

    def before_reading(setup: Setup) -> None:
        if where is None:
            show_estimate(setup, is_given=is_given)

    def before_training(setup: Setup, corpus: Corpus, pretrained: Mapping[str, Any] | None) -> None:
        if pretrained is not None:
            run_report.say_pretrained(pretrained, len(corpus.vocabulary))
        run_report.say_epochs(setup.config, len(corpus.ids))
        run_report.say_idle(setup.config)
        show_needs(setup, corpus.vocabulary, len(corpus.ids), is_given=is_given)
        run_report.say_text(corpus.tally)

    return Callbacks(
        say=talk,
        warn=warn,
        show_progress=run_report.show_epochs,
        before_reading=before_reading,
        before_training=before_training,
        deferred=signals.deferred,
        raise_deferred=signals.raise_it,
        interrupted=heard,
        resume_line=partial(resume_line, to=to, more=where.arguments if where else ()),
        digest=digest_text,
    )


def resume_line(
    sources: Sequence[str], outputs: Sequence[str], to: str | None, more: Sequence[str] = ()
) -> str:
    """The command that goes on with a run; `more` are further arguments."""
    parts = ["embed", "train", "--resume", *sources]
    parts += [part for output in outputs for part in ("-o", output)]
    if to:
        parts += ["--format", to]
    parts += more
    return shell_line(parts)
