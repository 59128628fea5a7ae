"""A run that writes files: checks before, checkpoints during, outputs at the end.

`embed train` and `embedcli.train(..., output=...)` are both such a session. What only one of them
does, such as handling signals or printing a setup, it passes in as `Callbacks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError, OutputError, TrainingError, UsageError
from embedcli.files.locks import locked
from embedcli.files.targets import is_plain
from embedcli.formats.vocab import read_words
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.reading import ReadingOptions
from embedcli.settings.text_rules import TextRules
from embedcli.settings.values import Value
from embedcli.text.corpus import Corpus
from embedcli.text.prose import choice_line, settled
from embedcli.training import trainer
from embedcli.training.callbacks import Callbacks, LocalTrainer, Setup, Trainer, python_line
from embedcli.training.checkpoint import Checkpoint, Checkpoints, checkpoint_directory, completed
from embedcli.training.continuing import kept_subwords, read_pretrained
from embedcli.training.outputs import (
    Finished,
    Target,
    check_outputs,
    find_targets,
    scratch_directory,
)
from embedcli.training.precompile import Precompiler
from embedcli.training.resuming import (
    arguments_of,
    check_complete,
    find_checkpoint,
    settings_of,
)
from embedcli.training.trainer import RunControl, Stopped, never
from embedcli.vocabulary import Vocabulary

__all__ = ["Session", "train"]


@dataclass
class Session:
    """One run, and the state of its safety.

    Attributes:
        sources: the text; with `run`'s ``resume`` none: that of the checkpoint.
        targets: the outputs (`find_targets`); checkpoints are beside the first that is a file.
        outputs: their names, as the caller ordered them.
        config: resolved settings.
        chosen: those of them that the caller chose; a checkpoint may not contradict them.
        every: seconds between checkpoints; None: none but the last.
        vocabulary: words to train; `vocab_file`: the file they are from.
        pretrained: what the file of ``config.init`` or ``config.continue_from`` holds.
        reading: how such a file is read that a checkpoint names.
        named: further files that may be read, which no output may replace.
        trainer: what trains.
        callbacks: what is told to the caller.
        scratch: a directory for temporary files; None: beside the first output.
        precompiler: another process that compiles already what trains.
        began: `time.perf_counter` when the work began.
        spares: whether a model of another text that lies at the first output stays there.
        was_complete: whether there was nothing to do.
    """

    sources: Sequence[str]
    targets: Sequence[Target]
    outputs: Sequence[str]
    config: TrainConfig
    chosen: Mapping[str, Value]
    every: float | None = 600.0
    vocabulary: Vocabulary | None = None
    vocab_file: str | None = None
    pretrained: Embeddings | None = None
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    named: Iterable[str] = ()
    trainer: Trainer = field(default_factory=LocalTrainer)
    callbacks: Callbacks = field(default_factory=Callbacks)
    scratch: str | None = None
    precompiler: Precompiler | None = None
    began: float = field(default_factory=time.perf_counter)
    spares: bool = False
    was_complete: bool = field(default=False, init=False)
    _finished: Finished | None = field(default=None, init=False)
    _has_begun: bool = field(default=False, init=False)  # to train
    _trained: Embeddings | None = field(default=None, init=False)

    @property
    def plain_targets(self) -> list[Target]:
        """The outputs that are files or directories, not pipes or devices."""
        return [target for target in self.targets if is_plain(target[0])]

    def run(self, *, resume: bool) -> Embeddings:
        """Train, or go on training, and write every output; the outputs have to be locked.

        Raises:
            EmbedError: what `trainer.train`, `formats.save` and checkpoints raise, with a note on
                how to go on.
            KeyboardInterrupt: or what else ended the run; likewise.
        """
        if resume and (complete := self._complete()):
            return complete
        for _, name in self.targets:
            formats.check_contents(name, self.vocabulary)
        checkpoints, resumed = self._checkpoints(), None
        say, warn = self.callbacks.say, self.callbacks.warn
        if checkpoints is not None:
            resumed = find_checkpoint(checkpoints, resume=resume, say=say, warn=warn)
        elif resume:
            raise UsageError("--resume needs an output that is a file: give one with -o")
        if resumed is not None and checkpoints is not None:
            self._go_on(resumed, checkpoints)
        if self.pretrained is None:  # the checkpoint knows what the run began with
            settings = self.config.as_dict()
            _, self.pretrained = read_pretrained(self.config, settings, self.reading)
        if not self.sources:
            raise UsageError(f"there is no checkpoint for {self.outputs[0]}, and no text is named")
        if resumed is not None:
            check_outputs(self.targets, self.config, self.sources, self.named)
        elif self.spares and self.outputs[0] != self.config.continue_from:
            self._finished = Finished(self.outputs[0]) if Path(self.outputs[0]).exists() else None
        try:
            embeddings = self._train(checkpoints, resumed)
            self._write(embeddings, checkpoints)
        except BaseException as error:
            if isinstance(error, EmbedError | MemoryError) or not isinstance(error, Exception):
                self.callbacks.interrupted()
                self._keep(error, checkpoints)
            raise
        return embeddings

    def _complete(self) -> Embeddings | None:
        """The model that is there already, if the run is complete and every output is there."""
        names = [output for output, name in self.plain_targets if name == "safetensors"]
        if not names or not all(Path(output).exists() for output, _ in self.targets):
            return None
        if any(checkpoint_directory(self.plain_targets[0][0]).glob("*.safetensors")):
            return None
        model = check_complete(names[0], self.chosen, self.sources, self.callbacks.digest)
        self.was_complete = True
        self.callbacks.say(f"{names[0]} is complete: nothing to do")
        return model

    def _checkpoints(self) -> Checkpoints | None:
        """Where checkpoints go: beside the first output that is a file."""
        if not self.plain_targets:
            return None
        directory = checkpoint_directory(self.plain_targets[0][0])
        asked = arguments_of(self.config, self.sources, self.vocab_file)
        checkpoints = Checkpoints(directory, self.every, asked)
        checkpoints.check()
        return checkpoints

    def _go_on(self, resumed: Checkpoint, checkpoints: Checkpoints) -> None:
        """Take from a checkpoint what it says of the run."""
        self.trainer.check_resumed(resumed)
        before = {**resumed.arguments["settings"], **self.chosen}
        config = settings_of(resumed, self.chosen, self.vocabulary)
        self.config = config = self.trainer.resolve(config, before)
        if resumed.embeddings is not None:
            self.vocabulary = resumed.embeddings.vocabulary
        elif self.vocabulary is None and resumed.arguments.get("vocab_file"):
            self.vocab_file = str(resumed.arguments["vocab_file"])
            self.vocabulary = read_words(self.vocab_file, spaced=config.items)
        self.sources = self.sources or tuple(resumed.arguments["sources"])
        checkpoints.arguments = arguments_of(config, self.sources, self.vocab_file)

    def _train(self, checkpoints: Checkpoints | None, resumed: Checkpoint | None) -> Embeddings:
        saved = None if resumed is None else resumed.embeddings
        if resumed is not None and resumed.is_complete and saved is not None:
            self._trained = saved
            return saved
        callbacks, asked = self.callbacks, self.config
        self._settle(settled(self.sources, asked, recursive=asked.recursive), checkpoints)
        config = self.config
        scratch = self.scratch or scratch_directory(self.outputs[0])
        setup = Setup(
            self.sources,
            config,
            self.vocabulary,
            kept_subwords(self.pretrained, config) if saved is None else saved.subwords,
            self.plain_targets,
            checkpoints is not None,
            None if scratch is None else Path(scratch),
        )

        def before_training(corpus: Corpus, facts: Mapping[str, Any] | None) -> None:
            for _, name in self.targets:
                formats.check_contents(name, corpus.vocabulary, config.subword_kind)
            self._settle(corpus.rules, checkpoints)
            if self._finished is not None:
                self._finished.check(corpus.tally.n_bytes, corpus.digest)
                if changed := self._finished.differences(self.config):
                    names = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
                    callbacks.say(
                        f"{self.outputs[0]}, of the same text with other settings ({names}), will "
                        "be replaced"
                    )
            callbacks.before_training(setup, corpus, facts)

        control = RunControl(
            checkpoints,
            resumed,
            self._deferred,
            before_training,
            self.began,
            self.precompiler,
            keeps_interrupted=callbacks.deferred is None,
        )
        callbacks.before_reading(setup)
        with callbacks.show_progress() as on_progress:
            try:
                self._trained = self.trainer.train(
                    self.sources,
                    asked,  # which says what nobody chose, and may be worth a warning
                    vocabulary=self.vocabulary,
                    pretrained=self.pretrained,
                    scratch=scratch,
                    on_progress=on_progress,
                    control=control,
                )
            except Stopped:
                callbacks.raise_deferred()
                raise
        callbacks.raise_deferred()  # what came when there was nothing left to stop
        return self._trained

    def _settle(self, found: TextRules, checkpoints: Checkpoints | None) -> None:
        """Note and say what the text has settled of the rules that it is read by."""
        asked, self.config = self.config, self.config.settled_as(found)
        if checkpoints is not None and self.config != asked:
            settings = {"settings": self.config.as_dict()}
            checkpoints.arguments = {**checkpoints.arguments, **settings}
        if line := choice_line(asked, self.config):
            self.callbacks.say(line)

    @contextmanager
    def _deferred(self) -> Iterator[Callable[[], bool]]:
        with (self.callbacks.deferred or never)() as stopping:
            self._has_begun = True
            yield stopping

    def _write(self, embeddings: Embeddings, checkpoints: Checkpoints | None) -> None:
        """Write every output; what was trained is safe on disk before it is converted."""
        is_safe = self.targets[0][1] == "safetensors" or self.every is None
        if checkpoints is not None and not is_safe:
            self._save_trained(checkpoints)
        for output, name in self.targets:
            formats.save(embeddings, output, name)
            for lack in formats.left_out(embeddings, name):
                self.callbacks.say(f"{output}: {lack}")
        if checkpoints is not None:
            checkpoints.remove()

    def _save_trained(self, checkpoints: Checkpoints) -> None:
        if self._trained is not None:
            checkpoints.save(self._trained, completed(self._trained))

    def _keep(self, error: BaseException, checkpoints: Checkpoints | None) -> None:
        """Save what the end of this run would lose, and say how to go on."""
        if checkpoints is None:
            return
        try:
            if self._trained is not None:
                self._save_trained(checkpoints)
            elif not (isinstance(error, Exception) or self._has_begun or checkpoints.has_any()):
                checkpoints.save()
        except OutputError as second:
            error.add_note(f"no checkpoint could be saved: {second}")
        if not checkpoints.has_any():
            return
        if isinstance(error, TrainingError):
            error.add_note(f"checkpoints from before are in {checkpoints.directory}")
        elif isinstance(error, FormatError) and self._trained is not None:  # no second try helps
            newest = checkpoints.newest_file()
            error.add_note(f"what was trained is in {newest}: embed export {newest} OTHER")
        else:
            error.add_note(f"go on with: {self.callbacks.resume_line(self.sources, self.outputs)}")


def train(
    paths: Sequence[str | Path],
    config: TrainConfig | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    given: Embeddings | None = None,
    scratch: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    output: str | Path | Sequence[str | Path] = (),
    format: str | None = None,  # noqa: A002 (as in `formats.save`)
    resume: bool = False,
    checkpoint_every: float | None = 600.0,
    resume_line: Callable[[Sequence[str], Sequence[str]], str] = python_line,
) -> Embeddings:
    """What `embedcli.train` does with the paths of a text; see there for its arguments.

    `resume_line` says how to go on with an interrupted run, from its sources and outputs.
    """
    texts = [str(path) for path in paths]
    outputs = [str(path) for path in ([output] if isinstance(output, str | Path) else output)]
    if not outputs:
        if resume:
            raise UsageError("resume needs an output: its checkpoint is what a run goes on from")
        return trainer.train(
            texts,
            config,
            vocabulary=vocabulary,
            pretrained=given,
            scratch=scratch,
            on_progress=on_progress,
        )
    settings = (config or TrainConfig()).resolve()
    targets = find_targets(outputs, format)
    check_outputs(targets, settings, texts)
    session = Session(
        texts,
        targets,
        outputs,
        settings,
        {} if config is None else settings.as_dict(),
        checkpoint_every,
        vocabulary,
        pretrained=given,
        callbacks=Callbacks(
            show_progress=lambda: nullcontext(on_progress), resume_line=resume_line
        ),
        scratch=None if scratch is None else str(scratch),
    )
    with locked(outputs):
        return session.run(resume=resume)
