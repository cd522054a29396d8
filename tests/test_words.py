"""Counts in messages read right, one too."""

from __future__ import annotations

import numpy as np

from graph.common.words import plural


def test_plural() -> None:
    words = [plural(number, "sample") for number in (0, 1, 2, 2060)]
    assert words == ["0 samples", "1 sample", "2 samples", "2,060 samples"]
    assert [plural(number, "class", "classes") for number in (1, 60)] == ["1 class", "60 classes"]
    assert plural(np.int64(1), "tensor is", "tensors are") == "1 tensor is"
