"""Which settings go together: one table, with a row for each setting.

Refused: where a value other than the default is an error. ``rounds`` is deterministic training.
No effect: where a value decides nothing, and is warned of; ``not glove`` is any other architecture.
Used by:

    model     a run that goes on with a model takes it from the model
    shards    a run on a cluster or in files follows it, and refuses the others
    cluster   means nothing on one machine
    tune      can be searched, as it leaves the words alone
    single    follows one run on one machine, or ends it early
    resume    may change when a run is resumed, as the vectors do not depend on it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["COMPATIBILITY", "Row", "refused_with", "used_by", "without_effect"]

# The words of the second kind, as flags say them.
_REASONS: Final = {
    "glove": "with --arch glove",
    "not glove": "without --arch glove",
    "hs": "with --loss hs",
    "not cbow": "without --arch cbow",
    "not subword N:M": "without --subword N:M",
    "not evaluate": "without --evaluate",
}


class Row(NamedTuple):
    """The row of one setting: words of the three kinds above."""

    refused: frozenset[str]
    no_effect: tuple[str, ...]
    used_by: frozenset[str]


def _row(refused: str, no_effect: str, used_by: str) -> Row:
    return Row(
        frozenset(refused.split()),
        tuple(filter(None, no_effect.split(", "))),
        frozenset(used_by.split()),
    )


# fmt: off
COMPATIBILITY: Final[Mapping[str, Row]] = {
    #                          refused                    no effect            used by
    "arch":               _row("",                        "",                  "model shards tune"),
    "dim":                _row("",                        "",                  "shards tune"),
    "window":             _row("",                        "",                  "model shards tune"),
    "loss":               _row("rounds",                  "glove",             "model tune"),
    "negative":           _row("",                        "glove, hs",         "model shards tune"),
    "epochs":             _row("",                        "",                  "model shards tune"),
    "lr":                 _row("",                        "",                  "model shards tune"),
    "min_lr":             _row("",                        "",                  "model shards tune"),
    "schedule":           _row("",                        "",                  "model shards tune"),
    "warmup":             _row("",                        "",                  "model shards tune"),
    "optimizer":          _row("glove hs subword rounds", "",                  "model tune"),
    "dropout":            _row("glove hs subword rounds", "",                  "model tune"),
    "l2":                 _row("glove hs subword rounds", "",                  "model tune"),
    "max_norm":           _row("glove hs subword rounds", "",                  "model tune"),
    "min_count":          _row("",                        "",                  "model shards"),
    "max_vocab":          _row("",                        "",                  "shards"),
    "unk":                _row("",                        "",                  "model"),
    "sample":             _row("",                        "glove",             "model shards tune"),
    "ns_exponent":        _row("",                        "glove, hs",         "model shards tune"),
    "shrink_window":      _row("",                        "glove",             "model shards tune"),
    "cbow_gradient":      _row("",                        "glove, not cbow",   "model shards tune"),
    "x_max":              _row("",                        "not glove",         "tune"),
    "alpha":              _row("",                        "not glove",         "tune"),
    "symmetric":          _row("",                        "not glove",         "tune"),
    "distance_weighting": _row("",                        "not glove",         ""),
    "count_memory":       _row("",                        "not glove",         "resume"),
    "deterministic":      _row("",                        "",                  ""),
    "threads":            _row("",                        "",                  "shards resume"),
    "seed":               _row("",                        "",                  "shards"),
    "subword":            _row("glove hs rounds",         "",                  "model"),
    "buckets":            _row("",                        "not subword N:M",   "model"),
    "shuffle":            _row("",                        "glove",             "model shards"),
    "recursive":          _row("",                        "",                  "shards"),
    "output_vectors":     _row("",                        "",                  "shards resume"),
    "init":               _row("glove subword",           "",                  "single"),
    "continue_from":      _row("glove",                   "",                  "single"),
    "freeze":             _row("glove hs subword rounds", "",                  "single"),
    "valid":              _row("glove",                   "",                  "single"),
    "valid_fraction":     _row("glove",                   "",                  "single"),
    "evaluate":           _row("",                        "",                  "single"),
    "evaluate_every":     _row("",                        "not evaluate",      "single"),
    "patience":           _row("",                        "",                  "single"),
    "time_budget":        _row("rounds",                  "",                  "single"),
    "metrics":            _row("",                        "",                  "single resume"),
    "shards":             _row("",                        "",                  "shards cluster"),
    "rounds":             _row("",                        "",                  "shards cluster"),
    "deltas":             _row("",                        "",                  "shards cluster"),
    "items":              _row("",                        "",                  "model shards"),
    "separator":          _row("",                        "",                  "model shards"),
    "field":              _row("",                        "",                  "model shards"),
    "delimiter":          _row("",                        "",                  "model"),
    "quote":              _row("",                        "",                  "model"),
    "bad_records":        _row("",                        "",                  "model"),
    "tokenizer":          _row("",                        "",                  "model shards"),
    "pattern":            _row("",                        "",                  "model shards"),
    "normalize":          _row("",                        "",                  "model shards"),
    "lowercase":          _row("",                        "",                  "model shards"),
    "digits":             _row("",                        "",                  "model shards"),
    "encoding":           _row("",                        "",                  "model"),
    "as_text":            _row("",                        "",                  "model"),
}
# fmt: on


def refused_with(what: str) -> tuple[str, ...]:
    """The settings that must have their defaults with `what`, a word of the first kind."""
    return tuple(name for name, row in COMPATIBILITY.items() if what in row.refused)


def used_by(what: str) -> tuple[str, ...]:
    """The settings that `what`, a word of the third kind, uses."""
    return tuple(name for name, row in COMPATIBILITY.items() if what in row.used_by)


def without_effect(holds: Mapping[str, bool]) -> dict[str, str]:
    """The settings that decide nothing, each with the reason; `holds` says which words hold."""
    unused: dict[str, str] = {}
    for name, row in COMPATIBILITY.items():
        for word in row.no_effect:
            if holds[word]:
                unused.setdefault(name, _REASONS[word])
    return unused
