"""What the channels of a recording or an array hold: which are coordinates, in which unit, and which is a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Unit = Literal["metres", "millimetres", "pixels", "normalised", "unknown"]
COORDINATES = ("x", "y", "z")
SCORES = ("score", "confidence", "visibility")  # as pose estimators call it


@dataclass(frozen=True)
class Channels:
    """The channels of joints, in the order of the C axis; arrays of joints and bones hold them several times.

    Attributes:
        names: `x`, `y` and `z` are coordinates; `score` (`confidence`, `visibility`) is how sure a pose estimator is;
            other names are other numbers.
        unit: the unit of the coordinates; `normalised`: shares of a picture or of a body.
        picture: width and height of the picture whose corner is the origin: of pixels, or (1, 1) of shares of it; None:
            unknown for pixels, and for shares the origin is in the middle, as in the arrays of Kinetics and pyskl.

    Raises:
        ValueError: a value is none of these, or a channel is named twice.
    """

    names: tuple[str, ...] = COORDINATES
    unit: Unit = "unknown"
    picture: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.names or not all(isinstance(name, str) and name for name in self.names):
            raise ValueError(f"channels: names must be a list of text, such as [x, y, score], not {self.names!r}")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"channels: names: {', '.join(self.names)} name a channel twice")
        if self.unit not in get_args(Unit):
            raise ValueError(f"channels: unit: {self.unit!r} is none of {', '.join(get_args(Unit))}")
        sides = self.picture
        if sides is not None and not (len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)):
            raise ValueError(f"channels: picture: {sides!r} is not a width and a height in pixels")

    @property
    def position(self) -> tuple[int, ...]:
        """The numbers of the coordinate channels, in the order x, y, z."""
        return tuple(self.names.index(name) for name in COORDINATES if name in self.names)

    @property
    def score(self) -> int | None:
        """The number of the score's channel, or None."""
        return next((number for number, name in enumerate(self.names) if name in SCORES), None)

    @property
    def is_flat(self) -> bool:
        """Whether the coordinates are x and y of a picture, without depth."""
        return self.position != () and "z" not in self.names

    @property
    def is_down(self) -> bool:
        """Whether y grows downwards: in a picture, unless the origin is in its middle."""
        return self.is_flat and (self.unit != "normalised" or self.picture is not None)

    @classmethod
    def numbered(cls, C: int) -> Channels:
        """C channels of which nobody tells what they are: x, y, z, and further ones by their number from 1."""
        return cls(("x", "y", "z", *(f"channel {number}" for number in range(4, C + 1)))[:C])

    def as_mapping(self) -> dict[str, Any]:
        """The fields as plain lists and text, for a YAML file."""
        return {"names": list(self.names), "unit": self.unit, "picture": list(self.picture) if self.picture else None}

    @classmethod
    def of_mapping(cls, fields: Any) -> Channels:
        """The channels of a mapping as `as_mapping` makes it; `unit` and `picture` may be missing.

        Raises:
            ValueError: it is no such mapping.
        """
        if not isinstance(fields, Mapping) or not {"names"} <= set(fields) <= {"names", "unit", "picture"}:
            raise ValueError("channels: a mapping with the keys names, unit and picture is expected")
        names, picture = fields["names"], fields.get("picture")
        if not isinstance(names, list | tuple) or not isinstance(picture, list | tuple | None):
            raise ValueError("channels: names and picture must be lists")
        return cls(tuple(names), fields.get("unit", "unknown"), None if picture is None else tuple(picture))
