"""The messages of `embed train` at the start and the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from embedcli.cli.output import talk, warn
from embedcli.cli.progress_bar import show_progress, shown_losses
from embedcli.progress import OnProgress, Progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.text.corpus import Tally
    from embedcli.vocabulary import Vocabulary

__all__ = [
    "say_differences",
    "say_epochs",
    "say_idle",
    "say_pretrained",
    "say_text",
    "show_epochs",
    "summarise",
    "warn_of_few_words",
    "warn_of_subsampling",
    "warn_of_unused",
]


_MOST_LEFT_OUT = 0.75  # of the tokens; 1e-4 leaves out about half of English prose


def say_differences(pretrained: Embeddings, config: TrainConfig) -> None:
    """What a run that goes on with a model does not do as that was trained."""
    if not config.continue_from:
        return
    from embedcli.training.continuing import differences

    path = config.continue_from
    if not pretrained.metadata:
        talk(
            f"{path} does not say how it was trained: settings that no option says are the defaults"
        )
        return
    found = [
        f"--{each.name.replace('_', '-')} {_shown(each.here)} (there {_shown(each.there)})"
        for each in differences(pretrained, config)
    ]
    unlike = f", but for {', '.join(found)}" if found else ""
    talk(f"going on with the settings of {path}{unlike}")


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def say_pretrained(facts: Mapping[str, Any], n_words: int) -> None:
    """How much of the text begins with pretrained vectors, before it is trained."""
    frozen = f", {facts['frozen']:,} of them frozen" if facts["frozen"] else ""
    made = f"{facts['by_subwords']:,} begin by subwords, " if facts["by_subwords"] else ""
    talk(
        f"{facts['file']}: {facts['found']:,} of its {facts['words']:,} words are among the "
        f"{n_words:,} trained, {facts['share_of_tokens']:.1%} of the text{frozen}; {made}the "
        "others begin at random"
    )
    if not facts["output_vectors"]:
        warn(
            f"{facts['file']} has no output vectors: they begin at 0, and the given vectors will "
            "move further until they are learnt"
        )


def _say_movement(facts: Mapping[str, Any]) -> None:
    """How far the pretrained words have moved."""
    moved = facts["moved"]
    if not moved["words"]:
        talk("no given vector has moved")
        return
    cosine = moved["cosine"]
    most = ", ".join(f"{word} {value:.2f}" for word, value in moved["most"])
    talk(
        f"{moved['words']:,} of {facts['found']:,} given words have moved; cosine with where they "
        f"began: median {cosine['p50']:.3f}, a tenth below {cosine['p10']:.3f}; most: {most}"
    )


def warn_of_few_words(vocabulary: Vocabulary, config: TrainConfig) -> None:
    """Of negatives, where there are fewer words than were asked for."""
    if "negative" in config.unused:
        return
    if config.negative >= len(vocabulary):
        warn(
            f"--negative {config.negative} needs more than {config.negative} words, but the "
            f"vocabulary has {len(vocabulary)}: {len(vocabulary) - 1} were used"
        )


def say_text(tally: Tally) -> None:
    """What became of every token that was read, before training."""
    from embedcli.vocabulary import UNKNOWN

    talk(
        f"read {tally.read:,} tokens = {tally.kept:,} in the vocabulary + {tally.oov:,} out of it "
        f"+ {tally.too_long:,} too long"
        + (f"; of the first, {tally.unknown:,} as {UNKNOWN}" if tally.unknown else "")
    )


def warn_of_subsampling(embeddings: Embeddings, config: TrainConfig) -> None:
    """Of `--sample`, where few words are most of the text, so that little of it was trained."""
    epochs = embeddings.metadata.get("epochs", ())
    tokens = sum(epoch["tokens"] for epoch in epochs)
    left_out = sum(epoch["subsampled"] for epoch in epochs)
    if left_out > _MOST_LEFT_OUT * tokens:
        warn(
            f"--sample {config.subsampling:g} left out {left_out / tokens:.0%} of the tokens, as "
            "few words make up most of this text; --sample 0 trains on all of them"
        )


@contextmanager
def show_epochs() -> Iterator[OnProgress]:
    """As `show_progress`, with a line for each epoch when it is over."""
    with show_progress() as show:

        def report(progress: Progress) -> None:
            if progress.finished is not None:
                _say_epoch(progress.epoch, progress.finished)
            show(progress)

        yield report


def _say_epoch(number: int, epoch: Mapping[str, Any]) -> None:
    """What became of the tokens of an epoch, and what was measured after it."""
    alone = f" + {epoch['alone']:,} alone in their line" if epoch["alone"] else ""
    losses = shown_losses(epoch["loss"], epoch["held_out"], epoch["sample"])
    score = "" if epoch["score"] is None else f", score {epoch['score']:.2f}"
    talk(
        f"epoch {number}: {epoch['tokens']:,} = {epoch['trained']:,} trained + "
        f"{epoch['subsampled']:,} subsampled{alone}; {losses}{score}"
    )


def summarise(embeddings: Embeddings, outputs: Sequence[str], seconds: float) -> None:
    """What was trained, and how fast; `show_epochs` has said how well it was learnt."""
    meta: Mapping[str, Any] = embeddings.metadata
    corpus, epochs = meta["corpus"], meta["epochs"]
    timings = meta.get("timings", {"reading": 0.0, "training": 0.0})
    rate = corpus["read"] * len(epochs) / max(1e-9, timings["training"])
    if "cooccurrences" in meta:
        pairs, cells = meta["cooccurrences"]["pairs"], meta["cooccurrences"]["cells"]
        talk(
            f"counted {pairs:,} pairs of tokens: {cells:,} co-occurrences, all of them trained in "
            f"every epoch ({timings.get('counting', 0.0):.1f} s counting)"
        )
    if "given" in meta:
        _say_movement(meta["given"])
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


def warn_of_unused(chosen: Mapping[str, Value], config: TrainConfig) -> None:
    """Say what was chosen and has no effect."""
    for name, why in config.unused.items():
        if name in chosen:
            warn(f"--{name.replace('_', '-')} decides nothing {why}")


def say_epochs(config: TrainConfig, n_tokens: int) -> None:
    """How many epochs the size of the text gives, where nobody chose them."""
    from embedcli.training.epochs import with_epochs

    if config.epochs is None:
        chosen = with_epochs(config, n_tokens).epochs
        talk(f"epochs {chosen}: chosen for {n_tokens:,} words of text; --epochs N decides")


def say_idle(config: TrainConfig) -> None:
    """Of more threads than can work in rounds."""
    from embedcli.kernels.streams import STREAMS

    threads = config.threads or 1
    if config.deterministic and threads > STREAMS:
        talk(f"{STREAMS} of {threads} threads can work in rounds; --hogwild uses all of them")
