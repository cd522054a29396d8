"""The scores of a stream by sample name: written, read back, and their accuracy.

Our files are `.npz` with `names` (N,), `scores` (N, classes) float32, which are logits, and where they are known,
`labels` (N,) int64 and `class_names` (classes,). The published code's `.pkl` files are read too: a dict or pairs from
name to score vector.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from feeders.arrays import checked_labels, checked_names
from feeders.untrusted import load_pickle
from graph.common.files import atomic_write
from graph.common.words import few_of, plural
from processor.config.schema import CONFIG

SCORE = "test_score.npz"  # the file of scores in the folder of a run
REPORT = "report.html"  # and that of the report


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one stream.

    Raises:
        ValueError: they do not fit each other.
    """

    names: tuple[str, ...]  # the samples' names, all different
    scores: np.ndarray  # (N, classes) float32, finite
    labels: np.ndarray | None = None  # (N,) int64 in [0, classes), or None if they are not known
    class_names: tuple[str, ...] | None = None  # in the order of the classes, or None if they are not known

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", checked_names(self.names))
        object.__setattr__(self, "scores", _scores(self.scores, self.names))
        if self.class_names is not None and len(self.class_names) != (num_class := self.scores.shape[1]):
            raise ValueError(
                f"{plural(len(self.class_names), 'class name')} for {plural(num_class, 'class', 'classes')}"
            )
        if self.labels is not None:
            object.__setattr__(self, "labels", checked_labels(self.labels, self.names))
            low, high, num_class = self.labels.min(), self.labels.max(), self.scores.shape[1]
            if low < 0 or high >= num_class:
                raise ValueError(f"labels from {low} to {high} do not fit {plural(num_class, 'class', 'classes')}")

    @property
    def known_labels(self) -> np.ndarray:
        """`labels`; a ValueError where they are not known."""
        if self.labels is None:
            raise ValueError("the labels of these scores are not known")
        return self.labels

    def top_k(self, k: int) -> float:
        """The share of samples whose label is among the k highest scores; of equal scores the lower class is higher."""
        label = self.known_labels[:, None]
        of_label = np.take_along_axis(self.scores, label, axis=1)
        lower = np.arange(self.scores.shape[1]) < label
        rank = (self.scores > of_label).sum(axis=1) + ((self.scores == of_label) & lower).sum(axis=1)
        return float((rank < k).mean())

    def confusion(self) -> np.ndarray:
        """(classes, classes): how many samples of each true class (row) are taken for each class (column)."""
        counts = np.zeros((self.scores.shape[1],) * 2, np.int64)
        np.add.at(counts, (self.known_labels, self.scores.argmax(axis=1)), 1)
        return counts

    def take(self, names: Sequence[str]) -> Scores:
        """The scores of these samples, in this order; each must be there."""
        row = {name: i for i, name in enumerate(self.names)}
        rows = [row[name] for name in names]
        labels = None if self.labels is None else self.labels[rows]
        return Scores(tuple(names), self.scores[rows], labels, self.class_names)

    def in_classes(self, names: Sequence[str]) -> Scores:
        """The scores with their classes in the order of these names, which are theirs; without names, as they are.

        Raises:
            ValueError: two classes have the same name, so that a name does not tell the class.
        """
        if self.class_names is None or self.class_names == tuple(names):
            return self
        if len({*names}) < len(names):
            raise ValueError("two classes have the same name; give each class another name to match classes by name")
        order = [self.class_names.index(name) for name in names]
        labels = None if self.labels is None else np.argsort(order)[self.labels]
        return Scores(self.names, self.scores[:, order], labels, tuple(names))


def save_scores(path: str | Path, scores: Scores) -> None:
    """Write `scores` to an `.npz` file, complete or not at all."""
    arrays: dict[str, Any] = {"names": np.array(scores.names), "scores": scores.scores}
    if scores.labels is not None:
        arrays["labels"] = scores.labels
    if scores.class_names is not None:
        arrays["class_names"] = np.array(scores.class_names)
    with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def score_file(path: Path) -> Path:
    """The file of a stream: the path, or what a run wrote into the folder.

    Raises:
        ValueError: the folder holds none.
    """
    if not path.is_dir() or (path / SCORE).is_file():
        return path / SCORE if path.is_dir() else path
    if (path / CONFIG).is_file():
        command = f"python main.py --config {path / CONFIG} --phase test"
        raise ValueError(f"{path} holds no {SCORE}; make it from the weights in there: {command}")
    runs = sorted(each.parent.as_posix() for each in path.glob(f"*/{SCORE}"))
    inner = f"; {few_of(runs, 3)} do" if runs else ""
    raise ValueError(
        f"{path} holds no {SCORE}{inner}; name the folder of a run, whose training or --phase test writes it"
    )


def load_scores(path: str | Path) -> Scores:
    """Read an `.npz` file of ours or a published `.pkl`.

    Raises:
        ValueError: it holds no scores, or they do not fit each other.
        OSError: the file cannot be read.
    """
    path = Path(path)
    content = load_pickle(path) if path.suffix in (".pkl", ".pickle") else _load_npz(path)
    try:
        return Scores(*_parts(content))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        try:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is another kind of file, or cut short")
            with np.load(file, allow_pickle=False) as arrays:
                content = {key: arrays[key] for key in arrays.files}
        except Exception as error:  # a damaged or forged file can raise anything
            raise ValueError(f"{path} is no readable .npz file ({error}); make or copy it again") from error
    if not {"names", "scores"} <= content.keys():
        raise ValueError(f"{path} holds {', '.join(content) or 'nothing'}; names and scores are expected")
    return content


def _parts(content: Any) -> tuple[Any, Any, Any, tuple[str, ...] | None]:
    """(names, scores, labels, class names) of what a file holds: our arrays, a dict by name, or pairs."""
    if isinstance(content, dict) and {"names", "scores"} <= content.keys():
        classes = content.get("class_names")
        named = None if classes is None else tuple(map(str, np.atleast_1d(classes)))
        return content["names"], content["scores"], content.get("labels"), named
    pairs = list(content.items()) if isinstance(content, dict) else content
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError("scores by sample name are expected")
    return [name for name, _ in pairs], [vector for _, vector in pairs], None, None


def _scores(scores: Any, names: Sequence[str]) -> np.ndarray:
    try:
        array = np.asarray(scores, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError("scores must be vectors of numbers, all of one length") from error
    if array.ndim != 2 or len(array) != len(names) or not array.shape[1]:
        raise ValueError(f"scores have the shape {array.shape}; ({len(names)}, classes) is expected")
    if bad := np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist():
        raise ValueError(f"scores of {plural(len(bad), 'sample')} are not finite, the first is {names[bad[0]]!r}")
    return array
