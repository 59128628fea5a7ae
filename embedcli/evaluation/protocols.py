"""The rules of scoring, as data: a protocol is named, printed and chosen, never implied.

The same vectors differ by tens of points between tools, because each scores by its own rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from embedcli import __version__
from embedcli.errors import UsageError

__all__ = ["METHODS", "OOV_RULES", "PROTOCOLS", "Protocol", "resolve"]

METHODS = ("cosadd", "cosmul", "pairdistance", "cosavg", "lrcos")
OOV_RULES = ("skip", "wrong")


@dataclass(frozen=True)
class Protocol:
    """One set of rules.

    Attributes:
        name: what it is called after.
        method: ``cosadd``, the word with the highest cosine to b - a + c over unit vectors;
            ``cosmul`` (Levy & Goldberg 2014), the highest cos(b) cos(c) / (cos(a) + 0.001) with
            cosines mapped to [0, 1]; ``pairdistance`` (their PairDirection), the highest
            cos(x - c, b - a); ``cosavg`` and ``lrcos`` (`pairs.py`), which learn from all pairs.
        analogy_words: analogies see only this many of the most frequent words; None for all.
        similarity_words: the same for similarity files.
        fold: turns a word into the form under which spellings count as the same word. The most
            frequent spelling stands for all of them; answers and excluded words compare folded.
        folding: what `fold` does, in a word.
        oov: questions with an unknown word are left out (``skip``) or count as ``wrong``; pairs
            with an unknown word are left out or get a cosine of 0.
        subwords: whether a word of a similarity file that the model does not hold gets a vector
            made of its subwords, lower-cased, as fastText's ``eval.py`` does. Analogies are
            questions about the vocabulary and never do.
        token: whether it gets that of ``<unk>`` after that. Not by default: models with and
            without one would answer different pairs.
        changed: the rules that were chosen otherwise than the protocol's name says.
    """

    name: str
    method: str
    analogy_words: int | None
    similarity_words: int | None
    fold: Callable[[str], str]
    folding: str
    oov: str = "skip"
    subwords: bool = True
    token: bool = False
    changed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Who scored by which protocol, and what was changed in it."""
        changed = f", changed in {' and '.join(self.changed)}" if self.changed else ""
        return f"embed {__version__}, protocol {self.name}{changed}"


# word2vec's compute-accuracy folds ASCII only; folding all of Unicode is the same on its file.
# It has no similarity test: pairs are looked up among all words there, as in fastText's eval.py.
PROTOCOLS = {
    "word2vec": Protocol("word2vec", "cosadd", 30_000, None, str.upper, "case folded"),
    "gensim": Protocol("gensim", "cosadd", 300_000, 300_000, str.upper, "case folded"),
}


def resolve(
    name: str,
    *,
    method: str | None = None,
    restrict: int | None = None,
    oov: str | None = None,
    subwords: bool = True,
    token: bool = False,
) -> Protocol:
    """The protocol called `name`, with what the other arguments say instead of its own rule.

    `restrict` is for analogies and similarity alike; 0 means all words.

    Raises:
        UsageError: there is no such protocol, method or rule.
    """
    base = PROTOCOLS[_known("protocol", name, tuple(PROTOCOLS))]
    protocol = replace(base, subwords=subwords, token=token)
    if method is not None:
        protocol = replace(protocol, method=_known("method", method, METHODS))
    if oov is not None:
        protocol = replace(protocol, oov=_known("oov rule", oov, OOV_RULES))
    if restrict is not None:
        if restrict < 0:
            raise UsageError(f"restrict is {restrict}; give 0 (all words) or more")
        words = restrict or None
        protocol = replace(protocol, analogy_words=words, similarity_words=words)
    names = {"method": "method", "oov": "oov", "analogy_words": "restrict"}
    names |= {"subwords": "subwords", "token": "unk"}
    changed = [
        option for rule, option in names.items() if getattr(protocol, rule) != getattr(base, rule)
    ]
    return replace(protocol, changed=tuple(changed))


def _known(what: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageError(f"no {what} {value!r}; there are {', '.join(choices)}")
    return value
