"""Persons over time: who is who from one frame to the next.

Pose estimators list the persons of each frame in any order. `follow` gives each person one place for the whole
recording: by the tracker's number where there is one, and otherwise to the place whose last joints are nearest, on
average over the joints that both have. A person who is further away than the length of a body takes an empty place,
if there is one. There are as many places as the fullest frame has persons; who is seen in most frames comes first.
`Tracker` numbers persons while their frames come, in input that may have no end.
Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_gen.formats.recording import Recording


def follow(recording: Recording) -> tuple[Recording, bool]:
    """The recording with each person at one place, and whether anybody changed places in the file."""
    is_present = np.asarray(recording.present.any(axis=2))  # (T, M)
    M = int(is_present.sum(axis=1).max())
    if recording.joints.shape[1] < 2 or M < 1:
        return recording, False
    places = _places(recording, is_present, M)
    T, _, V, C = recording.joints.shape
    joints, present = np.zeros((T, M, V, C), np.float32), np.zeros((T, M, V), bool)
    identity = np.full((T, M), -1)
    for t, m in np.argwhere(is_present):
        place = places[t, m]
        joints[t, place], present[t, place] = recording.joints[t, m], recording.present[t, m]
        if recording.identity is not None:
            identity[t, place] = recording.identity[t, m]
    homes = {int(m): set(places[is_present[:, m], m].tolist()) for m in range(is_present.shape[1])}
    used = [place for home in homes.values() for place in home]
    changes = any(len(home) > 1 for home in homes.values()) or len(set(used)) < len(used)
    order = np.argsort(-present.any(axis=2).sum(axis=0), kind="stable")
    kept = None if recording.identity is None else identity[:, order]
    return replace(recording, joints=joints[:, order], present=present[:, order], identity=kept), changes


class Tracker:
    """Gives persons numbers that they keep from frame to frame; each person who is new gets the next number.

    Args:
        patience: frames after which somebody who is not seen is forgotten.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self._next = 0
        self._known: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # number -> last frame, position, present

    def step(self, frame: int, position: np.ndarray, present: np.ndarray) -> list[int]:
        """The numbers of the persons in a frame, each the nearest of those known within the length of a body.

        Args:
            frame: its number, above that of the frame before.
            position: (M, V, 2 or 3).
            present: (M, V), at least one joint of each person.
        """
        self._known = {number: last for number, last in self._known.items() if frame - last[0] <= self.patience}
        pairs = []
        for m in range(len(position)):
            for number, (_, last, last_present) in self._known.items():
                far = _distance(position[m], present[m], last, last_present)
                if far <= max(_length(position[m], present[m]), _length(last, last_present)):
                    pairs.append((far, m, number))
        numbers: dict[int, int] = {}
        for _, m, number in sorted(pairs):
            if m not in numbers and number not in numbers.values():
                numbers[m] = number
        for m in range(len(position)):
            if m not in numbers:
                numbers[m], self._next = self._next, self._next + 1
            self._known[numbers[m]] = frame, position[m], present[m]
        return [numbers[m] for m in range(len(position))]


def _places(recording: Recording, is_present: np.ndarray, M: int) -> np.ndarray:
    """(T, M of the file): the place of everybody who is there."""
    places = np.full(is_present.shape, -1)
    position = recording.joints[..., list(recording.channels.position)]
    last = np.zeros((M, *position.shape[2:]))
    last_present = np.zeros((M, position.shape[2]), bool)
    known: dict[int, int] = {}  # the tracker's number -> the place
    for t in range(len(is_present)):
        people = np.flatnonzero(is_present[t]).tolist()
        taken: dict[int, int] = {}
        for m in people:
            number = -1 if recording.identity is None else int(recording.identity[t, m])
            if number in known and known[number] not in taken.values():
                taken[m] = known[number]
        _by_distance(position[t], recording.present[t], last, last_present, people, taken)
        for m, place in taken.items():
            places[t, m], last[place], last_present[place] = place, position[t, m], recording.present[t, m]
            if recording.identity is not None and (number := int(recording.identity[t, m])) >= 0:
                known = {other: home for other, home in known.items() if home != place or other == number}
                known[number] = place
    return places


def _by_distance(
    position: np.ndarray,
    present: np.ndarray,
    last: np.ndarray,
    last_present: np.ndarray,
    people: list[int],
    taken: dict[int, int],
) -> None:
    """Give everybody of `people` who has none a place: the nearest pairs first."""
    free = [place for place in range(len(last)) if place not in taken.values()]
    pairs = []
    for m in people:
        for place in free:
            if m not in taken and last_present[place].any():
                far = _distance(position[m], present[m], last[place], last_present[place])
                length = max(_length(position[m], present[m]), _length(last[place], last_present[place]))
                pairs.append((far > length, far, m, place))
    empty = [place for place in free if not last_present[place].any()]
    for is_far, _, m, place in sorted(pairs):
        if m in taken or place in taken.values():
            continue
        if is_far and (new := next((place for place in empty if place not in taken.values()), None)) is not None:
            place = new
        taken[m] = place
    for m in people:
        if m not in taken:
            taken[m] = next(place for place in [*empty, *free] if place not in taken.values())


def _distance(a: np.ndarray, a_present: np.ndarray, b: np.ndarray, b_present: np.ndarray) -> float:
    """The mean distance of the joints that both have, or that of the middles of all."""
    both = a_present & b_present
    if both.any():
        return float(np.linalg.norm(a[both] - b[both], axis=1).mean())
    return float(np.linalg.norm(a[a_present].mean(axis=0) - b[b_present].mean(axis=0)))


def _length(joints: np.ndarray, present: np.ndarray) -> float:
    """The diagonal of the box around a body."""
    return float(np.linalg.norm(np.ptp(joints[present], axis=0)))
