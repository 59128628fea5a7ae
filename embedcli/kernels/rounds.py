"""Training in rounds: the same bytes for any number of threads, and why.

Threads that share two matrices without locks (`training/workers.py`) are fast and never do the same
twice. Here the order of everything that can be seen is fixed, and the number of threads only says
who does it.

**Streams.** An epoch's text is trained in groups of `STREAMS` parts, whatever the number of
threads, a part by each stream. A *round* is the next `ROUND` words of each. Within a round a stream
sees its own updates at once and those of others not at all; between rounds they are put together.
So what is computed depends on W streams and on the length of a round, which are constants, and the
threads share out the streams.

**Steps of a round**, with a barrier for all threads after the first, after the fourth, and between
the phases of the last:

1. *List* (`listing.py`). A stream lists the words whose rows it may train: those of its text, with
   the context on both sides, and those that its negatives will be drawn from, which are a stretch
   of the pool for every 256 words (`sampling.py`). It marks them (`word_users.py`).
2. *Place*. Where no other stream has marked a word, its row is trained where it lies; where one
   has, in a copy: three rows in ten, as most words are rare.
3. *Gather* (`copies.py`). Copy those rows.
4. *Train*. The loop of all kernels (`loop.py`), on those rows.
5. *Merge* (`copies.py`). What each copy has become, minus what the row was, is added to the row. As
   nobody has trained it where it lies, that is what it still is, and nobody has to remember it: M +
   sum of (C - M) is (1 - m) M + sum of C for m copies, so the row is multiplied by 1 - m when the
   first of them is added. Who is done lists for the next round, which reads no row.

**Who touches a row** is known when all streams have listed their words. A mark has a bit for each
stream; each thread marks in a table of its own, and what all tables say together does not depend on
which thread had which stream. Negatives are listed by stretches, not one by one: each is read
sixteen times, so there is a third of a word to list for each that is trained.

**Merging without locks and without order getting lost.** Adding is not associative, so the streams
that trained a row must be added in an order that does not depend on chance. Rows are divided by
c = word mod W, and those of class c get the streams in the order c ^ 0, c ^ 1, .. c ^ (W - 1). The
threads divide the streams into as many blocks as they are, a power of two, and merge in as many
phases: in phase p the streams of block b are merged into the classes whose number begins with the
bits b ^ p. So within a phase no two blocks touch the same row, the order is the same for blocks of
any size, and each stream is merged by the thread that trained it, while its copies are near.

**Adding without overshooting.** For a row that one stream trains in a round, adding its change is
exact. A *hot* row, one of those of the highest frequencies, is trained by all of them, all from the
same beginning, and each moves it most of the way to where it wants to be; the sum of eight such
moves would go far beyond and diverge. If u uses of a row move it by a share 1 - exp(-g u) of its
way, then the u_w uses of all streams, one after the other, would have moved it by
1 - exp(-g sum u_w), and not by the sum of the 1 - exp(-g u_w). So changes of hot rows are
multiplied by the ratio of the two: 1 where one stream has used the row, nearly 1 for few uses,
1 / W for many, which is the mean.

**What this promises.** No number that is read depends on time. In step 1 a thread writes its own
marks and lists; in steps 2 to 4 it reads the marks of all, writes rows that its stream alone has
marked and copies of its own, and reads rows that nobody writes; in a phase of step 5 it writes rows
of classes that are its own. A barrier (release and acquire) stands between a writer in one step and
a reader in another. Sums of the loss are kept by stream. So the bytes are the same for any number
of threads, for a run that was stopped between two rounds, and under any load. They are not the same
for other lanes (`intrinsics/lanes.py`), whose sums add up in another order.

**What it costs.** Listing, copying and merging, and the barriers; docs/training.md has the figures.
More than `STREAMS` threads find nothing to do. Updates of a row that several streams train in a
round all begin at the same old row: with ``STREAMS * ROUND`` words a round the frequent ones are
stale by a few updates, which the scores do not notice, and where few words are most of a text, by
so many that they would diverge. There rounds are shorter, down to a word
(`training/round_length.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from embedcli.kernels.alignment import aligned
from embedcli.kernels.barrier import wait_for_all
from embedcli.kernels.copies import gather_copies, merge_copies
from embedcli.kernels.intrinsics.access import prefetch_to_read
from embedcli.kernels.intrinsics.blocks import BLOCK_OUTPUTS
from embedcli.kernels.intrinsics.calls import caller
from embedcli.kernels.jit import address_of, inlined, kernel, types_of
from embedcli.kernels.listing import list_words, place_words, weigh
from embedcli.kernels.loop import LISTED, train_words
from embedcli.kernels.sampling import ROUND_STRETCH, Noise, stretch_items, windows_of_stretch
from embedcli.kernels.streams import ROUND, STREAMS, make_lists, make_streams, text_of_round
from embedcli.kernels.weights import Weights, make_scratch
from embedcli.kernels.windows import Text
from embedcli.kernels.word_users import forget_users

__all__ = ["loop_of_rounds", "rounds", "rounds_kernel"]


def _example_types() -> tuple[Any, ...]:
    """The types of what `train_words` is called with in a round."""
    streams = make_streams(1, np.zeros(1, np.int32))
    lists = make_lists(1, 1, 1, 1, 1)
    text = Text(lists.inputs[0], lists.centres[0], streams.first[0], streams.last[0], 0, 1)
    source = Noise(streams.pool, streams.begins[0], streams.noise_keys[0]), lists.items[0], 0, 0
    weights, scratch = Weights(aligned(1), aligned(1), 1), make_scratch(1, 1, 1)
    key, lr, tally = streams.window_keys[0], streams.lrs[0], streams.tally[0]
    return types_of(
        (1, 1, text, 0, 1, weights, source, 1, True, key, lr, True, scratch, None, tally)
    )


_TRAIN_TYPES = _example_types()
_call_train = caller(_TRAIN_TYPES)


def rounds(is_cbow: bool, lanes: int, n_outputs: int, n_vectors: int) -> Callable[..., bool]:
    """What trains rounds of skip-gram or CBOW.

    The loop is a kernel of its own (`loop_of_rounds`). Two kernels of half the size are compiled at
    once by two processes, and one of them is the same for skip-gram and CBOW and for any sizes.
    """
    loop = loop_of_rounds(is_cbow, lanes, n_outputs, n_vectors)
    return partial(rounds_kernel(lanes), loop, n_outputs, n_vectors)


def loop_of_rounds(
    is_cbow: bool, lanes: int, n_outputs: int, n_vectors: int, *, is_special: bool = False
) -> int:
    """The address of `train_words` on what rounds have listed; as in `loop.training_kernel`."""
    n_rest, sizes = n_outputs % BLOCK_OUTPUTS, (n_outputs, n_vectors) if is_special else (0, 0)
    train = train_words(lanes, n_rest, is_cbow=is_cbow, kind_of_outputs=LISTED, sizes=sizes)
    return address_of(train, _TRAIN_TYPES)


@cache
def rounds_kernel(lanes: int) -> Callable[..., bool]:
    """What lists, copies, merges, and calls the loop; args of its own."""

    @kernel
    def train_rounds(
        train,
        n_outputs,
        n_vectors,
        thread,
        threads,
        blocks,
        first,
        most,
        length,
        streams,
        lists,
        copied0,
        copied1,
        weights,
        n_vocabulary,
        window,
        shrink,
        divide,
        moved0,
        moved1,
        phases,
        scratch,
    ) -> bool:
        """At most `most` rounds of a group from `first` on, by thread `thread` of `threads`.

        It begins when all threads have come here, so that each may have staged its streams before.

        Args:
            train: the address of `train_words`, like all args as there or:
            blocks: `n_blocks` of the threads.
            length: words of a stream in a round, `ROUND` at most.
            streams: `Streams`. lists: `Lists`. copied0, copied1: `Copied` of syn0 and syn1neg.
            weights: `Weights` of V + W C rows, the copies last. n_vocabulary: V.
            window, shrink, divide: as in `train_words`.
            moved0, moved1: `moved_shares` of rows of syn0 and of syn1neg.
            phases: `make_phases`, of zeros.
            scratch: `Scratch`, this thread's; its tally is not used.

        Returns:
            Whether all went well: False if another thread called it off.
        """
        size = STREAMS // blocks
        syn0, syn1neg, stride = weights.syn0, weights.syn1neg, weights.stride
        per_stream = copied0.order.shape[1]
        reached = 1
        if not wait_for_all(phases, thread, threads, reached):
            return False
        longest = 0
        for w in range(STREAMS):
            longest = max(longest, streams.n_kept[w])
        stop = min(first + most, (longest + length - 1) // length)
        for r in range(first, stop):
            start = r * length
            forget_users(lists.users, lists.stamps, thread)
            for block in range(thread, blocks, threads):
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    lists.uses[:, w] = 0
                    if start < end:
                        noise = _noise(streams, w)
                        list_words(n_outputs, w, thread, start, end, streams, lists, noise, window)
                        _ask_for_noise(noise, start + length, window, n_outputs)
            reached += 1
            if not wait_for_all(phases, thread, threads, reached):
                return False
            weigh(thread, threads, lists.uses[0], moved0, lists.shares[0])
            weigh(thread, threads, lists.uses[1], moved1, lists.shares[1])
            for block in range(thread, blocks, threads):
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    copied0.begins[w], copied1.begins[w] = 0, 0
                    if start < end:
                        first_copy = n_vocabulary + w * per_stream
                        place_words(w, thread, threads, start, end, streams, lists, copied0,
                                    copied1, first_copy, window)  # fmt: skip
                for w in range(block * size, (block + 1) * size):
                    end = min(start + length, streams.n_kept[w])
                    if start < end:
                        first_copy = n_vocabulary + w * per_stream
                        gather_copies(lanes, n_vectors, w, copied0, syn0, first_copy, stride)
                        gather_copies(lanes, n_vectors, w, copied1, syn1neg, first_copy, stride)
                        # The text of this round by its rows.
                        begin, last = text_of_round(streams, w, start, end, window)
                        text = Text(lists.inputs[w], lists.centres[w], streams.first[w],
                                    streams.last[w], begin, last)  # fmt: skip
                        spare = lists.n_words[w, 1] - n_outputs
                        stretches = (end - 1) // ROUND_STRETCH + 1 - start // ROUND_STRETCH
                        source = _noise(streams, w), lists.items[w], spare, spare // stretches
                        _call_train(train, (
                            n_outputs, n_vectors, text, start, end, weights, source, window,
                            shrink, streams.window_keys[w], streams.lrs[w], divide, scratch, None,
                            streams.tally[w],
                        ))  # fmt: skip
            for phase in range(blocks):
                reached += 1
                if not wait_for_all(phases, thread, threads, reached):
                    return False
                for block in range(thread, blocks, threads):
                    merge_copies(lanes, n_vectors, block, phase, size, copied0, lists.shares[0],
                                 syn0, n_vocabulary, stride)  # fmt: skip
                    merge_copies(lanes, n_vectors, block, phase, size, copied1, lists.shares[1],
                                 syn1neg, n_vocabulary, stride)  # fmt: skip
        return True

    return train_rounds


@inlined
def _noise(streams, w) -> Any:
    """What stream `w` draws from."""
    return Noise(streams.pool, streams.begins[w], streams.noise_keys[w])


@inlined
def _ask_for_noise(noise, position, window, n_outputs) -> None:
    """The stretches of the next round are far from those of this one."""
    begin, end = stretch_items(
        position // ROUND_STRETCH, noise, windows_of_stretch(window), n_outputs - 1
    )
    prefetch_to_read(noise.pool, begin, (end - begin) * (ROUND // ROUND_STRETCH))
