"""The installed command: `st-tr --config ...` is `python main.py --config ...`, `st-tr ensemble ...` is ensemble.py.

Everything is installed below one folder, `st_tr`, which holds the packages as they are named in this project. Importing
this module puts the folder before all others that are searched, so that a `model.py` where somebody works is not taken
for ours; what such a folder has under other names, a feeder for example, can still be imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def run() -> int:
    """Runs what the words of the command line ask for; returns the exit status."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if not word or word.startswith("-"):
        from main import main  # found from here on

        return main(sys.argv[1:])
    scripts = {path.stem: f"data_gen.{path.stem}" for path in (ROOT / "data_gen").glob("*.py") if _is_script(path)}
    scripts |= {"ensemble": "ensemble", "compare": "processor.tools.compare"}
    if word not in scripts:
        sys.stderr.write(
            f"error: {word!r} is none of {', '.join(sorted(scripts))}; without one of them, give --config FILE\n"
        )
        return 1
    sys.argv = [f"st-tr {word}", *sys.argv[2:]]
    # imported, not run as __main__, where worker processes would not find a script's functions
    script = import_module(scripts[word])
    if not scripts[word].startswith("data_gen."):
        return int(script.main())
    from data_gen.common.command_line import run as run_script

    run_script(script.main)
    return 0


def _is_script(path: Path) -> bool:
    return 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
