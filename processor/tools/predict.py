"""Labels for recordings: `Recognizer.load("last.pt")("walk.json")`, on the path that the data of a test take.

A recording is read by `data_gen.formats`, made a row by the script that made the model's arrays (`preparation`),
written into a temporary folder as that script writes it, opened by the test's feeder with the test's arguments, and
scored by `processor.engine.evaluate`; several models are fused by `processor.results.fusion`.
Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data_gen.common.names import walk
from data_gen.formats.files import Source as File
from data_gen.formats.persons import follow
from data_gen.formats.reading import format_of, read
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.tools import Skeleton
from processor.results.fusion import fuse
from processor.results.scores import Scores
from processor.tools.trained import Trained, load_trained

CHUNK = 32  # windows that are prepared and scored together
Source = str | Path | Recording | np.ndarray


@dataclass(frozen=True)
class Prediction:
    """The label of a recording, of a window of it, or of a person in either.

    Attributes:
        recording: the name of the recording.
        person: the number of the person, the tracker's where it gives one, else from 0; None: all persons together.
        start: the first frame, from 0.
        end: the frame after the last.
        start_seconds: the same in seconds; None: the frame rate is not known.
        end_seconds: likewise.
        label: the name of the class, or its number where the weights know no names.
        probability: softmax of the logits.
        top_k: the likeliest labels with their probabilities, the likeliest first.
        logits: (num_class,) float32; of several models, the weighted sum.
        notes: what was assumed or changed.
    """

    recording: str
    person: int | None
    start: int
    end: int
    start_seconds: float | None
    end_seconds: float | None
    label: str
    probability: float
    top_k: tuple[tuple[str, float], ...]
    logits: np.ndarray = field(repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    def as_plain(self) -> dict[str, Any]:
        """What a JSON file holds of it."""
        names = ("recording", "person", "start", "end", "start_seconds", "end_seconds", "label", "probability")
        top_k = [{"label": label, "probability": probability} for label, probability in self.top_k]
        return {**{name: getattr(self, name) for name in names}, "top_k": top_k}


class Options(NamedTuple):
    """How recordings are cut: see `Recognizer.predict`."""

    top_k: int = 5
    window: float | None = None
    every: float | None = None
    per_person: bool = False
    frame_rate: float | None = None

    def check(self) -> None:
        """Refuses values that make no sense, with a ValueError."""
        if self.top_k < 1:
            raise ValueError(f"top_k: {self.top_k} must be at least 1")
        for name in ("window", "every", "frame_rate"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value} must be a number above 0")
        if self.every is not None and self.window is None:
            raise ValueError("every: is the time from window to window; give the length of a window, too (--window)")


class _Cut(NamedTuple):
    """A part of a recording that gets a label."""

    recording: Recording
    fitted: tuple[Recording, ...]  # the part as each model takes it
    person: int | None
    start: int
    end: int
    rate: float | None
    notes: tuple[str, ...]
    is_whole: bool


class Recognizer:
    """One model or several, ready to label recordings.

    Attributes:
        class_names: the labels, in the order of the logits; numbers where the weights know no names.
        notes: what a user should know of the weights.
        skipped: the recordings of the last call that got no label, each with the reason.
    """

    def __init__(self, streams: Sequence[Trained], alpha: Sequence[float] | None = None) -> None:
        self.streams = list(streams)
        self.alpha = [1.0] * len(self.streams) if alpha is None else list(alpha)
        first = self.streams[0]
        self.class_names = first.class_names
        self._fuse([np.zeros((1, len(stream.class_names)), np.float32) for stream in self.streams])  # whether they fit
        self.notes = tuple(note for stream in self.streams for note in stream.notes)
        self.skipped: list[str] = []
        self._names: set[str] = set()

    @classmethod
    def load(
        cls,
        *weights: str | Path,
        alpha: Sequence[float] | None = None,
        config: str | Path | None = None,
        class_names: str | Path | None = None,
        device: str | Sequence[int] = "auto",
    ) -> Recognizer:
        """The models of files of weights.

        Args:
            weights: checkpoints of ours, which know how their data are prepared, or others with a `config`.
            alpha: the weight of each model's logits in their sum; 1 by default.
            config: the configuration that the weights are used with, for files that do not hold one.
            class_names: a text file with a label a line, for weights without names.
            device: as in a configuration.

        Raises:
            ValueError: a file is missing or damaged, or does not tell how recordings are prepared for its model.
        """
        if not weights:
            raise ValueError("weights: name at least one file")
        paths = [Path(path) for path in weights]
        return cls(load_trained(paths, config=config, class_names=class_names, device=device), alpha)

    def __call__(self, source: Source | Sequence[Source], **options: Any) -> list[Prediction]:
        """The predictions of a file, a folder, a `Recording`, an array (T, M, V, C) or (T, V, C), or a list of these.

        The options are those of `predict`. Several recordings are scored in batches.

        Raises:
            ValueError: no recording can be used; those that cannot be used beside others are in `skipped`.
        """
        sources: list[Source] = [*source] if isinstance(source, list | tuple) else [source]  # type: ignore[list-item]
        predictions = list(self.predict(self.recordings(sources), **options))
        if not predictions:
            raise ValueError(self.skipped[-1] if self.skipped else "there is no recording to label")
        return predictions

    def recordings(self, sources: Iterable[Source]) -> Iterator[Recording]:
        """The recordings of sources, one after the other; what cannot be read is in `skipped`."""
        self.skipped, self._names = [], set()
        for source in sources:
            if isinstance(source, Recording):
                yield source
            elif isinstance(source, np.ndarray):
                channels = self.streams[0].data.channels
                channels = channels if channels.position else Channels(channels.names)
                if source.ndim not in (3, 4) or source.shape[-1] != len(channels.names):
                    names = ", ".join(channels.names)
                    raise ValueError(
                        f"an array (T, M, V, C) or (T, V, C) with C {names} expected, found {source.shape}"
                    )
                joints = source if source.ndim == 4 else source[:, None]
                yield Recording.of(self._new_name("array"), joints, channels)
            else:
                yield from self._read(Path(source))

    def _read(self, path: Path) -> Iterator[Recording]:
        if not path.exists():
            raise ValueError(f"input: {path} does not exist; --input takes files and folders of recordings")
        skeleton, found = self.streams[0].data.skeleton, False
        for name, file in files_in(path):
            found = True
            try:
                for recording in _read_any(file, skeleton):
                    own = name if recording.name == file.name else recording.name
                    yield replace(recording, name=self._new_name(own, file.as_posix()))
            except OSError as error:
                self.skipped.append(f"{name}: cannot be read ({error.strerror})")
            except ValueError as error:
                self.skipped.append(f"{name}: {error}")
        if not found:
            raise ValueError(f"input: {path} holds no file; --input takes files and folders of recordings")

    def _new_name(self, name: str, *others: str) -> str:
        """The first of a recording's possible names that no recording before has, or the last one with a number."""
        numbered = (f"{[name, *others][-1]} ({number})" for number in count(2))
        new = next(each for each in chain([name, *others], numbered) if each not in self._names)
        self._names.add(new)
        return new

    def predict(self, recordings: Iterable[Recording], **options: Any) -> Iterator[Prediction]:
        """The predictions of recordings, one after the other, in memory that does not grow with their lengths.

        Args:
            recordings: what is labelled.
            options: `top_k`: how many labels each prediction names; `window` and `every`: label windows of so many
                seconds, one every so many seconds (by default one after the other); `per_person`: label each person
                alone; `frame_rate`: frames a second, where the recording does not tell.

        Raises:
            ValueError: an option makes no sense, or the frame rate is not known and windows are asked for.
        """
        asked = Options(**options)
        asked.check()
        cuts = (cut for recording in recordings for cut in self._cuts(recording, asked))
        while chunk := list(islice(cuts, CHUNK)):
            yield from self._score(chunk, asked)

    def _cuts(self, recording: Recording, options: Options) -> Iterator[_Cut]:
        """The parts of a recording that get a label."""
        notes = []
        rate = recording.frame_rate or options.frame_rate
        recording = replace(recording, frame_rate=rate)
        if rate is None and (rate := self.streams[0].data.frame_rate):
            notes.append(f"its frame rate is not known; {rate:g} frames a second are assumed, as in the model's data")
        size, step = len(recording.joints), float(len(recording.joints))
        if options.window is not None:
            if rate is None:
                self.skipped.append(f"{recording.name}: its frame rate is not known; give it (--frame_rate)")
                return
            size, step = max(round(options.window * rate), 1), max((options.every or options.window) * rate, 1.0)
        if not recording.present.any():
            self.skipped.append(f"{recording.name}: nobody is in any frame")
            return
        persons: list[tuple[int | None, Recording]] = [(None, recording)]
        if options.per_person:
            persons = list(_apart(recording))
        for person, alone in persons:
            try:
                fitted = tuple(stream.fit(alone) for stream in self.streams)
            except ValueError as error:
                self.skipped.append(f"{recording.name}: {error}")
                return
            known = tuple(dict.fromkeys(chain(notes, *(each.notes for each in fitted))))
            T, most = len(recording.joints), [stream.longest for stream in self.streams]
            longest = None if None in most else max(length for length in most if length)
            if longest and size > longest:
                what = f"it has {T} frames" if options.window is None else f"a window has {size} frames"
                known = (*known, f"{what}, of which the model takes the first {longest}; a --window may be shorter")
            for start in _starts(T, size, step):
                end = min(start + min(size, longest or size), T)
                yield _Cut(
                    alone,
                    tuple(_part(each, slice(start, start + size), slice(None)) for each in fitted),
                    person,
                    start,
                    end,
                    rate,
                    known,
                    size >= T,
                )

    def _score(self, cuts: Sequence[_Cut], options: Options) -> Iterator[Prediction]:
        """The predictions of a chunk; a part without anybody has none."""
        used, rows = [], []
        for cut in cuts:
            try:
                rows.append([stream.row(part) for stream, part in zip(self.streams, cut.fitted, strict=True)])
                used.append(cut)
            except ValueError as error:
                if cut.is_whole:
                    self.skipped.append(f"{cut.recording.name}: {error}")
        if not used:
            return
        logits = [stream.logits(part) for stream, part in zip(self.streams, zip(*rows, strict=True), strict=True)]
        for cut, of_cut in zip(used, self._fuse(logits), strict=True):
            yield self._prediction(cut, of_cut, options.top_k)

    def _fuse(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        """The weighted sum of the logits (N, num_class) of all models, in the order of the first one's classes."""
        names = tuple(map(str, range(len(logits[0]))))
        scores = [
            Scores(names, x, None, stream.class_names if stream.named else None)
            for stream, x in zip(self.streams, logits, strict=True)
        ]
        fused = fuse(scores, self.alpha, titles=[str(stream.path) for stream in self.streams])
        self.class_names = fused.class_names or self.class_names
        return fused.scores

    def _prediction(self, cut: _Cut, logits: np.ndarray, k: int) -> Prediction:
        probability = torch.from_numpy(logits).double().softmax(0).numpy()
        best = [(self.class_names[i], float(probability[i])) for i in np.argsort(-logits, kind="stable")[:k]]
        start, end = (None if cut.rate is None else frame / cut.rate for frame in (cut.start, cut.end))
        (label, most), name = best[0], cut.recording.name
        return Prediction(name, cut.person, cut.start, cut.end, start, end, label, most, tuple(best), logits, cut.notes)


def _read_any(file: Path, skeleton: Skeleton | None) -> Iterator[Recording]:
    """The recordings of a file that has the joints of a skeleton, or names those that it has."""
    recordings = read(file, skeleton=skeleton)
    try:
        first = next(recordings, None)
    except ValueError:
        try:
            recordings = read(file)
            first = next(recordings, None)
        except ValueError:
            first = None
        if first is None or first.skeleton is None:
            raise
    if first is None:
        raise ValueError("it holds no recording")
    yield first
    yield from recordings


def files_in(path: Path) -> Iterator[tuple[str, Path]]:
    """The recordings at a path by name: a file, a folder with a file a frame, or all of these below a folder."""

    def is_recording(folder: Path) -> bool:
        try:
            return bool(format_of(File(folder)))
        except ValueError:
            return False

    if not path.is_dir() or is_recording(path):
        yield path.name, path
        return
    taken: list[Path] = []
    for folder in walk(path):
        if any(outer in folder.parents for outer in taken):
            continue
        if folder != path and is_recording(folder):
            taken.append(folder)
            yield folder.relative_to(path).as_posix(), folder
            continue
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                yield file.relative_to(path).as_posix(), file


def _starts(T: int, size: int, step: float) -> Iterator[int]:
    """The first frames of windows, whose distance is `step` on average; the last one ends with the recording."""
    number, start, last = 0, 0, max(T - size, 0)
    while start < last:
        yield start
        number += 1
        start = round(number * step)
    yield last


def _part(recording: Recording, frames: slice, persons: slice) -> Recording:
    """Some frames and places of persons of a recording."""
    return replace(
        recording,
        joints=recording.joints[frames, persons],
        present=recording.present[frames, persons],
        identity=None if recording.identity is None else recording.identity[frames, persons],
        frames=None if recording.frames is None else recording.frames[frames],
    )


def _apart(recording: Recording) -> Iterator[tuple[int, Recording]]:
    """Each person of a recording alone, with the number of the tracker, or else of the place that `follow` gives."""
    identity, first = recording.identity, 0
    told = np.zeros(0, int) if identity is None else np.unique(identity[identity >= 0])
    if identity is not None and len(told) and told.max() < 1 << 20:  # larger ones are no numbers that somebody reads
        for number in told.tolist():
            yield number, _of_number(recording, np.equal(identity, number))
        recording, first = _without(recording, identity >= 0), int(told.max()) + 1
    if recording.present.any():
        followed = follow(recording)[0]
        for place in range(followed.joints.shape[1]):
            yield first + place, _part(followed, slice(None), slice(place, place + 1))


def _of_number(recording: Recording, chosen: np.ndarray) -> Recording:
    """The one person who is `chosen` (T, M) in each frame."""
    places = chosen.argmax(axis=1)[:, None]
    present = np.take_along_axis(recording.present, places[..., None], 1)
    present &= np.asarray(chosen.any(axis=1))[:, None, None]
    joints = np.take_along_axis(recording.joints, places[..., None, None], 1) * present[..., None]
    return replace(recording, joints=joints, present=present, identity=None)


def _without(recording: Recording, gone: np.ndarray) -> Recording:
    """The recording without the persons who are `gone` (T, M)."""
    present = recording.present & ~gone[..., None]
    return replace(recording, joints=recording.joints * present[..., None], present=present, identity=None)
