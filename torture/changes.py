"""Putting something else in the place of a function of embed, for as long as a process lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["change", "changed_module"]


def change(owner: Any, name: str, value: Any) -> None:
    """Set the attribute `name` of a module or class.

    Raises:
        AttributeError: it has none, and setting it would change nothing.
    """
    getattr(owner, name)
    setattr(owner, name, value)


def changed_module(module: Any, **changes: Callable[..., Any]) -> Any:
    """A module as it is, but for these functions; for one of those that import it."""
    return _Changed(module, changes)


class _Changed:
    def __init__(self, module: Any, changes: dict[str, Callable[..., Any]]) -> None:
        self.__dict__.update(changes)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
