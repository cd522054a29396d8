"""The feeder: augmented samples of a prepared array (N, C, T, V, M), which stays on disk.

Each sample has its random generator, seeded by (seed, epoch, index): augmentations differ between epochs and samples,
and do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from feeders import augment
from feeders.arrays import labels_of, load_array, present, skeleton_of_array
from feeders.streams import derive
from graph.common.words import plural

SAMPLINGS = ("crop", "even", "random", "resize", "uniform")


class Feeder(Dataset[tuple[torch.Tensor, int, int]]):
    """Samples (C, T, V, M) float32, or several clips of each (clips, C, T, V, M), with their label and index.

    A sample passes these steps in this order: center, stream, normalization, rotation, scaling, mirroring, min_max,
    shift, window, jitter, move.

    Args:
        data_path: `.npy` array (N, C, T, V, M).
        label_path: pickle of (sample_names, labels).
        stream: what is computed from the joints: `joint`, `bone`, `joint_motion`, `bone_motion`, or several joined by
            `+` (`joint+bone` has twice the channels, joints first). Bones are those of `skeleton.yaml` beside the
            array, or of the known skeleton with as many joints.
        random_choose: take a window of `window_size` frames from a random place.
        random_shift: move the valid frames to a random place.
        random_move: turn, scale and shift x and y slowly, as a moving camera does.
        window_size: number of frames; -1 keeps all. Without `random_choose` the first frames are taken, and a shorter
            sample is padded with zeros.
        normalization: subtract the mean of every channel and joint over the data, and divide by the standard
            deviation; both are computed over present persons only (the published code counts absent ones, too).
        mirroring: exchange left and right with probability 0.5; x is every third channel of the array, or the first
            one if the number of channels is no multiple of three.
        debug: use the first 100 samples only.
        mmap: leave the array on disk and read each sample when it is needed.
        sampling: how `window_size` frames are chosen. `crop`: as above. The others choose among the recorded frames,
            which are those from the first to the last with a person, without the repetitions that fill NTU arrays:
            `even`: evenly spaced; `random`: one drawn from each of `window_size` equal intervals; `uniform`: as in
            pyskl; `resize`: a crop, interpolated, as in CTR-GCN.
        p_interval: the share of frames that `resize` crops: [share], from the middle, or [lowest, highest], drawn
            between them, from a random place.
        num_clips: in tests: number of windows that are drawn of each sample; their scores are averaged.
        center: subtract the position of this joint (0-based) in the first valid frame; None: subtract nothing.
        center_person: whose joint: that of the `first` person, or the `mean` over all present persons, for
            interactions.
        random_rotation: largest angles about x, y and z, in degrees; None: no rotation.
        random_scaling: lowest and highest factor; None: no scaling.
        joint_jitter: standard deviation of noise on every channel of every joint, in the array's unit.
        min_max: scale every channel of a sample to [-1, 1].
        seed: seeds the augmentations.

    Raises:
        ValueError: arguments that do not fit, or an array and labels that do not fit each other.
        FileNotFoundError: `data_path` or `label_path` is missing.
    """

    def __init__(
        self,
        data_path: str,
        label_path: str,
        *,
        stream: str = "joint",
        random_choose: bool = False,
        random_shift: bool = False,
        random_move: bool = False,
        window_size: int = -1,
        normalization: bool = False,
        mirroring: bool = False,
        debug: bool = False,
        mmap: bool = True,
        sampling: Literal["crop", "even", "random", "resize", "uniform"] = "crop",
        p_interval: Sequence[float] = (1.0,),
        num_clips: int = 1,
        center: int | None = None,
        center_person: Literal["first", "mean"] = "first",
        random_rotation: tuple[float, float, float] | None = None,
        random_scaling: tuple[float, float] | None = None,
        joint_jitter: float = 0.0,
        min_max: bool = False,
        seed: int = 0,
    ) -> None:
        drawn = random_choose or sampling in ("random", "uniform") or (sampling == "resize" and len(p_interval) > 1)
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling: {sampling!r} is none of {', '.join(SAMPLINGS)}")
        if random_choose and sampling != "crop":
            raise ValueError(f"random_choose: chooses for sampling: crop, not for {sampling}; drop one")
        if len(p_interval) not in (1, 2) or not 0 < p_interval[0] <= p_interval[-1] <= 1:
            raise ValueError(f"p_interval: {list(p_interval)} is not one share in (0, 1], or a lowest and a highest")
        if num_clips < 1 or (num_clips > 1 and not drawn):
            raise ValueError(f"num_clips: {num_clips} windows are drawn by random_choose, or sampling: random, uniform")
        if random_rotation and min(random_rotation) < 0:
            raise ValueError(f"random_rotation: {list(random_rotation)} must be angles of at least 0")
        if random_scaling and not 0 < random_scaling[0] <= random_scaling[1]:
            raise ValueError(f"random_scaling: {list(random_scaling)} must be a lowest and a highest factor above 0")
        if joint_jitter < 0:
            raise ValueError(f"joint_jitter: {joint_jitter} must be a deviation of at least 0")
        if window_size != -1 and window_size < 1:
            raise ValueError(f"window_size: {window_size} is neither -1, for all frames, nor a number of frames")
        if window_size < 1 and (random_choose or sampling != "crop"):
            raise ValueError(f"window_size: {window_size} with random_choose or sampling; give a number of frames")
        self.data_path = data_path
        self.data = load_array(data_path, mmap=mmap)
        self.sample_name, self.label = labels_of(self.data, data_path, label_path)
        if self.label.min() < 0:
            name = self.sample_name[int(self.label.argmin())]
            raise ValueError(
                f"{label_path}: the label {self.label.min()} of {name!r} is negative; classes count from 0"
            )
        C, V = self.data.shape[1], self.data.shape[3]
        if random_rotation and C % 3:
            raise ValueError(f"random_rotation: turns x, y and z, {data_path} has {plural(C, 'channel')}; drop it")
        derive(np.zeros((1, 1, V, 1), np.float32), stream, range(V))  # says what is wrong with `stream`
        if center is not None and not 0 <= center < V:
            raise ValueError(f"center: {center} is no joint of {data_path}, which has {V}")
        if center_person not in ("first", "mean"):
            raise ValueError(f"center_person: {center_person!r} is neither first nor mean")
        if debug:
            self.data, self.sample_name, self.label = (
                self.data[:100],
                self.sample_name[:100],
                self.label[:100],
            )
        self.stream = stream
        self.parents = skeleton_of_array(data_path, V).parents if "bone" in stream else ()
        self.random_choose = random_choose
        self.random_shift = random_shift
        self.random_move = random_move
        self.window_size = window_size
        self.sampling = sampling
        self.p_interval = p_interval
        self.num_clips = num_clips
        self.center = center
        self.center_person: Literal["first", "mean"] = center_person
        self.random_rotation = random_rotation
        self.random_scaling = random_scaling
        self.joint_jitter = joint_jitter
        self.min_max = min_max
        self.seed = seed
        self.partner = skeleton_of_array(data_path, V).partners if mirroring else None
        if self.partner == tuple(range(V)):
            raise ValueError(f"mirroring: the joints of {data_path} have no left and right in their names")
        self.axes = C if C % 3 else 3
        self.statistics = _statistics(self.data, self._derive) if normalization else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # running workers read it

    def set_epoch(self, epoch: int) -> None:
        """Draws the augmentations of this epoch from now on, in running workers too."""
        self._epoch.fill_(epoch)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out a mapped array: a spawned worker maps the file again, where a pickle would copy all of it."""
        return {**self.__dict__, "data": None} if isinstance(self.data, np.memmap) else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.data is None:
            self.data = load_array(self.data_path)[: len(self.label)]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        rng = np.random.default_rng([self.seed, int(self._epoch), index])
        x = np.array(self.data[index], dtype=np.float32)
        if self.sampling != "crop":
            x = augment.recorded_frames(x)  # before motion is computed, so that no motion leads into padding
        x = self._derive(x)
        clips = [self._transform(x, rng) for _ in range(self.num_clips)]
        x = clips[0] if self.num_clips == 1 else np.stack(clips)
        return torch.from_numpy(np.ascontiguousarray(x)), int(self.label[index]), index

    def _derive(self, joints: augment.Sample) -> augment.Sample:
        if self.center is not None:
            joints = augment.center(joints, self.center, person=self.center_person)
        return derive(joints, self.stream, self.parents)

    def _transform(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        if self.statistics is not None:
            x = np.where(present(x)[:, None], (x - self.statistics[0]) / self.statistics[1], x)
        if self.random_rotation:
            x = augment.random_rotation(x, self.random_rotation, rng)
        if self.random_scaling:
            x = augment.random_scaling(x, self.random_scaling, rng)
        if self.partner is not None and rng.random() < 0.5:
            x = augment.mirror(x, self.partner, self.axes)
        if self.min_max:
            x = augment.min_max(x)
        if self.random_shift:
            x = augment.random_shift(x, rng)
        x = self._window(x, rng)
        if self.joint_jitter:
            x = augment.jitter(x, self.joint_jitter, rng)
        return augment.random_move(x, rng) if self.random_move else x

    def _window(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        size = self.window_size
        if self.random_choose:
            return augment.random_choose(x, size, rng)
        if self.sampling == "crop":
            return augment.first_frames(x, size) if size > 0 else x
        if self.sampling == "even":
            return augment.even_frames(x, size)
        if self.sampling == "random":
            return augment.random_frames(x, size, rng)
        if self.sampling == "uniform":
            return augment.uniform_frames(x, size, rng)
        return augment.crop_resize(x, size, self.p_interval, rng)


def _statistics(data: np.ndarray, derive: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C, 1, V, 1) over all present persons, read in chunks of bounded memory."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for start in range(0, len(data), 256):
        x = np.stack([derive(sample) for sample in data[start : start + 256]]).astype(np.float64)
        count += np.count_nonzero(present(x))
        total = total + x.sum(axis=(0, 2, 4))  # absent persons are zero and add nothing
        squares = squares + (x**2).sum(axis=(0, 2, 4))
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    deviation[deviation == 0] = 1
    return mean[:, None, :, None].astype(np.float32), deviation[:, None, :, None].astype(np.float32)
