"""Does a task get better with the vectors? The same classifier on several kinds of features.

A probe is a logistic regression (scikit-learn) on features from a model, on one-hot features (bag
of words), or, for texts, on both together: same training file, same test file, same choice of the
penalty (the best of `PENALTIES` by accuracy on the last tenth of the training file, trained on at
most `_TRIAL` examples or tokens before it, fewer where there are many labels, as the time of a fit
is in proportion to both; then trained on the whole file).
Dense columns are scaled to unit variance. Texts are scored by accuracy and macro F1, tagged
sentences by the F1, precision and recall of entities (`entities.py`). Intervals come from
resampling the test examples, or sentences; a gain is the difference to one-hot, or where that is
turned off to the first model, on the same resamples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, MissingExtraError
from embedcli.evaluation.bootstrap import resampled
from embedcli.evaluation.entities import tally
from embedcli.evaluation.features import Lookup, OneHot, shapes
from embedcli.evaluation.report import Gain, Part, Report
from embedcli.evaluation.tasks import Examples, Sentences, read_task
from embedcli.lookup.out_of_vocabulary import Fallbacks

__all__ = ["ONE_HOT", "PENALTIES", "probe"]

PENALTIES: Final = (0.1, 1.0, 10.0)  # scikit-learn's C
ONE_HOT: Final = "one-hot"
_ITERATIONS: Final = 100
_TRIAL: Final = 15_000
_TRIAL_CELLS: Final = 400_000  # examples times labels of a trial
_HELD_OUT: Final = 0.1


def probe(
    models: Mapping[str, Embeddings],
    training: str,
    test: str,
    *,
    one_hot: bool = True,
    fallbacks: Fallbacks | None = None,
    encoding: str | None = None,
    bootstrap: int = 1000,
    seed: int = 1,
) -> list[Report]:
    """Train and score every kind of features on one task.

    Args:
        models: by name.
        training: the file to train on; label<TAB>text, fastText labels or CoNLL columns.
        test: the file to score on.
        one_hot: score one-hot features too, and gains over them; else over the first model.
        fallbacks: for tokens that a model holds in neither case; by subwords by default.
        encoding: what the files are encoded in, where no byte order mark says it; UTF-8 if None.
        bootstrap: resamples for the intervals; 0 for none.
        seed: of the resampling.

    Returns:
        One-hot, then each model alone and, for texts, beside one-hot. The facts of a report are
        ``columns``, how many numbers describe an example; ``unknown``, the share of the tokens of
        which the model knows nothing; ``subwords``, the share of those that it does not hold and
        answers by their subwords or ``<unk>``; and ``penalty``, scikit-learn's C. The first part
        is the score of the task.

    Raises:
        FormatError: the files are not of one kind, or are damaged.
        MissingExtraError: scikit-learn is not installed.
    """
    _require_sklearn()
    first, second = read_task(training, encoding), read_task(test, encoding)
    if len(set(_labels(first))) < 2:
        raise FormatError(
            f"{training}: all examples have the same label; there is nothing to learn"
        )
    for path, read in ((training, first), (test, second)):
        if not any(read.tokens):
            raise FormatError(f"{path}: not a single token in its texts")
    if isinstance(first, Sentences) and isinstance(second, Sentences):
        task: _Texts | _Tags = _Tags(first, second)
    elif isinstance(first, Examples) and isinstance(second, Examples):
        task = _Texts(first, second)
    else:
        raise FormatError(f"{training} and {test} are not of one kind: labels and CoNLL columns")
    runs = []
    if one_hot:
        hot = OneHot(first.tokens)
        sparse = task.features(hot)
        runs.append(_run(task, ONE_HOT, sparse))
    for name, embeddings in models.items():
        lookup = Lookup(embeddings, fallbacks)
        dense = _scaled(task.features(lookup))
        runs.append(_run(task, name, dense, lookup))
        # 300 dense columns in a sparse matrix of tokens take minutes
        if one_hot and isinstance(task, _Texts):
            runs.append(_run(task, f"{ONE_HOT} + {name}", _beside(sparse, dense), lookup))
    if one_hot and hot.left_out:
        more = f", one-hot without the {hot.left_out:,} rarest tokens of the training file"
    else:
        more = ""
    line = task.protocol(bootstrap, seed) + more
    reports = _reports(task, test, line, runs, bootstrap, seed)
    return [
        replace(report, model=report.subject)
        if report.subject in models
        else replace(report, is_baseline=True)
        for report in reports
    ]


def _labels(task: Examples | Sentences) -> Sequence[str]:
    return task.labels if isinstance(task, Examples) else [t for tags in task.tags for t in tags]


@dataclass(frozen=True)
class _Run:
    features: str
    columns: int
    lookup: Lookup | None
    penalty: float
    guesses: Sequence[Any]


class _Texts:
    """Classification."""

    names = ("accuracy", "macro_f1")

    def __init__(self, training: Examples, test: Examples) -> None:
        self.training, self.test = training, test
        self.labels = training.labels
        self._kinds = sorted({*training.labels, *test.labels})

    def features(self, source: Lookup | OneHot) -> tuple[Any, Any]:
        return source.texts(self.training.tokens), source.texts(self.test.tokens)

    def counts(self, guesses: Sequence[str]) -> NDArray[np.float64]:
        """For each example and label: right, true, guessed; (n, 3 labels)."""
        gold = np.array(self.test.labels)[:, None] == np.array(self._kinds)
        got = np.array(guesses)[:, None] == np.array(self._kinds)
        return np.concatenate([gold & got, gold, got], axis=1).astype(np.float64)

    def scores(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Accuracy and macro F1 of sums of `counts`, (R, 3 labels) to (R, 2)."""
        right, gold, got = np.split(sums, 3, axis=1)
        accuracy = right.sum(axis=1) / np.maximum(1, gold.sum(axis=1))
        f1 = 2 * right / np.maximum(1, gold + got)
        seen = gold + got > 0
        macro = (f1 * seen).sum(axis=1) / np.maximum(1, seen.sum(axis=1))
        return np.stack([accuracy, macro], axis=1)

    def protocol(self, bootstrap: int, seed: int) -> str:
        return (
            f"{len(self.training.labels):,} training and {len(self.test.labels):,} test texts, "
            f"{len(self._kinds)} labels; {_classifier(bootstrap, seed, 'texts')}"
        )


class _Tags:
    """Tagging."""

    names = ("f1", "precision", "recall")

    def __init__(self, training: Sentences, test: Sentences) -> None:
        self.training, self.test = training, test
        self.labels = [tag for tags in training.tags for tag in tags]

    def features(self, source: Lookup | OneHot) -> tuple[Any, Any]:
        first, second = (
            _beside_one(source.tokens(texts), shapes(texts))
            for texts in (self.training.tokens, self.test.tokens)
        )
        return first, second

    def counts(self, guesses: Sequence[str]) -> NDArray[np.float64]:
        """For each sentence: entities right, true, guessed; (n, 3)."""
        rows, start = [], 0
        for tags in self.test.tags:
            rows.append(tally(tags, guesses[start : start + len(tags)]))
            start += len(tags)
        return np.array(rows, np.float64)

    def scores(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """F1, precision and recall of sums of `counts`, (R, 3) to (R, 3)."""
        right, gold, got = sums.T
        f1 = 2 * right / np.maximum(1, gold + got)
        return np.stack([f1, right / np.maximum(1, got), right / np.maximum(1, gold)], axis=1)

    def protocol(self, bootstrap: int, seed: int) -> str:
        return (
            f"{len(self.training.tags):,} training and {len(self.test.tags):,} test sentences, "
            f"entities as conlleval counts them, a token seen with one neighbour on each side and "
            f"their shapes; {_classifier(bootstrap, seed, 'sentences')}"
        )


def _classifier(bootstrap: int, seed: int, units: str) -> str:
    from sklearn import __version__ as version

    interval = (
        f", 95 % intervals from {bootstrap:,} resamples of the test {units}, seed {seed}"
        if bootstrap
        else ""
    )
    return (
        f"logistic regression of scikit-learn {version}, penalty by the last tenth of the training "
        f"file{interval}"
    )


def _run(
    task: _Texts | _Tags, name: str, features: tuple[Any, Any], lookup: Lookup | None = None
) -> _Run:
    training, test = features
    labels = np.array(task.labels)
    penalty = _penalty(training, labels)
    guesses = _fit(training, labels, penalty)(test)
    return _Run(name, int(training.shape[1]), lookup, penalty, guesses.tolist())


def _penalty(training: Any, labels: NDArray[Any]) -> float:
    """The best of `PENALTIES` on held-out training data; the strongest if there is no telling."""
    cut = int(len(labels) * (1 - _HELD_OUT))
    most = min(_TRIAL, max(_TRIAL // 10, _TRIAL_CELLS // len(set(labels.tolist()))))
    used = slice(max(0, cut - most), cut)
    if len(set(labels[used].tolist())) < 2:
        return PENALTIES[0]

    def accuracy(penalty: float) -> float:
        guesses = _fit(training[used], labels[used], penalty)(training[cut:])
        return float((guesses == labels[cut:]).mean())

    return max(PENALTIES, key=accuracy)  # the first, which is the strongest, of equals


def _fit(features: Any, labels: NDArray[Any], penalty: float) -> Callable[[Any], NDArray[Any]]:
    """What guesses the labels of rows of features.

    Columns that no row has get no weight whatever the penalty: they are left out, and the time of a
    fit is in proportion to the others.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    kept: Any = slice(None)
    if not isinstance(features, np.ndarray):
        kept = np.flatnonzero(features.getnnz(axis=0))
        kept = kept if len(kept) else np.arange(1)  # a classifier wants a column
    model = LogisticRegression(C=penalty, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the same limit for all features
        model.fit(features[:, kept], labels)
    return lambda rows: np.asarray(model.predict(rows[:, kept]))


def _reports(
    task: _Texts | _Tags, path: str, line: str, runs: Sequence[_Run], bootstrap: int, seed: int
) -> list[Report]:
    counts = [task.counts(run.guesses) for run in runs]
    n = len(counts[0])
    sums = [partial(_scores_of, task, each) for each in counts]
    whole = [of(np.ones((1, n)))[0].tolist() for of in sums]
    spread = resampled(sums, n, bootstrap, seed)
    base = runs[0].features
    reports = []
    for run, scores, values in zip(runs, whole, spread, strict=True):
        parts = []
        for j, (name, score) in enumerate(zip(task.names, scores, strict=True)):
            gain = Gain.of(base, score - whole[0][j], values[:, j] - spread[0][:, j], n)
            compared = None if run is runs[0] else gain
            parts.append(Part.of(name, score, values[:, j], seen=n, total=n, gain=compared))
        unknown, made = (run.lookup.unknown, run.lookup.made) if run.lookup else (None, None)
        facts = {
            "columns": run.columns, "unknown": unknown, "penalty": run.penalty, "subwords": made
        }  # fmt: skip
        reports.append(Report("task", path, parts, line, "", run.features, main=0, facts=facts))
    return reports


def _scores_of(
    task: _Texts | _Tags, counts: NDArray[np.float64], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scores, in percent, of examples drawn so often: (R, n) to (R, metrics)."""
    return 100 * task.scores(drawn @ counts)


def _scaled(features: tuple[Any, Any]) -> tuple[Any, Any]:
    """Every column to variance 1 by the training part; constant columns as they are."""
    training, test = features
    deviation = training.std(axis=0)
    scale = np.divide(1, deviation, out=np.ones_like(deviation), where=deviation > 0)
    return training * scale, test * scale


def _beside(left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
    return _beside_one(left[0], right[0]), _beside_one(left[1], right[1])


def _beside_one(left: Any, right: NDArray[np.float32]) -> Any:
    """Columns of both; sparse if the left ones are."""
    if isinstance(left, np.ndarray):
        return np.concatenate([left, right], axis=1)
    from scipy.sparse import csr_matrix, hstack

    return hstack([left, csr_matrix(right)], format="csr")


def _require_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--task", "scikit-learn", "task") from error
