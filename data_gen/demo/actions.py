"""The actions of the demo, each a short script of key poses, in degrees.

A pose lists the angles that differ from standing at ease. `arm`, `hip`: the whole limb forward; `out`, `astride`:
away from the body; `twist`: the upper arm about itself, inward; `elbow`, `knee`: bent; `toes`: lifted; each with
`r_` or `l_` before it. `tilt`: the pelvis forward, the legs staying upright; `bend`: the spine forward; `turn`: the
spine to the right; `nod`: the head forward. `rise`: how far the feet leave the floor, in centimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Pose = Mapping[str, float]
Keys = tuple[tuple[float, Pose], ...]


@dataclass(frozen=True)
class Action:
    """Key poses, each with the seconds from the pose before it."""

    begin: Keys  # the seconds of the very first are waiting time
    cycle: Keys = ()  # keys that are repeated two or three times; the right hands of two persons touch in them
    end: Keys = ((0.5, {}),)
    persons: int = 1  # 1, or 2 persons who face each other and do the same


def both(**angles: float) -> dict[str, float]:
    """A pose with the same angles left and right."""
    return {f"{side}_{name}": angle for name, angle in angles.items() for side in "rl"}


AT_MOUTH = {"r_arm": 72, "r_out": -12, "r_twist": 33, "r_elbow": 113}
SIP = {"r_arm": 84, "r_out": -6, "r_twist": 37, "r_elbow": 116, "nod": -20}
BACKSWING = {"r_arm": -8, "r_out": 78, "r_twist": -86, "r_elbow": 98, "turn": 30, "l_arm": 32, "r_knee": 10}
RELEASE = {"r_arm": 74, "r_out": 14, "r_elbow": 22, "turn": -26, "tilt": 14, "l_arm": -14, "bend": 8}
GREETING = {"r_arm": 22, "r_out": 62, "r_twist": -82, "r_elbow": 85}
CLAP = both(arm=34, out=4, twist=31, elbow=74)
SEATED = both(hip=84, knee=86, arm=32, elbow=42, twist=12) | {"tilt": 6, "bend": 4}
RISING = both(hip=56, knee=78, arm=38, elbow=22) | {"tilt": 38, "bend": 12, "nod": -12}
COCKED = {"r_hip": -24, "r_knee": 62, "r_toes": -8, "l_arm": 20, "r_arm": -20, "l_astride": -5}
SWUNG = {"r_hip": 22, "r_knee": 72, "l_arm": -4, "l_astride": -5}
KICKED = {"r_hip": 66, "r_knee": 8, "r_toes": 52, "l_arm": -22, "r_arm": 24, "tilt": -8, "l_astride": -5}
BOWED = both(arm=30, elbow=8, out=-2, hip=6) | {"tilt": 50, "bend": 24, "nod": 14}
OFFERED = {"r_arm": 34, "r_out": 4, "r_twist": 8, "r_elbow": 42, "turn": -6, "bend": 5}

SCRIPTS = {
    "drink": Action(
        begin=((0.2, {}), (0.6, AT_MOUTH), (0.3, SIP)),
        end=((0.4, SIP), (0.6, {})),
    ),
    "throw": Action(
        begin=(
            (0.2, {}),
            (0.5, BACKSWING),
            (0.25, RELEASE),
            (0.25, {"r_arm": 36, "r_twist": 14, "r_elbow": 26, "turn": -30, "tilt": 18, "bend": 10}),
        ),
    ),
    "wave": Action(
        begin=((0.15, {}), (0.5, GREETING)),
        cycle=((0.2, GREETING | {"r_elbow": 52}), (0.2, GREETING | {"r_elbow": 112})),
    ),
    "clap": Action(
        begin=((0.15, {}), (0.45, CLAP)),
        cycle=((0.2, CLAP | both(twist=-8, out=14)), (0.2, CLAP)),
    ),
    "sit down": Action(
        begin=((0.3, {}), (0.7, RISING), (0.5, SEATED), (0.4, SEATED)),
        end=(),
    ),
    "stand up": Action(
        begin=((0.3, SEATED), (0.6, RISING), (0.6, {})),
        end=((0.4, {}),),
    ),
    "kick": Action(
        begin=(
            (0.2, {}),
            (0.4, COCKED),
            (0.15, SWUNG),
            (0.2, KICKED),
            (0.4, {"r_hip": 24, "r_knee": 52, "l_astride": -4}),
        ),
    ),
    "jump up": Action(
        begin=(
            (0.15, {}),
            (0.45, both(hip=46, knee=72, arm=-34, elbow=12) | {"tilt": 26, "bend": 8}),
            (0.18, both(arm=70, elbow=24, hip=4, knee=8, toes=-24)),
            (0.2, both(arm=118, elbow=30, hip=8, knee=14, toes=-32) | {"rise": 36}),
            (0.2, both(arm=66, elbow=30, hip=12, knee=18, toes=-20)),
            (0.2, both(hip=38, knee=60, arm=18, elbow=24) | {"tilt": 20}),
        ),
    ),
    "bow": Action(
        begin=((0.25, {}), (0.7, BOWED), (0.3, BOWED)),
        end=((0.7, {}),),
    ),
    "shake hands": Action(
        begin=((0.15, {}), (0.55, OFFERED)),
        cycle=((0.18, OFFERED | {"r_arm": 42, "r_elbow": 50}), (0.18, OFFERED)),
        persons=2,
    ),
}
ACTIONS = tuple(SCRIPTS)  # action A001 is the first
