"""Bodies in a picture: what `--phase watch` asks of a pose estimator, and MediaPipe's pose landmarker as one.

MediaPipe (Bazarevsky et al., *BlazePose*, CVPR Workshops 2020) is one package, whose model is one file at a stable
address; docs/watching.md compares it with rtmlib. Its 33 landmarks make the joints of COCO and of OpenPose.
"""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol
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


class Pose(NamedTuple):
    """A person in a picture."""

    joints: np.ndarray  # (V, 3): x and y in pixels from the top left corner, and a score; zeros: not seen
    box: tuple[float, float, float, float]  # left, top, right, bottom, in pixels


class Estimator(Protocol):
    """Finds persons in pictures that follow each other."""

    skeleton: Skeleton  # of the joints

    def __call__(self, picture: np.ndarray, seconds: float) -> list[Pose]:
        """The persons in a picture (H, W, 3), uint8, red first, so many seconds after the beginning."""


def require() -> None:
    """Refuses to watch where the packages of the extra are not installed."""
    if lacking := [name for name in ("mediapipe", "cv2") if find_spec(name) is None]:
        raise ValueError(f"watch: {' and '.join(lacking)} not installed; pip install -r requirements-video.txt")


def pose(joints: np.ndarray) -> Pose:
    """The pose of joints (V, 3), with the box around those that are seen."""
    seen = joints[joints[:, 2] > 0, :2]
    (left, top), (right, bottom) = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.zeros(2))
    return Pose(joints, (float(left), float(top), float(right), float(bottom)))


class MediaPipe:
    """MediaPipe's pose landmarker, which follows persons from picture to picture.

    Args:
        path: its model, a `.task` file.

    Raises:
        ValueError: the file is no such model.
    """

    skeleton = mediapipe.SKELETON

    def __init__(self, path: Path) -> None:
        for name in ("GLOG_minloglevel", "TF_CPP_MIN_LOG_LEVEL"):
            os.environ.setdefault(name, "3")  # else it tells each step of loading
        from mediapipe import Image, ImageFormat
        from mediapipe.tasks.python import BaseOptions, vision

        self._picture = lambda pixels: Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=MOST_PERSONS,
        )
        try:
            self._landmarker = vision.PoseLandmarker.create_from_options(options)
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            raise ValueError(f"pose_model: {path} is no model of MediaPipe's pose landmarker ({reason})") from error

    def __call__(self, picture: np.ndarray, seconds: float) -> list[Pose]:
        result = self._landmarker.detect_for_video(self._picture(picture), round(1000 * seconds))
        sides = picture.shape[1], picture.shape[0]
        poses = []
        for landmarks in result.pose_landmarks:
            joints = np.array([[mark.x * sides[0], mark.y * sides[1], mark.visibility] for mark in landmarks])
            joints[joints[:, 2] < VISIBLE] = 0
            if joints.any():
                poses.append(pose(joints))
        return poses

    def close(self) -> None:
        """Gives its memory back."""
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
