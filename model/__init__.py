"""The model families: `model.st_tr.Model` and, as `model.Model`, `model.zit_zot.Model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.zit_zot import Model as Model


def __getattr__(name: str) -> Any:
    """Imports `Model`, and torch, when it is asked for: `model.options` needs neither."""
    if name != "Model":
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    from model.zit_zot import Model

    return Model
