"""Trials chosen by optuna, and shared by all who name the same journal.

A journal is a file that workers append to (optuna's JournalFileBackend). All that ask the same
question, the same text, files, fixed settings and space, work on one study in it: each takes the
next trial until there are as many as were asked for, and reports those of everybody. What a killed
worker had begun is begun again by another, if it ran on the same machine.

Needs optuna (``pip install 'embedcli[tune]'``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from embedcli.errors import MissingExtraError, OutputError
from embedcli.settings.values import Value
from embedcli.tuning.search import Budget
from embedcli.tuning.space import Axis, Space
from embedcli.tuning.trial import Bench, Trial

__all__ = ["check_journal", "import_optuna", "try_some"]

_LONGEST_RECORD: Final = 1 << 20
_RESULT: Final = "trial"
_WORKER: Final = "worker"
# What may differ between workers; the text of `valid` counts, not its name.
_NOT_THE_QUESTION: Final = ("threads", "output_vectors", "valid")


def import_optuna() -> Any:
    """The library, quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("a search", "optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def check_journal(path: str) -> None:
    """Refuse to append to what is no journal.

    Raises:
        OutputError: the file can be read, holds something, and that is none of optuna's records.
    """
    with contextlib.suppress(FileNotFoundError), Path(path).open("rb") as file:
        first = file.readline(_LONGEST_RECORD)
        try:
            is_record = not first or "op_code" in json.loads(first)
        except (ValueError, TypeError, RecursionError):
            is_record = False
        if not is_record:
            raise OutputError(f"{path} holds something else than trials: name another journal")


def try_some(
    bench: Bench,
    space: Space,
    n_trials: int,
    budget: Budget,
    *,
    journal: str | None = None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> tuple[list[Trial], int]:
    """Try settings from `space`, each chosen in view of those before.

    Args:
        bench: what all trials share.
        space: where settings come from: a grid is gone through, least work first; ranges are
            searched by TPE (Bergstra et al. 2011).
        n_trials: how many there are to be, those of other workers included.
        budget: what would probably end after it is not begun.
        journal: the file that workers share; None to be alone.
        on_trial: called after each trial of this worker.

    Returns:
        All trials there are, in the order they were begun, and how many are still missing.
    """
    study = _study(bench, space, journal)
    grid = space.grid(bench.config) if space.is_grid else ()
    while _taken(study) < n_trials:
        asked = _asked(study, grid)
        settings = {axis.name: _suggested(asked, axis) for axis in space.axes}
        known = next((t for t in _finished(study) if t.settings == settings), None)
        if known is None and not budget.fits(bench, settings):
            study.tell(asked, state=import_optuna().trial.TrialState.FAIL)
            break
        trial = known or budget.measure(bench, settings)
        asked.set_user_attr(_RESULT, json.dumps(asdict(trial)))
        if trial.score is None:
            study.tell(asked, state=import_optuna().trial.TrialState.FAIL)
        else:
            study.tell(asked, trial.score)
        on_trial(trial)
    trials = _finished(study)
    distinct = {json.dumps(trial.settings): trial for trial in trials}
    return list(distinct.values()), max(0, n_trials - len(trials))


def _study(bench: Bench, space: Space, journal: str | None) -> Any:
    optuna = import_optuna()
    storage = None
    if journal is not None:
        backend = optuna.storages.journal.JournalFileBackend(journal)
        storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        study_name=_question(bench, space),
        storage=storage,
        direction="maximize",
        load_if_exists=True,
    )
    begun = len(study.get_trials(deepcopy=False))
    # Workers that share a journal and began alike would all try the same.
    seed = bench.config.seed + (os.getpid() + begun if journal else 0)
    study.sampler = optuna.samplers.TPESampler(
        seed=seed % 2**32, multivariate=True, constant_liar=True
    )
    return study


def _asked(study: Any, grid: Sequence[Mapping[str, Value]]) -> Any:
    """The next trial: of a grid the first combination that nobody has taken."""
    if grid:
        failed = import_optuna().trial.TrialState.FAIL
        taken = [
            each.params or each.system_attrs.get("fixed_params")
            for each in study.get_trials(deepcopy=False)
            if each.state != failed or _RESULT in each.user_attrs
        ]
        free = [settings for settings in grid if settings not in taken]
        study.enqueue_trial(dict((free or grid)[0]))
    asked = study.ask()
    asked.set_user_attr(_WORKER, _me())
    return asked


def _question(bench: Bench, space: Space) -> str:
    """A name for what is asked: workers with the same one can share their answers."""
    searched = {axis.name for axis in space.axes}
    fixed = bench.config.resolve().as_dict()
    question = {
        "corpus": bench.corpus.digest,
        "settings": {
            name: value
            for name, value in fixed.items()
            if name not in searched and name not in _NOT_THE_QUESTION
        },
        "space": [asdict(axis) for axis in space.axes],
        "valid": None if bench.valid is None else bench.valid.digest,
        "files": [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in bench.files],
        "runs": bench.runs,
    }
    return f"embed-{hashlib.sha256(json.dumps(question).encode()).hexdigest()[:16]}"


def _suggested(asked: Any, axis: Axis) -> Value:
    value: Value
    if axis.values:
        value = asked.suggest_categorical(axis.name, list(axis.values))
    elif isinstance(axis.low, int):
        value = asked.suggest_int(axis.name, axis.low, axis.high, log=axis.log)
    else:
        drawn = asked.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
        value = min(axis.high, max(axis.low, float(f"{drawn:.3g}")))  # digits that people can read
    return value


def _finished(study: Any) -> list[Trial]:
    return [
        Trial(**json.loads(each.user_attrs[_RESULT]))
        for each in study.get_trials(deepcopy=False)
        if _RESULT in each.user_attrs and each.state.is_finished()
    ]


def _taken(study: Any) -> int:
    """How many trials are made or being made; those of workers that died are given up."""
    optuna = import_optuna()
    taken = 0
    for each in study.get_trials(deepcopy=False):
        if each.state == optuna.trial.TrialState.RUNNING and _is_dead(
            each.user_attrs.get(_WORKER, "")
        ):
            with contextlib.suppress(ValueError, RuntimeError):  # another worker was faster
                study.tell(each.number, state=optuna.trial.TrialState.FAIL)
        elif _RESULT in each.user_attrs or not each.state.is_finished():
            taken += 1
    return taken


def _me() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _is_dead(worker: str) -> bool:
    """Whether the worker ran here and does no more; of other machines nobody knows."""
    host, _, process = worker.rpartition(" ")
    return host == socket.gethostname() and not Path(f"/proc/{process}").exists()
