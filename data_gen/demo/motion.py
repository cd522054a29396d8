"""The motion of the demo's people: proportions, joint angles over time, forward kinematics.

A performer has bone offsets, a tempo and a manner of moving. Angles are interpolated linearly between key poses and
smoothed by a Hann window; one matrix turns them into Euler angles of the joints; the feet are put on the floor.

Axis legend: B bodies, T frames, D degrees of freedom, V = 25 joints of Kinect v2 (`graph.ntu_rgb_d`), C = x, y, z.
Axes are those of a Kinect that the body faces: x to the body's right, y up, -z forward; metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_gen.demo.actions import ACTIONS, SCRIPTS, Keys, Pose, both

FPS = 30
SHORTEST, LONGEST = 45, 80  # frames
LEFT_HANDED = 0.15  # share of the performances that use the other side
ANKLES, FEET, RIGHT_HAND = [14, 18], [15, 19], 11

# joint: (parent, right, up, back), thousandths of stature, arms hanging; parents come before their children
_TRUNK: dict[int, tuple[int, float, float, float]] = {
    1: (0, 0, 150, 4), 20: (1, 0, 135, 4), 2: (20, 0, 40, -2), 3: (2, 0, 75, -9),
}  # fmt: skip
_RIGHT: dict[int, tuple[int, float, float, float]] = {
    8: (20, 98, -14, 2), 9: (8, 12, -160, 4), 10: (9, 4, -145, 0), 11: (10, 0, -42, 0),
    23: (11, 0, -46, 0), 24: (11, -6, -14, -26),
    16: (0, 44, -12, -2), 17: (16, 2, -240, 0), 18: (17, 0, -228, 4), 19: (18, 8, -40, -72),
}  # fmt: skip
_LEFT_OF = {right: right - (2 if right > 20 else 4) for right in _RIGHT}
_LEFT = {_LEFT_OF[joint]: (_LEFT_OF.get(parent, parent), -x, y, z) for joint, (parent, x, y, z) in _RIGHT.items()}
CHAIN = _TRUNK | _RIGHT | _LEFT
MIRRORED = [({left: right for right, left in _LEFT_OF.items()} | _LEFT_OF).get(joint, joint) for joint in range(25)]

# by the name of a pose's angle: the Euler angles x, y, z that it changes, as (joint, axis, share); legs stay upright
# when the pelvis tilts, and feet stay level when the legs move
_MIDDLE_ANGLES = {
    "tilt": ((0, 0, -1.0), (12, 0, 1.0), (16, 0, 1.0)),
    "bend": ((1, 0, -0.5), (20, 0, -0.5)),
    "turn": ((1, 1, -0.5), (20, 1, -0.5)),
    "side": ((1, 2, -0.5), (20, 2, -0.5)),
    "nod": ((2, 0, -1.0),),
    "rise": (),
}
_RIGHT_ANGLES = {
    "arm": ((8, 0, 1.0),),
    "out": ((8, 2, 1.0),),
    "twist": ((8, 1, 1.0),),
    "elbow": ((9, 0, 1.0),),
    "hand": ((10, 0, 1.0),),
    "hip": ((16, 0, 1.0), (18, 0, -1.0)),
    "astride": ((16, 2, 1.0), (18, 2, -1.0)),
    "knee": ((17, 0, -1.0), (18, 0, 1.0)),
    "toes": ((18, 0, 1.0),),
}
DOFS = (*_MIDDLE_ANGLES, *both(**dict.fromkeys(_RIGHT_ANGLES, 0)))

_LEGS = [name[2:] in ("hip", "astride", "knee") for name in DOFS]


def _coupling() -> np.ndarray:
    """(D, V, 3): the degrees about x, y, z that one degree of each of `DOFS` turns each joint by."""
    coupling = np.zeros((len(DOFS), 25, 3))
    for row, name in enumerate(DOFS):
        for joint, axis, share in _MIDDLE_ANGLES.get(name, ()) or _RIGHT_ANGLES.get(name[2:], ()):
            left = name.startswith("l_")
            coupling[row, _LEFT_OF[joint] if left else joint, axis] = -share if left and axis else share
    return coupling


_COUPLING = _coupling()


@dataclass(frozen=True)
class Performer:
    """A person's build and manner."""

    stature: float  # metres
    offsets: np.ndarray  # (V, C) metres, from each joint's parent in `CHAIN` to the joint
    tempo: float  # factor of the script's speed
    amplitude: float  # factor of the script's angles
    rest: np.ndarray  # (D,) degrees of standing at ease


def performer(number: int, *, seed: int, statures: tuple[float, float] = (1.55, 1.92)) -> Performer:
    """Performer `number` for this seed, always the same, of a stature within `statures` (metres)."""
    rng = np.random.default_rng([seed, 1, number])
    stature = rng.uniform(*statures)
    offsets = np.zeros((25, 3))
    for joint, (_, *offset) in CHAIN.items():
        offsets[joint] = np.array(offset) * stature / 1000
    trunk, breadth, arms, legs = rng.uniform(0.94, 1.06, size=4)
    offsets[[1, 2, 3, 20], 1] *= trunk
    offsets[[4, 8, 12, 16], 0] *= breadth
    offsets[[5, 6, 7, 9, 10, 11, 21, 22, 23, 24]] *= arms
    offsets[[13, 14, 15, 17, 18, 19]] *= legs
    usual = both(out=7, twist=12, elbow=14, hip=3, knee=5, astride=3) | {"bend": 3, "nod": 2}
    spread = both(out=3, twist=8, elbow=6, arm=4, hip=2, knee=3, astride=1.5) | {"bend": 3, "nod": 4}
    return Performer(
        stature=stature,
        offsets=offsets,
        tempo=rng.uniform(0.85, 1.2),
        amplitude=rng.uniform(0.88, 1.1),
        rest=_angles(usual) + _angles(spread) * rng.uniform(-1, 1, size=len(DOFS)),
    )


def perform(action: str, number: int, replication: int, *, seed: int = 0) -> np.ndarray:
    """One performance, as positions in the room.

    Args:
        action: one of `ACTIONS`.
        number: the performer; 1, 2, ...
        replication: 1, 2, ...; the performer turns a little to the left camera in odd ones, to the right in even ones.
        seed: the seed of the demo.

    Returns:
        (B, T, V, C) metres; the floor is at y = 0, the middle of the scene near x = z = 0; B is 1 or 2, T from 45 to
        80.
    """
    rng = np.random.default_rng([seed, 2, number, replication, ACTIONS.index(action)])
    script = SCRIPTS[action]
    keys = script.begin + script.cycle * int(rng.integers(2, 4)) + script.end
    person = performer(number, seed=seed)
    seconds = np.array([lead for lead, _ in keys]) * rng.normal(1, 0.1, len(keys)).clip(0.75, 1.3)
    times = np.cumsum(seconds) / person.tempo
    num_frame = int(np.clip(round(FPS * times[-1]), SHORTEST, LONGEST))
    blend = _blend(times * (num_frame / FPS / times[-1]), num_frame)

    heading = np.deg2rad((-18 if replication % 2 else 18) + rng.uniform(-10, 10))
    bodies = [_move(person, keys, blend, rng)]
    if script.persons == 2:
        # the partner never performs alone, so that splits share no person; similar size, so that hands meet
        size = person.stature
        partner = performer(number + 500, seed=seed, statures=(0.96 * size, 1.04 * size))
        touching = blend[:, len(script.begin) : len(keys) - len(script.end)].sum(axis=1) > 0.5
        bodies.append(_opposite(bodies[0], _move(partner, keys, blend, rng), touching))
        heading += np.pi / 2  # the cameras see the two side by side
    elif rng.random() < LEFT_HANDED:
        bodies = [bodies[0][:, MIRRORED] * [-1, 1, 1]]
    scene = np.stack(bodies)
    scene -= scene[:, :, 0].mean(axis=(0, 1)) * [1, 0, 1]
    return scene @ rotation(np.array([0, heading, 0])).T + rng.uniform(-0.25, 0.25, size=3) * [1, 0, 1]


def _blend(times: np.ndarray, num_frame: int) -> np.ndarray:
    """(T, K) shares of the keys at `times` (K,) in every frame: linear, smoothed over a quarter of a second."""
    window = np.hanning(9)[1:-1]
    reach = len(window) // 2
    clock = np.arange(-reach, num_frame + reach) / FPS
    straight = np.stack([np.interp(clock, times, key) for key in np.eye(len(times))], axis=1)
    return _convolve(straight, window)


def _convolve(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Moving average of the columns of `values` (T, K) with the weights `window` (W,): (T - W + 1, K)."""
    return np.lib.stride_tricks.sliding_window_view(values, len(window), axis=0) @ (window / window.sum())


def _move(person: Performer, keys: Keys, blend: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, V, C) metres: one performance of the keys by this person, standing on the floor, facing -z."""
    poses = np.stack([_angles(pose) for _, pose in keys])
    # repetitions differ, but the legs differ less, because feet slide if the legs disagree
    poses *= person.amplitude * rng.normal(1, np.where(_LEGS, 0.02, 0.06))
    poses += (poses != 0) * rng.normal(0, np.where(_LEGS, 1, 3), size=poses.shape)
    sway = rng.normal(0, np.where(_LEGS, 0.7, 2), size=(len(blend) // 15 + 3, len(DOFS))).repeat(15, axis=0)
    angles = person.rest + blend @ poses + _convolve(sway, np.hanning(32)[1:-1])[: len(blend)]
    rise = blend @ poses[:, DOFS.index("rise")] / 100
    return _on_the_floor(forward_kinematics(angles, person.offsets), np.maximum(rise, 0))


def forward_kinematics(angles: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Positions from angles: (T, D) degrees of `DOFS`, (V, C) offsets -> (T, V, C), spine base at 0."""
    local = rotation(np.deg2rad(np.tensordot(angles, _COUPLING, axes=1)))
    turned, joints = local.copy(), np.zeros(local.shape[:-1])
    for joint, (parent, *_) in CHAIN.items():
        turned[:, joint] = turned[:, parent] @ local[:, joint]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ offsets[joint]
    return joints


def rotation(angles: np.ndarray) -> np.ndarray:
    """(..., 3) radians about x, y, z -> (..., 3, 3) matrices Rx Rz Ry: a twist, then outwards, then forward."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = (
        (cz * cy, -sz, cz * sy),
        (cx * sz * cy + sx * sy, cx * cz, cx * sz * sy - sx * cy),
        (sx * sz * cy - cx * sy, sx * cz, sx * sz * sy + cx * cy),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _on_the_floor(joints: np.ndarray, rise: np.ndarray) -> np.ndarray:
    """Shift (T, V, C) so that the lower foot is `rise` (T,) above the floor and the standing foot does not move."""
    ankles, toes = joints[:, ANKLES], joints[:, FEET, 1]
    sole = np.minimum(toes, ankles[..., 1] - (ankles[0, :, 1] - toes[0]))  # feet are level in the first frame
    load = np.exp(-(sole - sole.min(axis=1, keepdims=True)) / 0.01)
    load = _convolve(np.pad(load, ((4, 4), (0, 0)), mode="edge"), np.hanning(11)[1:-1])
    load /= load.sum(axis=1, keepdims=True)
    shift = np.einsum("tf,tfc->tc", load, ankles - ankles[0])
    shift[:, 1] = sole.min(axis=1) - rise
    return joints - shift[:, None]


def _opposite(first: np.ndarray, second: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """Turn `second` (T, V, C) to face `first` and place it so that right hands meet in the frames `touching`."""
    turned = second * [-1, 1, -1]
    gap = (first - turned)[touching, RIGHT_HAND].mean(axis=0)
    return turned + gap * [1, 0, 1]


def _angles(pose: Pose) -> np.ndarray:
    """(D,) degrees of a pose; angles that it does not list are zero."""
    angles = np.zeros(len(DOFS))
    for name, angle in pose.items():
        angles[DOFS.index(name)] = angle
    return angles
