"""The command line of the phases that take options of their own, such as `python main.py --phase predict`."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from data_gen.common.command_line import Parser


class PhaseParser(Parser):
    """The parser of a phase, with the options that each of these phases has."""

    def __init__(self, phase: str, **settings: Any) -> None:
        super().__init__(prog=f"python main.py --phase {phase}", allow_abbrev=False, **settings)
        self.phase = phase
        self.option("phase", choices=[phase], required=True, help=SUPPRESS)  # `prog` names it
        self.option("class_names", type=Path, help="text file with one class name a line, for weights without names")
        self.option("config", help="configuration, for weights that do not hold one, such as published ones")
        self.option("device", type=_device, help="auto (default), cpu, mps, cuda, or the number of a GPU")

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.phase}: {message}; {self.prog} --help shows the options")

    def read(self, argv: Sequence[str]) -> tuple[Namespace, list[str]]:
        """The options, and the changes of keys of the configuration that `--config` names.

        Raises:
            ValueError: options that are wrong, or unknown while there is no configuration.
        """
        args, changes = self.parse_known_args(list(argv))
        if changes and (args.config is None or not changes[0].startswith("--")):
            raise ValueError(f"{self.phase}: {changes[0]!r} is no option of it; {self.prog} --help shows them")
        return args, changes


def of_weights(args: Namespace, changes: Sequence[str]) -> dict[str, Any]:
    """The arguments of `load_trained` that options of every phase name."""
    return {"config": args.config, "class_names": args.class_names, "device": args.device or "auto", "words": changes}


def _device(text: str) -> str | list[int]:
    """A value of the key `device`, of a tool that works on one."""
    if text.isdecimal():
        return [int(text)]
    if text not in ("auto", "cpu", "mps", "cuda"):
        raise ArgumentTypeError(f"{text!r} is none of auto, cpu, mps, cuda, nor the number of a GPU")
    return text
