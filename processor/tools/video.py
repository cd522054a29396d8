"""Pictures from a video file, a camera or a network stream, and a video of pictures, by OpenCV.

A file gives every frame. A camera and a network stream give the latest picture when the last one is dealt with; the
clock tells which frame of a steady rate it is, so that slow computing leaves frames out and time stays right.
Pictures are (H, W, 3), uint8, red first.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common.command_line import expand

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}  # by the suffix of the file, those that every OpenCV writes
SILENCE = 30.0  # seconds without a picture after which a camera or a stream is lost


def opencv() -> Any:
    """OpenCV, which says nothing by itself."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return import_module("cv2")


class Video:
    """The pictures of a file, one after the other.

    Attributes:
        name: as in the tables; an address is without its user and password.
        rate: frames a second.
        size: width and height of the pictures.
        lost: why there are no more pictures, where that is no usual end.
    """

    is_camera = False

    def __init__(self, capture: Any, name: str, rate: float | None) -> None:
        self.capture, self.name, self.lost = capture, name, ""
        cv2 = opencv()
        told = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate or (float(told) if 0 < told < 1000 else 0.0)
        if not self.rate:
            raise ValueError(f"input: {name} does not tell its frame rate; give it (--frame_rate)")
        self.length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        first = self._read()
        if first is None:
            raise ValueError(f"input: {name} has no frame that can be read")
        self._first, self.size = first, (first.shape[1], first.shape[0])

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """The number of each frame and its picture."""
        number = 0
        picture: np.ndarray | None = self._first
        while picture is not None:
            yield number, picture
            number, picture = number + 1, self._read()
        if number < 0.95 * self.length:  # the number that a file tells is an estimate in some formats
            self.lost = f"{self.name}: {number} of the {self.length} frames that it tells of can be read"

    def close(self) -> None:
        """Gives the file or the camera back."""
        self.capture.release()

    def _read(self) -> np.ndarray | None:
        ok, picture = self.capture.read()
        if not ok or picture is None:
            return None
        size = getattr(self, "size", None)
        if size and size != (picture.shape[1], picture.shape[0]):  # a stream may change it
            picture = opencv().resize(picture, size)
        return np.ascontiguousarray(picture[..., ::-1])


class Live(Video):
    """The pictures of a camera or a network stream, as fast as they are asked for.

    Args:
        rate: frames a second that the pictures are counted in.
        clock: seconds.
    """

    def __init__(
        self, capture: Any, name: str, rate: float, *, camera: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(capture, name, rate)
        self.is_camera, self.clock = camera, clock
        self._latest: np.ndarray | None = self._first
        self._changed, self._closed, self._ended = threading.Condition(), False, False

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        begin, number = self.clock(), -1
        while (picture := self._take()) is not None:
            number = max(number + 1, round((self.clock() - begin) * self.rate))
            yield number, picture
        what = "the camera" if self.is_camera else "the stream"
        self.lost = f"input: {what} {self.name} gave no more pictures after {(number + 1) / self.rate:.1f} s"

    def close(self) -> None:
        self._closed = True
        if thread := getattr(self, "_thread", None):
            thread.join(timeout=2)
            if thread.is_alive():  # it waits for a picture; releasing now would crash
                return
        super().close()

    def _follow(self) -> None:
        """In a thread: keeps the latest picture."""
        while not self._closed:
            picture = self._read()
            with self._changed:
                self._latest, self._ended = (self._latest, True) if picture is None else (picture, False)
                self._changed.notify()
            if picture is None:
                return

    def _take(self) -> np.ndarray | None:
        """The latest picture that was not taken; None: there are no more."""
        with self._changed:
            waited = 0.0
            while self._latest is None and not self._ended and waited < SILENCE:
                self._changed.wait(0.2)  # short, so that Ctrl-C is heard
                waited += 0.2
            picture, self._latest = self._latest, None
        return picture


def open_video(text: str, rate: float | None, live_rate: float) -> Video:
    """The pictures of a file, of a camera by its number, or of an address such as `rtsp://...`.

    Args:
        rate: frames a second, where the user tells.
        live_rate: those that pictures of cameras and streams are counted in, where the user does not.

    Raises:
        ValueError: there is no such file, camera or stream, or nothing can be read of it.
    """
    cv2, name = opencv(), plain_name(text)
    is_address, is_camera = "://" in text, text.isdigit()
    path = Path(text if is_address or is_camera else expand(text))
    if not is_address and not is_camera and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"input: {text} {what}; name a video file, the number of a camera, or an address (rtsp://...)")
    capture = cv2.VideoCapture(int(text) if is_camera else text if is_address else str(path))
    if not capture.isOpened():
        reason = "is no video that OpenCV can read"
        if is_camera:
            reason = "is no camera here, or another program uses it"
        elif is_address:
            reason = "cannot be reached, or is no stream that OpenCV can read"
        raise ValueError(f"input: {name} {reason}")
    if is_camera or (is_address and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0):
        return Live(capture, name, rate or live_rate, camera=is_camera)
    return Video(capture, name, rate)


def plain_name(text: str) -> str:
    """An input's name in tables and messages: a file's name, a camera's number, an address without its password."""
    if "://" in text:
        return re.sub(r"(?<=://)[^/]*@", "", text).split("?")[0]
    return text if text.isdigit() else Path(text).name


class Writer:
    """A video file of pictures of one size.

    Raises:
        ValueError: OpenCV cannot write such a file.
    """

    def __init__(self, path: Path, suffix: str, rate: float, size: tuple[int, int]) -> None:
        cv2 = opencv()
        self.video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODECS[suffix]), rate, size)
        if not self.video.isOpened():
            what = f"{suffix} of {size[0]} x {size[1]} pixels with {rate:g} pictures a second"
            raise ValueError(f"out: this OpenCV writes no {what}; try another suffix or --frame_rate")

    def add(self, picture: np.ndarray) -> None:
        """The next picture."""
        self.video.write(np.ascontiguousarray(picture[..., ::-1]))

    def close(self) -> None:
        """Finishes the file."""
        self.video.release()


class Screen:
    """A window that shows pictures, where there is a display and OpenCV can open windows."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.works = sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))

    def show(self, picture: np.ndarray) -> bool:
        """Shows a picture; False: the user has pressed q or Escape."""
        if not self.works:
            return True
        cv2 = opencv()
        try:
            cv2.imshow(self.title, picture[..., ::-1])
            return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
        except cv2.error:  # built without windows
            self.works = False
            return True

    def close(self) -> None:
        """Closes the window."""
        if self.works:
            opencv().destroyAllWindows()
