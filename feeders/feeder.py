"""The feeder: prepared arrays (N, C, T, V, M), memory-mapped, as augmented samples.

Every sample draws from a generator of its own, made of (seed, epoch, index): augmentations differ between epochs
and samples, and do not depend on how many workers share the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from feeders import augment
from feeders.labels import load_labels
from graph import skeleton_of

SAMPLINGS = ("crop", "even", "random")


class Feeder(Dataset[tuple[torch.Tensor, int, int]]):
    """Samples (C, T, V, M) float32 with their label and index.

    Args:
        data_path: `.npy` array (N, C, T, V, M).
        label_path: pickle of (sample_names, labels).
        random_choose: a window of `window_size` frames from a random place.
        random_shift: place the valid frames at a random place.
        random_move: slow random camera motion in the image plane.
        window_size: number of frames; -1 keeps all. Without `random_choose` the first ones, filled up with zeros.
        normalization: subtract the mean of every channel and joint over the data, divide by the deviation; both are
            of the frames and persons that are there (the published code counts the empty ones, too).
        mirroring: exchange left and right in every second sample, at random.
        debug: only the first 100 samples.
        mmap: leave the array on disk and read samples as they are needed.
        sampling: how `window_size` frames come about: `crop` as above; `even`ly spaced over the valid frames;
            `random`, one from each of `window_size` equal stretches of them.
        center: subtract this joint (0-based) of the first valid frame; None: nothing.
        random_rotation: largest angles about x, y and z, in degrees; None: no rotation.
        random_scaling: lowest and highest factor; None: no scaling.
        min_max: scale every channel of a sample to [-1, 1].
        seed: of the augmentations.

    Raises:
        ValueError: arguments that do not fit, or an array and labels that do not fit each other.
        FileNotFoundError: `data_path` or `label_path` is missing.
    """

    def __init__(
        self,
        data_path: str,
        label_path: str,
        *,
        random_choose: bool = False,
        random_shift: bool = False,
        random_move: bool = False,
        window_size: int = -1,
        normalization: bool = False,
        mirroring: bool = False,
        debug: bool = False,
        mmap: bool = True,
        sampling: str = "crop",
        center: int | None = None,
        random_rotation: tuple[float, float, float] | None = None,
        random_scaling: tuple[float, float] | None = None,
        min_max: bool = False,
        seed: int = 0,
    ) -> None:
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling: {sampling!r} is none of {', '.join(SAMPLINGS)}")
        if random_rotation and min(random_rotation) < 0:
            raise ValueError(f"random_rotation: {list(random_rotation)} must be angles of at least 0")
        if random_scaling and not 0 < random_scaling[0] <= random_scaling[1]:
            raise ValueError(f"random_scaling: {list(random_scaling)} must be a lowest and a highest factor above 0")
        if window_size != -1 and window_size < 1:
            raise ValueError(f"window_size: {window_size} is neither -1, for all frames, nor a number of frames")
        if window_size < 1 and (random_choose or sampling != "crop"):
            raise ValueError(f"window_size: {window_size} with random_choose or sampling; give a number of frames")
        self.data_path = data_path
        self.data = _load_array(data_path, mmap=mmap)
        self.sample_name, self.label = load_labels(label_path)
        if len(self.data) != len(self.label):
            raise ValueError(
                f"{data_path} holds {len(self.data)} samples, {label_path} {len(self.label)} labels; "
                "make both again with the same command"
            )
        if center is not None and not 0 <= center < self.data.shape[3]:
            raise ValueError(f"center: {center} is no joint of {data_path}, which has {self.data.shape[3]}")
        if debug:
            self.data, self.sample_name, self.label = (
                self.data[:100],
                self.sample_name[:100],
                self.label[:100],
            )
        self.random_choose = random_choose
        self.random_shift = random_shift
        self.random_move = random_move
        self.window_size = window_size
        self.sampling = sampling
        self.center = center
        self.random_rotation = random_rotation
        self.random_scaling = random_scaling
        self.min_max = min_max
        self.seed = seed
        self.partner = skeleton_of(self.data.shape[3]).partners if mirroring else None
        self.statistics = _statistics(self.data) if normalization else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers see what `set_epoch` wrote

    def set_epoch(self, epoch: int) -> None:
        """Makes the augmentations those of this epoch, also in running workers."""
        self._epoch.fill_(epoch)

    def __getstate__(self) -> dict[str, Any]:
        """Workers that are started afresh map the file again; a pickled map would be a copy of all of it."""
        return {**self.__dict__, "data": None} if isinstance(self.data, np.memmap) else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.data is None:
            self.data = _load_array(self.data_path, mmap=True)[: len(self.label)]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        rng = np.random.default_rng([self.seed, int(self._epoch), index])
        x = np.array(self.data[index], dtype=np.float32)
        x = self._transform(x, rng)
        return torch.from_numpy(np.ascontiguousarray(x)), int(self.label[index]), index

    def _transform(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        if self.statistics is not None:
            x = np.where(augment.present(x), (x - self.statistics[0]) / self.statistics[1], x)
        if self.center is not None:
            x = augment.center(x, self.center)
        if self.random_rotation:
            x = augment.random_rotation(x, self.random_rotation, rng)
        if self.random_scaling:
            x = augment.random_scaling(x, self.random_scaling, rng)
        if self.partner is not None and rng.random() < 0.5:
            x = augment.mirror(x, self.partner)
        if self.min_max:
            x = augment.min_max(x)
        if self.random_shift:
            x = augment.random_shift(x, rng)
        x = self._window(x, rng)
        return augment.random_move(x, rng) if self.random_move else x

    def _window(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        if self.sampling == "even":
            return augment.even_frames(augment.valid_frames(x), self.window_size)
        if self.sampling == "random":
            return augment.random_frames(augment.valid_frames(x), self.window_size, rng)
        if self.random_choose:
            return augment.random_choose(x, self.window_size, rng)
        return augment.first_frames(x, self.window_size) if self.window_size > 0 else x


def _load_array(path: str, *, mmap: bool) -> np.ndarray:
    try:
        data = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(f"{path} is not a whole .npy array of numbers; make it again") from error
    if not isinstance(data, np.ndarray) or data.ndim != 5 or data.dtype.kind != "f":
        raise ValueError(f"{path} is not an array (N, C, T, V, M) of floats")
    return data


def _statistics(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (C, 1, V, 1) over all frames with a skeleton, in one pass of bounded memory."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for start in range(0, len(data), 256):
        x = data[start : start + 256].astype(np.float64)
        count += np.count_nonzero(x.any(axis=(1, 3)))
        total = total + x.sum(axis=(0, 2, 4))  # what is absent is zero, and adds nothing
        squares = squares + (x**2).sum(axis=(0, 2, 4))
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    deviation[deviation == 0] = 1
    return mean[:, None, :, None].astype(np.float32), deviation[:, None, :, None].astype(np.float32)
