"""Training in rounds: the same bytes for any number of threads, and why.

Threads that share two matrices without locks (`training/workers.py`) are fast and never do the same
twice. Here the order of everything that can be seen is fixed, and the number of threads only says
who does it.

**Streams.** An epoch's chunks are trained `STREAMS` at a time, whatever the number of threads:
stream w trains chunk g W + w of group g. A *round* is the next `ROUND` words of each stream. Within
a round a stream sees its own updates at once and those of others not at all; between rounds they
are put together. So what is computed depends on W and on the length of a round, which are
constants, and the threads share out the streams.

**Four steps of a round**, with a meeting of all threads after each but the last:

1. *List.* A stream lists the words it will train: those of its text, with the context on both
   sides, and those that its negatives will be drawn from, which are a stretch of the pool for every
   64 words (`sampling.py`). It marks both in tables that all streams share.
2. *Gather.* A row that no other stream will touch in this round is trained where it lies. Of the
   others it makes two copies: one to work on, and one to remember what they were.
3. *Train.* The kernels of one machine (`skipgram.py`, `cbow.py`), on those rows.
4. *Merge.* For each row copied, what it has become minus what it was is added to the matrix. Who is
   done lists for the next round, which neither reads a row nor changes what others merge by.

**Negatives are not copied.** There are five times as many of them, and nobody cares which ones one
gets. So the words are divided into W classes of equal noise probability, and in round r stream w
draws from class (w + r) mod W alone and updates those rows in place: nobody else has negatives
there until the next meeting, and streams that have such a word in their text see that it is drawn
and work on copies. Classes change with every round, so that every context meets all of them. Only
the *hot* words, those of the highest frequencies, belong to no class. They would come again and
again within a round, as negatives of neighbouring windows, which costs accuracy (two points of
analogies); so every stream may draw them, in their own proportion, and always works on copies.

**Who touches a row** is known when all streams have listed their words: a byte for each word has
the bit of every stream whose text has it, set by atomic or; another says whether it is drawn, and
is written by the stream of its class alone. What the bytes are in the end does not depend on who
came first. A row of syn0 lies in place if the byte has one bit only; one of syn1neg if moreover
no other stream draws the word. More than half of the rows of cold words do.

**Merging without locks and without order getting lost.** Adding is not associative, so the streams
that trained a row must be added in an order that does not depend on chance. Rows are divided by
c = word mod W, and those of class c get the streams in the order c ^ 0, c ^ 1, .. c ^ (W - 1). The
threads divide the streams into as many blocks as they are, a power of two, and merge in as many
phases: in phase p the streams of block b are merged into the classes whose number begins with the
bits b ^ p. So within a phase no two blocks touch the same row, the order is the same for blocks of
any size, and each stream is merged by the thread that trained it, while its copies are near.

**Adding without overshooting.** For a row that one stream trains in a round, adding its change is
exact. A hot row is trained by all of them, all from the same beginning, and each moves it most of
the way to where it wants to be; the sum of eight such moves would go far beyond and diverge. If u
uses of a row move it by a share 1 - exp(-g u) of its way, then the u_w uses of all streams, one
after the other, would have moved it by 1 - exp(-g sum u_w), and not by the sum of the
1 - exp(-g u_w). So changes of hot rows are multiplied by the ratio of the two: 1 where one stream
has used the row, nearly 1 for few uses, 1 / W for many, which is the mean.

**What this promises.** No number that is read depends on time: in each step every thing that is
written is read and written by one stream alone (its copies, the rows that are its own, its class of
negatives, its class of rows), and a meeting (release and acquire) stands between a writer in one
step and a reader in the next; the marks are the exception, and the argument for them is above. Sums
of the loss are kept by stream. So the bytes are the same for any number of threads, for a run that
was stopped between two rounds, and under any load. They are not the same for other lanes
(`simd.py`), whose sums add up in another order.

**What it costs.** Listing, copying and merging, and the meetings; docs/training.md has the figures.
More than `STREAMS` threads find nothing to do. Updates of a row that several streams train in a
round all begin at the same old row; with ``STREAMS * ROUND`` words a round the frequent ones are
stale by a few updates, which the scores do not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from embedcli.kernels.blocks import BLOCK_OUTPUTS, take_losses
from embedcli.kernels.cbow import cbow_step
from embedcli.kernels.jit import kernel
from embedcli.kernels.meeting import meet
from embedcli.kernels.rows import add_change, copy_row, set_bits
from embedcli.kernels.sampling import (
    STRETCH,
    STRETCH_WINDOWS,
    Noise,
    draw_in_stretch,
    draw_radius,
    stretch_items,
)
from embedcli.kernels.simd import prefetch, prefetch_to_read
from embedcli.kernels.skipgram import skipgram_step
from embedcli.kernels.streams import LINE_BYTES, ROUND, STREAMS, noise_class
from embedcli.kernels.windows import rows_around

__all__ = ["rounds"]

_AHEAD = 6  # rows between asking for one and copying it


@cache
def rounds(is_cbow: bool, lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., bool]:
    """The kernel that trains rounds of skip-gram or CBOW; constants as in `skipgram`."""
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    rest = n_rest or BLOCK_OUTPUTS

    @kernel
    def train_rounds(
        thread: Any,
        threads: Any,
        blocks: Any,
        first: Any,
        most: Any,
        length: Any,
        streams: Any,
        lists: Any,
        copied0: Any,
        copied1: Any,
        weights: Any,
        n_vocabulary: Any,
        window: Any,
        shrink: Any,
        divide: Any,
        moved0: Any,
        moved1: Any,
        clock: Any,
        scratch: Any,
    ) -> bool:
        """At most `most` rounds of a group from `first` on, by thread `thread` of `threads`.

        It begins when all threads have come here, so that each may have staged its streams before.

        Args:
            blocks: `n_blocks` of the threads.
            length: words of a stream in a round, `ROUND` at most.
            streams: `Streams`. lists: `Lists`. copied0, copied1: `Copied` of syn0 and syn1neg.
            weights: `Weights` of V + W C rows, the copies last. n_vocabulary: V.
            window, shrink, divide: as in `skipgram` and `cbow`.
            moved0, moved1: `moved_shares` of rows of syn0 and of syn1neg.
            clock: `make_clock`, of zeros. scratch: `Scratch`, this thread's; its tally is not used.

        Returns:
            Whether all went well: False if another thread called it off.
        """
        size = STREAMS // blocks
        time = 1
        if not meet(clock, thread, threads, time):
            return False
        longest = 0
        for w in range(STREAMS):
            longest = max(longest, streams.n_kept[w])
        stop = min(first + most, (longest + length - 1) // length)
        for r in range(first, stop):
            start = r * length
            for block in range(thread, blocks, threads):
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    lists.n_words[w], copied1.n[w] = 0, 0
                    lists.uses[:, w] = 0
                    if start < end:
                        _list(
                            n_outputs, w, thread, start, end, streams, lists, copied1,
                            n_vocabulary, _noise(streams, w, r), window,
                        )  # fmt: skip
                        _ask_for_noise(_noise(streams, w, r + 1), start + length, n_outputs)
            time += 1
            if not meet(clock, thread, threads, time):
                return False
            _weigh(thread, threads, lists.uses[0], moved0, lists.shares[0])
            _weigh(thread, threads, lists.uses[1], moved1, lists.shares[1])
            for block in range(thread, blocks, threads):
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    own = (w + r) % STREAMS
                    _place(w, own, thread, start, end, streams, lists, copied0, copied1,
                           n_vocabulary, window)  # fmt: skip
                    syn0, syn1neg = weights.syn0, weights.syn1neg
                    _gather(lanes, n_vectors, w, copied0, syn0, weights.stride, n_vocabulary)
                    _gather(lanes, n_vectors, w, copied1, syn1neg, weights.stride, n_vocabulary)
            time += 1
            if not meet(clock, thread, threads, time):
                return False
            for block in range(thread, blocks, threads):
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    if start < end:
                        _train(
                            is_cbow, lanes, n_outputs, n_full, rest, n_rest, n_vectors, w, start,
                            end, streams, lists, copied1, weights, n_vocabulary,
                            _noise(streams, w, r), window, shrink, divide, scratch,
                        )  # fmt: skip
            for phase in range(blocks):
                time += 1
                if not meet(clock, thread, threads, time):
                    return False
                syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
                for block in range(thread, blocks, threads):
                    for place in range(size * size):
                        w, c = _piece(block, phase, size, place)
                        _ask(lanes, n_vectors, w, c, copied1, syn1neg, stride)
                        _merge(lanes, n_vectors, w, c, copied0, syn0, stride,
                               n_vocabulary, lists.shares[0])  # fmt: skip
                        if place + 1 < size * size:
                            next_w, next_c = _piece(block, phase, size, place + 1)
                            _ask(lanes, n_vectors, next_w, next_c, copied0, syn0, stride)
                        _merge(lanes, n_vectors, w, c, copied1, syn1neg, stride,
                               n_vocabulary, lists.shares[1])  # fmt: skip
        return True

    return train_rounds


@numba.njit(inline="always")
def _list(
    n_outputs: Any,
    w: Any,
    thread: Any,
    start: Any,
    stop: Any,
    streams: Any,
    lists: Any,
    copied1: Any,
    n_vocabulary: Any,
    noise: Any,
    window: Any,
) -> None:
    """Step 1 for the words `start` to `stop` of stream `w`."""
    kept, words, hot = streams.kept[w], lists.words[w], lists.hot[w]
    slots, inputs = lists.slots[thread], lists.inputs[w]
    n_hot = np.int64(hot.shape[0] - 1)
    uses0, uses1 = lists.uses[0, w], lists.uses[1, w]
    n = np.int64(0)
    begin, end = _text_of_round(streams, w, start, stop, window)
    for position in range(begin, end):
        word = kept[position]
        slot = slots[word]
        is_new = slot < 0  # no branches here: nothing could predict them
        slot = np.int32(n) if is_new else slot
        slots[word] = slot
        words[n] = word
        n += np.int64(is_new)
        uses0[min(np.int64(word), n_hot)] += 1
        inputs[position - begin] = slot
    lists.n_words[w] = n
    hot_words, n_copied = copied1.words[w], np.int64(0)
    nowhere = np.int64(n_vocabulary + w * LINE_BYTES)
    for slot in range(n):
        word = np.int64(words[slot])
        slots[word] = -1
        is_hot = word < n_hot
        set_bits(lists.readers, nowhere if is_hot else word, np.uint8(1 << w))
        hot[min(word, n_hot)] = n_copied
        hot_words[n_copied] = word
        n_copied += np.int64(is_hot)
    hot[n_hot] = -1
    for h in range(n_hot + 1):
        uses1[h] = uses0[h]
    for h in range(min(n_outputs, n_hot)):  # what is drawn where a stretch is not enough
        is_new = hot[h] < 0
        hot[h] = np.int32(n_copied) if is_new else hot[h]
        hot_words[n_copied] = h
        n_copied += np.int64(is_new)
    for number in range(start // STRETCH, (stop - 1) // STRETCH + 1):
        n_windows = min(stop, (number + 1) * STRETCH) - max(start, number * STRETCH)
        n_readings = (n_windows + STRETCH_WINDOWS - 1) // STRETCH_WINDOWS
        first_item, end_item = stretch_items(number, noise, n_outputs - 1)
        for item in range(first_item, end_item):
            drawn = np.int64(noise.pool[item])
            lists.drawn[drawn] = 1
            place = min(drawn, n_hot)
            uses1[place] += n_readings
            slot = hot[place]
            is_new = (slot < 0) & (drawn < n_hot)
            hot[place] = np.int32(n_copied) if is_new else slot
            hot_words[n_copied] = drawn
            n_copied += np.int64(is_new)
    copied1.n[w] = n_copied


@numba.njit(inline="always")
def _place(
    w: Any,
    own: Any,
    thread: Any,
    start: Any,
    stop: Any,
    streams: Any,
    lists: Any,
    copied0: Any,
    copied1: Any,
    n_vocabulary: Any,
    window: Any,
) -> None:
    """The first half of step 2: decide where the rows of stream `w` are trained."""
    words, hot = lists.words[w], lists.hot[w]
    rows0, rows1 = lists.rows0[thread], lists.rows1[thread]
    n_hot = np.int64(hot.shape[0] - 1)
    words0, words1 = copied0.words[w], copied1.words[w]
    first_copy = n_vocabulary + w * copied0.order.shape[1]
    n0, n1 = np.int64(0), copied1.n[w]
    alone = np.uint8(1 << w)
    for slot in range(lists.n_words[w]):
        word = np.int64(words[slot])
        is_shared = lists.readers[word] != alone  # hot words have no marks
        words0[n0] = word
        rows0[slot] = first_copy + n0 if is_shared else word
        n0 += np.int64(is_shared)
        is_taken = is_shared | ((lists.drawn[word] != 0) & (noise_class(word) != own))
        is_new = is_taken & (word >= n_hot)
        words1[n1] = word
        copy = n1 if is_new else np.int64(hot[min(word, n_hot)])
        rows1[slot] = first_copy + copy if is_taken else word
        n1 += np.int64(is_new)
    copied0.n[w], copied1.n[w] = n0, n1
    if lists.n_words[w] > 0:
        begin, end = _text_of_round(streams, w, start, stop, window)
        for at in range(end - begin):
            slot = lists.inputs[w, at]
            lists.inputs[w, at], lists.centres[w, at] = rows0[slot], rows1[slot]


@numba.njit(inline="always")
def _gather(
    lanes: Any, n_vectors: Any, w: Any, copied: Any, matrix: Any, stride: Any, n_vocabulary: Any
) -> None:
    """The second half of step 2 for stream `w` and one matrix: copy rows."""
    words, n = copied.words[w], copied.n[w]
    _sort_by_class(words, n, copied.order[w], copied.begins[w])
    before = w * copied.order.shape[1] * stride
    for slot in range(n):
        if slot + _AHEAD < n:
            prefetch(matrix, np.int64(words[slot + _AHEAD]) * stride, n_vectors * lanes)
        row, copy = np.int64(words[slot]) * stride, before + slot * stride
        copy_row(lanes, n_vectors, matrix, row, n_vocabulary * stride + copy, copied.before, copy)


@numba.njit(inline="always")
def _train(
    is_cbow: Any,
    lanes: Any,
    n_outputs: Any,
    n_full: Any,
    rest: Any,
    n_rest: Any,
    n_vectors: Any,
    w: Any,
    start: Any,
    stop: Any,
    streams: Any,
    lists: Any,
    copied1: Any,
    weights: Any,
    n_vocabulary: Any,
    noise: Any,
    window: Any,
    shrink: Any,
    divide: Any,
    scratch: Any,
) -> None:
    """Step 3 for the words `start` to `stop` of stream `w`."""
    syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
    rows, inputs = scratch.rows, scratch.inputs
    context, centres, hot = lists.inputs[w], lists.centres[w], lists.hot[w]
    kept = streams.kept[w]
    first_copy = n_vocabulary + w * copied1.order.shape[1]
    begin, end = _text_of_round(streams, w, start, stop, window)
    key, lr = streams.window_keys[w], streams.lrs[w]
    first, last = streams.first[w], streams.last[w]
    n_pairs, n_trained, n_alone = 0, 0, 0
    now, ahead = 0, n_outputs
    draw_in_stretch(np.int64(kept[start]), start, noise, n_outputs, rows, now)
    _rows_of_outputs(rows, now, n_outputs, centres[start - begin], hot, first_copy, stride)
    for i in range(start, stop):
        if i + 1 < stop:
            draw_in_stretch(np.int64(kept[i + 1]), i + 1, noise, n_outputs, rows, ahead)
            centre = centres[i + 1 - begin]
            _rows_of_outputs(rows, ahead, n_outputs, centre, hot, first_copy, stride)
            for k in range(n_outputs):
                prefetch(syn1neg, rows[ahead + k], n_vectors * lanes)
            if i + 1 + window < min(np.int64(last[i]), end):
                prefetch(
                    syn0, np.int64(context[i + 1 + window - begin]) * stride, n_vectors * lanes
                )
        radius = draw_radius(key, i, window) if shrink else window
        # The text of this round by its rows: bounds count from its first word.
        n = rows_around(context, begin, first[i], last[i], i, radius, stride, inputs, 0)
        if n == 0:
            n_alone += 1
        else:
            if is_cbow:
                n_pairs += cbow_step(
                    lanes, n_full, rest, n_rest, n_vectors, syn0, syn1neg, stride, inputs, n,
                    rows, now, lr, divide, scratch,
                )  # fmt: skip
            else:
                n_pairs += skipgram_step(
                    lanes, n_full, rest, n_rest, n_vectors, syn0, syn1neg, inputs, n, rows,
                    now, window, lr, scratch,
                )  # fmt: skip
            n_trained += 1
        now, ahead = ahead, now
    for slot in range(lists.n_words[w]):  # of the marks, nobody reads any more in this round
        lists.readers[lists.words[w, slot]] = 0
    for number in range(start // STRETCH, (stop - 1) // STRETCH + 1):
        first_item, end_item = stretch_items(number, noise, n_outputs - 1)
        for item in range(first_item, end_item):
            lists.drawn[noise.pool[item]] = 0
    hot[:] = -1
    streams.tally[w, 0] += take_losses(scratch.losses)
    streams.tally[w, 1] += n_pairs
    streams.tally[w, 2] += n_trained
    streams.tally[w, 3] += n_alone


@numba.njit(inline="always")
def _piece(block: Any, phase: Any, size: Any, place: Any) -> Any:
    """The stream and the class that a block of `size` streams merges at a `place` of a phase."""
    c = (block ^ phase) * size + place // size
    return block * size + (c % size ^ place % size), c


@numba.njit(inline="always")
def _ask(
    lanes: Any, n_vectors: Any, w: Any, class_of: Any, copied: Any, matrix: Any, stride: Any
) -> None:
    """Ask for the first rows that `_merge` will change."""
    words, order, begins = copied.words[w], copied.order[w], copied.begins[w]
    first = begins[class_of]
    for at in range(first, min(first + _AHEAD, begins[class_of + 1])):
        prefetch(matrix, np.int64(words[order[at]]) * stride, n_vectors * lanes)


@numba.njit(inline="always")
def _merge(
    lanes: Any,
    n_vectors: Any,
    w: Any,
    class_of: Any,
    copied: Any,
    matrix: Any,
    stride: Any,
    n_vocabulary: Any,
    shares: Any,
) -> None:
    """A part of step 4: the rows of stream `w` in a class of one matrix."""
    words, order, begins = copied.words[w], copied.order[w], copied.begins[w]
    first = w * order.shape[0]
    end = begins[class_of + 1]
    for at in range(begins[class_of], end):
        if at + _AHEAD < end:
            prefetch(matrix, np.int64(words[order[at + _AHEAD]]) * stride, n_vectors * lanes)
        slot = np.int64(order[at])
        word, before = np.int64(words[slot]), (first + slot) * stride
        share = shares[min(word, np.int64(shares.shape[0] - 1))]
        copy = n_vocabulary * stride + before
        add_change(lanes, n_vectors, matrix, word * stride, copy, copied.before, before, share)


@numba.njit(inline="always")
def _text_of_round(streams: Any, w: Any, start: Any, stop: Any, window: Any) -> Any:
    """The first word and one past the last that words `start` to `stop` are or have as context."""
    begin = max(np.int64(streams.first[w, start]), start - window)
    return begin, min(np.int64(streams.last[w, stop - 1]), stop + window)


@numba.njit(inline="always")
def _weigh(thread: Any, threads: Any, uses: Any, moved: Any, shares: Any) -> None:
    """By what the changes of hot rows are multiplied, whoever adds them (see above): one's part.

    Args:
        uses: int32 (W, H + 1). moved: `moved_shares`. shares: float32 (H + 1,), the last stays 1.
    """
    most = np.int64(moved.shape[0] - 1)
    for word in range(thread, shares.shape[0] - 1, threads):
        of_all, one_by_one = np.int64(0), np.float32(0.0)
        for w in range(STREAMS):
            of_all += uses[w, word]
            one_by_one += moved[min(np.int64(uses[w, word]), most)]
        if one_by_one > 0:
            shares[word] = moved[min(of_all, most)] / one_by_one


@numba.njit(inline="always")
def _rows_of_outputs(
    rows: Any, first: Any, n_outputs: Any, centre: Any, hot: Any, first_copy: Any, stride: Any
) -> None:
    """Make the words in `rows` the offsets of their rows: of the copy where there is one."""
    n_hot = np.int64(hot.shape[0] - 1)
    rows[first] = np.int64(centre) * stride
    for k in range(first + 1, first + n_outputs):
        word = rows[k]
        slot = np.int64(hot[min(word, n_hot)])
        rows[k] = (first_copy + slot if slot >= 0 else word) * stride


@numba.njit(inline="always")
def _noise(streams: Any, w: Any, r: Any) -> Any:
    """What stream `w` draws from in round `r`."""
    return Noise(streams.pools[(w + r) % STREAMS], streams.begins[w], streams.noise_keys[w])


@numba.njit(inline="always")
def _ask_for_noise(noise: Any, position: Any, n_outputs: Any) -> None:
    """The stretches of the next round are far from those of this one."""
    begin, end = stretch_items(position // STRETCH, noise, n_outputs - 1)
    prefetch_to_read(noise.pool, begin, (end - begin) * (ROUND // STRETCH))


@numba.njit(inline="always")
def _sort_by_class(words: Any, n: Any, order: Any, begins: Any) -> None:
    """Counting sort of ``words[:n]`` by word mod W: `order` and where each class `begins`."""
    begins[:] = 0
    for slot in range(n):
        begins[words[slot] % STREAMS + 1] += 1
    for c in range(STREAMS):
        begins[c + 1] += begins[c]
    for slot in range(n):
        c = words[slot] % STREAMS
        order[begins[c]] = slot
        begins[c] += 1
    for c in range(STREAMS, 0, -1):
        begins[c] = begins[c - 1]
    begins[0] = 0
