"""The shell of the command, in real processes: exit codes, signals, closed and full streams."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from embedcli.cli import main
from embedcli.cli.main import COMMANDS

# A command that does what tests ask of it, run by the real `main` in a process of its own.
PROBE = """
import sys, time, types, warnings
from importlib.machinery import ModuleSpec
import click
from embedcli import errors
from embedcli.cli import main as shell, options, output, progress_bar
from embedcli.progress import Progress

@click.command()
@click.argument("action")
@options.verbosity_options
def command(action):
    if action == "rows":
        output.echo_rows([(i, "row") for i in range(200_000)])
    elif action == "wait":
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            print("cleaned")
    elif action == "finaliser":
        class Late:
            def __del__(self):
                print("ready", flush=True)
                time.sleep(30)
        Late()
        time.sleep(30)
    elif action == "import":
        class Loader:
            @staticmethod
            def find_spec(name, *where):
                return ModuleSpec(name, Loader()) if name == "slow" else None
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                print("ready", flush=True)
                try:
                    time.sleep(0.3)
                except BaseException:
                    raise ImportError("slow failed to import") from None
        sys.meta_path.insert(0, Loader)
        import slow
        time.sleep(30)
    elif action == "interrupt":
        print("so far")
        raise KeyboardInterrupt
    elif action == "memory":
        raise MemoryError("Unable to allocate 3.7 TiB")
    elif action == "fault":
        raise RuntimeError("two\\nlines")
    elif action == "warning":
        warnings.warn("from a\\nlibrary")
        output.talk("talk")
        output.talk("more talk", at=1)
        output.talk("most talk", at=2)
        output.warn("careful")
    elif action == "progress":
        with progress_bar.show_progress() as show:
            for done in range(0, 101, 10):
                show(Progress("reading", done, None))
            for done in range(0, 101, 10):
                show(Progress("training", done, 100, epoch=1, loss=2.5, lr=0.05))
                time.sleep(0.04)
        output.echo("trained")
    elif action == "words":
        output.echo("caf\\u00e9 \\x1b[31m")
        output.echo(output.for_terminal("caf\\u00e9 \\x1b[31m"))
    elif action == "pipe":
        raise BrokenPipeError
    else:
        raise getattr(errors, action)("what is wrong")

sys.modules["embedcli.cli.probe"] = sys.modules[__name__]
shell.COMMANDS["probe"] = "Do as told."
sys.exit(shell.main(["probe", *sys.argv[1:]]))
"""


@pytest.fixture
def probe(command_environment, tmp_path):
    """Run the probe command; keywords go to `subprocess.run`."""

    def run(*args, **more):
        environment = command_environment | more.pop("env", {})
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        command = [sys.executable, "-c", PROBE, *args]
        return subprocess.run(command, env=environment, cwd=tmp_path, timeout=60, **more)

    return run


def shell(command, environment, cwd):
    """Run `command` in bash; `$EMBED` is the real command, `$PROBE` the probe."""
    names = {
        "EMBED": f"{sys.executable} -m embedcli",
        "PYTHON": sys.executable,
        "PROBE_TEXT": PROBE,
    }
    return subprocess.run(
        ["bash", "-c", command],
        env=environment | names,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_and_imports_nothing_heavy(run_embed):
    done = run_embed("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})

    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert 0 == done.returncode
    for name in ("train", "neighbors", "analogy", "evaluate", "export", "info", "vocab"):
        assert f"\n  {name} " in done.stdout
    assert set() == imported & {"numpy", "numba", "yaml", "tqdm", "fsspec", "platformdirs"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_compiles_nothing(run_embed, name):
    done = run_embed(name, "-h", env={"PYTHONPROFILEIMPORTTIME": "1"})

    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert 0 == done.returncode
    assert done.stdout.startswith(f"Usage: embed {name} ")
    assert f"\n      embed {name}" in done.stdout  # an example
    assert ("--json" in done.stdout) == (name not in ("shard", "combine"))  # which only write files
    assert set() == imported & {"numpy", "numba", "yaml", "tqdm", "fsspec"}


def test_version(run_embed):
    done = run_embed("--version")

    assert (0, "embed 0.1.0\n", "") == (done.returncode, done.stdout, done.stderr)


def test_no_arguments_show_the_help_and_are_a_usage_error(run_embed):
    done = run_embed()

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("Usage: embed ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "no command 'trian'; did you mean train? (see embed --help)"),
        (["neighbors", "-k"], "Option '-k' requires an argument. (see embed neighbors --help)"),
        (["zzz"], "no command 'zzz'; there are train, neighbors, "),
        (["--zzz"], "no option '--zzz'; there are --version, --quiet, --verbose (see"),
    ],
)
def test_usage_errors_are_one_line_and_2(run_embed, args, message):
    done = run_embed(*args)

    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert done.stderr.startswith(f"embed: error: {message}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ThresholdError", 1),
        ("UsageError", 2),
        ("ConfigError", 2),
        ("CorpusError", 3),
        ("FormatError", 3),
        ("UnknownWordError", 3),
        ("ResourceError", 4),
        ("OutputError", 5),
        ("TrainingError", 6),
        ("BusyError", 7),
    ],
)
def test_every_error_ends_with_its_exit_code_and_one_line(probe, error, code):
    done = probe(error)

    message = "unknown word 'what is wrong'" if error == "UnknownWordError" else "what is wrong"
    assert (code, f"embed: error: {message}\n") == (done.returncode, done.stderr)


def test_no_memory_is_4(probe):
    done = probe("memory")

    assert 4 == done.returncode
    assert "embed: error: not enough memory: Unable to allocate 3.7 TiB\n" == done.stderr


@pytest.mark.parametrize("n_files", [5, 6, 7, 31])
def test_too_few_open_files_are_one_line_and_4(run_embed, n_files):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, n_files))

    done = run_embed("info", "x.vec", preexec_fn=limit)
    assert (4, "") == (done.returncode, done.stdout)
    assert done.stderr == (
        f"embed: error: embed needs 32 open files, and no more than {n_files} are allowed: raise "
        "the limit (ulimit -n)\n"
    )


def test_files_that_run_out_later_are_no_fault():
    told = main._verdict(OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x"))
    assert (4, "Too many open files: raise the limit (ulimit -n)") == told


def test_an_unforeseen_error_is_one_line_and_1(probe):
    done = probe("fault")

    expected = (
        "embed: error: unforeseen RuntimeError: two lines (-vv shows where; please report it)\n"
    )
    assert (1, expected) == (done.returncode, done.stderr)


def test_vv_shows_the_traceback(probe):
    assert "Traceback" in probe("fault", "-vv").stderr
    assert "Traceback" not in probe("fault", "-v").stderr


def test_ctrl_c_is_130_and_keeps_what_was_printed(probe):
    done = probe("interrupt")

    assert (130, "so far\n") == (done.returncode, done.stdout)
    assert "embed: error: interrupted\n" == done.stderr


def struck(environment, action, number):
    """What a command says and ends with that gets a signal when it is ready for it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE, action],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_runs_the_finally_blocks(command_environment, number, code):
    done = struck(command_environment, "wait", number)

    assert (code, "cleaned\n") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("where", ["finaliser", "import"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_where_it_would_be_lost_is_raised_later_and_only_told_once(
    command_environment, number, code, where
):
    done = struck(command_environment, where, number)

    assert code == done.returncode
    assert done.stderr.startswith("embed: error: ")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_before_the_command_is_there_has_its_line(command_environment, number, code, line):
    text = f"""
import os, sys
from embedcli.__main__ import run
class Strike:
    def find_spec(self, name, *others):
        if name == "embedcli.cli.main":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Strike())
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", text], env=command_environment, capture_output=True, text=True
    )

    assert (code, "", f"embed: error: {line}\n") == (done.returncode, done.stdout, done.stderr)


def test_nohup_stays_nohup(command_environment, tmp_path):
    done = shell(
        """trap '' HUP; $PYTHON -c "$PROBE_TEXT" wait > out & sleep 1.5
        kill -HUP $!; sleep 0.2; kill -TERM $!; wait $!""",
        command_environment,
        tmp_path,
    )

    assert 143 == done.returncode


def test_a_closed_pipe_ends_quietly_with_0(command_environment, tmp_path):
    done = shell(
        """set -o pipefail; $PYTHON -c "$PROBE_TEXT" rows | head -1""",
        command_environment,
        tmp_path,
    )

    assert (0, "0\trow\n", "") == (done.returncode, done.stdout, done.stderr)


def test_help_into_a_closed_pipe_ends_quietly_with_0(command_environment, tmp_path):
    done = shell("$EMBED --help | true; echo ${PIPESTATUS[0]}", command_environment, tmp_path)

    assert ("0\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("command", ["$EMBED --help", '$PYTHON -c "$PROBE_TEXT" rows'])
@pytest.mark.parametrize(
    ("target", "reason"),
    [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")],
)
def test_a_stdout_that_cannot_be_written_is_5(
    command_environment, tmp_path, command, target, reason
):
    done = shell(f"{command} >{target}", command_environment, tmp_path)

    assert 5 == done.returncode
    assert f"embed: error: standard output cannot be written: {reason}\n" == done.stderr


@pytest.mark.parametrize("target", ["/dev/full", "&-"])
def test_a_stderr_that_cannot_be_written_changes_nothing(command_environment, tmp_path, target):
    for action, code in (("warning", 0), ("progress -v", 0), ("CorpusError", 3), ("fault", 1)):
        done = shell(f'$PYTHON -c "$PROBE_TEXT" {action} 2>{target}', command_environment, tmp_path)
        assert (action, code) == (action, done.returncode)


def test_no_stream_at_all_changes_nothing(command_environment, tmp_path):
    done = shell('$PYTHON -c "$PROBE_TEXT" warning <&- >&- 2>&-', command_environment, tmp_path)

    assert 0 == done.returncode


def test_quiet_and_verbose(probe):
    usual = "embed: warning: from a library\ntalk\nembed: warning: careful\n"

    assert usual == probe("warning").stderr
    assert "" == probe("warning", "-q").stderr
    assert usual.replace("talk\n", "talk\nmore talk\n") == probe("warning", "-v").stderr
    assert "most talk\n" in probe("warning", "-vv").stderr
    assert "most talk\n" in probe("warning", "-v", "-v").stderr


def test_quiet_does_not_silence_errors(probe):
    assert "embed: error: what is wrong\n" == probe("CorpusError", "-q").stderr


def test_data_is_utf8_whatever_the_locale(probe):
    done = probe("words", env={"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}, encoding="utf-8")

    assert "café \x1b[31m\n" * 2 == done.stdout


def on_a_terminal(arguments, environment, *, hang_up=False):
    """Run with stdout and stderr on a pseudo-terminal; return exit code and what it showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    environment = environment | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    if not hang_up:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other end has gone
                break
            if not piece:
                break
            shown += piece
    else:
        time.sleep(0.3)
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_a_terminal_shows_progress_with_rate_loss_and_learning_rate(command_environment):
    code, shown = on_a_terminal(["progress"], command_environment)

    assert 0 == code
    bar = r"training: +\d+%\|.* [\d.]+ words/s, epoch 1, loss 2.5000 while training, lr 0.0500"
    assert re.search(bar, shown)
    assert "trained" in shown


def test_no_terminal_no_progress(probe):
    done = probe("progress")

    assert (0, "trained\n", "") == (done.returncode, done.stdout, done.stderr)


def test_verbose_says_progress_in_lines_where_there_is_no_terminal(probe):
    done = probe("progress", "-v")

    assert "reading\ntraining 0%, epoch 1, loss 2.5000 while training, lr 0.0500\n" == done.stderr


def test_a_terminal_that_goes_away_ends_nothing_by_its_bar(command_environment, tmp_path):
    code, _ = on_a_terminal(["progress", "-q"], command_environment, hang_up=True)

    assert 5 == code  # stdout went with the terminal; the run itself came to its end


def test_words_cannot_command_a_terminal(command_environment):
    _, shown = on_a_terminal(["words"], command_environment)

    assert "café \\x1b[31m\r\n" in shown


@pytest.mark.parametrize(("no_color", "colored"), [("1", False), ("", True)])
def test_no_color_is_honoured(command_environment, no_color, colored):
    _, shown = on_a_terminal(["CorpusError"], command_environment | {"NO_COLOR": no_color})

    assert colored == ("\x1b[1;31m" in shown)


def test_completion_offers_commands_without_importing_them(run_embed):
    done = run_embed(
        env={"_EMBED_COMPLETE": "bash_complete", "COMP_WORDS": "embed e", "COMP_CWORD": "1"}
    )

    assert "plain,explain\nplain,evaluate\nplain,export\n" == done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("embed train --arch cb", "plain,cbow\n"),
        ("embed train --config co", "file,co\n"),
        ("embed neighbors --model mo", "file,mo\n"),
        ("embed train --shrink", "plain,--shrink-window\n"),
    ],
)
def test_completion_of_options_and_their_values(run_embed, words, expected):
    done = run_embed(
        env={"_EMBED_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
        | ({"COMP_CWORD": "2"} if words.count(" ") == 2 else {})
    )

    assert (expected, "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(run_embed, name):
    done = run_embed(env={"_EMBED_COMPLETE": f"{name}_source"})

    assert 0 == done.returncode
    assert "_EMBED_COMPLETE" in done.stdout
