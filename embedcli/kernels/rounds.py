"""Training in rounds: the same bytes for any number of threads, and why.

Threads that share two matrices without locks (`training/workers.py`) are fast and never do the same
twice. Here the order of everything that can be seen is fixed, and the number of threads only says
who does it.

**Streams.** An epoch's chunks are trained `STREAMS` at a time, whatever the number of threads:
stream w trains chunk g W + w of group g. A *round* is the next `ROUND` words of each stream. Within
a round a stream sees its own updates at once and those of others not at all; between rounds they
are put together. So what is computed depends on W and on the length of a round, which are
constants, and the threads share out the streams.

**Three steps of a round**, with a meeting of all threads after each:

1. *Gather.* A stream draws the negatives of its words, lists the words it will train (those of its
   text, with the context on both sides), and copies their rows, twice: one to work on, and one to
   remember what they were.
2. *Train.* The kernels of one machine (`skipgram.py`, `cbow.py`), on the copies.
3. *Merge.* For each row, what it has become minus what it was is added to the matrix.

**Negatives are not copied.** There are five times as many of them, and nobody cares which ones one
gets. So the words are divided into W classes of equal noise probability, and in round r stream w
draws from class (w + r) mod W alone and updates those rows in place: nobody else reads or writes
them until the next meeting. Classes change with every round, so that every context meets all of
them. Only the hot words, those of the highest frequencies, belong to no class. They would come
again and again within a round, as negatives of neighbouring windows, which costs accuracy (two
points of analogies); so every stream may draw them, in their own proportion, and works on a copy
like that of its text.

**Merging without locks and without order getting lost.** Adding is not associative, so the streams
that trained a row must be added in an order that does not depend on chance. Rows are divided by
word mod W once more; in step k of a merge, stream w adds its rows of class (w - k) mod W. Within a
step no two streams touch the same row, and each row gets the streams in a fixed order: that of its
class. Each stream is merged by the thread that trained it, while its copies are still near.

**Adding without overshooting.** For a row that one stream trains in a round, adding its change is
exact. A hot row is trained by all of them, all from the same beginning, and each moves it most of
the way to where it wants to be; the sum of eight such moves would go far beyond and diverge. If u
uses of a row move it by a share 1 - exp(-g u) of its way, then the u_w uses of all streams, one
after the other, would have moved it by 1 - exp(-g sum u_w), and not by the sum of the
1 - exp(-g u_w). So changes of hot rows are multiplied by the ratio of the two: 1 where one stream
has used the row, nearly 1 for few uses, 1 / W for many, which is the mean.

**What this promises.** No number that is read depends on time: in each step every thing that is
written is read and written by one stream alone (its copies, its class of negatives, its class of
rows), and a meeting (release and acquire) stands between a writer in one step and a reader in the
next. Sums of the loss are kept by stream. So the bytes are the same for any number of threads, for
a run that was stopped between two rounds, and under any load. They are not the same for other lanes
(`simd.py`), whose sums add up in another order.

**What it costs.** Copying and merging two rows a word, and the meetings; docs/training.md has the
figures. More than `STREAMS` threads find nothing to do. Updates of a row that several streams train
in a round all begin at the same old row; with ``STREAMS * ROUND`` words a round the frequent ones
are stale by a few updates, which the scores do not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from embedcli.kernels.blocks import BLOCK_OUTPUTS, SINGLE, take_losses
from embedcli.kernels.cbow import cbow_step
from embedcli.kernels.jit import kernel
from embedcli.kernels.sampling import SPARE, Noise, draw_outputs, draw_radius
from embedcli.kernels.simd import I64, Lanes, data_pointer, prefetch
from embedcli.kernels.skipgram import skipgram_step
from embedcli.kernels.weights import TALLY, aligned
from embedcli.kernels.windows import rows_around

__all__ = [
    "HOT",
    "MOST_HOT",
    "ROUND",
    "STREAMS",
    "Copies",
    "Streams",
    "classes_of_words",
    "make_clock",
    "make_copies",
    "make_streams",
    "moved_shares",
    "n_hot_words",
    "rounds",
    "rows_for_copies",
]

STREAMS = 8  # W; as many threads can work at once
ROUND = 128  # words of each stream at most; longer ones cost less and are staler
HOT = 128  # words that are hot in any case; more than the largest K
MOST_HOT = 1024
_HOT_SHARE = 1 / MOST_HOT  # of the noise or of the words trained: hot, however many they are
# How fast a row forgets where it began: its share of a learning rate, for each pair it is in.
# sigma' |x|^2 would be 0.25 |x|^2 at most, and is a fraction of that once a row has learnt. By
# measurement: with 0.25 frequent words learn too slowly (analogies 41.2 instead of 42.6).
_PULL = 0.05

_AHEAD = 6  # rows between asking for one and copying it
_LINE = 8  # int64 items in a cache line
_SPINS = 500  # looks at a clock before the processor is offered to others
_YIELDS = 100  # offers before sleeping
_SLEEP_MICROSECONDS = 50

_sched_yield = types.ExternalFunction("sched_yield", types.int32())
_usleep = types.ExternalFunction("usleep", types.int32(types.uint32))


class Streams(NamedTuple):
    """The W chunks that are trained side by side; row w is stream w's.

    Attributes:
        kept, first, last: `Staged` of each: int32 (W, n + `SPARE`), (W, n), (W, n).
        n_kept: int64 (W,), words that survived subsampling; 0 for a stream without a chunk.
        pools: int32 (W, P), the noise of each *class*: the hot words and the class's own.
        begins: int64 (W,). noise_keys, window_keys: uint64 (W,). See `Noise` and `draw_radius`.
        lrs: float32 (W,), learning rates.
        tally: float64 (W, `TALLY`), sums over the epoch.
    """

    kept: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    n_kept: NDArray[np.int64]
    pools: NDArray[np.int32]
    begins: NDArray[np.int64]
    noise_keys: NDArray[np.uint64]
    window_keys: NDArray[np.uint64]
    lrs: NDArray[np.float32]
    tally: NDArray[np.float64]


class Copies(NamedTuple):
    """The rows that streams work on in a round, C at most for each of them.

    The copies themselves are the last W C rows of both matrices, so that kernels find copies and
    other rows under one address.

    Attributes:
        words: int32 (W, C + 1), whose rows they are: first those of the text, which have copies in
            both matrices, then hot negatives, which have one in syn1neg.
        n_text, n_words: int64 (W,), how many of the former, and of both.
        order: int32 (W, C), the copies by class, and begins: int64 (W, W + 1), where each begins.
        context: int32 (W, ...), the row that stands for each word of the text.
        outputs: int64 (W, `ROUND` (1 + K)), centre words and negatives.
        hot: int32 (W, H + 1), which copy is that of a hot word, or -1; the last is always -1.
        uses: int32 (2, W, H + 1), how often each hot row of syn0 and syn1neg is used in the round.
        slots: int32 (T, V), the same for all words while a thread gathers; all -1 otherwise.
        before0, before1: float32 (W C stride,), what the copies were.
    """

    words: NDArray[np.int32]
    n_text: NDArray[np.int64]
    n_words: NDArray[np.int64]
    order: NDArray[np.int32]
    begins: NDArray[np.int64]
    context: NDArray[np.int32]
    outputs: NDArray[np.int64]
    hot: NDArray[np.int32]
    uses: NDArray[np.int32]
    slots: NDArray[np.int32]
    before0: NDArray[np.float32]
    before1: NDArray[np.float32]


def n_hot_words(noise: NDArray[np.float64], trained: NDArray[np.float64], n_words: int) -> int:
    """H: how many of the most frequent words are hot.

    Args:
        noise, trained: float64 (V,), each word's share of the negatives and of the words trained.
    """
    frequent = np.flatnonzero((noise >= _HOT_SHARE) | (trained >= _HOT_SHARE))
    return min(n_words, max(HOT, int(frequent.max(initial=-1)) + 1))


def rows_for_copies(window: int, n_hot: int) -> int:
    """C: a round's words with the context on both sides, and the hot words."""
    return ROUND + 2 * window + n_hot


def moved_shares(pairs: float, lr: float, most: int) -> NDArray[np.float32]:
    """1 - exp(-g u) for u = 0..`most` uses of a row, each in so many `pairs`; float32."""
    moved: NDArray[np.float64] = -np.expm1(-_PULL * lr * pairs * np.arange(most + 1))
    return moved.astype(np.float32)


def make_streams(chunk: int, pools: NDArray[np.int32]) -> Streams:
    """Room for W chunks of `chunk` words."""
    w = STREAMS
    return Streams(
        kept=np.zeros((w, chunk + SPARE), np.int32),
        first=np.zeros((w, chunk), np.int32),
        last=np.zeros((w, chunk), np.int32),
        n_kept=np.zeros(w, np.int64),
        pools=pools,
        begins=np.zeros(w, np.int64),
        noise_keys=np.zeros(w, np.uint64),
        window_keys=np.zeros(w, np.uint64),
        lrs=np.zeros(w, np.float32),
        tally=np.zeros((w, TALLY)),
    )


def make_copies(
    n_outputs: int, window: int, n_words: int, n_hot: int, stride: int, threads: int
) -> Copies:
    """Room for a round; `n_outputs` is 1 + K, `n_words` V, `n_hot` H."""
    w, c = STREAMS, rows_for_copies(window, n_hot)
    return Copies(
        words=np.zeros((w, c + 1), np.int32),
        n_text=np.zeros(w, np.int64),
        n_words=np.zeros(w, np.int64),
        order=np.zeros((w, c), np.int32),
        begins=np.zeros((w, w + 1), np.int64),
        context=np.zeros((w, ROUND + 2 * window + SPARE), np.int32),
        outputs=np.zeros((w, ROUND * n_outputs), np.int64),
        hot=np.full((w, n_hot + 1), -1, np.int32),
        uses=np.zeros((2, w, n_hot + 1), np.int32),
        slots=np.full((threads, n_words), -1, np.int32),
        before0=aligned(w * c * stride),
        before1=aligned(w * c * stride),
    )


def make_clock(threads: int) -> NDArray[np.int64]:
    """What threads meet by: a line for each, and one where any of them can call it off."""
    return np.zeros((threads + 1) * _LINE, np.int64)


def classes_of_words(probabilities: NDArray[np.float64], n_hot: int) -> NDArray[np.float64]:
    """The noise of each class: float64 (W, V), cumulative, from the noise of all words (V,).

    Hot words have their own probability in all classes; a class's other words stand for those of
    all classes. They are dealt out by falling frequency, to and fro, so that classes are alike.
    """
    n_words = len(probabilities)
    turn = np.arange(n_words) % (2 * STREAMS)
    class_of = np.where(turn < STREAMS, turn, 2 * STREAMS - 1 - turn)
    cold = np.arange(n_words) >= n_hot
    result = np.empty((STREAMS, n_words))
    for c in range(STREAMS):
        own = np.where(cold & (class_of == c), probabilities, 0.0)
        total = own.sum()
        scale = probabilities[n_hot:].sum() / total if total else 0.0
        result[c] = np.cumsum(np.where(cold, own * scale, probabilities))
        result[c] /= result[c, -1]
    return result


@cache
def rounds(is_cbow: bool, lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., bool]:
    """The kernel that trains rounds of skip-gram or CBOW; constants as in `skipgram`."""
    n_full, n_rest = divmod(n_outputs, BLOCK_OUTPUTS)
    rest = n_rest or BLOCK_OUTPUTS

    @kernel
    def train_rounds(
        thread: Any,
        threads: Any,
        first: Any,
        stop: Any,
        length: Any,
        streams: Any,
        copies: Any,
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
        """Rounds `first` to `stop` of a group, by thread `thread` of `threads`.

        Args:
            length: words of a stream in a round, `ROUND` at most.
            streams: `Streams`. copies: `Copies`.
            weights: `Weights` of V + W C rows, the copies last. n_vocabulary: V.
            window, shrink, divide: as in `skipgram` and `cbow`.
            moved0, moved1: `moved_shares` of rows of syn0 and of syn1neg.
            clock: `make_clock`, of zeros. scratch: `Scratch`, this thread's; its tally is not used.

        Returns:
            Whether all went well: False if another thread called it off.
        """
        only = SINGLE
        time = 0
        for r in range(first, stop):
            start = r * length
            for w in range(thread, STREAMS, threads):
                end = min(start + length, streams.n_kept[w])
                copies.n_text[w], copies.n_words[w], copies.begins[w, :] = 0, 0, 0
                copies.uses[:, w] = 0
                if start < end:
                    pool = streams.pools[(w + r) % STREAMS]
                    noise = Noise(pool, streams.begins[w], streams.noise_keys[w])
                    _gather(
                        lanes, n_outputs, n_vectors, w, thread, start, end, streams, copies,
                        weights, n_vocabulary, noise, window,
                    )  # fmt: skip
            time += 1
            if not _meet(clock, thread, threads, time):
                return False
            for w in range(thread, STREAMS, threads):
                end = min(start + length, streams.n_kept[w])
                if start < end:
                    _train(
                        is_cbow, lanes, n_outputs, n_full, rest, n_rest, n_vectors, w, start, end,
                        streams, copies, weights, n_vocabulary, window, shrink, divide, only,
                        scratch,
                    )  # fmt: skip
            for k in range(STREAMS):
                time += 1
                if not _meet(clock, thread, threads, time):
                    return False
                for w in range(thread, STREAMS, threads):
                    _merge(
                        lanes, n_vectors, w, (w - k) % STREAMS, copies, weights, n_vocabulary,
                        moved0, moved1,
                    )  # fmt: skip
            time += 1
            if not _meet(clock, thread, threads, time):
                return False
        return True

    return train_rounds


@numba.njit(inline="always")
def _gather(
    lanes: Any,
    n_outputs: Any,
    n_vectors: Any,
    w: Any,
    thread: Any,
    start: Any,
    stop: Any,
    streams: Any,
    copies: Any,
    weights: Any,
    n_vocabulary: Any,
    noise: Any,
    window: Any,
) -> None:
    """Step 1 for the words `start` to `stop` of stream `w`."""
    syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
    kept, words, hot = streams.kept[w], copies.words[w], copies.hot[w]
    slots, outputs = copies.slots[thread], copies.outputs[w]
    first_copy = n_vocabulary + w * copies.order.shape[1]
    n_hot = np.int64(hot.shape[0] - 1)
    uses0, uses1 = copies.uses[0, w], copies.uses[1, w]
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
        copies.context[w, position - begin] = first_copy + slot
    n_text = n
    for slot in range(n):
        slots[words[slot]] = -1
        hot[min(np.int64(words[slot]), n_hot)] = slot
    hot[n_hot] = -1
    for i in range(start, stop):
        o = (i - start) * n_outputs
        draw_outputs(np.int64(kept[i]), i, noise, n_outputs, 1, n_hot, outputs, o)
        uses1[min(np.int64(kept[i]), n_hot)] += 1
        for k in range(1, n_outputs):
            word = outputs[o + k]
            place = min(word, n_hot)
            uses1[place] += 1
            slot = hot[place]
            is_new = (slot < 0) & (word < n_hot)
            hot[place] = np.int32(n) if is_new else slot
            words[n] = word
            n += np.int64(is_new)
    copies.n_text[w], copies.n_words[w] = n_text, n
    _sort_by_class(words, n, copies.order[w], copies.begins[w])
    for slot in range(n):
        if slot + _AHEAD < n:
            row = np.int64(words[slot + _AHEAD]) * stride
            prefetch(syn1neg, row, n_vectors * lanes)
            if slot + _AHEAD < n_text:
                prefetch(syn0, row, n_vectors * lanes)
        row, copy = np.int64(words[slot]) * stride, (first_copy + slot) * stride
        before = copy - n_vocabulary * stride
        _copy_row(lanes, n_vectors, syn1neg, row, copy, copies.before1, before)
        if slot < n_text:
            _copy_row(lanes, n_vectors, syn0, row, copy, copies.before0, before)


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
    copies: Any,
    weights: Any,
    n_vocabulary: Any,
    window: Any,
    shrink: Any,
    divide: Any,
    only: Any,
    scratch: Any,
) -> None:
    """Step 2 for the words `start` to `stop` of stream `w`."""
    syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
    rows, inputs, outputs = scratch.rows, scratch.inputs, copies.outputs[w]
    context, hot = copies.context[w], copies.hot[w]
    first_copy = n_vocabulary + w * copies.order.shape[1]
    begin, end = _text_of_round(streams, w, start, stop, window)
    key, lr = streams.window_keys[w], streams.lrs[w]
    # The text of this round as its copies: bounds count from its first word.
    first, last = streams.first[w], streams.last[w]
    n_pairs, n_trained, n_alone = 0, 0, 0
    now, ahead = 0, n_outputs
    _rows_of_outputs(outputs, 0, context[start - begin], hot, first_copy, stride, rows, now)
    for i in range(start, stop):
        if i + 1 < stop:
            o, centre = (i + 1 - start) * n_outputs, context[i + 1 - begin]
            _rows_of_outputs(outputs, o, centre, hot, first_copy, stride, rows, ahead)
            for k in range(n_outputs):
                prefetch(syn1neg, rows[ahead + k], n_vectors * lanes)
            if i + 1 + window < min(np.int64(last[i]), end):
                prefetch(
                    syn0, np.int64(context[i + 1 + window - begin]) * stride, n_vectors * lanes
                )
        radius = draw_radius(key, i, window) if shrink else window
        n = rows_around(context, begin, first[i], last[i], i, radius, stride, inputs, 0)
        if n == 0:
            n_alone += 1
        else:
            if is_cbow:
                n_pairs += cbow_step(
                    lanes, n_full, rest, n_rest, n_vectors, syn0, syn1neg, stride, inputs, n,
                    rows, now, lr, divide, only, scratch,
                )  # fmt: skip
            else:
                n_pairs += skipgram_step(
                    lanes, n_full, rest, n_rest, n_vectors, syn0, syn1neg, inputs, n, rows,
                    now, window, lr, scratch,
                )  # fmt: skip
            n_trained += 1
        now, ahead = ahead, now
    for slot in range(copies.n_words[w]):
        hot[min(np.int64(copies.words[w, slot]), np.int64(hot.shape[0] - 1))] = -1
    streams.tally[w, 0] += take_losses(scratch.losses)
    streams.tally[w, 1] += n_pairs
    streams.tally[w, 2] += n_trained
    streams.tally[w, 3] += n_alone


@numba.njit(inline="always")
def _merge(
    lanes: Any,
    n_vectors: Any,
    w: Any,
    class_of: Any,
    copies: Any,
    weights: Any,
    n_vocabulary: Any,
    moved0: Any,
    moved1: Any,
) -> None:
    """A part of step 3: the rows of stream `w` in a class."""
    syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
    words, order, begins = copies.words[w], copies.order[w], copies.begins[w]
    first_copy = n_vocabulary + w * order.shape[0]
    end = begins[class_of + 1]
    for at in range(begins[class_of], end):
        if at + _AHEAD < end:
            row = np.int64(words[order[at + _AHEAD]]) * stride
            prefetch(syn0, row, n_vectors * lanes)
            prefetch(syn1neg, row, n_vectors * lanes)
        slot = np.int64(order[at])
        row, copy = np.int64(words[slot]) * stride, (first_copy + slot) * stride
        before = copy - n_vocabulary * stride
        share0, share1 = np.float32(1.0), np.float32(1.0)
        if words[slot] < copies.hot.shape[1] - 1:
            share0 = _share_of_change(copies.uses[0], words[slot], moved0)
            share1 = _share_of_change(copies.uses[1], words[slot], moved1)
        _add_change(lanes, n_vectors, syn1neg, row, copy, copies.before1, before, share1)
        if slot < copies.n_text[w]:
            _add_change(lanes, n_vectors, syn0, row, copy, copies.before0, before, share0)


@numba.njit(inline="always")
def _text_of_round(streams: Any, w: Any, start: Any, stop: Any, window: Any) -> Any:
    """The first word and one past the last that words `start` to `stop` are or have as context."""
    begin = max(np.int64(streams.first[w, start]), start - window)
    return begin, min(np.int64(streams.last[w, stop - 1]), stop + window)


@numba.njit(inline="always")
def _share_of_change(uses: Any, word: Any, moved: Any) -> Any:
    """By what the changes of a hot row are multiplied, whoever adds them; see above."""
    most = np.int64(moved.shape[0] - 1)
    of_all, one_by_one = np.int64(0), np.float32(0.0)
    for w in range(STREAMS):
        of_all += uses[w, word]
        one_by_one += moved[min(np.int64(uses[w, word]), most)]
    return moved[min(of_all, most)] / one_by_one if one_by_one > 0 else np.float32(1.0)


@numba.njit(inline="always")
def _rows_of_outputs(
    outputs: Any,
    first: Any,
    centre: Any,
    hot: Any,
    first_copy: Any,
    stride: Any,
    rows: Any,
    at: Any,
) -> None:
    """Offsets of the rows of a centre word and its negatives: of the copy where there is one."""
    rows[at] = np.int64(centre) * stride
    for k in range(1, rows.shape[0] // 2):
        word = outputs[first + k]
        slot = np.int64(hot[min(word, np.int64(hot.shape[0] - 1))])
        rows[at + k] = (first_copy + slot if slot >= 0 else word) * stride


@numba.njit
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


@numba.njit
def _meet(clock: Any, thread: Any, threads: Any, time: Any) -> Any:
    """Wait until all threads have come to `time`; False if one of them called it off.

    What they wrote before is seen by all afterwards. Who waits long (another process has the core)
    gives the processor away instead of burning what the others need.
    """
    _set(clock, thread * _LINE, time)
    for other in range(threads):
        looks = 0
        while _get(clock, other * _LINE) < time:
            if _get(clock, threads * _LINE) != 0:
                return False
            looks += 1
            if looks < _SPINS:
                _pause()
            elif looks < _SPINS + _YIELDS:
                _sched_yield()
            else:
                _usleep(np.uint32(_SLEEP_MICROSECONDS))
    return True


_Generated = tuple[Any, Callable[..., ir.Value]]


@intrinsic
def _set(typing_context: Any, clock: Any, at: Any, value: Any) -> _Generated:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        builder.store_atomic(args[2], builder.gep(base, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(clock, types.int64, types.int64), generate


@intrinsic
def _get(typing_context: Any, clock: Any, at: Any) -> _Generated:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        base = data_pointer(context, builder, signature.args[0], args[0])
        return builder.load_atomic(builder.gep(base, [args[1]]), "acquire", 8)

    return types.int64(clock, types.int64), generate


@intrinsic
def _pause(typing_context: Any) -> _Generated:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        if llvm.get_process_triple().startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic(prefer_literal=True)
def _copy_row(
    typing_context: Any,
    lanes: Any,
    n_vectors: Any,
    matrix: Any,
    row: Any,
    copy: Any,
    before: Any,
    at: Any,
) -> _Generated:
    """Copy the row at `row` of `matrix` to `copy` in it, and to `at` in `before`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        before_ = data_pointer(context, builder, signature.args[5], args[5])
        v = Lanes(builder, lanes.literal_value)
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            x = v.load(matrix_, builder.add(args[3], column))
            v.store(x, matrix_, builder.add(args[4], column))
            v.store(x, before_, builder.add(args[6], column))
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(lanes, n_vectors, matrix, *offsets, before, types.int64), generate


@intrinsic(prefer_literal=True)
def _add_change(
    typing_context: Any,
    lanes: Any,
    n_vectors: Any,
    matrix: Any,
    row: Any,
    copy: Any,
    before: Any,
    at: Any,
    share: Any,
) -> _Generated:
    """Add to the row at `row` of `matrix` a `share` of the change of its `copy` since `before`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        matrix_ = data_pointer(context, builder, signature.args[2], args[2])
        before_ = data_pointer(context, builder, signature.args[5], args[5])
        v = Lanes(builder, lanes.literal_value)
        share_ = v.broadcast(args[7])
        for vector in range(n_vectors.literal_value):
            column = I64(vector * v.n)
            became = v.load(matrix_, builder.add(args[4], column))
            change = builder.fsub(became, v.load(before_, builder.add(args[6], column)))
            place = builder.add(args[3], column)
            v.store(v.fma(share_, change, v.load(matrix_, place)), matrix_, place)
        return context.get_dummy_value()

    offsets = types.int64, types.int64
    return types.void(
        lanes, n_vectors, matrix, *offsets, before, types.int64, types.float32
    ), generate
