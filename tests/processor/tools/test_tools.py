"""What the package says of itself."""

from __future__ import annotations

import re

from conftest import ROOT

from processor import tools


def test_the_package_names_its_modules() -> None:
    modules = {path.stem for path in (ROOT / "processor" / "tools").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", tools.__doc__ or "")) == modules
