"""The outputs of a run: their formats, and what is found out about them before the work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embedcli import formats
from embedcli.errors import InputError, OutputError, UsageError
from embedcli.files.locks import lock_path
from embedcli.files.publish import check_writable
from embedcli.files.targets import is_plain, real_path
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import TrainConfig
from embedcli.training.checkpoint import checkpoint_directory
from embedcli.training.distinct_files import files_of, keep_apart
from embedcli.training.metrics import check_metrics

__all__ = ["Finished", "Target", "check_outputs", "find_targets", "scratch_directory"]

Target = tuple[str, str]  # an output and its format


class Finished:
    """The model that lies where a run writes that was not told where to.

    It is replaced only by one of the same text.

    Raises:
        OutputError: what lies there does not say which text it was trained on.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            metadata = formats.load(path).metadata
        except InputError as error:
            raise self._kept("is there already, and cannot be read as a model") from error
        corpus = metadata.get("corpus")
        if not isinstance(corpus, Mapping) or "sha256" not in corpus:
            raise self._kept("is there already, and does not say which text it was trained on")
        self._corpus, self._settings = corpus, metadata.get("settings", {})

    def check(self, n_bytes: int, digest: str) -> None:
        """Refuse a text, of so many bytes and with this digest, that the model was not trained on.

        Raises:
            OutputError: it is another.
        """
        if digest == self._corpus["sha256"]:
            return
        before = f"{self._corpus.get('n_bytes', 0):,} bytes, sha256 {self._corpus['sha256'][:12]}"
        raise self._kept(
            f"was trained on another text ({before}; this one has {n_bytes:,}, {digest[:12]})"
        )

    def differences(self, config: TrainConfig) -> list[str]:
        """The settings that were others, apart from those that decide nothing of the result."""
        now: dict[str, Any] = config.as_dict()
        names = [name for name in now if name not in used_by("resume")]
        return [name for name in names if self._settings.get(name, now[name]) != now[name]]

    def _kept(self, what: str) -> OutputError:
        return OutputError(
            f"{self._path} {what}: name another output with -o, or replace it with -o {self._path}"
        )


def find_targets(outputs: Sequence[str], to: str | None) -> list[Target]:
    """Each output and its format, the native one first: what was trained is safe before exports.

    Raises:
        UsageError: there is no format `to`, or the suffix of an output means none.
    """
    if to is not None and to not in formats.WRITTEN:
        raise UsageError(f"there is no format {to!r}; there are {', '.join(formats.WRITTEN)}")
    named = [(output, to or formats.format_for_path(output)) for output in outputs]
    return sorted(named, key=lambda target: target[1] != "safetensors")


def check_outputs(
    targets: Sequence[Target],
    config: TrainConfig,
    sources: Sequence[str],
    named: Iterable[str] = (),
) -> None:
    """Find out before the work what would fail after it.

    Args:
        targets: the outputs.
        config: the settings.
        sources: the text.
        named: further files that may be read.

    Raises:
        UsageError: an output is also an input, or kept beside another output.
        OutputError: an output cannot be written.
        EmbedError: its format cannot hold what will be trained.
    """
    _keep_apart(targets, config, sources, named)
    for output, name in targets:
        formats.check_target(output, name)
        formats.check_contents(name, units=config.subword_kind)
    if config.metrics:
        check_writable(config.metrics)
        check_metrics(config.metrics)


def _keep_apart(
    targets: Sequence[Target], config: TrainConfig, sources: Sequence[str], named: Iterable[str]
) -> None:
    """Refuse outputs that meet inputs, or what is kept beside outputs."""
    outputs = [output for output, _ in targets]
    plain = [output for output in outputs if is_plain(output)]
    beside = {lock_path(os.path.realpath(output)) for output in plain}
    beside |= {str(checkpoint_directory(output)) for output in plain[:1]}
    others = [*filter(None, (config.metrics,)), *sorted(beside)]
    written, read, named = [*outputs, *others], files_of(config), list(named)
    keep_apart(written, read, named=named, texts=sources, recursive=config.recursive)
    if config.continue_from:
        keep_apart(others, [config.continue_from], named=named)


def scratch_directory(output: str) -> str | None:
    """The encoded corpus goes beside the model: /tmp is often memory. TMPDIR wins."""
    if os.environ.get("TMPDIR") or not is_plain(output):
        return None
    return str(real_path(output).parent)
