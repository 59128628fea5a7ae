"""`embed shell`: a prompt for look-ups, with completion of words and a history.

The model is opened once. On a terminal Python's readline edits lines, completes words by the
model's vocabulary with Tab, and keeps a history in the user's state directory; from a pipe it
reads the same lines, prints the same answers and no prompt.
"""

from __future__ import annotations

import contextlib
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import DEFAULT_MODEL, json_option, verbosity_options
from embedcli.cli.output import echo, echo_json, echo_rows, report_error, talk
from embedcli.cli.signals import heard
from embedcli.cli.unknown import fallback_options, say_answered
from embedcli.errors import EmbedError, UsageError
from embedcli.files.watch import Watch
from embedcli.quoting import escaped

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.lookup.out_of_vocabulary import Fallbacks
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]

_HELP = """\
king                 the words nearest to king
king - man + woman   the words nearest to a sum
man : king :: woman  man is to king as woman is to what?
cat ~ dog            how similar they are: the cosine
odd cat dog spoon    the word that does not belong
k 20                 show 20 answers from now on
help, quit           this; leave (also Ctrl-D)"""
_MOST_COMPLETIONS = 100
_HISTORY_LINES = 1000


@click.command()
@click.argument("model", default=DEFAULT_MODEL, envvar="EMBED_MODEL")
@number_option("-k", default=10, text="Answers per question.")
@fallback_options
@reading_options
@json_option
@verbosity_options
def command(
    model: str, k: int, fallbacks: Fallbacks, reading: ReadingOptions, as_json: bool
) -> None:
    r"""Look words up at a prompt: neighbours, sums, analogies, similarity, the odd one out.

    \b
        embed shell model.safetensors
        > king - man + woman
        > man : king :: woman
        > cat ~ dog
        > odd breakfast cereal dinner lunch

    Tab completes words; the arrow keys recall earlier lines. From a pipe, the command answers line
    by line. A line that cannot be answered is an error on stderr, and the exit code is 3. --json
    prints one object per line: the question, and answers, a list of word and cosine, or cosine.

    A word that is not in the vocabulary is looked up by its subwords, another spelling of its case
    or <unk>. A message on stderr says so, and answered_by in JSON.
    """
    import embedcli

    watch = Watch(model)
    shell = _Shell(embedcli.load(model, reading=reading), k, fallbacks, as_json, watch)
    if sys.stdin.isatty():
        talk(f"{model}: {len(shell.embeddings):,} words x {shell.embeddings.dim}; help, quit")
        with _editing(shell.embeddings.vocabulary.words):
            shell.run(_typed())
    elif shell.run(line.rstrip("\r\n") for line in sys.stdin):
        click.get_current_context().exit(3)


class _Shell:
    """The questions, and how many answers they get."""

    def __init__(
        self, embeddings: Embeddings, k: int, fallbacks: Fallbacks, as_json: bool, watch: Watch
    ) -> None:
        self._watch = watch
        self.embeddings = embeddings
        self.k = k
        self.fallbacks = fallbacks
        self.as_json = as_json

    def run(self, lines: Iterator[str]) -> int:
        """Answer line by line; returns how many could not be answered."""
        n_failed = 0
        for line in lines:
            if line.strip() in ("quit", "exit"):
                break
            try:
                self.answer(line.strip())
            except EmbedError as error:
                report_error(str(error))
                n_failed += 1
            sys.stdout.flush()
        return n_failed

    def answer(self, line: str) -> None:
        """Answer one line.

        Raises:
            EmbedError: it is no question, holds a word the model does not, or the model has
                changed.
        """
        words = line.split()
        if not words:
            return
        self._watch.check()
        if words == ["help"]:
            echo(_HELP)
        elif words[0] == "k" and len(words) == 2 and re.fullmatch("[1-9][0-9]{0,8}", words[1]):
            self.k = int(words[1])
        elif words[0] == "odd" and len(words) > 2 and not {"+", "-"} & set(words):
            self._odd(words)
        elif "~" in words:
            self._similarity(words)
        elif "::" in words:
            self._analogy(words)
        else:
            self._sum(words)

    def _odd(self, words: Sequence[str]) -> None:
        from embedcli.lookup.query import odd_one_out

        asked = list(dict.fromkeys(words[1:]))
        if len(asked) < 3:
            raise UsageError("three different words or more: odd cat dog spoon")
        self._show(words, asked, odd_one_out(self.embeddings, asked, fallbacks=self.fallbacks))

    def _similarity(self, words: Sequence[str]) -> None:
        from embedcli.lookup.query import cosine_table

        if len(words) != 3 or words[1] != "~":
            raise UsageError("two words with ~ between them: cat ~ dog")
        asked = words[0], words[2]
        cosine = float(cosine_table(self.embeddings, asked, fallbacks=self.fallbacks)[0, 1])
        answered = self._answered(asked)
        if self.as_json:
            echo_json({"question": " ".join(words), "cosine": cosine} | answered)
        else:
            echo(f"{cosine:.4f}")

    def _analogy(self, words: Sequence[str]) -> None:
        from embedcli.lookup.query import analogy

        if len(words) != 5 or (words[1], words[3]) != (":", "::"):
            raise UsageError("an analogy is written man : king :: woman")
        asked = words[0], words[2], words[4]
        self._show(words, asked, analogy(self.embeddings, asked, self.k, fallbacks=self.fallbacks))

    def _sum(self, words: Sequence[str]) -> None:
        """Words with + and - before or between them; two words without a sign are a sum."""
        from embedcli.lookup.query import Query, neighbors

        added: list[str] = []
        taken: list[str] = []
        sign = "+"
        for word in words:
            if word in ("+", "-"):
                sign = word
                continue
            (taken if sign == "-" else added).append(word)
            sign = "+"
        if words[-1] in ("+", "-"):
            raise UsageError(f"no word behind the last {words[-1]}; help shows what can be asked")
        query = Query(tuple(added), tuple(taken))
        found = neighbors(self.embeddings, [query], self.k, fallbacks=self.fallbacks)[0]
        self._show(words, query.words, found)

    def _show(
        self, question: Sequence[str], asked: Sequence[str], answers: Sequence[tuple[str, float]]
    ) -> None:
        answered = self._answered(asked)
        if self.as_json:
            listed = [{"word": word, "cosine": cosine} for word, cosine in answers]
            echo_json({"question": " ".join(question), "answers": listed} | answered)
        else:
            echo_rows([(word, score) for word, score in answers])

    def _answered(self, asked: Sequence[str]) -> dict[str, Any]:
        """Say how words that are not in the vocabulary were answered; what JSON says of it."""
        from embedcli.lookup.out_of_vocabulary import resolve

        answered = resolve(self.embeddings, asked, self.fallbacks).answered()
        say_answered(answered)
        return {"answered_by": answered} if answered else {}


def _typed() -> Iterator[str]:
    while True:
        try:
            yield input("> ")
        except EOFError:
            echo("")
            return
        except KeyboardInterrupt:  # as other prompts: forget the line, not the session
            heard()
            echo("")


@contextlib.contextmanager
def _editing(words: Sequence[str]) -> Iterator[None]:
    """Readline with completion and history, where Python has it."""
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_completer(_completer(sorted(words)))
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    history = _history_file()
    with contextlib.suppress(OSError):  # the first time there is none
        readline.read_history_file(history)
    try:
        yield
    finally:
        readline.set_history_length(_HISTORY_LINES)
        with contextlib.suppress(OSError):  # a home that cannot be written
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _completer(words: Sequence[str]) -> Callable[[str, int], Any]:
    """The words, sorted, that begin with a text; as readline asks for them, one after the other.

    Not those that hold a space, at which readline cuts, or what a terminal would obey, as readline
    shows completions as they are.
    """
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            first = bisect_left(words, text) if text else len(words)
            near = takewhile(lambda word: word.startswith(text), islice(words, first, None))
            typed = (word for word in near if re.fullmatch(r"\S+", word) and escaped(word) == word)
            found[:] = islice(typed, _MOST_COMPLETIONS)
        return found[state] if state < len(found) else None

    return complete


def _history_file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("embed") / "shell-history"
