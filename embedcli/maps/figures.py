"""Still pictures, PNG, SVG or PDF, by matplotlib: a map of words, and curves.

Needs matplotlib (``pip install 'embedcli[viz]'``). Pictures come back as bytes; the same data give
the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.errors import MissingExtraError
from embedcli.quoting import escaped

__all__ = ["KINDS", "draw_curves", "draw_map", "draw_measures", "draw_panels", "draw_power_laws"]

KINDS: Final = ("png", "svg", "pdf")
_LABELS: Final = 150
_NOT_XML: Final = re.compile("[\ufffe\uffff]")
_CHARACTER: Final = (0.006, 0.014)  # of the picture that one takes, across and up

Curve = Sequence[tuple[float, float]]
Points = Sequence[tuple[float | str, float]]


def draw_map(
    places: NDArray[np.float32], words: Sequence[str], groups: Sequence[int], title: str, kind: str
) -> bytes:
    """Dots for all words, and the words themselves where there is room, most frequent first."""
    figure, axes = _figure((10, 9))
    axes.scatter(
        places[:, 0], places[:, 1], s=3, c=np.asarray(groups) % 20, cmap="tab20", linewidths=0
    )
    for i in _with_room(places, words):
        axes.annotate(_shown(words[i]), places[i], fontsize=7)
    axes.set_axis_off()
    axes.set_title(_shown(title))
    return _saved(figure, kind)


def draw_curves(curves: Mapping[str, Curve], x: str, y: str, kind: str) -> bytes:
    """A line with marks for each curve, over whole numbers, named in a legend if there are more."""
    figure, axes = _figure((7, 4.5))
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=_shown(name))
    _label_whole_numbers(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    return _saved(figure, kind)


def draw_measures(measures: Mapping[str, Curve], x: str, kind: str) -> bytes:
    """A curve for each of `measures` over the same whole numbers, beside each other."""
    figure, axes = _figure((3.5 * len(measures) + 1, 3.5), len(measures), same_scale=False)
    for panel, (name, points) in zip(axes, measures.items(), strict=True):
        panel.plot(*zip(*points, strict=True), marker="o")
        _label_whole_numbers(panel)
        panel.set_xlabel(x)
        panel.set_title(_shown(name), fontsize="medium")
        panel.grid(alpha=0.3)
    return _saved(figure, kind)


def draw_power_laws(panels: Mapping[str, Curve], x: str, y: str, kind: str) -> bytes:
    """A curve for each of `panels`, beside each other, both axes on log scales.

    `x` and `y` name the axes, with a ``|`` between the names of two panels.
    """
    figure, axes = _figure((4 * len(panels) + 1, 3.5), len(panels), same_scale=False)
    names = zip(x.split("|"), y.split("|"), strict=True)
    for panel, (title, points), (across, up) in zip(axes, panels.items(), names, strict=True):
        panel.loglog(*zip(*points, strict=True), marker="o")
        panel.set_xlabel(across)
        panel.set_ylabel(up)
        panel.set_title(_shown(title), fontsize="medium")
        panel.grid(alpha=0.3)
    return _saved(figure, kind)


def draw_panels(panels: Mapping[str, Points], y: str, kind: str) -> bytes:
    """A panel of points for each of `panels`, beside each other, with one scale of `y`.

    Numbers that span a factor of ten or more lie on a log scale; text makes a place for each.
    """
    figure, axes = _figure((3.5 * len(panels) + 1, 4), len(panels))
    for panel, (name, points) in zip(axes, panels.items(), strict=True):
        across: Sequence[float | str] = [_shown(x) if isinstance(x, str) else x for x, _ in points]
        up = [y for _, y in points]
        panel.plot(across, up, "o")
        numbers = [x for x in across if not isinstance(x, str)]
        if len(numbers) == len(across):
            if 0 < 10 * min(numbers) <= max(numbers):
                panel.set_xscale("log")
            else:
                panel.locator_params(axis="x", nbins=5)
        panel.set_xlabel(name)
        panel.grid(alpha=0.3)
    axes[0].set_ylabel(y)
    return _saved(figure, kind)


def _shown(text: str) -> str:
    """`text` as matplotlib draws it as it is.

    Control characters and what else XML does not have would make an SVG that nothing opens, and
    text between dollar signs would be read as a formula. A first _ hides a curve from the legend.
    """
    drawn = _NOT_XML.sub("\ufffd", escaped(text)).replace("$", r"\$")
    return f"\u200b{drawn}" if drawn.startswith("_") else drawn


def _label_whole_numbers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _with_room(places: NDArray[np.float32], words: Sequence[str]) -> list[int]:
    """The first words whose labels do not lie on each other."""
    taken: set[tuple[int, int]] = set()
    chosen = []
    for i, (x, y) in enumerate(places.tolist()):
        column, row = int(x / _CHARACTER[0]), int(y / _CHARACTER[1])
        columns = range(column, column + len(words[i]) + 1)
        label = {(c, r) for c in columns for r in (row, row + 1)}
        if label & taken:
            continue
        taken |= label
        chosen.append(i)
        if len(chosen) == _LABELS:
            break
    return chosen


def _figure(
    size: tuple[float, float], panels: int = 0, *, same_scale: bool = True
) -> tuple[Any, Any]:
    """A figure, and its axes; with `panels`, as many of them beside each other."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a picture", "matplotlib", "viz") from error
    figure = Figure(figsize=size, layout="constrained")
    if not panels:
        return figure, figure.add_subplot()
    return figure, figure.subplots(1, panels, sharey=same_scale, squeeze=False)[0]


def _saved(figure: Any, kind: str) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "embed"}):
        figure.savefig(stream, format=kind, dpi=150, metadata=dates.get(kind))
    return stream.getvalue()
