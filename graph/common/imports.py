"""Import by path: what a file or a command line names, such as `model.st_tr.Model`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from graph.common.files import ROOT
from graph.common.words import did_you_mean


def import_object(path: str) -> Any:
    """The object at an import path such as `model.st_tr.Model`.

    Raises:
        ValueError: it is no import path, its module cannot be imported, or the module has no such name.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"{path!r} is no import path such as 'model.st_tr.Model'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name or ""
        if not f"{module_name}.".startswith(f"{missing}."):  # this module exists; one that it imports does not
            raise ValueError(f"{path!r}: importing {module_name} failed: {error}") from error
        parent, _, last = missing.rpartition(".")
        folders = getattr(importlib.import_module(parent), "__path__", []) if parent else [str(ROOT)]
        known = [module.name for module in pkgutil.iter_modules(folders)]
        raise ValueError(f"{path!r}: there is no module {missing!r}{did_you_mean(last, known)}") from None
    if not hasattr(module, name):
        raise ValueError(f"{path!r}: {module_name} has no {name!r}{did_you_mean(name, vars(module))}")
    return getattr(module, name)
