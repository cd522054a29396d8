"""The feeder: augmented samples of a prepared array (N, C, T, V, M), which stays on disk.

Each sample has its random generator, seeded by (seed, epoch, index) and, where an epoch takes it several times, the
number of the repetition: augmentations differ between epochs and samples, and do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils.data import Dataset

from feeders import augment
from feeders.arrays import (
    labels_of,
    load_array,
    load_lengths,
    load_missing,
    skeleton_of_array,
)
from feeders.layout import Layout
from feeders.options import FeederOptions
from feeders.presence import present, recorded, spans
from feeders.streams import OF_BONES, STREAMS, WITHOUT_BONES, derive, names_in


class Feeder(FeederOptions, Dataset[tuple[torch.Tensor, int, int]]):
    """Samples (C, T, V, M) float32, or several clips of each (clips, C, T, V, M), with their label and index.

    A sample passes these steps in this order: center, stream, normalization, rotation, scaling, mirroring, min_max,
    shift, window, jitter, move; with `derive: after` the stream comes last. What is missing (a joint, a person, a
    padded frame) is NaN on its way, so that nothing is made of it, and zero in the end. The arguments are those of
    `FeederOptions`. A subclass adds streams in `streams`, steps by overriding `transform`, and arguments as fields of a
    dataclass (docs/extending.md).

    Raises:
        ValueError: arguments that do not fit, or an array and the files beside it that do not fit each other.
        FileNotFoundError: `data_path` or `label_path` is missing.
    """

    Options: ClassVar = FeederOptions  # the schema of `train_feeder_args` and `test_feeder_args`

    def __post_init__(self) -> None:
        super().__post_init__()
        self.data = load_array(self.data_path, mmap=self.mmap)
        self.sample_name, self.label = labels_of(self.data, self.data_path, self.label_path)
        self.layout = Layout.of_array(self.data_path, published=self.published)
        self.lengths = load_lengths(self.data_path)
        self.missing = None if self.published else load_missing(self.data_path)
        self._check_data()
        V = self.data.shape[3]
        if self.debug:
            self.data, self.sample_name, self.label = self.data[:100], self.sample_name[:100], self.label[:100]
        needs_bones = not set(names_in(self.stream, self.streams)) <= {*WITHOUT_BONES}
        needs_bones |= self.missing is not None and "bone" in self.layout.groups
        self.parents = skeleton_of_array(self.data_path, V).parents if needs_bones else ()
        self.partner = skeleton_of_array(self.data_path, V).partners if self.mirroring else None
        if self.partner == tuple(range(V)):
            raise ValueError(f"mirroring: the joints of {self.data_path} have no left and right in their names")
        self.statistics = self._statistics() if self.normalization else None
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # running workers read it

    def _check_data(self) -> None:
        """Checks the array and its labels against the arguments."""
        if self.label.min() < 0:
            name = self.sample_name[int(self.label.argmin())]
            raise ValueError(
                f"{self.label_path}: the label {self.label.min()} of {name!r} is negative; classes count from 0"
            )
        if self.random_rotation and self.layout.flat:
            raise ValueError(f"random_rotation: turns x, y and z, {self.layout.flat}; drop it")
        if self.center is not None and self.center >= (V := self.data.shape[3]):
            raise ValueError(f"center: {self.center} is no joint of {self.data_path}, which has {V}")
        for key, is_used, least in (("center", self.center is not None, 1), ("random_move", self.random_move, 2)):
            if is_used and self.layout.axes < least:
                raise ValueError(f"{key}: {self.data_path} holds no x and y; drop it")
        names = names_in(self.stream, self.streams)
        if "bone" in self.layout.groups and (of_joints := {*names} & {*STREAMS} - {*OF_BONES}):
            raise ValueError(
                f"stream: {min(of_joints)} is made of joints, {self.data_path} holds bones; name the array of joints"
            )

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
        again = getattr(index, "again", 0)  # how often the epoch has drawn this sample before
        index = range(len(self))[index]
        rng = np.random.default_rng([self.seed, int(self._epoch), index, *([again] if again else [])])
        x = self._joints(index, cut=self.sampling != "crop")  # before motion, so that no motion leads into padding
        x = self._prepared(x)
        count = self.num_clips or 1
        each = (x if count == 1 else x.copy() for _ in range(count))  # a step may work in place
        clips = [self._clip(clip, rng, number * x.shape[1] // count) for number, clip in enumerate(each)]
        x = clips[0] if count == 1 else np.stack(clips)
        return torch.from_numpy(without_nan(x)), int(self.label[index]), int(index)

    def _joints(self, index: int, *, cut: bool) -> augment.Sample:
        """A sample of the array (C, T, V, M), NaN where it is missing; with `cut` its recorded frames only.

        Raises:
            ValueError: it holds NaN or infinity.
        """
        x, is_present = self._read(index)
        begin, end = self._recorded(index, x, is_present) if cut else (0, len(is_present))
        x = without_absent(np.ascontiguousarray(x[:, begin:end]), is_present[begin:end])
        if self.missing is not None:
            missing = self.missing[index][begin:end]
            for group, kind in zip(np.split(x, len(self.layout.groups)), self.layout.groups, strict=True):
                is_missing = missing | missing[:, self.parents] if kind == "bone" else missing
                group[:, is_missing] = np.nan
        return x

    def _read(self, index: int) -> tuple[augment.Sample, np.ndarray]:
        """A copy of a sample, and whether each frame holds each person (T, M)."""
        x = np.array(self.data[index], dtype=np.float32)
        if not np.isfinite(x).all():
            raise ValueError(
                f"{self.data_path}: the sample {self.sample_name[index]!r} holds NaN or infinity; a missing joint must "
                "be zero there, as in the arrays that data_gen/custom_gendata.py makes"
            )
        return x, present(x, None if self.missing is None else self.missing[index])

    def _recorded(self, index: int, x: augment.Sample, is_present: np.ndarray) -> tuple[int, int]:
        return recorded(x, is_present, None if self.lengths is None else int(self.lengths[index]))

    def _prepared(self, x: augment.Sample) -> augment.Sample:
        """`x` centred, and made the stream unless `derive` is `after`."""
        if self.center is not None:
            args = {"person": self.center_person, "groups": self.layout.groups}
            x = self._at_positions(x, augment.center, self.center, **args)
        return x if self.derive == "after" else self._stream(x)

    def _stream(self, joints: augment.Sample) -> augment.Sample:
        if self.streams.get(self.stream) is STREAMS["joint"]:
            return joints
        args = (self.stream, self.parents, self.streams)
        return self._between_frames(joints, derive, *args, score=self.layout.score, groups=len(self.layout.groups))

    @property
    def _places(self) -> list[bool]:
        """Whether each group of channels that is augmented holds positions, not differences of positions."""
        names = ["joint"] if self.derive == "after" else names_in(self.stream, self.streams)
        return [name in self.places and kind == "joint" for name in names for kind in self.layout.groups]

    @property
    def _is_told(self) -> bool:
        """Whether files beside the array tell what its numbers are."""
        return self.missing is not None or self.layout.channels is not None

    def _between_frames(
        self, x: augment.Sample, function: Callable[..., augment.Sample], *args: Any, **options: Any
    ) -> augment.Sample:
        """Applies a function that combines frames of `x`; absent persons are missing (NaN) for it, not at zero.

        Of arrays without `prepared.yaml` and mask, absent persons are positions at zero, as in published code.
        """
        if self._is_told:
            return function(x, *args, **options)
        y = function(without_nan(x), *args, **options)
        return without_absent(y, present(y))

    def _clip(self, x: augment.Sample, rng: np.random.Generator, start: int) -> augment.Sample:
        x = self.transform(self._from(x, start), rng)
        return self._stream(x) if self.derive == "after" else x

    def _from(self, x: augment.Sample, start: int) -> augment.Sample:
        """`x`, rolled to begin at frame `start` for a clip of a sample that is shorter than the window."""
        moves = self.num_clips is not None and self.sampling == "uniform" and start and x.shape[1] < self.window_size
        return np.roll(x, -start, axis=1) if moves else x

    def frame_numbers(self, index: int) -> np.ndarray:
        """The array's frame, from 0, that each frame of a sample shows: (T,), or (clips, T) of several clips.

        Frames that are interpolated have a fraction, and padding is NaN. The sample is made anew, and its draws are
        repeated on the numbers of its frames.
        """
        begin = 0 if self.sampling == "crop" else self._recorded(index, *self._read(index))[0]
        twin, count = copy(self), self.num_clips or 1
        shown: list[np.ndarray] = []

        def window(x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
            T = x.shape[1]
            numbers = self._from(begin + 1.0 + np.arange(T)[None], len(shown) * T // count)[0]
            if self.random_shift:  # it moves the frames that hold a person
                first, end = spans(augment.present(x).any(axis=1))
                numbers[:first] = numbers[end:] = np.nan
            shown.append(self._window(numbers[None, :, None, None], deepcopy(rng))[0, :, 0, 0])
            return self._window(x, rng)

        twin._window = window  # type: ignore[method-assign]
        twin[index]
        numbers = np.stack(shown) - 1
        return numbers[0] if count == 1 else numbers

    def transform(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        """One window of a sample of the stream: (C, T, V, M) -> (C, window, V, M); `rng` is the sample's generator."""
        at_positions, axes = self._at_positions, self.layout.axes
        if self.statistics is not None:
            x = (x - self.statistics[0]) / self.statistics[1]
        if self.random_rotation:
            x = at_positions(x, augment.random_rotation, self.random_rotation, rng, order=self.rotation_order)
        if self.random_scaling:
            x = at_positions(x, augment.random_scaling, self.random_scaling, rng)
        if self.partner is not None and rng.random() < 0.5:
            x = self._mirrored(x, self.partner)
        if self.min_max:
            x = at_positions(x, augment.min_max)
        x = self._window(x, rng)
        if self.joint_jitter:
            x = at_positions(x, augment.jitter, self.joint_jitter, rng)
        if self.random_move:
            x, places = (x, self._places) if self._is_told else (without_nan(x), None)  # as published
            x = at_positions(x, augment.random_move, rng, axes=axes, places=places)
        return x

    def _at_positions(
        self, x: augment.Sample, function: Callable[..., augment.Sample], *args: Any, **options: Any
    ) -> augment.Sample:
        """`x` with a function of its coordinates applied to them; a score stays as it is."""
        positions = self.layout.positions(len(x))
        if positions is None:
            return function(x, *args, **options)
        y = x.copy()
        y[positions] = function(x[positions], *args, **options)
        return y

    def _mirrored(self, x: augment.Sample, partner: tuple[int, ...]) -> augment.Sample:
        xs = self.layout.xs(len(x))
        places = [channel for channel, is_place in zip(xs, self._places, strict=False) if is_place]
        about = 0.0
        if places and self.center is None and not self.normalization:
            about = self.layout.mirror(*augment.extent(x, places[0]), scaled=bool(self.random_scaling))
        return augment.mirror(x, partner, xs, about=dict.fromkeys(places, about) if about else {})

    def _window(self, x: augment.Sample, rng: np.random.Generator) -> augment.Sample:
        size = self.window_size
        if self.random_shift:
            x = augment.random_shift(x, rng)
        if self.random_choose:
            return augment.random_choose(x, size, rng)
        if self.sampling == "crop":
            return augment.first_frames(x, size) if size > 0 else x
        if self.sampling == "even":
            return augment.even_frames(x, size)
        if self.sampling == "random":
            return augment.random_frames(x, size, rng)
        if self.sampling == "drawn":
            return augment.drawn_frames(x, size, rng)
        if self.sampling == "uniform":
            return augment.uniform_frames(x, size, rng, start=None if self.num_clips is None else 0)
        args = (augment.crop_resize, size, self.p_interval, rng)
        return self._between_frames(x, *args, min_crop=self.min_crop)

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (C, 1, V, 1) of all joints that are there, read in chunks of bounded memory."""
        count, total, squares = (np.zeros(()) for _ in range(3))
        for x in self._chunks():
            is_missing = np.isnan(x)
            count = count + np.count_nonzero(~is_missing, axis=(0, 2, 4))
            x[is_missing] = 0
            total = total + x.sum(axis=(0, 2, 4))
            squares = squares + (x**2).sum(axis=(0, 2, 4))
        mean = total / np.maximum(count, 1)
        deviation = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
        deviation[deviation == 0] = 1
        if (positions := self.layout.positions(len(mean))) is not None:
            scores = np.setdiff1d(np.arange(len(mean)), positions)
            mean[scores], deviation[scores] = 0, 1
        return mean[:, None, :, None].astype(np.float32), deviation[:, None, :, None].astype(np.float32)

    def _chunks(self, size: int = 256) -> Iterator[np.ndarray]:
        for start in range(0, len(self.label), size):
            samples = [self._prepared(self._joints(i, cut=False)) for i in range(len(self.label))[start : start + size]]
            yield np.stack(samples).astype(np.float64)


def without_absent(x: augment.Sample, is_present: np.ndarray) -> augment.Sample:
    """Makes persons NaN, in place, in frames that do not hold them; `is_present` is (T, M)."""
    if not is_present.all():  # a factor of the same shape is several times as fast as one that is broadcast
        x *= np.tile(np.where(is_present, np.float32(1), np.float32(np.nan)), x.shape[2]).reshape(x.shape[1:])
    return x


def without_nan(x: np.ndarray) -> np.ndarray:
    """A copy with zero for NaN, made several times as fast as by numpy."""
    return torch.from_numpy(x).nan_to_num(0, posinf=np.inf, neginf=-np.inf).numpy()
