# ruff: noqa: RUF009 - `option` is a `dataclasses.field`
"""The configuration of a run: one flat dataclass with the field's YAML names, read and checked as a whole.

`load_config(["--config", FILE, "--base_lr", "0.05"])` reads FILE, its `_base_` files and the command line.
Every problem, wherever it was written, is in the one `ConfigError` that it raises. The classes that are named
are imported to compare their signatures, but nothing is built and no data is touched.
"""

from __future__ import annotations

import logging
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from graph.common.bounded_yaml import YamlError
from processor.config.check import describe, import_object, plain
from processor.config.layers import find_file, merge, read_command_line, read_layers
from processor.config.limits import remarks
from processor.config.review import Review
from processor.config.yaml_text import COMMAND_LINE, Section, dump, load

log = logging.getLogger(__name__)


class ConfigError(ValueError):
    """All problems of a configuration in one message.

    Attributes:
        problems: one sentence each, opened by where it was written.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        super().__init__("\n  ".join([f"the configuration has {count}:", *problems]))


def option(default: Any, meaning: str, *, low: float = -math.inf, high: float = math.inf, title: str = "") -> Any:
    """A field of `Config`: `title` opens a group of them, `low` and `high` bound numbers and lists of numbers."""
    metadata = {"meaning": meaning, "bounds": (low, high), "title": title}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """The documented keys; `python main.py --help` prints them with their meanings."""

    feeder: str = option("feeders.feeder.Feeder", "import path of the data set's class", title="Data")
    train_feeder_args: dict[str, Any] = option({}, "its arguments for training")
    test_feeder_args: dict[str, Any] = option({}, "its arguments for evaluation and test")
    class_names: str | list[str] | None = option(None, "names for reports, or the import path of a tuple of them")
    folds: list[int] = option(
        [], "cross-validation: run each of them; {fold} in any value stands for its number", low=0, high=9999
    )
    make_data: str | None = option(None, "import path of a function that makes data files which are missing")
    make_data_args: dict[str, Any] = option({}, "the function's arguments")
    data_help: str | None = option(None, "what to tell a user whose data files are missing")

    model: str = option("model.st_tr.Model", "import path of the model's class", title="Model")
    model_args: dict[str, Any] = option({}, "its arguments")
    weights: Path | None = option(None, "checkpoint whose weights are loaded before training or test")
    ignore_weights: list[str] = option([], "prefixes of the weights that are not taken from it")

    optimizer: Literal["SGD", "Adam", "AdamW"] = option("SGD", "the optimiser", title="Optimisation")
    base_lr: float = option(0.1, "learning rate, after the warm-up", low=1e-10, high=100)
    momentum: float = option(0.9, "SGD's momentum", low=0, high=0.9999)
    nesterov: bool = option(True, "whether SGD's momentum is Nesterov's")
    weight_decay: float = option(1e-4, "decay of the weights", low=0, high=1)
    lr_schedule: Literal["multi-step", "cosine"] = option("multi-step", "how the learning rate falls")
    step: list[int] = option([60, 90], "multi-step: epochs after which it falls", low=1, high=100_000)
    gamma: float = option(0.1, "multi-step: factor by which it falls", low=1e-6, high=1)
    min_lr: float = option(0.0, "cosine: where it ends", low=0, high=100)
    warm_up_epoch: int = option(0, "epochs over which it rises to base_lr", low=0, high=100_000)
    label_smoothing: float = option(0.0, "share of the label that goes to all classes", low=0, high=0.99)
    max_grad_norm: float | None = option(None, "norm to which longer gradients are cut", low=1e-6)

    batch_size: int = option(32, "samples of a training batch, of each process", low=1, high=65_536, title="Training")
    test_batch_size: int = option(32, "samples of a test batch", low=1, high=65_536)
    accumulation: int = option(1, "batches whose gradients make one step", low=1, high=65_536)
    num_epoch: int = option(120, "epochs to train", low=1, high=100_000)
    sync_batch_norm: bool = option(False, "several processes: batch norm over the batches of all")
    precision: Literal["float32", "bfloat16", "float16"] = option(
        "float32", "of activations, by autocast; float16, with scaled gradients, is for GPUs without bfloat16"
    )
    seed: int = option(0, "seed of weights, augmentation and order", low=0, high=2**32 - 1)

    phase: Literal["train", "test", "info", "benchmark"] = option(
        "train", "train and test, test alone, what a model is, or how fast", title="Run"
    )
    training: bool = option(True, "published switch: false is `phase: test`")
    device: Literal["auto", "cpu", "mps", "cuda"] | list[int] = option("auto", "or GPU numbers", low=0, high=1023)
    num_worker: int = option(2, "processes that load data", low=0, high=512)
    work_dir: Path = option(Path("work_dir/run"), "folder for everything that the run writes")
    resume: str | None = option(None, "checkpoint to go on from; auto: the last one in work_dir, if any")
    overwrite: bool = option(False, "whether a work_dir that was used before may be overwritten")
    save_interval: int = option(1, "epochs between checkpoints", low=1)
    checkpoint_minutes: float = option(10.0, "minutes between checkpoints within an epoch; 0: none", low=0)
    eval_interval: int = option(1, "epochs between evaluations", low=1)
    log_interval: int = option(100, "steps between log lines", low=1)
    show_topk: list[int] = option([1, 5], "which top-k accuracies to show", low=1)


def load_config(argv: Sequence[str]) -> Config:
    """The configuration that a command line asks for.

    Args:
        argv: the words after the program's name: `--config FILE` and any key of `Config` with its values,
            nested with dots (`--model_args.dropout 0.1`), in hyphens or underscores; a key alone means true.

    Raises:
        ConfigError: anything is wrong with it; the message holds all problems.
        SystemExit: `--help` was asked for, and printed.
    """
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(help_text())
        raise SystemExit(0)
    review = Review(Config)
    file, overrides = read_command_line(argv, review.problems)
    info = overrides.get("phase") == "info"
    path = find_file(file, review.problems) if file is not None or not argv else None
    if file is None and argv and not info:
        review.problems.append("command line: name a file, for example `--config config/demo/train.yaml`")
    layers = read_layers(path, review.problems) if path else [] if info and file is None else [None]
    section = Section()
    for layer in [*layers, overrides]:
        section = merge(section, review.modernise(layer or Section()), review.problems)
    values = review.values(section)
    if None not in layers:  # what stands in an unreadable file is not missing
        place = str(path or COMMAND_LINE)
        if (folder := str(Path.cwd())) not in sys.path:
            sys.path.append(folder)  # a feeder or a model that is named may be a module there
        review.check_values(Config(**values), values, section, place=place)
        review.check_imports(Config(**values), values, section, place=place)
    if review.problems:
        raise ConfigError(review.problems)
    config = Config(**values)
    for line in (*review.remarks(), *remarks(config, section)):
        log.warning(line)
    return config


def names_of_classes(config: Config) -> tuple[str, ...] | None:
    """The classes' names that `config.class_names` gives or points at, or None."""
    names: Iterable[str] | None = config.class_names
    if isinstance(names, str):
        names = import_object(names)
    return None if names is None else tuple(names)


def model_of(text: str) -> tuple[str, dict[str, Any]]:
    """The model and its `model_args` in a configuration that `resolved` wrote.

    Raises:
        ValueError: the text is none.
    """
    try:
        section = load(text, "checkpoint", [])
    except YamlError as error:
        raise ValueError(f"the configuration in it is {error.problem}") from error
    model, args = (section.get(key) if isinstance(section, Section) else None for key in ("model", "model_args"))
    if not isinstance(model, str) or not isinstance(args, Section):
        raise ValueError("the configuration in it names no model")
    return model, plain(args)


def resolved(config: Config) -> str:
    """`config` as YAML that `load_config` reads back to an equal one."""
    blocks = []
    for f in fields(config):
        title = f"\n# {f.metadata['title']}\n" if f.metadata["title"] else ""
        blocks.append(title + dump({f.name: getattr(config, f.name)}))
    return "".join(blocks).lstrip()


def help_text() -> str:
    """What `--help` prints: every key with its meaning, type and default."""
    lines = ["usage: python main.py --config FILE [--KEY VALUE ...]", ""]
    lines += textwrap.wrap(
        "Keys of the file and of the command line, which comes last. Nested keys are joined by dots "
        "(--model_args.dropout 0.1), several values by blanks (--device 0 1); a key alone means true. "
        "Relative paths begin at the working directory, those of _base_ at the file that names it; ~ and $NAME are "
        "expanded. `_delete_: KEY` (or several) in a mapping drops what it inherits from _base_, `_delete_: true` all "
        "of it (--model_args.graph_args._delete_ path).",
        width=100,
    )
    hints = get_type_hints(Config)
    for f in fields(Config):
        if f.metadata["title"]:
            lines += ["", f.metadata["title"]]
        lines.append(f"  --{f.name:<18} {f.metadata['meaning']}")
        lines.append(f"  {'':<20} {describe(hints[f.name])}; default {dump(_default(f)).strip()}")
    return "\n".join(lines) + "\n"


def _default(f: Field[Any]) -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()
