"""Threads that share the chunks of an epoch, and the argument why they may share the matrices.

**Hogwild** (Recht, Re, Wright & Niu 2011, *Hogwild!: A Lock-Free Approach to Parallelizing SGD*).
All threads read and write both matrices without locks. A thread that reads a row another is writing
sees some columns before and some after the update, and of two updates at once to the same column
one is lost. It works because a step touches a dozen rows of many thousands: collisions are rare for
all but the most frequent words, and those get so many steps that a lost one does not matter. What
is lost is reproducibility: with more than one thread two runs differ in the last digits, though
both draw the same samples (`kernels/sampling.py`). Aligned vector loads and stores are not torn
inside a float32, so no value ever appears that nobody wrote.

Threads and not processes: the kernels release the GIL, the matrices need no shared memory, and an
exception travels. The main thread never runs a kernel; it waits with a time-out, so that Ctrl-C,
progress and the failure of a worker are noticed at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["Background", "Job", "run_together", "run_workers"]

WAKE_SECONDS = 0.1

Job = Callable[[int], None]


def run_workers(
    jobs: Sequence[Callable[[int], None]],
    first: int,
    n_items: int,
    on_wake: Callable[[int], bool],
    stop: threading.Event | None = None,
) -> int:
    """Call ``jobs[t](i)`` once for every i from `first` to below `n_items`, in order of i.

    Each thread t takes the next free i. Where `on_wake` asks for a pause, `stop` is set, no further
    item is begun, and jobs return: all threads have ended when this returns.

    Args:
        jobs: one callable for each thread.
        first: the first item.
        n_items: one more than the last item.
        on_wake: called by the main thread about ten times a second, with the first item that is not
            begun yet; returns whether to pause.
        stop: is set when work is to end, for jobs that can leave an item unfinished.

    Returns:
        The first item that was not begun: `n_items` when all are done.

    Raises:
        BaseException: whatever a job or `on_wake` raised, after every thread has stopped.
    """
    board = _Board(first, n_items, stop or threading.Event())
    threads = [
        threading.Thread(target=board.work, args=(job,), name=f"embed-{t}", daemon=True)
        for t, job in enumerate(jobs)
    ]
    try:
        for thread in threads:
            thread.start()
        while board.running(threads):
            if on_wake(board.begun):
                board.stop.set()
    finally:
        board.stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if board.error is not None:
        raise board.error
    return board.begun


def run_together(
    function: Callable[[int], None], n_threads: int, on_error: Callable[[], None]
) -> None:
    """Call ``function(t)`` in a thread for each t, the first in this one, and wait for all.

    `on_error` is called when one of them has raised, so that no other waits for it.

    Raises:
        BaseException: what the first of them raised, after all have ended.
    """
    errors: list[BaseException] = []

    def call(thread: int) -> None:
        try:
            function(thread)
        except BaseException as error:  # raised again below
            errors.append(error)
            on_error()

    others = [
        threading.Thread(target=call, args=(t,), name=f"embed-round-{t}", daemon=True)
        for t in range(1, n_threads)
    ]
    for thread in others:
        thread.start()
    call(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


class Background:
    """A call in a thread of its own, whose error is raised where it is waited for."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the call has ended."""
        return not self._thread.is_alive()

    def wait(self, on_wake: Callable[[], None] | None = None) -> None:
        """Wait until the call has ended; `on_wake` is called about ten times a second meanwhile."""
        while self._thread.is_alive():  # with a time-out, so that Ctrl-C is felt
            self._thread.join(WAKE_SECONDS)
            if on_wake is not None:
                on_wake()
        if self._error is not None:
            raise self._error

    def _run(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # raised again by `wait`
            self._error = error


class _Board:
    """What the threads of one epoch share: the next item, the stop sign, the first error."""

    def __init__(self, first: int, n_items: int, stop: threading.Event) -> None:
        self.begun = first
        self.stop = stop
        self.error: BaseException | None = None
        self._n_items = n_items
        self._lock = threading.Lock()

    def work(self, job: Job) -> None:
        try:
            while (item := self._take()) is not None:
                job(item)
        except BaseException as error:  # raised again in the main thread
            self.error = self.error or error
            self.stop.set()

    def running(self, threads: Sequence[threading.Thread]) -> bool:
        """Wait a moment; whether any thread is still at work."""
        for thread in threads:
            if thread.is_alive():
                thread.join(WAKE_SECONDS)
                break
        return any(thread.is_alive() for thread in threads)

    def _take(self) -> int | None:
        with self._lock:
            if self.stop.is_set() or self.begun == self._n_items:
                return None
            self.begun += 1
            return self.begun - 1
