"""Labels for recordings: `Recognizer.load("last.pt")("walk.json")`, on the path that the data of a test take.

A recording is read by `data_gen.formats`, made a row by the script that made the model's arrays (`preparation`),
written into a temporary folder as that script writes it, opened by the test's feeder with the test's arguments, and
scored by `processor.engine.evaluate`; several models are fused by `processor.results.fusion`.
Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data_gen.formats.recording import Recording
from processor.results.fusion import fuse
from processor.results.scores import Scores
from processor.tools.cutting import Options, Windows, apart, part
from processor.tools.inputs import Reader, Source, check_paths
from processor.tools.trained import Trained, load_trained

CHUNK = 32  # windows that are prepared and scored together


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


class _Cut(NamedTuple):
    """A part of a recording that gets a label."""

    name: str
    fitted: tuple[Recording, ...]  # as each model takes it
    person: int | None
    start: int
    end: int
    rate: float | None
    notes: tuple[str, ...]
    size: int  # frames of the part; the models may take fewer

    @property
    def title(self) -> str:
        """Whose label it gets."""
        return self.name if self.person is None else f"{self.name}, person {self.person}"


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
        """The recordings of sources, one after the other; what cannot be read is in `skipped`.

        Raises:
            ValueError: a path does not exist, which is told before anything is read.
        """
        sources, data = list(sources), self.streams[0].data
        check_paths(source for source in sources if isinstance(source, str | Path))
        self.skipped = []
        return Reader(data.channels, data.skeleton, self.skipped)(sources)

    def predict(self, recordings: Iterable[Recording], **options: Any) -> Iterator[Prediction]:
        """The predictions of recordings, one after the other, in memory that does not grow with their lengths.

        Args:
            recordings: what is labelled.
            options: `top_k`: how many labels each prediction names; `window` and `every`: label windows of so many
                seconds, one every so many seconds (by default one after the other); `per_person`: label each person
                alone; `frame_rate`: frames a second, in place of what the recording tells.

        Raises:
            ValueError: an option makes no sense, or the frame rate is not known and windows are asked for.
        """
        asked = Options(**options)
        asked.check()
        cuts = (cut for recording in recordings for cut in self._cuts(recording, asked))
        labelled: dict[str, str | None] = {}  # the titles of parts: None, or why those without a label have none
        while chunk := list(islice(cuts, CHUNK)):
            yield from self._score(chunk, asked, labelled)
        self.skipped += [f"{title}: {reason}" for title, reason in labelled.items() if reason is not None]

    def _cuts(self, recording: Recording, options: Options) -> Iterator[_Cut]:
        """The parts of a recording that get a label."""
        name, T, told, notes = recording.name, len(recording.joints), recording.frame_rate, list[str]()
        rate = options.frame_rate or told
        recording = replace(recording, frame_rate=rate)
        if told and rate and rate != told:
            notes.append(f"its file or format tells {told:g} frames a second; {rate:g} are taken, as you ask for")
        if rate is None and (rate := next((r for stream in self.streams if (r := stream.data.frame_rate)), None)):
            notes.append(f"its frame rate is not known; {rate:g} frames a second are assumed, as in the model's data")
        windows = Windows(T, T)
        if options.window is not None:
            if rate is None:
                self.skipped.append(f"{name}: its frame rate is not known; give it (--frame_rate)")
                return
            windows = Windows.of_seconds(options.window, options.every or options.window, rate)
        if not recording.present.any():
            self.skipped.append(f"{name}: nobody is in any frame")
            return
        size, limits = min(windows.size, T), sorted(stream.longest or T for stream in self.streams)
        if size > limits[0]:
            what = f"it has {T} frames" if size == T else f"a window has {size} frames"
            notes.append(f"{what}, of which the model takes the first {limits[0]}; a --window may be shorter")
        recording = self._with_joints(recording)
        for person, alone in apart(recording) if options.per_person else [(None, recording)]:
            try:
                fitted = [stream.fit(alone) for stream in self.streams]
            except ValueError as error:
                self.skipped.append(f"{name}: {error}")
                return
            known = tuple(dict.fromkeys(chain(notes, *(each.notes for each in fitted))))
            for start, end in windows.spans(T):
                parts = tuple(part(each, slice(start, end)) for each in fitted)
                yield _Cut(name, parts, person, start, min(end, start + limits[-1]), rate, known, end - start)

    def _with_joints(self, recording: Recording) -> Recording:
        """The recording; one that does not name its joints has those of the first model where others have others."""
        first, *others = (stream.data.skeleton for stream in self.streams)
        is_clear = recording.skeleton is not None or all(other == first for other in others)
        is_other = first is None or first.num_point != recording.joints.shape[2]
        return recording if is_clear or is_other else replace(recording, skeleton=first)

    def _score(self, cuts: Sequence[_Cut], options: Options, labelled: dict[str, str | None]) -> Iterator[Prediction]:
        """The predictions of a chunk; a part without anybody has none, and the reason is in `labelled`."""
        used, rows = [], []
        for cut in cuts:
            try:
                rows.append([stream.row(each) for stream, each in zip(self.streams, cut.fitted, strict=True)])
                used.append(cut)
                labelled[cut.title] = None
            except ValueError as error:
                seen = cut.end - cut.start
                more = f" of the first {seen}, which the model takes; try a --window" if seen < cut.size else ""
                labelled.setdefault(cut.title, f"{error}{more}")
        if not used:
            return
        logits = [stream.logits(of_one) for stream, of_one in zip(self.streams, zip(*rows, strict=True), strict=True)]
        is_finite = np.isfinite(np.concatenate(logits, axis=1)).all(axis=1)
        for cut in (used[i] for i in np.flatnonzero(~is_finite)):
            frames = f"frames {cut.start} to {cut.end}"
            self.skipped.append(f"{cut.name}: the logits of {frames} are not finite; the weights may be damaged")
        if is_finite.any():
            fused = self._fuse([x[is_finite] for x in logits])
            for i, of_cut in zip(np.flatnonzero(is_finite), fused, strict=True):
                yield self._prediction(used[i], of_cut, options.top_k)

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
        return Prediction(
            cut.name, cut.person, cut.start, cut.end, start, end, *best[0], tuple(best), logits, cut.notes
        )
