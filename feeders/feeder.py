"""The feeder: augmented samples of a prepared array (N, C, T, V, M), which stays on disk.

Each sample has its random generator, seeded by (seed, epoch, index): augmentations differ between epochs and samples,
and do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import Dataset

from feeders import augment
from feeders.arrays import labels_of, load_array, present, skeleton_of_array
from feeders.options import FeederOptions
from feeders.streams import WITHOUT_BONES, derive, names_in
from graph.common.words import plural


class Feeder(FeederOptions, Dataset[tuple[torch.Tensor, int, int]]):
    """Samples (C, T, V, M) float32, or several clips of each (clips, C, T, V, M), with their label and index.

    A sample passes these steps in this order: center, stream, normalization, rotation, scaling, mirroring, min_max,
    shift, window, jitter, move. The arguments are those of `FeederOptions`. A subclass adds streams in `streams`, steps
    by overriding `transform`, and arguments as fields of a dataclass (docs/extending.md).

    Raises:
        ValueError: arguments that do not fit, or an array and labels that do not fit each other.
        FileNotFoundError: `data_path` or `label_path` is missing.
    """

    Options: ClassVar = FeederOptions  # the schema of `train_feeder_args` and `test_feeder_args`

    def __post_init__(self) -> None:
        super().__post_init__()
        self.data = load_array(self.data_path, mmap=self.mmap)
        self.sample_name, self.label = labels_of(self.data, self.data_path, self.label_path)
        self._check_data()
        V = self.data.shape[3]
        if self.debug:
            self.data, self.sample_name, self.label = self.data[:100], self.sample_name[:100], self.label[:100]
        needs_bones = not set(names_in(self.stream, self.streams)) <= {*WITHOUT_BONES}
        self.parents = skeleton_of_array(self.data_path, V).parents if needs_bones else ()
        self.partner = skeleton_of_array(self.data_path, V).partners if self.mirroring else None
        if self.partner == tuple(range(V)):
            raise ValueError(f"mirroring: the joints of {self.data_path} have no left and right in their names")
        C = self.data.shape[1]
        self.axes = C if C % 3 else 3
        self.statistics = _statistics(self.data, self._derive) if self.normalization else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # running workers read it

    def _check_data(self) -> None:
        """Checks the array and its labels against the arguments."""
        if self.label.min() < 0:
            name = self.sample_name[int(self.label.argmin())]
            raise ValueError(
                f"{self.label_path}: the label {self.label.min()} of {name!r} is negative; classes count from 0"
            )
        C, V = self.data.shape[1], self.data.shape[3]
        if self.random_rotation and C % 3:
            channels = plural(C, "channel")
            raise ValueError(f"random_rotation: turns x, y and z, {self.data_path} has {channels}; drop it")
        if self.center is not None and self.center >= V:
            raise ValueError(f"center: {self.center} is no joint of {self.data_path}, which has {V}")

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
        clips = [self.transform(x, rng) for _ in range(self.num_clips)]
        x = clips[0] if self.num_clips == 1 else np.stack(clips)
        return torch.from_numpy(np.ascontiguousarray(x)), int(self.label[index]), index

    def _derive(self, joints: augment.Sample) -> augment.Sample:
        if self.center is not None:
            joints = augment.center(joints, self.center, person=self.center_person)
        return derive(joints, self.stream, self.parents, self.streams)

    def transform(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        """One window of a sample of the stream: (C, T, V, M) -> (C, window, V, M); `rng` is the sample's generator."""
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
