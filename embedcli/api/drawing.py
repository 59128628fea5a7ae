"""What a notebook shows of a map."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from html import escape

__all__ = ["Drawing"]


class Drawing:
    """A map that a notebook shows, drawn when it is asked for.

    Args:
        draw: makes the page, as UTF-8.
    """

    def __init__(self, draw: Callable[[], bytes]) -> None:
        self._draw = draw

    @cached_property
    def html(self) -> bytes:
        """The page, as UTF-8: one file with all that it needs."""
        return self._draw()

    def _repr_html_(self) -> str:
        page = escape(self.html.decode(errors="replace"))
        return f'<iframe srcdoc="{page}" width="100%" height="600" style="border:0"></iframe>'
