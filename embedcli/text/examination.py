"""The warnings and errors about a text that was read."""

from __future__ import annotations

from embedcli.errors import CorpusError, ResourceError
from embedcli.kernels.tokenize import MAX_BYTES
from embedcli.quoting import quoted
from embedcli.text.encoder import Encoder
from embedcli.text.forms import form_remark
from embedcli.text.merging import Merged

__all__ = ["check_text", "find_remarks"]

_MOST_TOO_LONG = 0.01  # of the bytes of tokens: more, and something is read by the wrong rules


def check_text(encoder: Encoder, merged: Merged, min_count: int, n_known: int | None) -> None:
    """Refuse a text that nothing can be learned from.

    Args:
        encoder: has read the text.
        merged: its words.
        min_count: how often a word must occur.
        n_known: the words of a given vocabulary; None without one.

    Raises:
        CorpusError: it holds too little, or no word often enough.
        ResourceError: its words do not fit in memory.
    """
    n_bytes, n_tokens = encoder.library.n_bytes, merged.n_tokens
    where = encoder.library.title
    if n_bytes == 0:
        raise CorpusError(f"{where} is empty")
    if n_tokens == 0 and encoder.too_long:
        raise CorpusError(
            f"{where} holds no token of at most {MAX_BYTES} bytes, but {encoder.too_long} longer "
            f"ones; {encoder.advice}"
        )
    if n_tokens == 0:
        raise CorpusError(_no_token(encoder, where, n_bytes))
    if n_tokens == 1:
        raise CorpusError(f"{where} holds 1 token; nothing to predict")
    if merged.n_kept > merged.n_unknown:
        return
    if n_known is not None:
        raise CorpusError(
            f"none of the {n_tokens} tokens of {where} is among the {n_known} words of the "
            "vocabulary; was one of them made with --lowercase?"
        )
    first, second = merged.counts
    if first >= min_count:
        raise ResourceError(
            f"the {merged.n_types} words of {where} do not fit in memory, and none of them occurs "
            f"more than {merged.pruned_bound} times, which would tell it from the rest"
        )
    raise CorpusError(
        f"no word of {where} occurs {min_count} times: {merged.n_types} types, {n_tokens} tokens, "
        f"highest count {first}; try --min-count {second or first}"
    )


def find_remarks(
    encoder: Encoder, merged: Merged, where: str, *, is_part: bool = False
) -> list[str]:
    """What is worth a warning; `where` there are malformed sequences."""
    marks, remarks = encoder.marks, list(encoder.library.suspicions)
    field = encoder.library.field
    if field is not None:
        remarks += field.remarks()
    if marks.invalid:
        remarks.append(
            f"{marks.invalid} malformed UTF-8 sequences in {marks.malformed_tokens} tokens{where} "
            "were replaced by U+FFFD"
        )
    if encoder.too_long_bytes > _MOST_TOO_LONG * encoder.token_bytes:
        share = encoder.too_long_bytes / encoder.token_bytes
        remarks.append(
            f"{share:.0%} of the text, by bytes, are {encoder.too_long:,} tokens of more than "
            f"{MAX_BYTES} bytes, which are left out; {encoder.advice}"
        )
    elif not (is_part or encoder.library.has_syntax) and (remark := _form_remark(encoder, merged)):
        remarks.append(remark)
    if marks.nuls:
        remarks.append(f"{marks.nuls} NUL bytes were taken for white space: is this text?")
    if marks.boms:
        remarks.append(
            f"{marks.boms} tokens hold a byte order mark (U+FEFF): were files joined that begin "
            "with one?"
        )
    if merged.pruned_bound:
        remarks.append(
            f"the vocabulary did not fit in memory: words that occur up to {merged.pruned_bound} "
            "times were left out; a higher --min-count or --max-vocab says where to cut"
        )
    return remarks


def _form_remark(encoder: Encoder, merged: Merged) -> str | None:
    library = encoder.library
    remark = form_remark(
        encoder.forms,
        merged.words,
        library.asked,
        library.rules,
        n_tokens=merged.n_tokens,
        n_bytes=encoder.token_bytes,
        n_lines=encoder.n_lines,
    )
    return remark and f"{library.title}: {remark}"


def _no_token(encoder: Encoder, where: str, n_bytes: int) -> str:
    """What to say of a text without a token: by white space alone it is all white space."""
    rules = encoder.library.rules
    if rules.tokenizer == "pattern":
        pattern = quoted(rules.pattern or "")
        return f"no token of {where} ({n_bytes} bytes) matches --pattern {pattern}"
    if rules.tokenizer != "whitespace":
        return f"no token of {where} ({n_bytes} bytes) is found by --tokenizer {rules.tokenizer}"
    if rules.separator is not None:
        what = f"the separator {quoted(rules.separator)} and line ends"
        return f"{where} holds only {what} ({n_bytes} bytes)"
    return f"{where} holds only white space ({n_bytes} bytes)"
