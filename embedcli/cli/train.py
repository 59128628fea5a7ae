"""`embed train`: text in, models out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli import clusters, resuming
from embedcli.cli.apart import files_of, keep_apart
from embedcli.cli.clusters import Cluster, cluster_options
from embedcli.cli.given import read_given, say_differences, say_given, say_movement
from embedcli.cli.options import Duration, json_option, train_options, verbosity_options
from embedcli.cli.output import echo_json, talk, warn
from embedcli.cli.plan import show_cluster_plan, show_estimate, show_needs, show_plan
from embedcli.cli.progress import show_progress
from embedcli.cli.reading import given_options
from embedcli.cli.signals import Deferred, Terminated, deferred, heard
from embedcli.errors import EmbedError, FormatError, OutputError, TrainingError, UsageError
from embedcli.files.targets import is_plain
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.corpus import Corpus
    from embedcli.embeddings import Embeddings
    from embedcli.reading import ReadingOptions
    from embedcli.training.ahead import Elsewhere
    from embedcli.training.checkpoint import Checkpoint, Checkpoints
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]


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

    outputs = outputs or ("model.safetensors",)
    targets = _targets(outputs, to)
    _check_outputs(targets, config, corpus)
    spool = f"{outputs[0]}.stdin" if is_plain(outputs[0]) else None
    where = Cluster(cluster, sync_every, spool) if cluster else None
    clusters.check_options(where, chosen)
    config, given = read_given(config, chosen, reading)
    config = clusters.resolve(where, config, chosen)
    if given is not None:
        say_differences(given, config)
    job = Job(
        corpus, outputs, targets, to, vocab_file, every, config, chosen, reading, where, given
    )
    if not corpus and not resume:
        raise click.UsageError("Missing argument 'CORPUS...'.", click.get_current_context())
    if not resume:
        _warn_of_unused(chosen, config)
    if dry_run:
        vocabulary, targets = job.vocabulary(), job.plain_targets
        if where is not None:
            show_cluster_plan(where, corpus, vocabulary, config, targets, as_json=as_json)
            return
        show_plan(corpus, vocabulary, job.config, targets, given=given, as_json=as_json)
        return
    with locked(outputs):
        embeddings = job.run(resume=resume)
    if as_json:
        echo_json(dict(embeddings.metadata))


@dataclass
class Job:
    """One call of `embed train`, and the state of its safety."""

    corpus: tuple[str, ...]
    outputs: tuple[str, ...]
    targets: list[tuple[str, str]]
    to: str | None
    vocab_file: str | None
    every: float
    config: TrainConfig
    chosen: Mapping[str, Value]
    reading: ReadingOptions
    cluster: Cluster | None = None
    given: Embeddings | None = None
    signals: Deferred = field(default_factory=Deferred)
    began: float = field(default_factory=time.perf_counter)
    has_begun: bool = False  # to train
    trained: Embeddings | None = None
    elsewhere: Elsewhere | None = None

    @property
    def plain_targets(self) -> list[tuple[str, str]]:
        """The outputs that are files or directories, not pipes or devices."""
        return [target for target in self.targets if is_plain(target[0])]

    def vocabulary(self) -> Vocabulary | None:
        """The words of --vocab, which every output must be able to hold."""
        from embedcli import formats
        from embedcli.formats.vocab import read_words

        vocabulary = None
        if self.vocab_file:
            vocabulary = read_words(self.vocab_file, spaced=self.config.items)
        for _, name in self.targets:
            formats.check_contents(name, vocabulary)
        return vocabulary

    def run(self, *, resume: bool) -> Embeddings:
        """Train, or go on training, and write every output."""
        from embedcli.training.ahead import begin_elsewhere

        if resume and (complete := self._complete()):
            return complete
        if not resume and self.cluster is None:
            self.elsewhere = begin_elsewhere(self.config)
        config, vocabulary = self.config, self.vocabulary()
        checkpoints, resumed = self._checkpoints(config), None
        if checkpoints is not None:
            resumed = resuming.find(checkpoints, resume=resume)
        elif resume:
            raise UsageError("--resume needs an output that is a file: give one with -o")
        if resumed is not None and checkpoints is not None:
            clusters.check_resumed(self.cluster, resumed)
            config = resuming.settings_of(resumed, self.chosen, vocabulary)
            before = {**resumed.given["settings"], **self.chosen}
            config = clusters.resolve(self.cluster, config, before)
            vocabulary = resumed.embeddings.vocabulary if resumed.embeddings else vocabulary
            self.corpus = self.corpus or tuple(resumed.given["sources"])
            checkpoints.given = resuming.given(config, self.corpus, self.vocab_file)
        if self.given is None:  # the checkpoint knows what the run began with
            _, self.given = read_given(config, config.as_dict(), self.reading)
        if not self.corpus:
            raise UsageError(f"there is no checkpoint for {self.outputs[0]}, and no text is named")
        if resumed is not None:
            _check_outputs(self.targets, config, self.corpus)
        try:
            embeddings = self._train(config, vocabulary, checkpoints, resumed)
            self._write(embeddings, checkpoints)
        except (KeyboardInterrupt, Terminated, EmbedError, MemoryError) as error:
            heard()
            self._keep(error, checkpoints)
            raise
        _warn_of_few_words(embeddings.vocabulary, config)
        _summarise(embeddings, self.outputs, time.perf_counter() - self.began)
        return embeddings

    def _complete(self) -> Embeddings | None:
        """The model that is there already, if the run is complete and every output is there."""
        from embedcli.training.checkpoint import checkpoint_directory

        names = [output for output, name in self.plain_targets if name == "safetensors"]
        if not names or not all(Path(output).exists() for output, _ in self.targets):
            return None
        if any(checkpoint_directory(self.plain_targets[0][0]).glob("*.safetensors")):
            return None
        return resuming.complete(names[0], self.chosen, self.corpus)

    def _checkpoints(self, config: TrainConfig) -> Checkpoints | None:
        """Where checkpoints go: beside the first output that is a file."""
        from embedcli.training.checkpoint import Checkpoints, checkpoint_directory

        if not self.plain_targets:
            return None
        given = resuming.given(config, self.corpus, self.vocab_file)
        directory = checkpoint_directory(self.plain_targets[0][0])
        every = None if math.isinf(self.every) else self.every
        checkpoints = Checkpoints(directory, every, given)
        checkpoints.check()
        return checkpoints

    def _train(
        self,
        config: TrainConfig,
        vocabulary: Vocabulary | None,
        checkpoints: Checkpoints | None,
        resumed: Checkpoint | None,
    ) -> Embeddings:
        from embedcli import formats
        from embedcli.training.continuing import kept_subwords
        from embedcli.training.trainer import Guard, Stopped, train

        run = partial(train, given=self.given) if self.cluster is None else self.cluster.train
        if resumed is not None and resumed.is_complete and resumed.embeddings is not None:
            self.trained = resumed.embeddings
            return resumed.embeddings

        def before_training(corpus: Corpus, given: Mapping[str, Any] | None) -> None:
            for _, name in self.targets:
                formats.check_contents(name, corpus.vocabulary, config.subword_kind)
            if given is not None:
                say_given(given, len(corpus.vocabulary))
            _say_idle(config)
            n_tokens = len(corpus.ids)
            show_needs(
                corpus.vocabulary,
                n_tokens,
                config,
                self.plain_targets,
                checkpoints=checkpoints is not None,
                is_given=self.vocab_file is not None,
                subwords=subwords,
            )

        saved = None if resumed is None else resumed.embeddings
        subwords = kept_subwords(self.given, config) if saved is None else saved.subwords
        guard = Guard(
            checkpoints, resumed, self._deferred, before_training, self.began, self.elsewhere
        )
        scratch = _scratch_directory(self.outputs[0])
        if self.cluster is None:
            show_estimate(
                self.corpus,
                vocabulary,
                config,
                self.plain_targets,
                checkpoints=checkpoints is not None,
                is_given=self.vocab_file is not None,
                scratch=None if scratch is None else Path(scratch),
                subwords=subwords,
            )
        with show_progress() as on_progress:
            try:
                self.trained = run(
                    self.corpus,
                    config,
                    vocabulary=vocabulary,
                    scratch=scratch,
                    on_progress=on_progress,
                    guard=guard,
                )
            except Stopped:
                self.signals.raise_it()
                raise
        self.signals.raise_it()  # one that came when there was nothing left to stop
        return self.trained

    @contextmanager
    def _deferred(self) -> Iterator[Callable[[], bool]]:
        with deferred() as self.signals:
            self.has_begun = True
            yield self.signals.arrived

    def _write(self, embeddings: Embeddings, checkpoints: Checkpoints | None) -> None:
        """Write every output; what was trained is safe on disk before it is converted."""
        from embedcli import formats

        is_safe = self.targets[0][1] == "safetensors" or math.isinf(self.every)
        if checkpoints is not None and not is_safe:
            self._save_trained(checkpoints)
        for output, name in self.targets:
            formats.save(embeddings, output, name)
            for lack in formats.left_out(embeddings, name):
                talk(f"{output}: {lack}")
        if checkpoints is not None:
            checkpoints.remove()

    def _save_trained(self, checkpoints: Checkpoints) -> None:
        from embedcli.training.checkpoint import completed

        if self.trained is not None:
            checkpoints.save(self.trained, completed(self.trained))

    def _keep(self, error: BaseException, checkpoints: Checkpoints | None) -> None:
        """Save what the end of this run would lose, and say how to go on."""
        interrupted = isinstance(error, (KeyboardInterrupt, Terminated))
        if checkpoints is None:
            return
        try:
            if self.trained is not None:
                self._save_trained(checkpoints)
            elif interrupted and not self.has_begun and not checkpoints.has_any():
                checkpoints.save()
        except OutputError as second:
            error.add_note(f"no checkpoint could be saved: {second}")
        if not checkpoints.has_any():
            return
        if isinstance(error, TrainingError):
            error.add_note(f"checkpoints from before are in {checkpoints.directory}")
        elif isinstance(error, FormatError) and self.trained is not None:  # no second try helps
            newest = checkpoints.newest_file()
            error.add_note(f"what was trained is in {newest}: embed export {newest} OTHER")
        else:
            more = self.cluster.arguments if self.cluster else ()
            line = resuming.resume_line(self.corpus, self.outputs, self.to, more)
            error.add_note(f"go on with: {line}")


def _targets(outputs: Sequence[str], to: str | None) -> list[tuple[str, str]]:
    """Each output and its format, the native one first: what was trained is safe before exports."""
    from embedcli import formats

    if to is not None and to not in formats.WRITTEN:
        raise UsageError(f"there is no format {to!r}; there are {', '.join(formats.WRITTEN)}")
    named = [(output, to or formats.format_for_path(output)) for output in outputs]
    return sorted(named, key=lambda target: target[1] != "safetensors")


def _check_outputs(
    targets: Sequence[tuple[str, str]], config: TrainConfig, corpus: Sequence[str]
) -> None:
    """Find out before the work what would fail after it."""
    from embedcli import formats
    from embedcli.files.publish import check_writable
    from embedcli.training.metrics import check_metrics

    _keep_apart(targets, config, corpus)
    for output, name in targets:
        formats.check_target(output, name)
        formats.check_contents(name, units=config.subword_kind)
    if config.metrics:
        check_writable(config.metrics)
        check_metrics(config.metrics)


def _keep_apart(
    targets: Sequence[tuple[str, str]], config: TrainConfig, corpus: Sequence[str]
) -> None:
    """Refuse outputs that meet inputs, or what is kept beside outputs."""
    from embedcli.files.locks import lock_path
    from embedcli.training.checkpoint import checkpoint_directory

    outputs = [output for output, _ in targets]
    plain = [output for output in outputs if is_plain(output)]
    beside = {lock_path(os.path.realpath(output)) for output in plain}
    beside |= {str(checkpoint_directory(output)) for output in plain[:1]}
    others = [*filter(None, (config.metrics,)), *sorted(beside)]
    keep_apart([*outputs, *others], files_of(config), texts=corpus, recursive=config.recursive)
    if config.continue_from:
        keep_apart(others, [config.continue_from])


def _scratch_directory(output: str) -> str | None:
    """The encoded corpus goes beside the model: /tmp is often memory. TMPDIR wins."""
    if os.environ.get("TMPDIR") or not is_plain(output):
        return None
    return str(Path(output).resolve().parent)


def _warn_of_unused(chosen: Mapping[str, Value], config: TrainConfig) -> None:
    """Say what was chosen and has no effect."""
    for name, why in config.unused.items():
        if name in chosen:
            warn(f"--{name.replace('_', '-')} decides nothing {why}")


def _say_idle(config: TrainConfig) -> None:
    """Of more threads than can work in rounds."""
    from embedcli.kernels.streams import STREAMS

    threads = config.threads or 1
    if config.deterministic and threads > STREAMS:
        talk(f"{STREAMS} of {threads} threads can work in rounds; --hogwild uses all of them")


def _warn_of_few_words(vocabulary: Vocabulary, config: TrainConfig) -> None:
    if "negative" in config.unused:
        return
    if config.negative >= len(vocabulary):
        warn(
            f"--negative {config.negative} needs more than {config.negative} words, but the "
            f"vocabulary has {len(vocabulary)}: {len(vocabulary) - 1} were used"
        )


def _summarise(embeddings: Embeddings, outputs: Sequence[str], seconds: float) -> None:
    """What became of every token, how well it was learnt, and how fast."""
    from embedcli.vocabulary import UNKNOWN

    meta: Mapping[str, Any] = embeddings.metadata
    corpus, epochs = meta["corpus"], meta["epochs"]
    timings = meta.get("timings", {"reading": 0.0, "training": 0.0})
    rate = corpus["read"] * len(epochs) / max(1e-9, timings["training"])
    talk(
        f"read {corpus['read']:,} tokens = {corpus['kept']:,} in the vocabulary + "
        f"{corpus['oov']:,} out of it + {corpus['too_long']:,} too long"
        + (f"; of the first, {corpus['unknown']:,} as {UNKNOWN}" if corpus.get("unknown") else "")
    )
    if "cooccurrences" in meta:
        pairs, cells = meta["cooccurrences"]["pairs"], meta["cooccurrences"]["cells"]
        talk(
            f"counted {pairs:,} pairs of tokens: {cells:,} co-occurrences, all of them trained in "
            f"every epoch ({timings.get('counting', 0.0):.1f} s counting)"
        )
    for number, epoch in enumerate(epochs, 1):
        alone = f" + {epoch['alone']:,} alone in their line" if epoch["alone"] else ""
        talk(
            f"epoch {number}: {epoch['tokens']:,} = {epoch['trained']:,} trained + "
            f"{epoch['subsampled']:,} subsampled{alone}; loss {epoch['loss']:.4f}{_measured(epoch)}"
        )
    if "given" in meta:
        say_movement(meta["given"])
    if "held_out" in meta:
        talk(f"held out: {meta['held_out']['kept']:,} tokens")
    if reason := meta.get("stopped"):
        best = f"; the best was epoch {meta['best_epoch']}" if reason == "patience" else ""
        talk(f"stopped by --{reason.replace('_', '-')} in epoch {len(epochs)}{best}")
    talk(
        f"{', '.join(outputs)}: {len(embeddings):,} words x {embeddings.dim} in {seconds:.1f} s "
        f"({timings['reading']:.1f} s reading, {timings['training']:.1f} s training at "
        f"{rate:,.0f} words/s)"
    )


def _measured(epoch: Mapping[str, Any]) -> str:
    """What was measured after an epoch."""
    parts = {"held-out": (epoch["held_out"], ".4f"), "score": (epoch["score"], ".2f")}
    return "".join(f", {name} {x:{form}}" for name, (x, form) in parts.items() if x is not None)
