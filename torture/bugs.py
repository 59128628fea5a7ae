"""Bugs planted in embed, each to be found by the kind of fault that is there to find it.

A suite that finds nothing is worth as much as what it would have found. So each promise is broken
on purpose, in a forked child, and trials of one kind are run until one fails. None failing is a
failure of the suite.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from torture.changes import change, changed_module
from torture.children import stream
from torture.subject import Subject
from torture.trials import Kind, Outcome

__all__ = ["BUGS", "hunt"]


@dataclass(frozen=True)
class Bug:
    """One promise, broken.

    Attributes:
        kind: the kind of fault that must find it.
        n: trials it gets.
        plant: breaks it, in this process.
    """

    kind: str
    n: int
    plant: Callable[[], None]


def _publisher(**changes: Any) -> None:
    """Let the publisher see an `os` that is changed."""
    from embedcli.files import publish

    change(publish, "os", changed_module(os, **changes))


def _no_fsync() -> None:
    _publisher(fsync=lambda file: None)


def _fsync_again() -> None:
    def fsync(file: int) -> None:
        try:
            os.fsync(file)
        except OSError:
            os.fsync(file)

    _publisher(fsync=fsync)


def _sync_too_late() -> None:
    late: list[int] = []

    def replace(source: str, target: str) -> None:
        os.replace(source, target)
        for file in late:
            os.fsync(file)
            os.close(file)
        late.clear()

    _publisher(fsync=lambda file: late.append(os.dup(file)), replace=replace)


def _no_directory_sync() -> None:
    from embedcli.files import publish

    change(publish, "sync_directory", lambda directory: None)


def _made_elsewhere() -> None:
    from embedcli.files import publish

    def create(real: str, mode: int | None) -> tuple[int, str]:
        return tempfile.mkstemp()

    change(publish, "_create_temporary", create)


def _written_in_place() -> None:
    from embedcli.files import publish, targets

    def by_rename(target: str, size: int | None) -> Iterator[Any]:
        with targets.as_output_error(target, size):
            file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            sink = publish._sink_on(file, target, size)
            yield sink
            sink.flush()
        finally:
            os.close(file)

    change(publish, "_by_rename", by_rename)


def _not_read_back() -> None:
    from embedcli.files import publish

    change(publish, "_read_back", lambda *told: None)
    _not_read_as_a_model()


def _not_read_as_a_model() -> None:
    from embedcli import formats

    change(formats, "check_read_back", lambda *told: None)


def _ngrams_of_any_length() -> None:
    from embedcli.formats import fasttext
    from embedcli.subwords import table

    change(fasttext, "LONGEST_NGRAM", 1 << 31)
    change(table, "PART_BYTES", 1 << 31)


def _vectors_of_any_width() -> None:
    from embedcli.formats import model2vec, native

    for reader in (model2vec, native):
        change(reader, "check_memory", lambda *told: None)


def _short_writes_refused() -> None:
    from embedcli.errors import OutputError
    from embedcli.files.publish import Sink

    def write_all(sink: Any, view: memoryview) -> None:
        if sink._write(view) != len(view):
            raise OutputError("not all was written")

    change(Sink, "_write_all", write_all)


def _temporary_files_left() -> None:
    _publisher(unlink=lambda path: None)


def _failures_swallowed() -> None:
    from embedcli import formats
    from embedcli.errors import OutputError

    original = formats.save

    def save(*args: Any, **more: Any) -> None:
        with suppress(OutputError):
            original(*args, **more)

    change(formats, "save", save)


def _digest_not_compared() -> None:
    from embedcli.files import safetensors

    change(safetensors, "check_digest", lambda path, header: True)


def _one_checkpoint() -> None:
    from embedcli.training.checkpoint import Checkpoints

    original = Checkpoints.__init__

    def init(checkpoints: Any, *args: Any) -> None:
        original(checkpoints, *args)
        checkpoints._files = checkpoints._files[:1]

    change(Checkpoints, "__init__", init)


def _half_restored() -> None:
    from embedcli.training.run import Run

    original = Run.restore

    def restore(run: Any, state: Any, saved: Any) -> None:
        original(run, state, replace(saved, output_vectors=0 * saved.output_vectors))

    change(Run, "restore", restore)


def _nothing_saved() -> None:
    from embedcli.training.session import Session

    change(Session, "_keep", lambda *told: None)


def _signals_not_handled() -> None:
    from embedcli.cli import main

    change(main, "prepare_signals", lambda: None)


def _no_lock() -> None:
    from embedcli.files import locks

    change(locks, "locked", lambda paths: nullcontext())


def _worker_unheard() -> None:
    from embedcli.training.workers import _Board

    def work(board: Any, job: Callable[[int], None]) -> None:
        while (item := board._take()) is not None:
            try:
                job(item)
            except Exception:
                board.stop.set()

    change(_Board, "work", work)


def _any_text_resumes() -> None:
    from embedcli.training import trainer

    change(trainer, "same_texts", lambda resumed, facts: facts)


def _header_believed() -> None:
    import numpy as np

    from embedcli.formats.rows import Rows

    original = Rows.__init__

    def init(rows: Any, source: Any, dim: int, expected: int | None, *more: Any) -> None:
        original(rows, source, dim, None, *more)
        rows._expected = rows._promised = expected
        rows._vectors = np.zeros((expected or 0, dim), np.float32)

    change(Rows, "__init__", init)


def _infinity_let_in() -> None:
    import numpy as np

    from embedcli.formats import rows

    def isfinite(numbers: Any) -> Any:
        return np.ones(numbers.shape, bool)

    change(rows, "np", changed_module(np, isfinite=isfinite))


def _duplicates_let_in() -> None:
    from embedcli.formats import row_words

    change(row_words, "_leave_out_repeated", lambda *arguments: None)


def _floats_taken_for_text() -> None:
    from embedcli.formats import under_header

    change(under_header, "_has_binary_rows", lambda source, header: False)


def _divergence_unseen() -> None:
    import math

    from embedcli.training import run

    change(run, "math", changed_module(math, isfinite=lambda number: True))
    change(run.Run, "check", lambda trained: None)


def _damaged_member_ends_the_text() -> None:
    from embedcli.files import compression

    original = compression.Unpacked.readinto

    def readinto(packed: Any, buffer: Any) -> int:
        try:
            return original(packed, buffer)
        except compression.DamagedError:
            return 0

    change(compression.Unpacked, "readinto", readinto)


def _wrong_types_let_in() -> None:
    from embedcli.files import safetensors

    change(safetensors, "_naturals", lambda value: tuple(value))


def _sizes_believed() -> None:
    from embedcli.formats import parquet_columns

    change(parquet_columns, "_MOST_RATIO", 1 << 40)


def _columns_not_looked_at() -> None:
    from embedcli.formats import sqlite

    change(sqlite, "_check_table", lambda where, connection: None)


def _index_not_compared() -> None:
    from embedcli.lookup import index_files

    def digest_of(file: Any, size: int) -> Any:
        file.seek(size)
        return file.read(32)

    change(index_files, "_digest_of", digest_of)


def _ids_not_looked_at() -> None:
    from embedcli.text import corpus

    change(corpus, "ids_fault", lambda *told: None)


def _escapes_shown() -> None:
    from embedcli.cli import output

    change(output, "escaped", lambda text: text)


def _locks_follow_links() -> None:
    from embedcli.files import locks

    change(locks, "_open", lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _outputs_are_inputs() -> None:
    from embedcli.training import distinct_files

    change(distinct_files, "_is_same", lambda one, other: False)
    change(distinct_files, "_identities", lambda named: set())
    change(distinct_files, "_keep_apart_from_texts", lambda *told: None)


BUGS: Mapping[str, Bug] = {
    "no fsync before the rename": Bug("order", 2, _no_fsync),
    "fsync after the rename": Bug("order", 2, _sync_too_late),
    "the directory is not synced": Bug("order", 2, _no_directory_sync),
    "the temporary file is made in another directory": Bug("order", 2, _made_elsewhere),
    "a failed fsync is tried again": Bug("saves", 300, _fsync_again),
    "the file is written in place": Bug("saves", 300, _written_in_place),
    "temporary files are left": Bug("saves", 300, _temporary_files_left),
    "short writes are errors": Bug("calls", 2, _short_writes_refused),
    "what was written is not read back": Bug("calls", 12, _not_read_back),
    "what was written is not read as a model": Bug("writers", 22, _not_read_as_a_model),
    "n-grams of any length are made": Bug("claims", 60, _ngrams_of_any_length),
    "vectors of any width are made": Bug("claims", 60, _vectors_of_any_width),
    "failures to write are swallowed": Bug("calls", 40, _failures_swallowed),
    "a checkpoint's digest is not compared": Bug("checkpoints", 200, _digest_not_compared),
    "only one checkpoint is kept": Bug("fallback", 3, _one_checkpoint),
    "output vectors are not restored": Bug("kills", 30, _half_restored),
    "nothing is saved at a signal": Bug("signals", 4, _nothing_saved),
    "SIGTERM and SIGHUP are not handled": Bug("signals", 8, _signals_not_handled),
    "outputs are not locked": Bug("rivals", 2, _no_lock),
    "the error of a worker is not heard": Bug("threads", 4, _worker_unheard),
    "any text may go on": Bug("texts", 6, _any_text_resumes),
    "the count in a header is believed": Bug("mutants", 2000, _header_believed),
    "infinity is let in": Bug("mutants", 2000, _infinity_let_in),
    "a word is let in twice": Bug("mutants", 2000, _duplicates_let_in),
    "a newline in a float ends a row": Bug("detection", 10_000, _floats_taken_for_text),
    "divergence is not seen": Bug("numbers", 50, _divergence_unseen),
    "a damaged member ends the text": Bug("members", 24, _damaged_member_ends_the_text),
    "a shape of any type is let in": Bug("headers", 600, _wrong_types_let_in),
    "the size in a footer is believed": Bug("bombs", 8, _sizes_believed),
    "tables that compute are read": Bug("databases", 8, _columns_not_looked_at),
    "an index's digest is not compared": Bug("indexes", 40, _index_not_compared),
    "ids of no word are trained": Bug("ids", 7, _ids_not_looked_at),
    "escape sequences are shown": Bug("names", 40, _escapes_shown),
    "locks follow links": Bug("links", 40, _locks_follow_links),
    "outputs may be inputs": Bug("overlaps", 24, _outputs_are_inputs),
}


def hunt(subject: Subject, kinds: Sequence[Kind], short: bool) -> int:
    """Plant every bug and look for it; how many were not found."""
    by_name = {kind.name: kind for kind in kinds}
    missed = []
    for name, bug in BUGS.items():
        n_trials, found = _seek(subject, by_name[bug.kind], name, bug)
        result = f"found in trial {n_trials}: {found}" if found else f"NOT FOUND in {n_trials}"
        print(f"  bug: {name}: {bug.kind}: {result[:160]}", flush=True)
        missed += [] if found else [name]
    print(f"{'bugs':12} {len(BUGS):6} planted {len(missed):3} not found", flush=True)
    return len(missed)


def _seek(subject: Subject, kind: Kind, name: str, bug: Bug) -> tuple[int, str]:
    """How many trials there were, and what the first that failed found."""

    def broken() -> Iterator[Outcome]:
        os.environ["TORTURE_BUG"] = name  # for the real processes of `driver.py`
        bug.plant()
        for outcome in kind.trials(subject, bug.n, Random(0)):
            yield outcome
            if outcome.wrong:
                return

    n_trials = 0
    try:
        for _, wrong in stream(subject.folder, broken):
            n_trials += 1
            if wrong:
                return n_trials, str(wrong)
    except ChildProcessError as error:
        return n_trials, f"the suite itself broke: {error}"
    return n_trials, ""
