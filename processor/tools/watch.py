"""`python main.py --phase watch`: labels of persons in a video, a camera's pictures or a network stream, as they come.

Pictures -> poses (`pose`) -> numbers of persons (`data_gen.formats.persons.Tracker`) -> windows of the last frames,
each a `Recording` in pixels that goes the way of `predict` -> labels, which are printed, written, and drawn into the
pictures (`overlay`). Memory holds one window. Axis legend: T frames, M persons, V joints.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.persons import Tracker
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.common.files import atomic_write, check_folder
from graph.common.words import plural
from graph.tools import Skeleton
from processor.runtime.signals import stop_signals
from processor.tools.cutting import Options, Windows
from processor.tools.overlay import overlay
from processor.tools.phase import PhaseParser
from processor.tools.pose import ADDRESS, Estimator, MediaPipe, model_file, require
from processor.tools.predict import Prediction, Recognizer
from processor.tools.predictions import add_options, load, stem_of, table_paths, tables
from processor.tools.video import CODECS, Screen, Video, Writer, open_video

log = logging.getLogger(__name__)

NAMES = ("x", "y", "score")
RATE = 30.0  # frames a second of a camera, where neither the user nor the model's data tell
PATIENCE = 1.0  # seconds after which somebody who is not seen is forgotten


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser(
        "watch",
        description="Label what persons do in a video, a camera's pictures or a network stream. Ctrl-C stops, and "
        "completes the files.",
        epilog="With --config, keys of the configuration can be given, too. See docs/watching.md.",
    )
    words.option("input", required=True, help="a video file, the number of a camera (0), or an address (rtsp://...)")
    words.option("out", type=Path, help="video to write, with skeletons and labels: FILE.mp4 or FILE.avi")
    words.option("table", type=Path, help="FILE.json: writes it and FILE.csv, as --phase predict does")
    words.option(
        "window", type=float, default=4.0, help="length of the windows that are labelled, in seconds (default: 4)"
    )
    words.option("every", type=float, default=1.0, help="seconds from one label to the next (default: 1)")
    words.option("frame_rate", type=float, help="frames a second, of a camera, or in place of what a file tells")
    words.option(
        "pose_model",
        type=Path,
        default=Path("checkpoints"),
        help=f"the file of the pose estimator's model, or the folder into which {ADDRESS} is downloaded "
        "(default: checkpoints)",
    )
    add_options(words)
    return words


def main(argv: Sequence[str]) -> int:
    """Watches what the command line names; returns the exit status.

    Raises:
        ValueError: a user's mistake, nobody was seen, or a stream was lost; files of what came before it are complete.
    """
    args, changes = parser().read(argv)
    asked = {key: getattr(args, key) for key in ("window", "every", "top_k", "per_person")}
    Options(**asked, frame_rate=args.frame_rate).check()
    read = [*args.weights, Path(args.input)]
    stem = stem_of(args.table, read, "table") if args.table else None
    if args.out:
        _check_out(args.out, read)
    require()
    recognizer = load(args, changes)
    check_pixels(recognizer, MediaPipe.skeleton)
    live_rate = recognizer.streams[0].data.frame_rate or RATE
    with (
        closing(open_video(args.input, args.frame_rate, live_rate)) as video,
        closing(MediaPipe(model_file(args.pose_model))) as estimator,
    ):
        watcher = Watcher(recognizer, estimator.skeleton, name=video.name, size=video.size, rate=video.rate, **asked)
        return watch(video, estimator, watcher, stem=stem, out=args.out)


def _check_out(path: Path, read: Sequence[Path]) -> None:
    if path.is_dir() or path.suffix.lower() not in CODECS:
        raise ValueError(f"out: {path} is no name of a {' or '.join(CODECS)} file; name one, such as annotated.mp4")
    if path.resolve() in {each.resolve() for each in read}:
        raise ValueError(f"out: {path} is one of the files that are read; name another")
    check_folder(path.parent, "out")


def check_pixels(recognizer: Recognizer, skeleton: Skeleton) -> None:
    """Refuses models that cannot take joints of a picture.

    Raises:
        ValueError: of a model that cannot, with the reason.
    """
    joints = np.random.default_rng(0).uniform(1, 100, (1, 1, skeleton.num_point, len(NAMES)))
    sample = Recording.of("", joints, Channels(NAMES, "pixels", (100, 100)), skeleton=skeleton)
    for stream in recognizer.streams:
        try:
            stream.fit(sample)
        except ValueError as error:
            raise ValueError(
                f"weights: {stream.path} cannot label videos, whose joints are those that {skeleton.name} finds in "
                f"pictures: {error}; take a model that learnt such joints, as of Kinetics-skeleton or of pyskl"
            ) from error


def watch(
    video: Video,
    estimator: Estimator,
    watcher: Watcher,
    *,
    stem: Path | None = None,
    out: Path | None = None,
    writer: Callable[..., Any] = Writer,
) -> int:
    """Labels a video to its end, or until a signal to stop; returns the exit status, errors as `main`.

    Args:
        stem: of the tables that are written.
        out: the video that is written.
        writer: what writes it.
    """
    with stop_signals() as stops, ExitStack() as files:
        add = files.enter_context(tables(stem)) if stem else None
        annotated = None
        if out:
            suffix = out.suffix.lower()
            temporary = files.enter_context(atomic_write(out, suffix=suffix))
            annotated = files.enter_context(closing(writer(temporary, suffix, video.rate, video.size)))
        screen = files.enter_context(closing(Screen(video.name))) if video.is_camera else None
        for number, picture in video:
            shown_before = watcher.count
            _tell(watcher.push(number, estimator(picture, number / video.rate)), add)
            if annotated or screen:
                drawn = overlay(picture, watcher.poses, watcher.numbers, watcher.labels, estimator.skeleton)
            if annotated:
                for _ in range(shown_before, watcher.count):  # a slow camera's picture stands for several frames
                    annotated.add(drawn)
            if stops or (screen and not screen.show(drawn)):
                break
        _tell(watcher.end(), add)
        if not watcher.labelled:
            raise ValueError(f"input: {video.name} gets no label: {watcher.problem()}")
    for path in [*(table_paths(stem) if stem else ()), *([out] if out else [])]:
        log.info("wrote %s", path)
    if video.lost:
        if video.is_camera or video.lost.startswith("input:"):
            raise ValueError(f"{video.lost}; what came before is complete")
        log.warning(video.lost)
    return 128 + stops[0] if stops and stops[0] != signal.SIGINT else 0


def _tell(predictions: Sequence[Prediction], add: Callable[[dict[str, Any]], None] | None) -> None:
    """Prints predictions, and adds them to the tables."""
    for one in predictions:
        who = "" if one.person is None else f"  person {one.person}"
        sys.stdout.write(
            f"{one.start_seconds:.2f}-{one.end_seconds:.2f} s{who}  {one.label}  {100 * one.probability:.1f} %\n"
        )
        if add:
            add(one.as_plain())
    sys.stdout.flush()


class _Frame(NamedTuple):
    joints: np.ndarray  # (M, V, 3)
    numbers: tuple[int, ...]  # of the persons


class Watcher:
    """Labels for windows of a video whose frames come one by one: those of `Recognizer.predict` on the whole.

    Args:
        skeleton: of the poses that come.
        name: in the tables.
        size: width and height of the pictures.
        rate: frames a second.
        window, every: seconds; a window begins every so many, and the last one ends with the video.
        asked: further options of `Recognizer.predict`.

    Attributes:
        poses, numbers: the persons of the last frame, and their numbers.
        labels: the latest, by the number of the person; None: of all together.
        count: frames so far.
        labelled: windows so far that got a label.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        skeleton: Skeleton,
        *,
        name: str,
        size: tuple[int, int],
        rate: float,
        window: float,
        every: float,
        **asked: Any,
    ) -> None:
        self.recognizer, self.skeleton, self.name, self.rate, self.asked = recognizer, skeleton, name, rate, asked
        self.channels = Channels(NAMES, "pixels", size)
        self.windows = Windows.of_seconds(window, every, rate)
        self.tracker = Tracker(round(PATIENCE * rate))
        self.frames: deque[_Frame] = deque(maxlen=self.windows.size)
        self.poses: Sequence[np.ndarray] = ()
        self.numbers: Sequence[int] = ()
        self.labels: dict[int | None, str] = {}
        self.count = self.labelled = 0
        self._due = 0  # number of the next window
        self._end = 0  # of the last window
        self._told: set[str] = set()
        self._skipped = ""

    def push(self, number: int, poses: Sequence[np.ndarray]) -> list[Prediction]:
        """The frame with this number; frames since the last one are like it. Returns what got a label."""
        joints = np.stack(poses) if poses else np.zeros((0, self.skeleton.num_point, 3))
        numbers = self.tracker.step(number, joints[..., :2], joints[..., 2] > 0)
        frame = _Frame(joints, tuple(numbers))
        predictions: list[Prediction] = []
        self.poses, self.numbers = poses, numbers
        between = self.frames[-1] if self.frames else frame
        if number - self.count >= self.windows.size:  # nothing of the last window counts any more
            self.frames.clear()
        for n in range(max(self.count, number + 1 - self.windows.size), number + 1):
            self.frames.append(frame if n == number else between)
            self.count = n + 1
            predictions += self._label_if_due()
        return predictions

    def end(self) -> list[Prediction]:
        """What the last frames get: the window that ends with the video."""
        return self._label(self.count) if self.count and self._end != self.count else []

    def problem(self) -> str:
        """Why nothing got a label."""
        return self._skipped or f"nobody was found in its {plural(self.count, 'frame')}"

    def _label_if_due(self) -> list[Prediction]:
        size = self.windows.size
        while self.windows.start(self._due) + size < self.count:  # passed, where frames were left out
            self._due += 1
        if self.windows.start(self._due) + size > self.count or len(self.frames) < size:
            return []
        self._due += 1
        return self._label(self.count)

    def _label(self, end: int) -> list[Prediction]:
        """The labels of the frames that are kept."""
        self._end, frames = end, list(self.frames)
        often = Counter(number for frame in frames for number in frame.numbers)
        self.labels = {}
        if not often:
            return []
        place = {number: m for m, (number, _) in enumerate(often.most_common())}
        joints = np.zeros((len(frames), len(place), self.skeleton.num_point, len(NAMES)), np.float32)
        identity = np.full(joints.shape[:2], -1)
        for t, frame in enumerate(frames):
            for person, number in zip(frame.joints, frame.numbers, strict=True):
                joints[t, place[number]], identity[t, place[number]] = person, number
        recording = Recording.of(
            self.name, joints, self.channels, skeleton=self.skeleton, frame_rate=self.rate, identity=identity
        )
        start, predictions = end - len(frames), []
        for one in self.recognizer.predict([recording], **self.asked):
            seconds = start / self.rate, end / self.rate
            predictions.append(replace(one, start=start, end=end, start_seconds=seconds[0], end_seconds=seconds[1]))
            self.labels[one.person] = f"{one.label} {100 * one.probability:.0f} %"
            for note in set(one.notes) - self._told:
                log.warning("%s: %s", self.name, note)
                self._told.add(note)
        if self.recognizer.skipped:
            self._skipped = self.recognizer.skipped[-1].removeprefix(f"{self.name}: ")
            self.recognizer.skipped.clear()
        self.labelled += len(predictions)
        return predictions
