"""All kinds of faults, one after the other: trials, failures, and the planted bugs."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from torture import (
    bombs,
    bugs,
    caches,
    claims,
    damage,
    databases,
    detection,
    disks,
    headers,
    ids,
    indexes,
    kills,
    links,
    members,
    memory,
    mutants,
    names,
    numbers,
    order,
    overlaps,
    phases,
    rivals,
    streams,
    texts,
    threads,
    writes,
)
from torture.subject import Subject
from torture.trials import Kind

__all__ = ["KINDS", "main"]

KINDS = [
    Kind("kills", "SIGKILL at a random moment, again and again; the bytes at the end are the same",
         kills.trials, 500, 24),
    Kind("ways", "the same for other architectures, losses, optimisers and rules",
         kills.way_trials, 42, 3),
    Kind("calls", "one call of one primitive fails during a run; the file is old or new, and exit "
         "0 means new", writes.run_trials, 900, 24),
    Kind("cuts", "SIGKILL before and after each call of each primitive; the run goes on from there",
         writes.cut_trials, 400, 12),
    Kind("saves", "the same for every format, every call, five errors, once and for ever",
         writes.save_trials, 5000, 120),
    Kind("order", "written, synced, renamed, directory synced: what a power cut would show",
         order.trials, 20, 20),
    Kind("checkpoints", "a checkpoint cut, flipped, zeroed, lengthened: noticed",
         damage.reading_trials, 3000, 600),
    Kind("fallback", "one of two damaged: the other is used; both: refused",
         damage.resuming_trials, 40, 3),
    Kind("mutants", "mutated files: an error of ours, in bounded memory",
         mutants.trials, 20000, 9000),
    Kind("claims", "files one of whose numbers asks for more memory than their size justifies",
         claims.trials, 60, 12),
    Kind("writers", "a writer of any format writes something else: the old file stays",
         claims.writer_trials, 22, 22),
    Kind("detection", "random small models in every format: told to be what they are",
         detection.trials, 100_000, 2_000),
    Kind("headers", "values in JSON and NumPy headers of the wrong kind, size or sign: an error of "
         "ours", headers.trials, 12000, 300),
    Kind("bombs", "small files that ask for much: an error in seconds and in bounded memory",
         bombs.trials, 32, 8),
    Kind("members", "one member of a packed file damaged: refused, never read in part",
         members.trials, 800, 16),
    Kind("databases", "tables that compute, never end or are not what they seem",
         databases.trials, 24, 8),
    Kind("indexes", "index files damaged: built anew, the same neighbours", indexes.trials, 100, 4),
    Kind("ids", "vocabularies that do not fit their text: the same bytes twice, or an error",
         ids.trials, 140, 7),
    Kind("names", "file names and words with control characters, no UTF-8, or too long",
         names.trials, 96, 8),
    Kind("links", "links, pipes and files of others where locks and checkpoints go",
         links.trials, 144, 8),
    Kind("overlaps", "an output that is one of the inputs: refused, every file as it was",
         overlaps.trials, 64, 8),
    Kind("signals", "Ctrl-C, SIGTERM, SIGHUP and two Ctrl-C in each of six phases",
         phases.trials, 72, 7),
    Kind("moments", "the same at any moment of a real process, from its start to its end",
         phases.moment_trials, 60, 4),
    Kind("disks", "a full disk and a limit on the size of files", disks.trials, 40, 4),
    Kind("memory", "a limit on memory from too little to enough", memory.trials, 28, 3),
    Kind("streams", "standard streams closed, full or slow; outputs that are no files",
         streams.trials, 60, 9),
    Kind("rivals", "2, 8 and 32 runs at once on one output: one wins", rivals.trials, 20, 2),
    Kind("texts", "the text changes while it is read, and before a run is resumed",
         texts.trials, 20, 5),
    Kind("threads", "a worker fails: the run ends at once and says why", threads.trials, 100, 8),
    Kind("caches", "compiled kernels damaged on the disk: compiled anew", caches.trials, 30, 1),
    Kind("numbers", "extreme settings: finite vectors or exit code 6", numbers.trials, 500, 24),
]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite; 0 if no trial failed and every planted bug was found."""
    options = _parser().parse_args(argv)
    chosen = [kind for kind in KINDS if not options.only or kind.name in options.only]
    _prepare()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="embed-torture-", dir=options.folder) as folder:
        subject = Subject(Path(folder))
        print(f"a run takes {subject.seconds:.2f} s; seed {options.seed}", flush=True)
        n_failures = sum(
            _torture(kind, subject, kind.short if options.short else kind.full, options.seed)
            for kind in chosen
        )
        missed = 0 if options.only else bugs.hunt(subject, KINDS, options.short)
    print(f"{time.perf_counter() - began:.0f} s")
    return int(bool(n_failures or missed))


def _torture(kind: Kind, subject: Subject, n: int, seed: int) -> int:
    """All trials of one kind; how many failed."""
    began = time.perf_counter()
    n_trials, failures = 0, []
    for outcome in kind.trials(subject, n, Random(f"{seed} {kind.name}")):
        n_trials += 1
        if outcome.wrong:
            failures.append(outcome)
            print(f"  {kind.name}: {outcome.fault}: {outcome.wrong}", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{kind.name:12} {n_trials:6} trials {len(failures):4} failures {seconds:6.1f} s  "
        f"{kind.what}",
        flush=True,
    )
    return len(failures) + (n_trials == 0)


def _prepare() -> None:
    """Load and compile everything once, so that forked children have it; no thread is left."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children inherit what is ignored
    from embedcli import TrainConfig, train
    from embedcli.cli import main  # noqa: F401 (loaded for the children)
    from embedcli.training import workers

    workers.WAKE_SECONDS = 0.005  # a run of a fraction of a second is to have checkpoints too

    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        text.write_text("a b c d e f g h\n" * 50)
        train([text], TrainConfig(dim=16, min_count=1, epochs=1, sample=0, threads=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    add = parser.add_argument
    add("--short", action="store_true", help="a few of each kind, in about a minute")
    add("--only", nargs="+", choices=[kind.name for kind in KINDS], help="these kinds, no bugs")
    add("--seed", type=int, default=1, help="of the random choices (1)")
    add("--folder", type=Path, help="where to work; the system's temporary directory by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
