"""`train`, `load` and `evaluate` as Python users call them.

Training and evaluation are imported when they are called: commands that only load do not wait for
the compiler.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli import embeddings as stored
from embedcli import formats
from embedcli.api.embeddings import Embeddings
from embedcli.api.token_lists import as_paths, config_for_lists, written_lists
from embedcli.errors import ConfigError
from embedcli.progress import OnProgress, ignore_progress
from embedcli.settings.config import TrainConfig
from embedcli.settings.reading import ReadingOptions
from embedcli.settings.synonyms import hint
from embedcli.vocabulary import Vocabulary

if TYPE_CHECKING:
    from embedcli.evaluation.report import Report

__all__ = ["evaluate", "load", "train"]

Text = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[Iterable[str]]


def train(
    text: Text,
    config: TrainConfig | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    given: stored.Embeddings | None = None,
    scratch: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    output: str | Path | Sequence[str | Path] = (),
    format: str | None = None,  # noqa: A002 (as in `formats.save`)
    resume: bool = False,
    checkpoint_every: float | None = 600.0,
    **settings: Any,
) -> Embeddings:
    r"""Train embeddings.

    ``config.arch`` chooses skip-gram or CBOW with negative sampling (Mikolov et al. 2013), or GloVe
    (Pennington et al. 2014). The context words of a skip-gram window share their negatives (Ji et
    al. 2016). With ``config.subword``, a word is the sum of its parts (Bojanowski et al. 2017). A
    GloVe vector is the sum of the word's and the context's vector.

    With `output` the run is as safe as ``embed train``: outputs are locked and checked before the
    work, checkpoints are kept beside the first output, and an interrupt saves one.

    Args:
        text: a file, glob or directory (with ``recursive``), or several; ``-`` is standard input.
            Or lists of words: any iterable of them, read once, also columns of pandas, polars,
            pyarrow and datasets. With `resume` it may be ``[]``.
        config: the settings; None means the defaults of `TrainConfig`. With `resume`, None means
            those of the checkpoint, and a config must agree with them.
        vocabulary: the words to train; None: those that the text holds ``config.min_count`` times.
        given: the content of the file of ``config.init`` or ``config.continue_from``, if it has
            been read already.
        scratch: the directory for temporary files, about 4 bytes a token. The default is that of
            the first output, or the system's.
        on_progress: called with `Progress` objects, about ten times a second.
        output: the file or files to write the model to; () writes none.
        format: the format of the outputs; None: each suffix decides.
        resume: continue from the newest checkpoint of `output`. A complete model is returned as it
            is. Without a checkpoint, the run starts from the beginning.
        checkpoint_every: seconds between checkpoints; None: only an interrupt saves one.
        settings: settings of `TrainConfig` by name, which change those of `config`: ``dim=300``.

    Returns:
        Embeddings with float32 (V, D) vectors, the output vectors if ``config.output_vectors``, and
        metadata: settings, seed, versions, corpus, timings in seconds, and the mean loss of each
        epoch. The metadata also holds the held-out text, the best epoch and the reason why training
        stopped, if they were asked for.

    Raises:
        ConfigError: there is no such setting, the given vectors do not have ``config.dim``
            dimensions, or the settings differ from those of the checkpoint.
        InputError: the given vectors cannot be used.
        CorpusError: the text cannot be read, is too short, or is not the one of the checkpoint.
        FormatError: the file of ``config.evaluate`` holds neither analogies nor similarities, or no
            checkpoint is sound.
        TrainingError: no word had a context to train with, the numbers diverged, or the time budget
            ended before training began.
        OutputError: `output` cannot be written.
        BusyError: another process writes `output`.
        UsageError: `output` is also an input, or arguments exclude each other.
        KeyboardInterrupt: the run was interrupted. With `output` it can be resumed.

    Example:
        >>> from pathlib import Path
        >>> text = "the cat sat on the mat\nthe dog sat on the log\n" * 50
        >>> _ = Path("corpus.txt").write_text(text)
        >>> config = embedcli.TrainConfig(dim=8, epochs=2, sample=0)
        >>> embeddings = embedcli.train(["corpus.txt"], config, output="model.safetensors")
        >>> embeddings, len(embeddings.metadata["epochs"])
        (Embeddings(7 words x 8), 2)
        >>> lists = [["the", "cat", "sat"], ["the", "dog", "sat"]] * 50
        >>> embedcli.train(lists, dim=8, min_count=1, sample=0)
        Embeddings(4 words x 8)
    """
    from embedcli.training import session
    from embedcli.training.callbacks import python_line

    if settings:
        config = _changed(config, settings)
    paths, lists = as_paths(text)
    resume_line = python_line
    with ExitStack() as stack:
        if lists is not None:
            resume_line = _same_lists
            config = config_for_lists(config or TrainConfig())
            place = written_lists(lists, config.separator, scratch)
            paths = [stack.enter_context(place)]
        return Embeddings.of(
            session.train(
                paths,
                config,
                vocabulary=vocabulary,
                given=given,
                scratch=scratch,
                on_progress=on_progress,
                output=output,
                format=format,
                resume=resume,
                checkpoint_every=checkpoint_every,
                resume_line=resume_line,
            )
        )


def _same_lists(sources: Sequence[str], outputs: Sequence[str]) -> str:
    """As `python_line`; the temporary file of the lists is gone by then."""
    return f"embedcli.train(the same lists, output={list(outputs)!r}, resume=True)"


def _changed(config: TrainConfig | None, settings: dict[str, Any]) -> TrainConfig:
    known = [field.name for field in fields(TrainConfig)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"there is no setting {name}; {hint(name, known)}")
    return replace(config or TrainConfig(), **settings)


def load(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 (as in `formats.load`)
    *,
    reading: ReadingOptions | None = None,
    **options: Any,
) -> Embeddings:
    """Read embeddings from a file or directory of any format, told by its content.

    Args:
        path: the file; may be a pipe or packed (gzip, bzip2, xz, zstd), but the formats that are
            mapped or sought in (safetensors, parquet, sqlite) must be plain files.
        format: the name of a format; None tells it by content.
        reading: what becomes of blemishes, and how much is read.
        options: the same by name: ``limit=100``, ``duplicates="first"``, ``encoding="latin-1"``;
            see `embedcli.settings.reading.ReadingOptions`.

    Raises:
        FormatError: the file is damaged, of no known format or holds no vectors.
        InputError: it cannot be read.
        UsageError: there is no format of that name, or an option is none of those possible.

    Example:
        >>> model = embedcli.Embeddings(["a", "b"], [[1.0, 2.0], [3.0, 4.0]])
        >>> model.save("two.vec")
        >>> embedcli.load("two.vec")["b"]
        array([3., 4.], dtype=float32)
    """
    if reading is not None:
        options["reading"] = reading
    return Embeddings.of(formats.load(path, format, **options))


def evaluate(
    embeddings: stored.Embeddings,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    **options: Any,
) -> list[Report]:
    r"""Score embeddings on files of analogies, similarities, categories or odd ones out.

    Args:
        embeddings: the model.
        paths: one file, or several.
        options: ``protocol``, ``method``, ``restrict`` and others; see `embedcli.evaluation`.

    Returns:
        A report for each file, in order, with `score` and what it is made of.

    Raises:
        FormatError: a file holds none of these.
        InputError: it cannot be read.
        UsageError: an option is none of those possible.

    Example:
        >>> from pathlib import Path
        >>> model = embedcli.Embeddings(["cat", "dog", "car"], [[1, 0], [0.8, 0.6], [0, 1]])
        >>> _ = Path("pairs.tsv").write_text("cat\tdog\t9\ndog\tcar\t3\ncat\tcar\t1\n")
        >>> embedcli.evaluate(model, "pairs.tsv")[0].score
        100.0
    """
    from embedcli import evaluation

    each = [paths] if isinstance(paths, str | os.PathLike) else paths
    return evaluation.evaluate(embeddings, [os.fspath(path) for path in each], **options)
