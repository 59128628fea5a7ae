"""embed and its peers under the same settings, each as a command of its own, timed as a whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.processes import run
from benchmarks.session import THREADS, Session, median

__all__ = [
    "EMBED",
    "FASTTEXT",
    "GENSIM",
    "Run",
    "Settings",
    "installed",
    "middle",
    "readable",
    "train",
    "warm_up",
]

EMBED, GENSIM, FASTTEXT = "embed", "gensim", "fastText"
_SCRIPTS = {GENSIM: "gensim_train.py", FASTTEXT: "fasttext_train.py"}
_NEEDED = {FASTTEXT: {"MALLOC_MMAP_THRESHOLD_": "65536"}}  # fasttext_train.py says why
_WARM_UP_TOKENS = 20_000


@dataclass(frozen=True)
class Settings:
    """Settings of training, under the names embed has for them; None is embed's default."""

    arch: str = "skipgram"
    loss: str = "ns"
    dim: int = 100
    epochs: int = 5
    lr: float | None = 0.025
    seed: int = 1
    threads: int = THREADS
    window: int = 5
    negative: int = 5
    sample: float = 1e-4
    min_count: int = 5
    min_lr: float = 1e-4
    subword: str | None = None
    ns_exponent: float | None = None


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        seconds: wall time of the whole process, seen from outside.
        peak: its most resident memory, in bytes.
        cpu: seconds of processors, of all threads together.
        reading: seconds for reading and counting, as the trainer says; None where it does not.
        training: seconds in the training loop, as the trainer says; None where it does not.
        rate: tokens of the text, all of them, times the epochs, a second of the training loop.
        n_words: V.
        dim: D.
        trainer: who.
        model: what it wrote, in its own format.
    """

    seconds: float
    peak: int
    cpu: float
    reading: float | None
    training: float | None
    rate: float | None
    n_words: int
    dim: int
    trainer: str
    model: Path

    @property
    def memory_bound(self) -> float:
        """The target: both matrices and 15 %, and 250 MB; in bytes."""
        return 2 * self.n_words * self.dim * 4 * 1.15 + 250e6


def installed(trainer: str) -> bool:
    """Whether the trainer's package is in this environment."""
    return find_spec(trainer.lower()) is not None


def warm_up(
    session: Session, trainer: str, settings: Settings, *, more: tuple[str, ...] = ()
) -> None:
    """Train a few lines: libraries in the page cache, kernels of these settings compiled."""
    text = session.excerpt(_WARM_UP_TOKENS)
    train(session, trainer, replace(settings, epochs=1), text, more=more)


def train(
    session: Session,
    trainer: str,
    settings: Settings,
    corpus: Path | None = None,
    *,
    more: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    name: str = EMBED,
) -> Run:
    """Train on `corpus` (default: the session's), with `more` options for ``embed train``.

    `name` is that of embed's model: runs at one time need different ones.
    """
    corpus = corpus or session.corpus
    if trainer == EMBED:
        model = session.folder / f"{name}.safetensors"
        environment = environment or session.environment
        made = _train_embed(session, settings, corpus, model, more, environment)
    else:
        made = _train_peer(session, trainer, settings, corpus)
    session.say(f"{trainer} {settings.arch} D={made.dim}: {made.seconds:.1f} s")
    return made


def _train_embed(
    session: Session,
    settings: Settings,
    corpus: Path,
    model: Path,
    more: tuple[str, ...],
    environment: Mapping[str, str],
) -> Run:
    given = {name: value for name, value in asdict(settings).items() if value is not None}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    done = session.embed(
        "train", corpus, "-o", model, *flags, *more, "--json", environment=environment
    )
    facts = json.loads(session.embed("info", model, "--json").stdout)
    told = json.loads(done.stdout)
    timings = told["timings"]
    return Run(
        done.seconds,
        done.peak,
        done.cpu,
        timings["reading"],
        timings["training"],
        told["corpus"]["read"] * len(told["epochs"]) / timings["training"],
        facts["words"],
        facts["dim"],
        EMBED,
        model,
    )


def _train_peer(session: Session, trainer: str, settings: Settings, corpus: Path) -> Run:
    model = session.folder / f"{trainer}.model"
    arguments = ["train", str(corpus), str(model), json.dumps(asdict(settings))]
    environment = session.environment | _NEEDED.get(trainer, {})
    done = run([*_script(trainer), *arguments], environment)
    told = json.loads(done.stdout)
    return Run(
        done.seconds,
        done.peak,
        done.cpu,
        told["reading"],
        told["training"],
        told["training"] and told["tokens"] * settings.epochs / told["training"],
        told["words"],
        settings.dim,
        trainer,
        model,
    )


def middle(runs: Sequence[Run], figure: str) -> float | None:
    """The median of one figure (``"seconds"``) of several runs; None where a trainer is silent."""
    values = [getattr(run, figure) for run in runs]
    return None if None in values else median(values)


def readable(session: Session, made: Run) -> Path:
    """A file of the vectors that ``embed evaluate`` reads, made after the clock has stopped."""
    if made.trainer in (EMBED, FASTTEXT):
        return made.model
    target = made.model.with_suffix(".bin")
    run([*_script(made.trainer), "export", made.model, target], session.environment)
    return target


def _script(trainer: str) -> list[str | Path]:
    """-P: the other files here are not modules for the script to find."""
    return [sys.executable, "-P", Path(__file__).with_name(_SCRIPTS[trainer])]
