"""Makes docs/results.md of the ledgers in docs/results/: `python docs/make_results.py`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from data_gen.common.command_line import Parser
from graph.common.files import write_text
from processor.results.ledger import page

if __name__ == "__main__":
    Parser(description=__doc__).parse_args()
    write_text(HERE / "results.md", page(HERE / "results"))
