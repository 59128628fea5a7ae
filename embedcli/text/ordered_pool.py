"""A pool of threads that read a text: they stop as one, and their results come out in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OrderedPool"]

WAKE_SECONDS = 0.1
_LAST_SECONDS = 2.0
_AHEAD = 4  # results that wait for an earlier one, for each thread


class _Stopped(Exception):
    """Raised in a thread that waits when another one has failed."""


class OrderedPool:
    """What the threads of one pass share: the stop sign, the first error, the results.

    The main thread never computes: it waits with a time-out, so that Ctrl-C, progress and the
    failure of a thread are noticed at once.

    Args:
        deliver: called with each result in order of its number, by one thread at a time.

    Attributes:
        stopped: whether the threads are to end.
    """

    def __init__(self, deliver: Callable[..., None]) -> None:
        self.stopped = False
        self._deliver = deliver
        self._error: BaseException | None = None
        self._next = 0
        self._early: dict[int, tuple[Any, ...]] = {}
        self._most_early = 0
        self._changed = threading.Condition()

    def run(self, jobs: Sequence[Callable[[], None]], on_wake: Callable[[], None]) -> None:
        """Call every job in a thread of its own and wait for all.

        `on_wake` is called about ten times a second and once more when all jobs are done.

        Raises:
            BaseException: what a job or `on_wake` raised first, after all threads have ended.
        """
        self._most_early = _AHEAD * len(jobs)
        threads = [threading.Thread(target=self._work, args=(job,), daemon=True) for job in jobs]
        try:
            for thread in threads:
                thread.start()
            while waited_for := next((t for t in threads if t.is_alive()), None):
                waited_for.join(WAKE_SECONDS)
                on_wake()
            if self._error is None:
                on_wake()
        finally:
            self._stop()
            for thread in threads:
                if thread.ident is not None:  # one that waits for a pipe may never end
                    thread.join(_LAST_SECONDS)
        if self._error is not None:
            raise self._error

    def put_result(self, number: int, array: NDArray[Any], *more: Any) -> None:
        """Have ``deliver(array, *more)`` called when all lower numbers have been delivered.

        The array may be reused on return: it is copied where it has to wait.
        """
        with self._changed:
            while number - self._next > self._most_early:
                if self.stopped:
                    raise _Stopped
                self._changed.wait()
            if number != self._next:
                self._early[number] = (np.copy(array), *more)
                return
            self._deliver(array, *more)
            self._next += 1
            while self._next in self._early:
                self._deliver(*self._early.pop(self._next))
                self._next += 1
            self._changed.notify_all()

    def _work(self, job: Callable[[], None]) -> None:
        try:
            job()
        except _Stopped:
            pass
        except BaseException as error:  # raised again in the main thread
            self._error = self._error or error
            self._stop()

    def _stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
