"""Bodies in a picture: what `--phase watch` asks of a pose estimator, and MediaPipe's pose landmarker as one.

MediaPipe (Bazarevsky et al., *BlazePose*, CVPR Workshops 2020) is one package, whose model is one file at a stable
address; docs/watching.md compares it with rtmlib. Its 33 landmarks make the joints of COCO and of OpenPose.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Protocol
from urllib.request import urlopen

import numpy as np

from graph import mediapipe
from graph.common.files import atomic_write
from graph.tools import Skeleton

log = logging.getLogger(__name__)

MODEL = "pose_landmarker_full.task"
ADDRESS = (
    f"https://storage.googleapis.com/mediapipe-models/pose_landmarker/{MODEL.removesuffix('.task')}/float16/1/{MODEL}"
)
MOST_PERSONS = 6  # that are looked for in a picture
VISIBLE = 0.5  # below this visibility a landmark is a guess; MediaPipe's own drawings leave it out, too
SECONDS = 30  # that a server may keep silent


class Estimator(Protocol):
    """Finds persons in pictures that follow each other."""

    skeleton: Skeleton  # of the joints

    def __call__(self, picture: np.ndarray, seconds: float) -> list[np.ndarray]:
        """The joints (V, 3) of each person in a picture (H, W, 3), uint8, red first, so long after the beginning.

        They are x and y in pixels from the top left corner, and a score; zeros: not seen.
        """


def require() -> None:
    """Refuses to watch where the packages of the extra are not installed."""
    if lacking := [name for name in ("mediapipe", "cv2") if find_spec(name) is None]:
        raise ValueError(f"watch: {' and '.join(lacking)} not installed; pip install -r requirements-video.txt")


@contextmanager
def _muted() -> Iterator[None]:
    """Inside, nothing is written to the standard error: MediaPipe's libraries tell each of their steps there."""
    before, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nothing)


class MediaPipe:
    """MediaPipe's pose landmarker, which follows persons from picture to picture.

    Args:
        path: its model, a `.task` file.

    Raises:
        ValueError: the file is no such model.
    """

    skeleton = mediapipe.SKELETON

    def __init__(self, path: Path) -> None:
        from mediapipe import Image, ImageFormat
        from mediapipe.tasks.python import BaseOptions, vision

        self._time = -1
        self._picture = lambda pixels: Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=MOST_PERSONS,
        )
        try:
            with _muted():
                self._landmarker = vision.PoseLandmarker.create_from_options(options)
        except (OSError, ValueError, RuntimeError) as error:
            reason = shorten(str(error), 100, placeholder=" ...") or "no reason given"
            raise ValueError(f"pose_model: {path} is no model of MediaPipe's pose landmarker ({reason})") from error

    def __call__(self, picture: np.ndarray, seconds: float) -> list[np.ndarray]:
        self._time = max(round(1000 * seconds), self._time + 1)  # milliseconds, which must increase
        with _muted():
            result = self._landmarker.detect_for_video(self._picture(picture), self._time)
        sides = picture.shape[1], picture.shape[0]
        poses = []
        for landmarks in result.pose_landmarks:
            joints = np.array([[mark.x * sides[0], mark.y * sides[1], mark.visibility] for mark in landmarks])
            joints[joints[:, 2] < VISIBLE] = 0
            if joints.any():
                poses.append(joints)
        return poses

    def close(self) -> None:
        """Gives its memory back."""
        with _muted():
            self._landmarker.close()


def model_file(path: Path) -> Path:
    """The estimator's model: a file, or that in a folder, into which it is downloaded once.

    Raises:
        ValueError: it is absent and cannot be downloaded.
    """
    if path.is_file():
        return path
    if path.suffix and not path.is_dir():
        raise ValueError(f"pose_model: {path} is no file; download {ADDRESS} there, or name a folder")
    file = path / MODEL
    if not file.is_file():
        log.info("downloading %s to %s", ADDRESS, file)
        try:
            with urlopen(ADDRESS, timeout=SECONDS) as answer, atomic_write(file) as temporary:
                with temporary.open("wb") as out:
                    shutil.copyfileobj(answer, out)
                if not zipfile.is_zipfile(temporary):
                    raise OSError("the answer is no model")
        except (OSError, HTTPException) as error:
            raise ValueError(
                f"pose_model: {ADDRESS} cannot be downloaded ({error}); put that file into {path}, or name it with "
                "--pose_model FILE"
            ) from error
    return file
