"""The first steps of a round: which words a stream will train, and where their rows are trained.

`rounds.py` says what streams, rounds and copies are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embedcli.kernels.intrinsics.access import prefetch, prefetch_to_read, unsigned
from embedcli.kernels.jit import inlined, step
from embedcli.kernels.sampling import ROUND_STRETCH, stretch_items, windows_of_stretch
from embedcli.kernels.streams import SPREAD, STREAMS, text_of_round
from embedcli.kernels.word_users import drawers_of, no_users, readers_of, users_of_word, with_user

__all__ = ["list_words", "place_words", "weigh"]


@step
def list_words(n_outputs, w, thread, start, stop, streams, lists, noise, window) -> None:
    """Step 1 for the words `start` to `stop` of stream `w`."""
    kept, words, inputs, items = streams.kept[w], lists.words[w], lists.inputs[w], lists.items[w]
    table, empty = lists.users[thread], no_users(lists.stamps, thread)
    uses0, uses1 = lists.uses[0, w], lists.uses[1, w]
    n_hot = np.int64(lists.shares.shape[1] - 1)
    begin, end = text_of_round(streams, w, start, stop, window)
    first, last = start // ROUND_STRETCH, (stop - 1) // ROUND_STRETCH + 1
    n_share = windows_of_stretch(window)
    # The table is read here and there; to read and write one item after the other would wait for
    # each of them.
    for position in range(begin, end):
        prefetch(table, np.int64(kept[unsigned(position)]), np.int64(1))
    for number in range(first, last):
        first_item, end_item = stretch_items(number, noise, n_share, n_outputs - 1)
        for item in range(first_item, end_item):
            prefetch(table, np.int64(noise.pool[unsigned(item)]), np.int64(1))
    n = np.int64(0)
    for position in range(begin, end):
        word = np.int64(kept[unsigned(position)])
        inputs[unsigned(position - begin)], n = _list_word(table, empty, words, word, w, False, n)
        # Cold words count too, where nobody looks, and not all in one place, where each would wait
        # for the one before.
        place = word if word < n_hot else n_hot + (position & (SPREAD - 1))
        uses0[unsigned(place)] += np.int32(1)
    for h in range(n_hot):
        uses1[unsigned(h)] = uses0[unsigned(h)]
    listed = np.int64(0)
    for number in range(first, last):
        n_windows = min(stop, (number + 1) * ROUND_STRETCH) - max(start, number * ROUND_STRETCH)
        n_readings = np.int32((n_windows + n_share - 1) // n_share)
        first_item, end_item = stretch_items(number, noise, n_share, n_outputs - 1)
        for item in range(first_item, end_item):
            word = np.int64(noise.pool[unsigned(item)])
            items[unsigned(listed)], n = _list_word(table, empty, words, word, w, True, n)
            listed += 1
            place = word if word < n_hot else n_hot + (item & (SPREAD - 1))
            uses1[unsigned(place)] += n_readings
    for filler in range(n_outputs):  # what is drawn where a stretch is not enough
        items[unsigned(listed)], n = _list_word(table, empty, words, filler, w, True, n)
        listed += 1
    lists.n_words[w, 0], lists.n_words[w, 1] = n, listed


@inlined
def _list_word(table, empty, words, word, w, draws, n) -> Any:
    """Mark a word of stream `w` and put it on its list of `n`; returns its slot and the new n."""
    mark, slot, is_new = with_user(max(table[unsigned(word)], empty), w, draws, n)
    table[unsigned(word)] = mark
    words[unsigned(n)] = word
    return slot, n + np.int64(is_new)


@step
def place_words(
    w, thread, threads, start, stop, streams, lists, copied0, copied1, first_copy, window
) -> None:
    """Step 2 for stream `w`: its words share a row with others, or have one of their own."""
    words, n_words = lists.words[w], lists.n_words[w, 0]
    rows0, rows1 = lists.rows0[thread], lists.rows1[thread]
    words0, words1 = copied0.words[w], copied1.words[w]
    users0, users1 = copied0.users[w], copied1.users[w]
    mine = 1 << w
    for slot in range(n_words):
        for other in range(threads):
            if other != thread:
                place = other * lists.users.shape[1] + words[unsigned(slot)]
                prefetch_to_read(lists.users, place, np.int64(1))
    n0, n1 = np.int64(0), np.int64(0)
    for slot in range(n_words):
        word = np.int64(words[unsigned(slot)])
        marked = users_of_word(lists.users, lists.stamps, threads, word)
        readers = readers_of(marked)
        users = readers | drawers_of(marked)
        is_copy0, is_copy1 = (readers & mine != 0) & (readers != mine), users != mine
        words0[unsigned(n0)], words1[unsigned(n1)] = word, word
        users0[unsigned(n0)], users1[unsigned(n1)] = np.uint8(readers), np.uint8(users)
        rows0[unsigned(slot)] = first_copy + n0 if is_copy0 else word
        rows1[unsigned(slot)] = first_copy + n1 if is_copy1 else word
        n0 += np.int64(is_copy0)
        n1 += np.int64(is_copy1)
    _sort_by_class(words0, n0, copied0.order[w], copied0.begins[w])
    _sort_by_class(words1, n1, copied1.order[w], copied1.begins[w])
    begin, end = text_of_round(streams, w, start, stop, window)
    inputs, centres, items = lists.inputs[w], lists.centres[w], lists.items[w]
    for i in range(end - begin):
        slot = inputs[unsigned(i)]
        inputs[unsigned(i)], centres[unsigned(i)] = rows0[unsigned(slot)], rows1[unsigned(slot)]
    for item in range(lists.n_words[w, 1]):
        items[unsigned(item)] = rows1[unsigned(items[unsigned(item)])]


@step
def _sort_by_class(words, n, order, begins) -> None:
    """Counting sort of ``words[:n]`` by word mod W: `order` and where each class `begins`."""
    begins[: STREAMS + 1] = 0
    for slot in range(n):
        begins[unsigned((words[unsigned(slot)] & (STREAMS - 1)) + 1)] += 1
    for c in range(STREAMS):
        begins[c + 1] += begins[c]
    for slot in range(n):
        c = words[unsigned(slot)] & (STREAMS - 1)
        order[unsigned(begins[unsigned(c)])] = slot
        begins[unsigned(c)] += 1
    for c in range(STREAMS, 0, -1):
        begins[c] = begins[c - 1]
    begins[0] = 0


@step
def weigh(thread, threads, uses, moved, shares) -> None:
    """By what the changes of hot rows are multiplied, whoever adds them: one thread's part.

    Args:
        uses: int32 (W, H + `SPREAD`). moved: `moved_shares`. shares: float32 (H + 1,); the last
            stays 1.
    """
    most, n_hot = np.int64(moved.shape[0] - 1), shares.shape[0] - 1
    # Neighbours lie in one cache line, so each thread takes words in a row.
    for word in range(thread * n_hot // threads, (thread + 1) * n_hot // threads):
        of_all, one_by_one = np.int64(0), np.float32(0.0)
        for w in range(STREAMS):
            of_one = np.int64(uses[unsigned(w), unsigned(word)])
            of_all += of_one
            one_by_one += moved[unsigned(min(of_one, most))]
        share = moved[unsigned(min(of_all, most))] / one_by_one
        shares[unsigned(word)] = share if one_by_one > 0 else np.float32(1.0)
