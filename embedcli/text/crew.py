"""Threads that read a text together: they stop as one, and take turns where order matters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Crew"]

_Result = TypeVar("_Result")

_WAKE_SECONDS = 0.1
_LAST_SECONDS = 2.0


class _Stopped(Exception):
    """Raised in a thread that waits for its turn when another one has failed."""


class Crew:
    """What the threads of one pass share: the stop sign, the first error, whose turn it is.

    The main thread never computes: it waits with a time-out, so that Ctrl-C, progress and the
    failure of a thread are noticed at once.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._error: BaseException | None = None
        self._turn = 0
        self._changed = threading.Condition()

    def run(self, jobs: Sequence[Callable[[], None]], on_wake: Callable[[], None]) -> None:
        """Call every job in a thread of its own and wait for all.

        Raises:
            BaseException: what a job or `on_wake` raised first, after all threads have ended.
        """
        threads = [threading.Thread(target=self._work, args=(job,), daemon=True) for job in jobs]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    if thread.is_alive():
                        thread.join(_WAKE_SECONDS)
                        break
                on_wake()
        finally:
            self._stop()
            for thread in threads:
                if thread.ident is not None:  # one that waits for a pipe may never end
                    thread.join(_LAST_SECONDS)
        if self._error is not None:
            raise self._error

    def take_turn(self, index: int, act: Callable[[], _Result]) -> _Result:
        """What `act` returns, called when all lower indices have had their turn."""
        with self._changed:
            while self._turn != index:
                if self.stopped:
                    raise _Stopped
                self._changed.wait()
            result = act()
            self._turn += 1
            self._changed.notify_all()
            return result

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
