"""Cutting the corpus into chunks: the unit of randomness, of sharing work and of the learning rate.

The cuts depend on the corpus and on nothing else, so that any number of threads sees the same
chunks. A sentence stays whole unless it is longer than a chunk; then it is cut, and the windows at
the cut are shorter on one side: every token is trained all the same. Where the window is the whole
line, chunks are as large as the longest line that is not cut (65,536 words).

A part of the text may be held out: stretches of it, lines or pieces of long ones, which are then
left out of what is trained, chunk by chunk, and read as a second text that is only measured. No
token is copied to another place on disk for that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcli.kernels.sampling import KEPT_BLOCK, count_kept

__all__ = [
    "SMALLEST_CHUNK",
    "Chunks",
    "chunk_bounds",
    "chunk_size",
    "drawn_apart",
    "held_out_stretches",
    "sentences_within",
]

_LARGEST_CHUNK = 1 << 16
SMALLEST_CHUNK = 1 << 11
_CHUNKS_WANTED = 256  # in an epoch: enough to share evenly and to lower the learning rate smoothly
_LONGEST_STRETCH = 1000  # tokens held out together: a text may be one line
_STRETCHES_AT_ONCE = 1 << 20
_NEAR = 128  # tokens
_LONGEST_COUNTED = 1 << 20  # tokens of a line, for the mean


def chunk_size(n_tokens: int, longest_line: int = 0) -> int:
    """Tokens in a chunk of a corpus of `n_tokens`; a line of `longest_line` should not be cut."""
    return min(_LARGEST_CHUNK, max(SMALLEST_CHUNK, n_tokens // _CHUNKS_WANTED, longest_line))


def chunk_bounds(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where to cut: int64 (C + 1,), chunk c is tokens ``bounds[c]`` to ``bounds[c + 1]``.

    Args:
        offsets: int64 (S + 1,), where sentences begin; the last one is the number of tokens.
        size: tokens in a chunk at most.
    """
    bounds = [0]
    end = int(offsets[-1])
    while bounds[-1] < end:
        limit = min(bounds[-1] + size, end)
        whole = int(offsets[np.searchsorted(offsets, limit, side="right") - 1])
        bounds.append(whole if whole > bounds[-1] else limit)
    return np.array(bounds, np.int64)


def sentences_within(offsets: NDArray[np.int64], begin: int, end: int) -> NDArray[np.int64]:
    """The sentence offsets inside tokens `begin` to `end`, counted from `begin` (int64)."""
    first = int(np.searchsorted(offsets, begin, side="right")) - 1
    last = int(np.searchsorted(offsets, end, side="left"))
    return np.clip(offsets[first : last + 1], begin, end) - begin


def held_out_stretches(
    offsets: NDArray[np.int64], share: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Which tokens to hold out: int64 (R, 2), begin and end of each stretch, in order.

    A stretch is a sentence, or 1,000 tokens of a longer one; each is held out with probability
    `share`, and where that leaves none, the last one is.

    Args:
        offsets: int64 (S + 1,), where sentences begin; the last one is the number of tokens.
        share: of the stretches, above 0.
        generator: what decides.
    """
    found = []
    for first in range(0, len(offsets) - 1, _STRETCHES_AT_ONCE):
        begins = offsets[first : first + _STRETCHES_AT_ONCE]
        ends = offsets[first + 1 : first + 1 + _STRETCHES_AT_ONCE]
        begins, ends = _cut(begins[: len(ends)], ends)
        chosen = generator.random(len(begins)) < share
        found.append(np.stack([begins[chosen], ends[chosen]], axis=1))
    stretches = np.concatenate(found)
    return stretches if len(stretches) else np.array([[begins[-1], ends[-1]]], np.int64)


def _cut(
    begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begins and ends of the pieces of sentences, each of `_LONGEST_STRETCH` tokens at most."""
    n_pieces = -(-(ends - begins) // _LONGEST_STRETCH)
    number = np.arange(int(n_pieces.sum())) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    cut = np.repeat(begins, n_pieces) + number * _LONGEST_STRETCH
    return cut, np.minimum(cut + _LONGEST_STRETCH, np.repeat(ends, n_pieces))


def drawn_apart(
    ids: NDArray[np.int32], stretches: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Stretches of a text as sentences of another.

    Returns:
        Its tokens, int32 (n,), and where its sentences begin, int64 (R + 1,).
    """
    tokens = [ids[begin:end] for begin, end in stretches.tolist()]
    return np.concatenate(tokens), np.concatenate([[0], np.cumsum(np.diff(stretches, axis=1))])


class Chunks:
    """A text, or the part of it that is held out or is not, chunk by chunk.

    Args:
        ids: int32 (N,), the text.
        offsets: int64 (S + 1,), its sentences.
        stretches: int64 (R, 2), what of it is held out (`held_out_stretches`).
        held_out: whether this is the part held out; else it is the rest.
        whole_lines: whether lines that could be cut should not be.

    Attributes:
        longest_line: tokens in the longest sentence.
        size: tokens in a chunk at most. longest_part: in a part (`divide`).
        bounds: int64 (C + 1,), chunk c is among tokens ``bounds[c]`` to ``bounds[c + 1]``.
    """

    def __init__(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        stretches: NDArray[np.int64] | None = None,
        *,
        held_out: bool = False,
        whole_lines: bool = False,
    ) -> None:
        self._ids, self._offsets = ids, offsets
        self._stretches, self._held_out = stretches, held_out
        self.longest_line = int(np.diff(offsets).max(initial=0))
        self._whole_lines = whole_lines
        self.size = chunk_size(len(ids), self.longest_line if whole_lines else 0)
        self.longest_part = self.size * 5 // 4
        self.bounds = chunk_bounds(offsets, self.size)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def begin(self, chunk: int) -> int:
        """The position in the text where a chunk begins; of the one behind the last, N."""
        return int(self.bounds[chunk])

    def n_tokens(self, n_chunks: int) -> int:
        """How many tokens of this part the first `n_chunks` chunks hold."""
        end = self.begin(n_chunks)
        if self._stretches is None:
            return end
        held = int(np.diff(np.minimum(self._stretches, end), axis=1).sum())
        return held if self._held_out else end - held

    def mean_context(self, window: int, kept: float, *, shrinks: bool) -> float:
        """How many words of context a word has in the mean, where a share `kept` of all stays.

        `shrinks`: windows have a radius from 1 to `window`, each as often as any other.
        """
        longest = min(self.longest_line, _LONGEST_COUNTED)
        n_lines = np.zeros(longest + 1, np.int64)
        for first in range(0, len(self._offsets) - 1, _STRETCHES_AT_ONCE):
            lengths = np.diff(self._offsets[first : first + _STRETCHES_AT_ONCE + 1])
            n_lines += np.bincount(np.minimum(lengths, longest), minlength=longest + 1)
        n = np.flatnonzero(n_lines)
        words = n * kept
        n_contexts = np.zeros(len(n))
        radii = range(1, window + 1) if shrinks else range(window, window + 1)
        for radius in radii:
            reach = np.minimum(radius, np.maximum(words - 1, 0))
            n_contexts += (2 * words - reach - 1) * reach / len(radii)
        return float((n_contexts @ n_lines[n]) / (words @ n_lines[n]))

    def divide(
        self, begin: int, end: int, n_parts: int, keep: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Where to cut a piece of the text into parts of which as many tokens are trained.

        As many nearly: a sample is counted. A part is at most a quarter longer than a chunk, and
        begins with a sentence where one begins near, or at all where lines should not be cut.

        Args:
            begin: of the piece, in tokens.
            end: of the piece.
            n_parts: into how many.
            keep: uint32 (V,), see `stage`.

        Returns:
            int64 (n_parts + 1,), from `begin` to `end`.
        """
        tokens = self._ids[begin:end]
        kept = np.zeros(1 - (begin - end) // KEPT_BLOCK)
        count_kept(tokens, keep, kept[1:])
        kept = np.cumsum(kept)
        edges = np.minimum(np.arange(len(kept)) * KEPT_BLOCK, end - begin)
        shares = np.arange(1, n_parts) / n_parts * kept[-1]
        wanted = begin + np.interp(shares, kept, edges).astype(np.int64)
        starts = self._offsets[np.searchsorted(self._offsets, wanted, side="right") - 1]
        near = (wanted - starts <= _NEAR) | self._whole_lines
        cuts = [begin]
        for number, cut in enumerate(np.where(near, starts, wanted).tolist(), start=1):
            rest = (n_parts - number) * self.longest_part
            cuts.append(min(max(cut, cuts[-1], end - rest), cuts[-1] + self.longest_part))
        return np.array([*cuts, end], np.int64)

    def read(self, chunk: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """One chunk: its tokens, int32 (n,), and the offsets of its sentences, int64 (s + 1,)."""
        return self.within(self.begin(chunk), self.begin(chunk + 1))

    def within(self, begin: int, end: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The same of what lies among the tokens `begin` to `end` of the text."""
        tokens, sentences = self._ids[begin:end], sentences_within(self._offsets, begin, end)
        if self._stretches is None:
            return tokens, sentences
        first = int(np.searchsorted(self._stretches[:, 1], begin, side="right"))
        last = int(np.searchsorted(self._stretches[:, 0], end, side="left"))
        edges = np.clip(self._stretches[first:last], begin, end).ravel() - begin
        cuts = np.union1d(sentences, edges)
        # Between the edges, what lies behind an odd number of them is held out.
        is_held_out = np.searchsorted(edges, cuts[:-1], side="right") % 2 == 1
        lengths, mine = np.diff(cuts), is_held_out == self._held_out
        offsets = np.concatenate([[0], np.cumsum(lengths[mine])])
        return tokens[np.repeat(mine, lengths)], offsets
