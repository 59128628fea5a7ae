"""The `embed` command: finds the subcommand, and turns whatever happens into an exit code.

A subcommand is imported when it is called, so that `embed --help` answers before NumPy could have
been loaded. Exit codes (each error in `errors.py` has its own):

    0 done, or the reader of stdout has gone    4 not enough memory, disk or open files
    1 a threshold was missed, or a fault        5 output cannot be written
      of embed itself                           6 training produced nothing usable
    2 usage or configuration                    7 somebody else writes the same output
    3 input that cannot be used                 129, 130, 143 SIGHUP, Ctrl-C, SIGTERM
"""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module

import click
from click.shell_completion import CompletionItem, shell_complete

from embedcli import __version__
from embedcli.cli.options import verbosity_options
from embedcli.cli.output import DataStream, Verbosity, discard, report_error, talk, warn
from embedcli.cli.signals import Terminated, ending, let_signals_kill, prepare_signals
from embedcli.errors import EmbedError, ResourceError
from embedcli.quoting import quoted
from embedcli.settings import synonyms

__all__ = ["COMMANDS", "embed", "main"]

_LEAST_ADDRESS_SPACE = 256 << 20
_LEAST_OPEN_FILES = 32  # 8 do for a small run; compiling ahead and preparing text take more
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)

# name: what it does. The command is `command` in the module embedcli.cli.<name>.
COMMANDS = {
    "train": "Train embeddings from text.",
    "neighbors": "Show the words nearest to a word.",
    "vectors": "Print the vectors of words, or of whole texts.",
    "analogy": "Answer: A is to B as C is to what?",
    "subwords": "Show the subwords of a word and their neighbours.",
    "odd": "Find the word that does not belong.",
    "explain": "Show why two words are near each other.",
    "shell": "Look words up at a prompt.",
    "cluster": "Cluster the words.",
    "plot": "Draw a map of the words, or loss curves.",
    "tune": "Search the number of dimensions and other settings.",
    "evaluate": "Score models on analogies, word similarity and tasks.",
    "classify": "Train a classifier of lines.",
    "predict": "Predict the labels of lines by a classifier.",
    "align": "Align two spaces, and measure translation between them.",
    "translate": "Show the nearest words of another model.",
    "diff": "Show the words that moved most between two models.",
    "export": "Convert a model to another format.",
    "info": "Describe a model and how it was trained.",
    "doctor": "Describe a text before it is trained on.",
    "vocab": "Count the words of a text.",
    "shard": "Count, encode and train the shards of a text, file by file.",
    "combine": "Combine the counts or changes of several shards.",
    "phrases": "Find phrases and join their words.",
    "verify": "Check every byte of a vector file.",
    "warm": "Compile the kernels that training needs.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"embedcli.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"embedcli.cli.{cmd_name}.command is no click command")
        # click leaves the lines of a paragraph alone that begins with a backspace, which a raw
        # docstring spells \b
        command.help = (command.help or "").replace("\\b\n", "\b\n")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            ours = synonyms.COMMANDS.get(args[0].replace("-", "").replace("_", "").lower())
            close = [ours] if ours else get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {quoted(args[0])}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, without importing any."""
        found = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See embed COMMAND --help. Durations are written 90s, 10m or 2h; sizes 500M or 2G.",
)
@click.version_option(__version__, prog_name="embed", message="%(prog)s %(version)s")
@verbosity_options
def embed() -> None:
    """Train word and item embeddings, look them up, score them, convert them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `embed` with `argv` (default: the process's arguments) and return the exit code."""
    level = Verbosity()
    try:
        _prepare_streams()
        prepare_signals()
        warnings.showwarning = _show_warning
        code = _run(list(sys.argv[1:] if argv is None else argv), level)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        return 0
    except (Exception, KeyboardInterrupt, Terminated) as error:
        let_signals_kill()
        code = _report(error, level)
        _hand_out_the_rest()
    return code


def _run(args: list[str], level: Verbosity) -> int:
    instruction = os.environ.get("_EMBED_COMPLETE")
    if instruction:
        return shell_complete(embed, {}, "embed", "_EMBED_COMPLETE", instruction)
    try:
        with embed.make_context("embed", args, obj=level) as context:
            _check_limits()
            _invoke(context)
    except click.exceptions.Exit as done:  # --help, --version and ctx.exit()
        return done.exit_code
    return 0


def _invoke(context: click.Context) -> None:
    """Run the command; click's parser does not say in which one an option lacks its value."""
    try:
        embed.invoke(context)
    except click.UsageError as error:
        name = context.invoked_subcommand
        if error.ctx is None and name is not None:
            error.ctx = click.Context(embed, parent=context, info_name=name)
        raise


def _check_limits() -> None:
    """Refuse limits that libraries would meet with messages of their own, or in the middle of work.

    Raises:
        ResourceError: with both numbers.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _LEAST_OPEN_FILES:
        raise ResourceError(
            f"embed needs {_LEAST_OPEN_FILES} open files, and no more than {files} are allowed: "
            "raise the limit (ulimit -n)"
        )
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise ResourceError(
            f"embed needs {_LEAST_ADDRESS_SPACE >> 20} MB of address space, and no more than "
            f"{limit >> 20} MB are allowed: raise the limit (ulimit -v)"
        )


def _prepare_streams() -> None:
    """Make all three standard streams exist, and data UTF-8 whatever the locale.

    Started with `2>&-`, the first file a program opens becomes its stderr, and messages land in the
    middle of a model. /dev/null takes the free number, opened the wrong way round for stdin and
    stdout, so that reading or writing there still fails as it should.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (open until the end)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    stdout = open(1, "wb", closefd=False)  # noqa: SIM115
    sys.stdout = DataStream(
        stdout, encoding="utf-8", errors="surrogateescape", line_buffering=stdout.isatty()
    )


def _show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Libraries' warnings in our form: one line on stderr, silent under -q."""
    warn(" ".join(str(message).split()))


def _hand_out_the_rest() -> None:
    """Flush what was printed before an error; that error is what the exit code tells of."""
    try:
        sys.stdout.flush()
    except (OSError, EmbedError):
        discard(sys.stdout)


def _report(error: BaseException, level: Verbosity) -> int:
    """Say what happened on one line, and return the exit code that stands for it."""
    if level.verbose >= 2:
        for line in "".join(traceback.format_exception(error)).splitlines():
            talk(line)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        for line in error.format_message().splitlines():
            talk(line)
        return 2
    code, message = _verdict(error)
    report_error("; ".join([message, *getattr(error, "__notes__", ())]))
    return code


def _verdict(error: BaseException) -> tuple[int, str]:
    match error:
        case EmbedError():
            return error.exit_code, str(error)
        case KeyboardInterrupt() | click.Abort():
            return 130, ending(signal.SIGINT)
        case Terminated():
            return 128 + error.number, ending(error.number)
        case click.NoSuchOption() if error.ctx is not None:
            hint = synonyms.hint(error.option_name, _options(error.ctx.command), dashes=True)
            path = error.ctx.command_path
            return 2, f"no option {quoted(error.option_name)}; {hint}".removesuffix(
                "; "
            ) + f" (see {path} --help)"
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "embed"
            return 2, f"{error.format_message()} (see {path} --help)"
        case click.ClickException():
            return error.exit_code, error.format_message()
        case OSError() if error.errno in _TOO_MANY_OPEN:
            return 4, f"{error.strerror}: raise the limit (ulimit -n)"
        case MemoryError():
            return 4, f"not enough memory: {error}".removesuffix(": ")
        case _:
            what = f"{type(error).__name__}: {error}"
            return 1, f"unforeseen {what} (-vv shows where; please report it)"


def _options(command: click.Command) -> list[str]:
    """The names of its options, the longest of each, as those of settings are written."""
    options = [each.opts for each in command.params if isinstance(each, click.Option)]
    return [max(names, key=len).lstrip("-").replace("-", "_") for names in options]
