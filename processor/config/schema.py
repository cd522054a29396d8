# ruff: noqa: RUF009 - `option` is a `dataclasses.field`
"""The configuration of a run: one flat dataclass with the field's YAML names, read and checked as a whole.

`load_config(["--config", FILE, "--base_lr", "0.05"])` reads FILE, its `_base_` files and the command line.
Every problem, wherever it was written, is in the one `ConfigError` that it raises; no model is built, no data is
touched, and torch is not imported unless the configuration names a class from elsewhere.
"""

from __future__ import annotations

import logging
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal

from graph.common.bounded_yaml import YamlError
from graph.common.hints import describe
from graph.common.schema import Problem, beyond_bounds, default_of, hints_of, option
from graph.common.yaml_text import COMMAND_LINE, Section, dump, load, plain
from processor.config.check import Check
from processor.config.grid import FEEDERS, KEY, Grid, member_layers
from processor.config.layers import Reader, find_file, merge, overlaid, read_command_line
from processor.config.published import modernised

log = logging.getLogger(__name__)

CONFIG = "config.yaml"  # in the folder of a run: its complete configuration
IDLE_WITH: dict[str, tuple[str, tuple[str | None, ...]]] = {  # keys without effect at some values of another one
    "min_lr": ("lr_schedule", ("multi-step",)),
    "step": ("lr_schedule", ("cosine",)),
    "gamma": ("lr_schedule", ("cosine",)),
    "patience": ("early_stopping", (None,)),
    "momentum": ("optimizer", ("Adam", "AdamW")),
    "nesterov": ("optimizer", ("Adam", "AdamW")),
}


class ConfigError(ValueError):
    """All problems of a configuration in one message, a sentence each, opened by where it was written."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        super().__init__("\n  ".join([f"the configuration has {count}:", *problems]))


@dataclass(frozen=True)
class Config:
    """The documented keys; `python main.py --help` prints them with their meanings."""

    feeder: str = option("feeders.feeder.Feeder", "import path of the feeder's class", title="Data")
    train_feeder_args: dict[str, Any] = option({}, "arguments of the feeder for training")
    validation_feeder_args: dict[str, Any] = option(
        {}, "validation data for evaluations during training; the test data are then used once, after the last epoch"
    )
    test_feeder_args: dict[str, Any] = option(
        {}, "for the test; without validation data also for evaluations during training"
    )
    average: Literal["logits", "probabilities"] = option(
        "logits", "what is averaged over several clips of a test sample"
    )
    class_names: str | list[str] | None = option(
        None, "names of the classes, a text file with one name a line, or the import path of a tuple of names"
    )
    folds: list[int] = option(
        [], "cross-validation: numbers of the folds to run; {fold} in any value stands for the number", low=0, high=9999
    )
    study: dict[str, Any] = option({}, "a grid of runs: models, streams, seeds, fusion (docs/training.md)")
    make_data: str | None = option(None, "import path of a function that makes missing data files")
    make_data_args: dict[str, Any] = option({}, "arguments of that function")
    data_help: str | None = option(None, "text that is shown if data files are missing")

    model: str = option("model.st_tr.Model", "import path of the model's class", title="Model")
    model_args: dict[str, Any] = option({}, "arguments of the model; model/options.py describes them")
    weights: Path | None = option(None, "file of weights that are loaded before training or test")
    ignore_weights: list[str] = option(
        [], "prefixes of weights in that file that are not loaded; auto: all that do not fit"
    )

    loss: str = option(
        "cross_entropy", "cross_entropy, or the import path of a torch module of (logits, labels)", title="Optimisation"
    )
    loss_args: dict[str, Any] = option({}, "arguments of that module")
    class_weights: Literal["balanced"] | dict[str, float] | None = option(
        None, "weights of the classes in cross_entropy: balanced, or factors by name of class"
    )
    optimizer: str = option("SGD", "SGD, Adam, AdamW, or the import path of another optimizer")
    optimizer_args: dict[str, Any] = option({}, "further arguments of an optimizer that is given by its import path")
    base_lr: float = option(0.1, "learning rate after the warm-up", low=1e-10, high=100)
    momentum: float = option(0.9, "momentum of SGD", low=0, high=0.9999)
    nesterov: bool = option(True, "use Nesterov momentum in SGD")
    weight_decay: float = option(1e-4, "weight decay of SGD, Adam and AdamW", low=0, high=1)
    decay_all: bool = option(True, "false: no weight decay for norms, biases and relative positions")
    lr_factors: dict[str, float] = option(
        {}, "factors of the learning rate by name of part, such as {backbone: 0.1}; if several match, the last counts"
    )
    freeze: list[str] = option([], "names of parts that are not trained, such as gcn0 or backbone.[0-2]")
    lr_schedule: Literal["multi-step", "cosine"] = option("multi-step", "how the learning rate falls")
    step: list[int] = option([60, 90], "multi-step: epochs after which the learning rate falls", low=1, high=100_000)
    gamma: float = option(0.1, "multi-step: factor of the learning rate after each of these epochs", low=1e-6, high=1)
    min_lr: float = option(0.0, "cosine: learning rate at the end", low=0, high=100)
    warm_up_epoch: int = option(0, "epochs in which the learning rate rises to base_lr", low=0, high=100_000)
    label_smoothing: float = option(0.0, "share of the label that is spread over all classes", low=0, high=0.99)
    max_grad_norm: float | None = option(
        None, "norm to which larger gradients are clipped; null: no clipping", low=1e-6
    )

    batch_size: int = option(32, "samples of a training batch in each process", low=1, high=65_536, title="Training")
    test_batch_size: int = option(32, "samples of a test batch", low=1, high=65_536)
    sampler: Literal["shuffled", "balanced"] = option(
        "shuffled", "balanced: every class is drawn equally often in an epoch"
    )
    accumulation: int = option(1, "number of batches whose gradients make one step", low=1, high=65_536)
    num_epoch: int = option(120, "epochs to train", low=1, high=100_000)
    early_stopping: Literal["validation", "test"] | None = option(
        None, "stop when top-1 on this split has not risen for `patience` epochs"
    )
    patience: int = option(10, "early_stopping: epochs to wait after the best evaluation", low=1)
    repeat: int = option(1, "how often an epoch uses each training sample, each time augmented anew", low=1, high=1000)
    sync_batch_norm: bool = option(False, "several processes: compute batch norm over the batches of all")
    precision: Literal["float32", "bfloat16", "float16"] = option(
        "float32", "type of activations, by autocast; float16, with scaled gradients, is for GPUs without bfloat16"
    )
    compile: bool = option(False, "compile the model with torch.compile: minutes at the start, then faster")
    cuda_graphs: bool = option(
        False, "record a training step and replay it: a GPU then waits less for the processor, above all in short clips"
    )
    gradient_checkpointing: bool = option(False, "compute blocks again in the backward pass: less memory, more time")
    seed: int = option(0, "seed of weights, augmentation and order", low=0, high=2**32 - 1)

    phase: Literal["train", "test", "info", "benchmark", "explain", "predict", "export", "watch"] = option(
        "train",
        "what to do; explain, predict, export and watch have their own options (--phase predict --help)",
        title="Run",
    )
    training: bool = option(True, "option of the published code: false means `phase: test`")
    device: Literal["auto", "cpu", "mps", "cuda"] | list[int] = option(
        "auto", "auto, a kind of device, or numbers of GPUs, such as --device 0 1", low=0, high=1023
    )
    num_worker: int = option(2, "number of processes that load data", low=0, high=512)
    work_dir: Path = option(Path("work_dir/run"), "folder of the results; for config/A/B.yaml it is work_dir/A/B")
    only: list[str] = option([], "study, folds: run only those that match a name or pattern, such as s-tr/*")
    part: str | None = option(None, "study, folds: 2/4 runs the second of four parts; other machines run the others")
    resume: str | None = option(None, "checkpoint to continue; auto: the newest one in work_dir, if any")
    overwrite: bool = option(False, "replace the results of an earlier run in work_dir")
    save_interval: int = option(1, "epochs between checkpoints", low=1)
    checkpoint_minutes: float = option(10.0, "minutes between checkpoints within an epoch; 0: none", low=0)
    eval_interval: int = option(1, "epochs between evaluations", low=1)
    log_interval: int = option(100, "steps between log lines", low=1)
    show_topk: list[int] = option([1, 5], "which top-k accuracies to show", low=1)

    @property
    def judge(self) -> str:
        """The part of the data that evaluations during training are on."""
        return "validation" if self.validation_feeder_args else "test"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the data that training opens, the test last."""
        return tuple(dict.fromkeys(("train", self.judge, "test")))

    def problems(self) -> Iterator[Problem]:
        """Numbers outside their bounds, and combinations of values that contradict each other."""
        yield from beyond_bounds(self)
        for pattern, factor in self.lr_factors.items():
            if not 0 < factor <= 1000:
                text = f"{pattern}: {factor:g} must be above 0 and at most 1000; `freeze` names what is not to learn"
                yield ("lr_factors",), text
        if self.min_lr > self.base_lr:
            text = f"{self.min_lr:g} is above base_lr, {self.base_lr:g}; the learning rate is to fall"
            yield ("min_lr", "base_lr"), text
        if any(later <= earlier for earlier, later in pairwise(self.step)):
            yield ("step",), f"{self.step} must rise from each epoch to the next"
        for name, factor in self.class_weights.items() if isinstance(self.class_weights, dict) else ():
            if not 0 < factor <= 1e6:
                yield ("class_weights",), f"{name}: {factor:g} must be above 0 and at most a million"
        if self.loss != "cross_entropy" and self.class_weights:
            yield ("class_weights", "loss"), f"they are for cross_entropy; {self.loss} does not get them"
        if self.class_weights == self.sampler == "balanced":
            text = "balanced, as sampler is; classes would be balanced twice, leave one out"
            yield ("class_weights", "sampler"), text
        if self.loss != "cross_entropy" and self.label_smoothing:
            text = f"{self.label_smoothing:g} is for cross_entropy; {self.loss} does not get it"
            yield ("label_smoothing", "loss"), text
        if self.early_stopping == "validation" and not self.validation_feeder_args:
            yield ("early_stopping", "validation_feeder_args"), "validation: name the data in validation_feeder_args"
        if self.early_stopping == "test" and self.validation_feeder_args:
            text = "test: with validation_feeder_args the test data are seen once, after training; take validation"
            yield ("early_stopping", "validation_feeder_args"), text
        if self.compile and self.gradient_checkpointing:
            text = "the compiler decides itself what is computed again; leave one of both out"
            yield ("gradient_checkpointing", "compile"), text
        for key, forbidden in (("accumulation", self.accumulation > 1), ("compile", self.compile)):
            if self.cuda_graphs and forbidden:
                yield ("cuda_graphs", key), f"a recorded step cannot be joined with {key}; leave one of both out"
        if self.overwrite and self.resume:
            yield ("overwrite", "resume"), "the one replaces a run, the other goes on with it; leave one out"
        for key in ("folds", "show_topk", "device"):
            numbers = getattr(self, key)
            if isinstance(numbers, list) and len(set(numbers)) < len(numbers):
                yield (key,), f"{numbers} names a number twice"
        for key in ("only", "part"):
            if getattr(self, key) and not self.folds and not self.study:
                yield (key, "folds", "study"), f"{getattr(self, key)} chooses runs of a study or folds; this is one run"
        if self.part and not _is_part(self.part):
            yield ("part",), f"{self.part!r} must be two numbers, the first at most the second, such as 2/4"
        if self.device == []:
            yield ("device",), "[] names no GPU; take auto, or cpu"


def _is_part(text: str) -> bool:
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    return bool(match and 1 <= int(match[1]) <= int(match[2]))


@dataclass(frozen=True)
class Study:
    """A grid of runs; a configuration of one run, or of folds alone, is one with a single member."""

    file: str  # where it was read
    members: dict[tuple[str, str], Config]  # by model and stream; "" where the study has no such axis
    seeds: list[int]  # none: each member's seed
    weights: dict[tuple[str, str], float]  # by which the members are fused; none: they are not
    changes: dict[str, Any] = field(default_factory=dict)  # what the command line says beside the file

    @property
    def config(self) -> Config:
        """What concerns the study as a whole, such as `phase` and `work_dir`; the rest is that of the first member."""
        return next(iter(self.members.values()))

    @classmethod
    def of(cls, config: Config) -> Study:
        """The study that a configuration alone is."""
        return cls("", {("", ""): config}, [], {})


def load_config(argv: Sequence[str]) -> Config:
    """The configuration of a command line, or of its study's first member; arguments and errors as `load_study`."""
    return load_study(argv).config


def load_study(argv: Sequence[str]) -> Study:
    """The runs that a command line asks for.

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
    check = Check()
    reader = Reader(check.problems)
    name, overrides = read_command_line(argv, check.problems)
    path = find_file(name, check.problems) if name is not None or not argv else None
    if path:
        reader.read(path)
    elif name is not None or overrides.get("phase") != "info":
        reader.complete = False
        if name is None:
            check.problems.append(f"{COMMAND_LINE}: name a file, for example `--config {_of_a_run(overrides)}`")
    check.file = str(path or COMMAND_LINE)
    if (folder := str(Path.cwd())) not in sys.path and reader.complete:
        sys.path.append(folder)  # a feeder or a model that is named may be a module there
    layers = [*reader.layers, overrides]
    grid, members = None, [(("", ""), layers)]
    together = overlaid(layers)
    if path and isinstance(study := together.get(KEY), Section) and study:
        grid = _grid(together, study, check)  # where it is wrong, its members say nothing
        members = list(member_layers(grid, path, layers, check.problems)) if grid else []
    sections = {member: _merged(of_member, check) for member, of_member in members}
    if grid and "work_dir" not in together:  # that of one of its models is not the study's
        for section in sections.values():
            section.pop("work_dir", None)
    configs = {member: _checked(section, path, check, reader.complete) for member, section in sections.items()}
    if not check.problems:
        check.problems.extend(_same(configs, check.file))
    if check.problems:
        raise ConfigError(list(dict.fromkeys(check.problems)))  # an alias repeats what is wrong with its anchor
    if check.renamed:
        log.warning("published names: %s", ", ".join(f"{a} is read as {b}" for a, b in check.renamed.items()))
    if check.idle:
        log.warning("these published keys do nothing: %s", ", ".join(check.idle))
    said = [line for member, config in configs.items() for line in remarks(config, sections[member], check.file)]
    for line in dict.fromkeys((*check.warnings, *said)):
        log.warning(line)
    weights = {member: grid.weight(*member) for member in configs} if grid and grid.fusion else {}
    return Study(check.file, configs, grid.seeds if grid else [], weights, plain(overrides))


def _same(configs: Mapping[tuple[str, str], Config], file: str) -> Iterator[str]:
    """A problem if two models or streams of a study are the same: one would be trained twice, under two names."""
    for one, other in combinations(configs, 2):
        if configs[one] == configs[other]:
            key, axis = ("streams", 1) if one[0] == other[0] else ("models", 0)
            yield (
                f"{file}: study.{key}: {one[axis]} and {other[axis]} are the same, because the keys of this file and "
                f"of the command line replace theirs; leave out the keys in which the {key} differ"
            )
            return


def _of_a_run(overrides: Section) -> str:
    """The configuration of the run that `weights` or `work_dir` names, or else an example."""
    folders = []
    if isinstance(weights := plain(overrides.get("weights")), str):
        folders.append(Path(weights).parent)
    if isinstance(work_dir := plain(overrides.get("work_dir")), str):
        folders.append(Path(work_dir))
    files = [folder / CONFIG for folder in folders]
    return next((file.as_posix() for file in files if file.is_file()), "config/demo/train.yaml")


def _merged(layers: Sequence[Section], check: Check) -> Section:
    section = Section()
    for layer in layers:
        section = merge(section, modernised(layer, check.problems, check.renamed), check.problems)
    return section


def _grid(section: Section, study: Section, check: Check) -> Grid | None:
    """The grid that a section has as `study`; None: it is wrong."""
    before = len(check.problems)
    good = check.arguments(Grid, study, KEY, KEY, section.places[KEY])
    if study.get("seeds") and section.places.get("seed") == COMMAND_LINE:
        check.problems.append(f"{COMMAND_LINE}: seed: the study names its seeds; give --study.seeds instead")
    for key in FEEDERS if study.get("streams") else ():
        if isinstance(args := section.get(key), Section) and args.places.get("stream") == COMMAND_LINE:
            text = f"{key}.stream: the study names its streams; give --study.streams instead"
            check.problems.append(f"{COMMAND_LINE}: {text}")
    return Grid(**good) if len(check.problems) == before else None


def _checked(section: Section, path: Path | None, check: Check, complete: bool) -> Config:
    """The configuration of a section, with all that is wrong with it in `check`."""
    before = len(check.problems)
    values = check.arguments(Config, section, place=check.file, together=complete)
    if path and "work_dir" not in section:
        values["work_dir"] = default_work_dir(path)
    if complete:  # what stands in an unreadable file is not missing
        check.names(Config(**values), values, section)  # among them names of classes that a path stands for
    return Config(**values) if len(check.problems) == before else Config()


def default_work_dir(path: Path) -> Path:
    """`work_dir` for a file that does not name one: `work_dir/ntu60_xsub/s-tr` for `config/ntu60_xsub/s-tr.yaml`.

    It has the file's path inside the nearest folder `config`, or else inside the working directory; of a file elsewhere
    it has the folder and the name.
    """
    folder, working = path.parent.resolve(), Path.cwd().resolve()
    folders = folder.parts
    if "config" in folders:
        inside = folders[len(folders) - folders[::-1].index("config") :]
    elif folder.is_relative_to(working):
        inside = folder.relative_to(working).parts
    else:
        inside = folders[1:][-1:]
    return Path("work_dir", *inside, path.stem)


def remarks(config: Config, given: Section, file: str) -> Iterator[str]:
    """Sentences about values that are allowed, but probably a mistake; `given` has the keys of the file and its bases.

    That an inherited key has no effect is not remarked: another schedule than that of a base leaves its keys idle.
    """
    epochs, num_class = config.num_epoch, config.model_args.get("num_class")
    if config.phase == "train":
        if config.warm_up_epoch >= epochs:
            reached = "just as" if config.warm_up_epoch == epochs else "before"
            yield f"warm_up_epoch: {config.warm_up_epoch}; the run ends at epoch {epochs}, {reached} base_lr is reached"
        if config.lr_schedule == "multi-step" and (late := [step for step in config.step if step >= epochs]):
            never = "; the learning rate never falls" if late == config.step else ""
            yield f"step: {', '.join(map(str, late))}; the run ends with epoch {epochs}{never}"
        if config.freeze and not config.weights and not config.resume:
            yield "freeze: without `weights`, the frozen parts keep the random numbers that they begin with"
        if config.optimizer == "SGD" and config.nesterov and not config.momentum:
            yield "nesterov: has no effect, for momentum is 0"
        default = Config()
        for key, (other, values) in IDLE_WITH.items():
            is_new = given.places.get(key, "").startswith((f"{file}:", COMMAND_LINE))
            if is_new and getattr(config, key) != getattr(default, key) and getattr(config, other) in values:
                yield f"{key}: has no effect, for {other} is {getattr(config, other) or 'null'}"
        unused = [key for key in ("momentum", "nesterov", "weight_decay") if key in given]
        if "." in config.optimizer and unused:
            yield f"{', '.join(unused)}: {config.optimizer} takes no settings but base_lr and those in optimizer_args"
        if config.ignore_weights and not config.weights:
            yield "ignore_weights: has no effect without `weights`"
    if "show_topk" in given and isinstance(num_class, int):
        for k in (k for k in config.show_topk if k >= num_class):
            yield f"show_topk: top-{k} of {num_class} classes is always 100 %"


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
        title = f"\n# {f.metadata['title']}\n" if "title" in f.metadata else ""
        blocks.append(title + dump({f.name: getattr(config, f.name)}))
    return "".join(blocks).lstrip()


def help_text() -> str:
    """What `--help` prints: every key with its meaning, type and default."""
    lines = ["usage: python main.py --config FILE [--KEY VALUE ...]", ""]
    lines += textwrap.wrap(
        "Trains and tests, or does what --phase says. Every KEY below can be in the file or on the command line; the "
        "command line takes precedence. Nested keys are joined by dots (--model_args.dropout 0.1), several values are "
        "separated by blanks (--device 0 1), and a key without a value means true. Relative paths begin at the working "
        "directory, those of _base_ at the file that names it; ~ and $NAME are expanded. A FILE whose name is made of "
        "parts need not exist (config/ntu60_xsub/t-tr-agcn-bones.yaml); --config config/ntu60_xsub lists the parts. "
        "`_delete_: KEY` (or a list of keys) in a mapping drops keys inherited from _base_, `_delete_: true` drops all "
        "(--model_args.graph_args._delete_ path). docs/training.md describes the rest.",
        width=100,
    )
    hints = hints_of(Config)
    for f in fields(Config):
        if "title" in f.metadata:
            lines += ["", f.metadata["title"]]
        lines.append(f"  --{f.name:<23} {f.metadata['meaning']}")
        lines.append(f"  {'':<25} {describe(hints[f.name])}; default {dump(default_of(f)).strip()}")
    return "\n".join(lines) + "\n"
