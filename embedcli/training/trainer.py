"""One training run: read the corpus, pass over it epoch by epoch, hand back embeddings."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import CorpusError, InputError, TrainingError, UsageError
from embedcli.evaluation import evaluate
from embedcli.evaluation.item_files import read_evaluation_file
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.text.corpus_reader import encode_for_training
from embedcli.training.architectures import prepared
from embedcli.training.checkpoint import Checkpoint, Checkpoints
from embedcli.training.continuing import kept_subwords
from embedcli.training.metrics import Metrics
from embedcli.training.precompile import Precompiler, compile_all, say_compiling
from embedcli.training.pretrained import load_pretrained, match, movement
from embedcli.training.run import Run, Score
from embedcli.training.state import State
from embedcli.training.stopping import Deadline, best_epoch
from embedcli.training.versions import versions
from embedcli.training.word_parts import units_of
from embedcli.training.workers import Background
from embedcli.vocabulary import UNKNOWN, Vocabulary

__all__ = [
    "RunControl",
    "Stopped",
    "deadline_of",
    "embeddings_of",
    "never",
    "same_texts",
    "train",
    "train_to_end",
]


class Stopped(Exception):
    """Training stopped where it was asked to, and can go on from the checkpoint it left."""


def never() -> AbstractContextManager[Callable[[], bool]]:
    """A `RunControl.deferred` that never asks to stop."""
    return nullcontext(lambda: False)


@dataclass(frozen=True)
class RunControl:
    """What keeps the work of a run.

    Attributes:
        checkpoints: where to save it.
        resumed: where to go on from; None to begin.
        deferred: a context that training runs in; it yields what is asked about ten times a second
            whether to save and stop.
        before_training: called with the corpus when the text is read, and with what is known of the
            pretrained vectors, if there are any; may refuse.
        precompiler: another process that compiles already what trains.
        began: `time.perf_counter` when the work began that a time budget is for; None: when
            training is asked for.
        keeps_interrupted: whether to save a checkpoint, too, where an interrupt is raised in the
            middle of training, as nobody deferred it.
    """

    checkpoints: Checkpoints | None = None
    resumed: Checkpoint | None = None
    deferred: Callable[[], AbstractContextManager[Callable[[], bool]]] = never
    before_training: Callable[[Corpus, Mapping[str, Any] | None], None] = lambda corpus, facts: None
    began: float | None = None
    precompiler: Precompiler | None = None
    keeps_interrupted: bool = False


def train(
    paths: Sequence[str | Path],
    config: TrainConfig | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    pretrained: Embeddings | None = None,
    scratch: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    control: RunControl | None = None,
) -> Embeddings:
    """Train word embeddings on text, and keep nothing but what `control` says.

    Arguments, results and errors are those of `session.train`; `control` says where checkpoints go,
    and which one to go on from.

    Raises:
        Stopped: `control` asked to stop.
    """
    config = asked = (config or TrainConfig()).resolve()
    control = control or RunControl()
    began = time.perf_counter()
    if config.evaluate:
        read_evaluation_file(config.evaluate)  # before the work, not after it
    pretrained = load_pretrained(config, pretrained)
    subwords = _subwords(config, control.resumed, pretrained)
    if config.continue_from and vocabulary is not None and control.resumed is None:
        raise UsageError(
            f"a vocabulary is given, but the words are those of {config.continue_from} and of the "
            "text: leave --vocab out"
        )
    # While the text is read.
    compiling = Background(partial(compile_all, config, control.precompiler))
    with ExitStack() as stack:
        directory = None if scratch is None else Path(scratch)

        def read(sources: Sequence[str], words: Vocabulary | None, **more: Any) -> Corpus:
            corpus = encode_for_training(sources, asked, words, scratch=directory, **more)
            return stack.enter_context(corpus)

        base = pretrained.vocabulary if pretrained is not None and config.continue_from else None
        texts = [str(path) for path in paths]
        corpus = read(texts, vocabulary, on_progress=on_progress, base=base, unk=config.unk)
        config = asked = asked.settled_as(corpus.rules)
        facts: dict[str, Any] = {"corpus": _facts(corpus)}
        valid = None
        if config.valid:
            has_unknown = UNKNOWN in corpus.vocabulary  # there is no row for it otherwise
            valid = read([config.valid], corpus.vocabulary, unk=config.unk and has_unknown)
            facts["held_out"] = _facts(valid)
        start = None if pretrained is None else match(config, pretrained, corpus.vocabulary)
        if start is not None:
            facts["given"] = start.facts(corpus.vocabulary)
        _trim_heap()
        if control.resumed is not None:
            facts = same_texts(control.resumed, facts)
        compiling.wait(partial(say_compiling, control.precompiler, on_progress))
        control.before_training(corpus, facts.get("given"))
        elapsed = time.perf_counter() - began
        before = began - control.began if control.began is not None else 0.0
        deadline = deadline_of(config, control.resumed, before + elapsed)
        score = _score(config.evaluate, corpus.vocabulary)
        way = prepared(
            corpus,
            config,
            valid=valid,
            pretrained=start,
            subwords=subwords,
            deadline=deadline,
            score=score,
            scratch=directory,
            on_progress=on_progress,
        )
        run = stack.enter_context(way)
        _trim_heap()  # of what the words' shares took: 4 MB
        counted = time.perf_counter() - began - elapsed
        facts |= run.facts()
        train_to_end(run, control, facts, on_progress, elapsed)
        if start is not None:
            moved = movement(start, run.matrices()[0], corpus.vocabulary)
            facts["given"] = facts["given"] | {"moved": moved}
        timings = {"reading": elapsed, "training": time.perf_counter() - began - elapsed}
        if "cooccurrences" in facts:
            timings["counting"] = counted  # of what is called training
        return embeddings_of(run, facts, timings)


def train_to_end(
    run: Run,
    control: RunControl,
    facts: Mapping[str, Any],
    on_progress: OnProgress,
    elapsed: float,
) -> None:
    """Train what is left of a run, with checkpoints; `elapsed` are seconds of reading its text.

    Raises:
        Stopped: `control` asked to stop.
        TrainingError: the numbers diverge, or there was no time to train.
    """
    if control.resumed is not None:
        _restore(run, control.resumed)
    with control.deferred() as stopping, _metrics(run.config.metrics, run, on_progress) as report:
        _train(run, control, facts, report, stopping)
    if not run.epochs:
        raise TrainingError(
            f"the time budget of {run.config.time_budget} was over before training began: reading "
            f"the text took {elapsed:.1f} s; give more"
        )


def _subwords(
    config: TrainConfig, resumed: Checkpoint | None, pretrained: Embeddings | None
) -> Subwords | None:
    """How words are cut: as they were, even if the file that says so has changed since."""
    saved = None if resumed is None else resumed.embeddings
    if saved is not None and saved.subwords is not None:
        return saved.subwords
    kept = kept_subwords(pretrained, config)
    if kept is None and config.subword is not None:
        units_of(config)  # before the work, not after it
    return kept


def _facts(corpus: Corpus) -> dict[str, Any]:
    """What the model will say of a text."""
    return {"sha256": corpus.digest, **asdict(corpus.tally)}


def deadline_of(config: TrainConfig, resumed: Checkpoint | None, elapsed: float) -> Deadline | None:
    """When a run has to be ready; `elapsed` seconds of its budget are gone."""
    if config.budget_seconds is None:
        return None
    clock = resumed.state.clock if resumed is not None and resumed.state is not None else None
    spent, share = clock or (0.0, 0.0)
    return Deadline(config.budget_seconds, spent + elapsed, share)


def _score(path: str | None, vocabulary: Vocabulary) -> Score | None:
    """What scores input vectors on the file `path`."""
    if path is None:
        return None

    def score(vectors: NDArray[np.float32]) -> float | None:
        (report,) = evaluate(Embeddings(vocabulary, vectors), [path], bootstrap=0)
        return report.score

    return score


@contextmanager
def _metrics(path: str | None, run: Run, on_progress: OnProgress) -> Iterator[OnProgress]:
    """What reports go to."""
    if path is None:
        yield on_progress
        return
    with Metrics(path, run) as metrics:
        yield metrics.watch(on_progress)


def _train(
    run: Run,
    control: RunControl,
    facts: Mapping[str, Any],
    on_progress: OnProgress,
    stopping: Callable[[], bool],
) -> None:
    """Train to the end, with a checkpoint when one is due; or save one and stop when asked to."""
    checkpoints = control.checkpoints

    def wants_pause() -> bool:
        return stopping() or (checkpoints is not None and checkpoints.is_due())

    def keep(save: Callable[[Embeddings, State], None]) -> None:
        run.check()
        save(embeddings_of(run, facts, {}, everything=True), run.state())

    try:
        while not run.train(on_progress, wants_pause):
            stops = stopping()
            if checkpoints is not None:
                keep(checkpoints.save if stops else checkpoints.save_if_possible)
            else:
                run.check()
            if stops:
                raise Stopped
    except BaseException as error:
        is_kept = control.keeps_interrupted and not isinstance(error, Exception)
        if is_kept and checkpoints is not None and run.is_settled:
            keep(checkpoints.save)
        raise


def same_texts(resumed: Checkpoint, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says of the texts, if these are the texts it was made with."""
    if resumed.embeddings is None:
        return dict(facts)
    saved = dict(facts)
    for name, purpose in (("corpus", "trained"), ("held_out", "measured")):
        if "sha256" not in facts.get(name, {}):
            continue
        before, now = resumed.embeddings.metadata[name], facts[name]
        if before["sha256"] != now["sha256"]:
            raise CorpusError(
                f"the text is not the one that {resumed.path} was {purpose} on: "
                f"{before['n_bytes']:,} bytes with sha256 {before['sha256'][:12]}, now "
                f"{now['n_bytes']:,} with {now['sha256'][:12]}; give that text, or train anew "
                "without --resume"
            )
        saved[name] = before
    if "given" in facts and facts["given"] != resumed.embeddings.metadata["given"]:
        raise InputError(
            f"{facts['given']['file']} is not what {resumed.path} began with: it has other words; "
            "put it back, or train anew without --resume"
        )
    return saved


def _restore(run: Run, resumed: Checkpoint) -> None:
    saved = resumed.embeddings
    if saved is not None and resumed.state is not None and saved.output_vectors is not None:
        run.restore(resumed.state, saved)


def _trim_heap() -> None:
    """Give the memory that counting freed back to the system; only glibc has to be asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def embeddings_of(
    run: Run, facts: Mapping[str, Any], timings: Mapping[str, float], *, everything: bool = False
) -> Embeddings:
    """The matrices as they are, not copied; `everything`: the output vectors in any case."""
    config = run.config
    vectors, output_vectors = run.matrices()
    subwords = run.subwords()
    metadata: dict[str, Any] = {
        "settings": _settings(config),
        "seed": config.seed,
        "versions": versions(config, None if subwords is None else subwords.units),
        **facts,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "loss": [epoch.loss for epoch in run.epochs],
    }
    if (best := best_epoch(run.epochs)) is not None:
        metadata["best_epoch"] = best + 1
    if run.stopped is not None:
        metadata["stopped"] = run.stopped
    if timings:
        metadata["timings"] = {name: round(seconds, 3) for name, seconds in timings.items()}
    kept = output_vectors if config.output_vectors or everything else None
    labels = run.labels
    return Embeddings(
        run.corpus.vocabulary, vectors, kept, metadata, subwords, run.tree_counts, labels
    )


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What decides the numbers: with `deterministic`, threads do not."""
    return config.as_dict() | ({"threads": None} if config.deterministic else {})
