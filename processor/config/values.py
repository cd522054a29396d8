"""Values as YAML gives them, made what a type hint asks for.

`coerce` is strict: text is no number and true is no number, but a whole number may stand for a fraction, and
a single value for a list of one. Where text is wanted, `yes` and `1e3` are text as they were written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from data_gen.common.command_line import expand
from graph.common.files import ROOT
from graph.common.hints import MISFIT, choices, describe, fit
from graph.common.words import did_you_mean
from graph.common.yaml_text import Scalar, plain


def coerce(value: Any, hint: Any, *, key: str = "") -> Any:
    """`value`, as YAML gave it for `key`, as the resolved type hint asks for; hints that are not simple take anything.

    Raises:
        ValueError: it does not fit; the message is the rest of a sentence that names the key.
    """
    is_path = Path in get_args(hint) or _is_path(key)
    written = _as_written(value)
    for form in (written,) if hint is Any and is_path else (plain(value), written):
        for candidate in (form,) if isinstance(form, list | dict | None) else (form, [form]):
            if (fitted := fit(candidate, hint, lambda path: Path(_located(path)))) is not MISFIT:
                return _with_paths(fitted, is_path)
    near = did_you_mean(value, choices(hint)) if isinstance(value, str) and len(value) < 100 else ""
    text = repr(plain(value))
    shown = text if len(text) <= 200 else f"{text[:60]}... ({len(text)} characters)"
    raise ValueError(f"{shown} must be {describe(hint)}{near}")


def shipped(path: Path) -> Path | None:
    """What this project has in the place of `path`, if that begins at `config/`; it need not exist."""
    return ROOT / path if path.parts[:1] == ("config",) and ".." not in path.parts else None


def _is_path(key: str) -> bool:
    """Whether the values of such a key are paths, whatever its type hint is."""
    return key in ("resume", "path", "folder") or key.endswith(("_path", "_folder"))


def _as_written(value: Any, *, item: bool = False) -> Any:
    """`value` with text for every scalar; null is text in a list alone."""
    if isinstance(value, list):
        return [_as_written(each, item=True) for each in value]
    return value.text if isinstance(value, Scalar) and (item or value.value is not None) else plain(value)


def _with_paths(value: Any, is_path: bool) -> Any:
    """`value` with the texts that are paths `_located`."""
    if isinstance(value, dict):
        return {name: _with_paths(item, _is_path(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_paths(item, is_path) for item in value)
    return _located(value) if isinstance(value, str) and is_path else value


def _located(path: str) -> str:
    """`path` with `~` and `$NAME` replaced; a missing file of `config/` becomes the project's own."""
    path = expand(path)
    ours = None if os.path.exists(path) else shipped(Path(path))
    return str(ours) if ours and ours.is_file() else path
