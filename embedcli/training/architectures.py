"""Chooses the run for an architecture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.subwords.table import Subwords
from embedcli.text.corpus import Corpus
from embedcli.training.deterministic import (
    compile_loop,
    compile_rounds,
    compile_staging,
    deterministic_run,
)
from embedcli.training.epochs import with_epochs
from embedcli.training.glove_run import compile_glove, count_cells, glove_run
from embedcli.training.hogwild import hogwild_run
from embedcli.training.pretrained import Pretrained
from embedcli.training.run import Run, Score
from embedcli.training.stopping import Deadline
from embedcli.training.subword_run import compile_subwords, subword_run
from embedcli.training.worker import compile_kernels

__all__ = ["compile_architecture", "compile_first_part", "compile_second_part", "prepared"]


def compile_first_part(config: TrainConfig) -> None:
    """Compile what this process should, while another one compiles the second part.

    Rounds take two kernels of about the same size; all others have nothing in their first part.
    """
    if config.arch != "glove" and config.deterministic:
        compile_staging(config)
        compile_loop(config)


def compile_architecture(config: TrainConfig) -> None:
    """Compile, or load from the cache, what `config` needs."""
    if config.arch == "glove":
        compile_glove(config)
    elif config.deterministic:
        compile_first_part(config)
        compile_rounds(config)
    elif config.subword is not None:
        compile_subwords(config)
    else:
        compile_kernels(config)


def compile_second_part(config: TrainConfig) -> None:
    """What `compile_first_part` leaves."""
    if config.arch != "glove" and config.deterministic:
        compile_rounds(config)
    else:
        compile_architecture(config)


@contextmanager
def prepared(
    corpus: Corpus,
    config: TrainConfig,
    *,
    valid: Corpus | None = None,
    pretrained: Pretrained | None = None,
    subwords: Subwords | None = None,
    deadline: Deadline | None = None,
    score: Score | None = None,
    scratch: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Iterator[Run]:
    """A run that stands at its beginning; GloVe counts co-occurrences first.

    Args:
        corpus: as in `hogwild_run`, like the next five.
        config: resolved settings; `with_epochs` says what they leave to the text.
        valid: another text that is measured.
        pretrained: vectors to begin with.
        subwords: how words are cut, if not by what ``config.subword`` names (`subword_run`).
        deadline: when to be ready.
        score: of the vectors, that is to be followed.
        scratch: a directory for temporary files.
        on_progress: called with reports of what is done before training.
    """
    config = with_epochs(config, len(corpus.ids))
    if config.arch == "glove":
        with count_cells(corpus, config, scratch, on_progress) as cells:
            yield glove_run(corpus, cells, config, deadline=deadline, score=score)
    elif config.deterministic:
        yield deterministic_run(
            corpus, config, valid=valid, pretrained=pretrained, deadline=deadline, score=score
        )
    elif config.subword is not None:
        yield subword_run(
            corpus,
            config,
            subwords,
            valid=valid,
            pretrained=pretrained,
            deadline=deadline,
            score=score,
        )
    else:
        yield hogwild_run(
            corpus, config, valid=valid, pretrained=pretrained, deadline=deadline, score=score
        )
