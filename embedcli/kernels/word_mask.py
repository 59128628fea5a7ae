"""White space in place of all that belongs to no word: `--tokenizer words` before the scan."""

from __future__ import annotations

import numpy as np

from embedcli.kernels.jit import kernel

__all__ = ["mask_non_words"]

_SPACE, _LINE_END = np.uint8(0x20), np.uint8(0x0A)
_HIGHEST = 0x10FFFF


@kernel
def mask_non_words(text, start, end, is_word, is_joined) -> None:
    """Overwrite every character of ``text[start:end]`` that is in no word, but ends of lines.

    Malformed bytes stay, so that they are counted like those of any other text.

    Args:
        text: uint8, UTF-8.
        start, end: int64.
        is_word: uint8, bit c % 8 of byte c // 8 is set where character c is part of a word; there
            are none above.
        is_joined: uint8, as long, likewise where it is part of the word that it follows, if any.
    """
    n_known = 8 * is_word.size
    inside = False
    i = start
    while i < end:
        lead = np.int64(text[i])
        if lead < 0x80:
            inside = (is_word[lead >> 3] >> np.uint8(lead & 7)) & 1 != 0
            if not inside and lead != _LINE_END:
                text[i] = _SPACE
            i += 1
            continue
        length = 2 + np.int64(lead >= 0xE0) + np.int64(lead >= 0xF0)
        code = lead & (0x7F >> length)
        is_sound = lead >= 0xC2 and lead <= 0xF4 and i + length <= end
        if is_sound:
            for j in range(i + 1, i + length):
                is_sound &= text[j] & 0xC0 == 0x80
                code = code << 6 | np.int64(text[j] & 0x3F)
            is_sound &= not (length == 3 and (code < 0x800 or code >> 11 == 0x1B))
            is_sound &= not (length == 4 and (code < 0x10000 or code > _HIGHEST))
        if not is_sound:
            inside = True
            i += 1
            continue
        bits = np.uint8(0)
        if code < n_known:
            bits = is_word[code >> 3]
            if inside:
                bits |= is_joined[code >> 3]
        inside = (bits >> np.uint8(code & 7)) & 1 != 0
        if not inside:
            text[i : i + length] = _SPACE
        i += length
