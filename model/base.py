"""What a model offers to training, test and the tools: its options, the input that it takes, and its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import nn

from model import fast as fast  # puts the fast equals of the layers in place
from model.options import ModelOptions


class SkeletonModel(nn.Module):
    """The base class of both families: (N, C, T, V, M) -> logits (N, num_class).

    A model that is no subclass can be trained and tested; its input shape is found by trying, and `info` tells less.

    Args:
        model_args: the fields of `Options`.

    Attributes:
        Options: the schema of `model_args`; its `FREE` names options that may differ from those in training.
        SETTLED_BY: prefixes of weights, each with the option that these weights settle.
        PARTS: the layers whose time the benchmark tells, by kind.
        options: the options of this model.
    """

    Options: ClassVar[type[ModelOptions]]
    options: Any  # an `Options`
    SETTLED_BY: ClassVar[dict[str, str]] = {"fcn.": "num_class", "fc.": "num_class", "data_bn.": "num_person"}
    PARTS: ClassVar[dict[str, tuple[type[nn.Module], ...]]] = {}

    def __init__(self, **model_args: Any) -> None:
        super().__init__()
        self.options = self.Options(**model_args)

    def input_shape(self, frames: int = 0) -> tuple[int, int, int, int]:
        """(C, T, V, M) of a sample; a model of any T gets `frames`, or else 64 (its longest T where that is less)."""
        C, T, V, M = self.options.shape
        return C, T or (frames if frames > 0 else min(64, self.options.longest or 64)), V, M

    def parts(self) -> dict[nn.Module, tuple[str, str | None]]:
        """The outermost modules of each kind, with their kind, and the other kind that they are inside of, if any."""

        def inside(module: nn.Module, outer: str | None) -> Iterator[tuple[nn.Module, tuple[str, str | None]]]:
            for child in module.children():
                kind = next((kind for kind, classes in self.PARTS.items() if isinstance(child, classes)), outer)
                if kind and kind != outer:
                    yield child, (kind, outer)
                yield from inside(child, kind)

        return dict(inside(self, None))
