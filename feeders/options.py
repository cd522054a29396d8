"""The arguments of `feeders.feeder.Feeder`, checked without data and without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from feeders.augment import MIN_CROP
from feeders.streams import PLACES, STREAMS, Stream, names_in
from graph.common.schema import Checked, Problem, option

DRAWN = ("random", "uniform", "drawn")


@dataclass(eq=False)
class FeederOptions(Checked):
    """The arguments of the feeder.

    Attributes:
        data_path: `.npy` array (N, C, T, V, M).
        label_path: pickle of (sample_names, labels).
        stream: what is computed from the joints: `joint`, `bone`, `joint_motion`, `bone_motion`, or several joined by
            `+` (`joint+bone` has twice the channels, joints first). Bones are those of `skeleton.yaml` beside the
            array, or of the known skeleton with as many joints. `bone2` (and `bone2_motion`): two bones as one
            vector; `local`: joints from the person's centre in this frame; `trajectory`: that centre, at
            every joint.
        random_choose: take a window of `window_size` frames from a random place.
        random_shift: move the valid frames to a random place.
        random_move: turn, scale and shift x and y slowly, as a moving camera does; bones and motion are not shifted. Of
            arrays without `prepared.yaml` and mask, the first two channels move, absent persons too, as published.
        window_size: number of frames; -1 keeps all. Without `random_choose` the first frames are taken, and a shorter
            sample is padded with zeros.
        normalization: subtract the mean of every channel and joint over the data, and divide by the standard
            deviation; both are computed over present persons only (the published code counts absent ones, too).
        mirroring: exchange left and right with probability 0.5. The mirror stands at x = 0; for coordinates of a
            picture, in its middle, or in that of the skeleton where its width is not known.
        published: take an array as the published ST-TR code takes Kinetics: a score is a coordinate like x and y (a
            bone has the difference of both), and a missing joint is a joint at zero.
        debug: use the first 100 samples only.
        mmap: leave the array on disk and read each sample when it is needed.
        sampling: how `window_size` frames are chosen. `crop`: as above. The others choose among the recorded frames,
            which are those from the first to the last with a person, without the repetitions that fill NTU arrays:
            `even`: evenly spaced; `random`: one drawn from each of `window_size` equal intervals; `uniform`: as in
            pyskl; `resize`: a crop, interpolated, as in CTR-GCN; `drawn`: nearly with replacement, as in CTR-GCN on
            NW-UCLA.
        p_interval: the share of frames that `resize` crops: [share], from the middle, or [lowest, highest], drawn
            between them, from a random place.
        min_crop: the least number of frames that `resize` draws; samples with fewer frames keep all.
        num_clips: in tests: number of windows that are drawn of each sample, or turned by `random_rotation`; their
            scores are averaged. Where `uniform` has fewer frames than the window, clip i of n begins at frame
            i * frames // n, as in pyskl's tests. None: one window, as in training, which begins at a random frame then.
        center: subtract the position of this joint (0-based) in the first frame that holds it; None: subtract nothing.
        center_person: whose joint: that of the `first` person, or the `mean` over all present persons, for
            interactions.
        derive: `before`: the stream is made of centred joints, then augmented, so that all channels of a sample are
            alike; `after`: joints are augmented, and the stream is made of the window, as in CTR-GCN on NW-UCLA.
        random_rotation: largest angles about x, y and z, in whole degrees; None: no rotation.
        rotation_order: the axes, in the order of the rotations about them.
        random_scaling: lowest and highest factor; None: no scaling.
        joint_jitter: standard deviation of noise on every coordinate of every joint, in the array's unit.
        min_max: scale every coordinate of a sample to [-1, 1].
        seed: seeds the augmentations.
        streams: what `stream` may name; a subclass may have more.
        places: the streams that hold positions, the others differences of positions; only positions are shifted by
            `random_move`, and mirrored about the middle of a picture.

    Raises:
        ValueError: arguments that are wrong or contradict each other, all of them in one message.
    """

    streams: ClassVar[Mapping[str, Stream]] = STREAMS
    places: ClassVar[Collection[str]] = PLACES

    data_path: str
    label_path: str
    _: KW_ONLY
    stream: str = "joint"
    random_choose: bool = False
    random_shift: bool = False
    random_move: bool = False
    window_size: int = -1
    normalization: bool = False
    mirroring: bool = False
    published: bool = False
    debug: bool = False
    mmap: bool = True
    sampling: Literal["crop", "even", "random", "resize", "uniform", "drawn"] = "crop"
    p_interval: Sequence[float] = (1.0,)
    min_crop: int = option(MIN_CROP, low=1)
    num_clips: int | None = option(None, low=1)
    center: int | None = option(None, low=0)
    center_person: Literal["first", "mean"] = "first"
    derive: Literal["before", "after"] = "before"
    random_rotation: tuple[float, float, float] | None = option(None, low=0)
    rotation_order: Literal["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"] = "xyz"
    random_scaling: tuple[float, float] | None = None
    joint_jitter: float = option(0.0, low=0)
    min_max: bool = False
    seed: int = option(0, low=0)

    def problems(self) -> Iterator[Problem]:
        """Values that are wrong, and combinations of values that contradict each other."""
        yield from super().problems()
        try:
            names_in(self.stream, self.streams)
        except ValueError as error:
            yield ("stream",), str(error).removeprefix("stream: ")
        yield from self._rotation_problems()
        if self.random_shift and self.sampling != "crop":
            text = f"moves frames for sampling: crop; {self.sampling} takes recorded frames alone; drop one"
            yield ("random_shift", "sampling"), text
        share = self.p_interval
        if len(share) not in (1, 2) or not 0 < share[0] <= share[-1] <= 1:
            yield ("p_interval",), f"{list(share)} is not one share in (0, 1], or a lowest and a highest"
        for key, is_given in (("p_interval", (*share,) != (1,)), ("min_crop", self.min_crop != MIN_CROP)):
            if is_given and self.sampling != "resize":
                yield (key, "sampling"), f"is for sampling: resize, not for {self.sampling}; drop one"
        if (bounds := self.random_scaling) and not 0 < bounds[0] <= bounds[1]:
            yield ("random_scaling",), f"{list(bounds)} must be a lowest and a highest factor above 0"
        if self.window_size != -1 and self.window_size < 1:
            yield ("window_size",), f"{self.window_size} is neither -1, for all frames, nor a number of frames"
        if self.random_choose and self.sampling != "crop":
            yield ("random_choose", "sampling"), f"chooses for sampling: crop, not for {self.sampling}; drop one"
        resized = self.sampling == "resize" and len(share) > 1
        differ = self.random_choose or self.sampling in DRAWN or resized or any(self.random_rotation or ())
        if (self.num_clips or 1) > 1 and not differ:
            text = f"{self.num_clips} windows are drawn by random_choose, or sampling: {', '.join(DRAWN)}"
            yield (
                ("num_clips", "random_choose", "sampling", "p_interval", "random_rotation"),
                f"{text}, or turned by random_rotation",
            )
        if self.window_size < 1 and (self.random_choose or self.sampling != "crop"):
            keys = ("window_size", "random_choose", "sampling")
            yield keys, f"{self.window_size} with random_choose or sampling; give a number of frames"

    def _rotation_problems(self) -> Iterator[Problem]:
        angles = self.random_rotation
        if angles is None:
            return
        if vanishing := [angle for angle in angles if 0 < angle <= 0.5]:
            yield ("random_rotation",), f"{vanishing[0]:g} rounds to 0; angles are in whole degrees, 1 or more, or 0"
