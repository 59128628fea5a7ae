"""What to score, and the interface of a kind of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.cli.evaluate_output import Layout

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.evaluation.report import Report

__all__ = ["Kind", "Request"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Request:
    """What is to be scored.

    Attributes:
        models: names of files of vectors.
        load: reads one of them.
        asked: the files, or whatever the option of the kind gives.
        options: the options of the command, by name.
    """

    models: Sequence[str]
    load: Callable[[str], Embeddings]
    asked: Sequence[Any]
    options: dict[str, Any]

    @property
    def loaded(self) -> dict[str, Embeddings]:
        """All models."""
        return {model: self.load(model) for model in self.models}


@dataclass(frozen=True)
class Kind:
    """One kind of evaluation.

    Attributes:
        asked: how it is asked for, for messages.
        options: of the command, of which the first has the name of the entry in `KINDS`.
        score: makes the reports.
        layout: how they are shown.
        has_gain: whether one model alone has a gain.
        uses: the options that it uses, of those that not all kinds use.
    """

    asked: str
    options: Sequence[Decorator]

    score: Callable[[Request], list[Report]]
    layout: Layout
    has_gain: Callable[[Request], bool]
    uses: frozenset[str]
