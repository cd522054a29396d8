"""A simulated Kinect v2: what it records of a scene, as the text of an NTU `.skeleton` file.

A file has the frame count; per frame the body count; per body 10 numbers about it, the joint count, and 12 numbers a
joint: position (metres), depth and colour pixel, orientation (w x y z), tracking state. Cameras stand around the scene.
They lose frames, guess the positions of hidden limbs, and sometimes take furniture for people.

Axis legend: B bodies, T frames, V = 25 joints, C = x, y, z in the camera's axes: x right, y up, z away; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_gen.demo.motion import CHAIN, rotation
from data_gen.ntu.splits import SampleName

CAMERAS = {1: 0, 2: -45, 3: 45}  # degrees about the vertical
TRACKED, INFERRED, NOT_TRACKED = 2, 1, 0

NOISE = np.full(25, 0.004)  # metres, for the trunk; limbs have more noise, their ends the most
NOISE[[5, 9, 13, 17]] = 0.006
NOISE[[6, 10, 14, 15, 18, 19]] = 0.009
NOISE[[7, 11, 21, 22, 23, 24]] = 0.013
TIPS = [21, 22, 23, 24]
LIMB_ENDS = ([6, 7, 21, 22], [10, 11, 23, 24], [14, 15], [18, 19])  # hidden together

# focal length and principal point, pixels: depth camera 512 x 424, colour camera 1920 x 1080
DEPTH = (365.0, (257.0, 208.0))
COLOR = (1055.0, (976.0, 567.0))

_JOINT = "%.7g %.7g %.7g %.7g %.7g %.7g %.7g %.7g %.7g %.7g %.7g %d\n"
_BODY = "%d 0 %d %d %d %d 0 %.7g %.7g 2\n25\n" + 25 * _JOINT


class Body(NamedTuple):
    """A recorded body: `joints` (T, V, C), their `state` (T, V), and the frames that hold it, `present` (T,)."""

    joints: np.ndarray
    state: np.ndarray
    present: np.ndarray


def film(scene: np.ndarray, sample: SampleName, *, seed: int) -> str:
    """The text of the file that a camera records.

    Args:
        scene: (B, T, V, C) metres in the room (`data_gen.demo.motion.perform`).
        sample: the numbers in the file's name; setup and camera decide the position of the camera.
        seed: the seed of the demo.
    """
    rng = np.random.default_rng([seed, 3, *sample])
    view = camera_view(scene, sample, seed=seed)
    lost = _lost_frames(view.shape[1], rng)
    bodies = [_sense(joints, ~lost, rng) for joints in rng.permutation(view)]
    if rng.random() < 0.12:
        bodies.append(_ghost(view[0, 0], lost, rng))
    return _text(bodies, rng)


def camera_view(scene: np.ndarray, sample: SampleName, *, seed: int) -> np.ndarray:
    """`scene` (B, T, V, C) in the camera's axes; the cameras' positions differ a little between setups."""
    rng = np.random.default_rng([seed, 4, sample.setup, sample.camera])
    angle = np.deg2rad(CAMERAS[sample.camera] + rng.uniform(-4, 4))
    height, distance = rng.uniform(0.8, 1.2), rng.uniform(2.8, 3.6)
    return scene @ rotation(np.array([0, angle, 0])).T + [0, -height, distance]


def _lost_frames(num_frame: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) bool: frames without any body; sometimes the first ones, sometimes a gap."""
    lost = np.zeros(num_frame, dtype=bool)
    if rng.random() < 0.12:
        lost[: rng.integers(1, 5)] = True
    if rng.random() < 0.2:
        start = rng.integers(1, num_frame - 5)
        lost[start : start + rng.integers(1, 5)] = True
    return lost


def _sense(joints: np.ndarray, present: np.ndarray, rng: np.random.Generator) -> Body:
    """Add noise to `joints` (T, V, C): fast noise, a slow error, and guesses for hidden ends of limbs."""
    noise = 0.5 * rng.normal(size=joints.shape) + 0.7 * _slow_noise(joints.shape, 9, rng)
    measured = joints + NOISE[:, None] * noise
    state = np.full(joints.shape[:2], TRACKED)
    for _ in range(rng.poisson(1.0)):
        limb = LIMB_ENDS[rng.integers(len(LIMB_ENDS))]
        start, length = rng.integers(len(joints)), rng.integers(6, 20)
        hidden = slice(start, start + length)
        measured[hidden, limb] += 0.03 * _slow_noise((len(joints), 1, 3), 15, rng)[hidden]
        state[hidden, limb] = INFERRED
        state[hidden, np.intersect1d(limb, TIPS)] = rng.choice([NOT_TRACKED, INFERRED])
    return Body(measured, state, present)


def _ghost(joints: np.ndarray, lost: np.ndarray, rng: np.random.Generator) -> Body:
    """Furniture that is taken for a body in some frames: a shrunk copy of `joints` (V, C), at the side."""
    start, length = rng.integers(len(lost) - 8), rng.integers(8, 25)
    centre = joints.mean(axis=0)
    shape = 0.4 * (joints - centre) + rng.normal(0, 0.06, size=joints.shape)
    side = [rng.choice([-1, 1]) * rng.uniform(0.9, 1.4), -0.35, rng.uniform(-0.2, 0.6)]
    present = ~lost
    present[:start] = present[start + length :] = False
    return Body(
        centre + side + shape + rng.normal(0, 0.008, size=(len(lost), *shape.shape)),
        rng.choice([INFERRED, TRACKED], size=(len(lost), len(joints))),
        present,
    )


def _slow_noise(shape: tuple[int, ...], width: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise (T, ...), correlated over `width` frames."""
    white = rng.normal(size=(shape[0] + width - 1, *shape[1:]))
    return np.lib.stride_tricks.sliding_window_view(white, width, axis=0).sum(axis=-1) / np.sqrt(width)


def _text(bodies: Sequence[Body], rng: np.random.Generator) -> str:
    """The text of the file: frame by frame the present bodies, always in this order."""
    tables = [_numbers(body) for body in bodies]
    heads = [(72057594037900000 + int(rng.integers(99999)), *rng.integers(0, 2, size=4)) for _ in bodies]
    lines = [f"{len(bodies[0].present)}\n"]
    for frame in range(len(bodies[0].present)):
        seen = [body for body in range(len(bodies)) if bodies[body].present[frame]]
        lines.append(f"{len(seen)}\n")
        lines += [_BODY % (*heads[body], *tables[body][frame]) for body in seen]
    return "".join(lines)


def _numbers(body: Body) -> list[list[float]]:
    """A body's numbers in the file, a list for each frame: its lean, then 12 numbers for each of 25 joints."""
    joints = body.joints
    trunk = joints[:, 20] - joints[:, 0]
    lean = trunk[:, [0, 2]] / np.linalg.norm(trunk, axis=-1, keepdims=True) * [1, -1]
    pixels = (_pixels(joints, *DEPTH), _pixels(joints, *COLOR))
    table = np.concatenate([joints, *pixels, _orientation(joints), body.state[..., None]], axis=-1)
    return np.concatenate([lean, table.reshape(len(table), -1)], axis=1).tolist()


def _pixels(joints: np.ndarray, focal: float, middle: tuple[float, float]) -> np.ndarray:
    """Pinhole projection (..., C) -> (..., 2) pixels, counted from the upper left corner."""
    return joints[..., :2] / joints[..., 2:] * [focal, -focal] + middle


def _orientation(joints: np.ndarray) -> np.ndarray:
    """Quaternions w x y z (T, V, 4) that rotate +y to the bone from the parent, and +z to the sensor.

    This is the half turn about the bisector of +y and the bone. Ends of limbs have 0 0 0 0, as in NTU.
    """
    bone = joints - joints[:, [CHAIN[joint][0] if joint in CHAIN else joint for joint in range(25)]]
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    bisector = bone / np.where(length > 0, length, 1) + [0, 1 + 1e-6, 0]  # never zero
    quaternion = np.zeros((*joints.shape[:2], 4))
    quaternion[..., 1:] = bisector / np.linalg.norm(bisector, axis=-1, keepdims=True)
    quaternion[:, [3, 15, 19, *TIPS]] = 0
    return quaternion
