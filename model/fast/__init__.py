"""The functions of `model.layers` made fast: a file a trick, each equal to the plain function that it names.

Importing this package puts them in place. Compilers (torch.compile, torch.export) get the plain functions, for they
make tricks of their own.

    with fast.reference():  # plain functions only
        logits = model(x)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from model.fast import activations, attention, chunks, convolution, graph, linear
from model.replaceable import Switch

__all__ = ("activations", "attention", "chunks", "convolution", "graph", "linear", "reference")


@contextmanager
def reference() -> Iterator[None]:
    """Inside, every function is computed as `model.layers` writes it. It holds for all threads."""
    before, Switch.on = Switch.on, False
    try:
        yield
    finally:
        Switch.on = before
