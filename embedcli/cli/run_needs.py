"""The memory, disk and time of a run: shown before training, or by --dry-run instead of it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.cli.output import echo_json, echo_rows, say_choice, talk
from embedcli.cli.progress_bar import show_progress
from embedcli.settings.config import TrainConfig

if TYPE_CHECKING:
    from embedcli.cli.cluster_options import Cluster
    from embedcli.training.callbacks import Setup
    from embedcli.training.forecast import Forecast
    from embedcli.vocabulary import Vocabulary

__all__ = ["show_cluster_plan", "show_estimate", "show_needs", "show_plan"]


def show_needs(setup: Setup, vocabulary: Vocabulary, n_tokens: int, *, is_given: bool) -> None:
    """Say what training needs, and refuse it where that is not there.

    `is_given` is as in `training.forecast.check_resources`.
    """
    from embedcli.files.targets import readable_size
    from embedcli.training.forecast import check_resources

    needs = _needs(setup, n_tokens)
    found = needs(vocabulary, setup.config)
    talk(
        f"needs {readable_size(found.memory)} of memory ({readable_size(found.memory_left)} left) "
        f"and {readable_size(found.disk)} of disk ({readable_size(found.disk_free)} free)"
    )
    check_resources(found, vocabulary, setup.config, needs, is_given=is_given)


def show_estimate(setup: Setup, *, is_given: bool) -> None:
    """Before the text is read: say what can be known, and refuse what even so cannot fit.

    `is_given` is as in `show_needs`.
    """
    from embedcli.files.targets import readable_size
    from embedcli.text.estimate import estimate_text
    from embedcli.training.forecast import check_resources, check_scratch, sure_vocabulary

    config = setup.config
    seen = estimate_text(
        setup.sources, rules=config, recursive=config.recursive, min_count=config.min_count
    )
    words = setup.vocabulary
    if words is None and seen is not None:
        words = sure_vocabulary(seen, config)
    if words is not None and len(words):
        needs = _needs(setup, int(seen.n_tokens * seen.sure_share) if seen else 0)
        found = needs(words, config)
        if seen is not None:
            talk(
                f"about {seen.n_tokens:,} tokens, {len(words):,} words or more: at least "
                f"{readable_size(found.memory)} of memory and {readable_size(found.disk)} of disk, "
                f"and for a while {readable_size(seen.scratch_bytes)} of disk for the text"
            )
        check_resources(found, words, config, needs, is_given=is_given)
    if seen is not None:
        check_scratch(seen, setup.scratch or Path(tempfile.gettempdir()))


def _needs(setup: Setup, n_tokens: int) -> Callable[[Vocabulary, TrainConfig], Forecast]:
    """What training takes, for any vocabulary and settings."""
    from embedcli.training.forecast import forecast

    return partial(
        forecast,
        n_tokens=n_tokens,
        outputs=setup.targets,
        checkpoints=setup.checkpoints,
        subwords=setup.subwords,
    )


def show_plan(setup: Setup, base: Vocabulary | None, *, as_json: bool) -> None:
    """Print what training would take: the text is read, a second of it trained and forgotten.

    `base` is as in `corpus_reader.encode_corpus`.
    """
    from embedcli.text.corpus_reader import encode_for_training
    from embedcli.text.prose import settled
    from embedcli.training.epochs import with_epochs
    from embedcli.training.forecast import check_resources, measure_seconds

    asked, is_given = setup.config, setup.vocabulary is not None
    config = settled(setup.sources, asked, recursive=asked.recursive)
    say_choice(asked, config)
    show_estimate(setup, is_given=is_given)
    with (
        show_progress() as on_progress,
        encode_for_training(
            setup.sources,
            asked,
            setup.vocabulary,
            base=base,
            unk=config.unk,
            scratch=setup.scratch,
            on_progress=on_progress,
        ) as corpus,
    ):
        n_tokens = len(corpus.ids)
        config = with_epochs(config, n_tokens)
        needs = _needs(setup, n_tokens)
        found = needs(corpus.vocabulary, config)
        check_resources(found, corpus.vocabulary, config, needs, is_given=is_given)
        seconds = measure_seconds(corpus, config, setup.scratch, setup.subwords)
        seconds = min(seconds, config.budget_seconds or math.inf)
        facts: dict[str, Any] = {
            "tokens": corpus.tally.read,
            "tokens_in_vocabulary": n_tokens,
            "words": len(corpus.vocabulary),
            "dim": config.dim,
            "epochs": config.epochs,
            "threads": config.threads,
            "memory": found.memory,
            "memory_left": found.memory_left,
            "disk": found.disk,
            "disk_free": found.disk_free,
            "seconds": round(seconds, 1),
        }
    _show(facts, "of training", as_json=as_json)


def show_cluster_plan(
    cluster: Cluster,
    sources: Sequence[str],
    vocabulary: Vocabulary | None,
    config: TrainConfig,
    targets: Sequence[tuple[str, str]],
    *,
    as_json: bool,
) -> None:
    """Print what training on a cluster would take; memory is what each worker needs.

    `targets` are the outputs that are files or directories.
    """
    from embedcli.training.forecast import check_resources, forecast

    with show_progress() as on_progress:
        seen = cluster.estimate(sources, config, vocabulary=vocabulary, on_progress=on_progress)
    # This process holds one model, while it writes, and no more.
    needs = partial(forecast, n_tokens=seen.tally.kept, outputs=targets, checkpoints=bool(targets))
    found = needs(seen.vocabulary, config)
    check_resources(found, seen.vocabulary, config, needs)
    facts: dict[str, Any] = {
        "tokens": seen.tally.read,
        "tokens_in_vocabulary": seen.tally.kept,
        "words": len(seen.vocabulary),
        "dim": config.dim,
        "epochs": seen.config.n_epochs,
        "workers": seen.workers,
        "threads": seen.threads,
        "shards": seen.config.shards,
        "rounds": seen.config.rounds,
        "memory": seen.memory,
        "memory_left": seen.memory_limit,
        "disk": found.disk,
        "disk_free": found.disk_free,
        "seconds": round(seen.seconds, 1),
    }
    _show(facts, "of training, without what workers send each other", as_json=as_json)


def _show(facts: Mapping[str, Any], of_what: str, *, as_json: bool) -> None:
    from embedcli.files.targets import readable_size

    if as_json:
        echo_json(facts)
        return
    shown = {name: f"{value:,}" for name, value in facts.items() if value is not None}
    for name in ("memory", "memory_left", "disk", "disk_free"):
        shown[name] = "unknown" if facts[name] is None else readable_size(facts[name])
    shown["seconds"] = f"{math.ceil(facts['seconds']):,} {of_what}"
    echo_rows((name, shown[name]) for name in facts)
