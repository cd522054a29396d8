"""Turns a configuration into the objects of a run, and finds a user's mistakes before anything is written.

Training and test take the `Run` that is made here. No other module of the engine but `study` makes one.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graph.common.files import beginning
from graph.common.imports import import_object
from graph.common.words import few_of, plural
from processor.config.schema import Config, resolved
from processor.engine.checkpointing import compute_blocks_again
from processor.engine.data import Loader
from processor.engine.evaluate import evaluate
from processor.engine.features import Features
from processor.engine.fit import check_feeder, check_fit
from processor.engine.loss import Criterion, build_loss, check_loss, weights_of_classes
from processor.engine.models import build_model, model_of_weights
from processor.engine.optimizer import SETTINGS, Schedule, build_optimizer, freeze
from processor.engine.sources import check_streams, classes_of, settle_classes, stream_of
from processor.results import work_dir
from processor.results.scores import Scores
from processor.runtime import distributed
from processor.runtime.compiling import compile_in_place
from processor.runtime.device import choose_device, effective_precision, gradient_scaler
from processor.runtime.recording import recorded
from processor.state.checkpoint import JUDGE, LAST, PREVIOUS, Checkpoints, State
from processor.state.data import data_of, versions
from processor.state.weights import read_weights

log = logging.getLogger(__name__)


@dataclass
class Run:
    """What a test works with."""

    config: Config  # with complete `model_args`, and the names of the model's classes where anything tells them
    model: nn.Module  # on the device, with the weights of the file that the configuration names
    device: torch.device
    precision: str  # of activations, one in which the device computes
    loaders: dict[str, Loader]  # by part, `train`, `validation` and `test`, as far as it is needed

    def evaluate(self, part: str, features: Features | None = None) -> Scores:
        """The scores of a part of the data; `evaluate` describes them and its errors."""
        average = self.config.average
        return evaluate(self.model, self.loaders[part], self.device, self.precision, average, features=features)

    def close(self) -> None:
        """Ends the workers of all loaders."""
        for loader in self.loaders.values():
            loader.close()


@dataclass
class Training(Run):
    """A `Run` with what training needs besides."""

    state: State  # all that a checkpoint holds, that of `resumed` if there is one
    replica: nn.Module  # the model, whose backward averages gradients over processes, or which is recorded
    criterion: Criterion  # the loss of a batch
    schedule: Schedule
    checkpoints: Checkpoints
    frozen: list[nn.Module]  # parts that stay in evaluation mode
    resumed: Path | None  # the checkpoint that the run goes on from


def set_up_training(config: Config) -> Training:
    """The objects of a training, for which `work_dir` is ready; a user's mistake is a ValueError."""
    run = _set_up(config, config.parts, config.ignore_weights)
    _warn_of_shared_samples(run.loaders)
    if config.sync_batch_norm:
        distributed.synchronise_batch_norm(run.model)
    criterion = new_loss(config, run.device, _class_weights(run))
    check_loss(criterion, config.loss, run.model, run.loaders["train"].feeder, run.device)
    frozen = freeze(run.model, config.freeze)
    _warn_of_frozen_beginnings(config, run.model)
    prepare_forward(config, run.model, run.device)
    state = new_state(config, run.model, run.device, run.precision, criterion)
    if distributed.rank():
        torch.manual_seed(config.seed + distributed.rank())  # each process draws other numbers for dropout
    text, stream = resolved(run.config), stream_of(config.train_feeder_args)
    data = data_of(config.test_feeder_args, run.config.model_args, run.loaders["test"].feeder)
    about = {
        "config": text,
        "class_names": run.config.class_names,
        "stream": stream,
        "versions": versions(),
        JUDGE: config.judge,
    }
    about |= {"data": data.as_plain()} if data else {}
    resumed = _resume(state, config, about)
    work_dir.prepare(config.work_dir, text, training=True, resumed=resumed, **_taken(config, "overwrite", "resume"))
    return Training(
        **vars(run),
        state=state,
        replica=replica_of(config, run.model, run.device),
        criterion=criterion,
        schedule=Schedule(**_taken(config, *(f.name for f in fields(Schedule)))),
        checkpoints=Checkpoints(config.work_dir, about, config.checkpoint_minutes),
        frozen=frozen,
        resumed=resumed,
    )


def set_up_test(config: Config) -> Run:
    """The objects of a test of the file `weights`, or else of the last one in `work_dir`; errors as in training."""
    run = open_test(config)
    path = run.config.weights
    if path and path.parent.resolve() != config.work_dir.resolve():  # a folder's weights may renew its test results
        use = _taken(config, "overwrite", "resume")
        work_dir.prepare(config.work_dir, resolved(run.config), training=False, **use)
    return run


def open_test(config: Config) -> Run:
    """The objects of a test, for which nothing is written."""
    last = [config.work_dir / name for name in (LAST, PREVIOUS)]  # a killed run may have left only the previous one
    path = config.weights or next(filter(Path.is_file, last), last[0])
    if not path.is_file():
        raise ValueError(
            f"weights: {path} is no file{beginning(path)}; name a checkpoint with --weights, or train first"
        )
    run = _set_up(replace(config, weights=path), ("test",))  # all weights, also those that fine-tuning ignores
    prepare_forward(config, run.model, run.device)
    return run


def _set_up(config: Config, parts: Sequence[str], ignored: Sequence[str] = ()) -> Run:
    work_dir.check_place(config.work_dir)
    device = choose_device(config.device)
    weights = read_weights(config.weights) if config.weights else None
    torch.manual_seed(config.seed)
    model_args: Mapping[str, Any] = config.model_args
    args = {part: getattr(config, f"{part}_feeder_args") for part in parts}
    said, learnt = tuple(config.class_names) if config.class_names else None, None
    if weights:
        of_data = classes_of(args["train"]) if "train" in args else None
        learnt = weights.known_classes(ignored, num_class=model_args.get("num_class"), said=said, of_data=of_data)
        new = weights.class_names is not None and learnt is None
        model, model_args = model_of_weights(config.model, model_args, weights, ignored, new_classes=new)
    else:
        model = build_model(config.model, model_args)
    feeders = {part: open_feeder(config, part) for part in parts}
    names = settle_classes(feeders, args, said=said, learnt=learnt)
    check_streams(args, weights)
    for part, feeder in feeders.items():
        check_fit(feeder, model, part, names)
    return Run(
        config=replace(
            config, model_args=dict(model_args), class_names=list(names) if names else None, overwrite=False
        ),
        model=model.to(device),
        device=device,
        precision=effective_precision(device, config.precision),
        loaders={part: Loader(feeder, **loader_args(config, part, device)) for part, feeder in feeders.items()},
    )


def _warn_of_shared_samples(loaders: Mapping[str, Loader]) -> None:
    """Warns of samples that two parts of the data hold: a test of them would tell nothing."""
    names = {part: {*map(str, loader.feeder.sample_name)} for part, loader in loaders.items()}
    for a, b in combinations(names, 2):
        if shared := sorted(names[a] & names[b]):
            log.warning("%s and %s data share %s, such as %s", a, b, plural(len(shared), "sample"), shared[0])


def _warn_of_frozen_beginnings(config: Config, model: nn.Module) -> None:
    """Warns of parameters that are frozen with the numbers that they begin with, for the weights do not hold them."""
    held = read_weights(config.weights).state if config.freeze and config.weights else {}
    fixed = {name: p.detach().cpu() for name, p in model.named_parameters() if not p.requires_grad}
    new = [name for name, p in fixed.items() if name not in held or not torch.equal(held[name].to(p.dtype), p)]
    if new and len(new) < len(fixed):  # published weights have other names
        log.warning("freeze: %s not taken from the weights, and keep their first numbers: %s",
                    plural(len(new), "parameter is", "parameters are"), few_of(new, 3))  # fmt: skip


def prepare_forward(config: Config, model: nn.Module, device: torch.device) -> None:
    """Compiles the model, or makes its blocks compute again in backward, as the configuration says.

    Raises:
        ValueError: this machine or this model cannot do it.
    """
    if config.compile:
        compile_in_place(model, device)
    if config.gradient_checkpointing:
        compute_blocks_again(model)


def replica_of(config: Config, model: nn.Module, device: torch.device) -> nn.Module:
    """What training calls in the place of the model, and computes the same."""
    if config.cuda_graphs and distributed.world() == 1:
        return recorded(model, device)
    if config.cuda_graphs:
        log.info("cuda_graphs: several processes exchange gradients within a step; training runs without them")
    return distributed.replica(model, device)


def new_state(config: Config, model: nn.Module, device: torch.device, precision: str, criterion: Criterion) -> State:
    """The state of a training that begins, of a model whose frozen parts are."""
    options = _taken(config, "base_lr", "weight_decay", "momentum", "nesterov", "lr_factors", "decay_all")
    optimizer = build_optimizer(model, config.optimizer, **options, args=config.optimizer_args)
    return State(
        model,
        optimizer,
        gradient_scaler(device, precision),
        loss=criterion if isinstance(criterion, nn.Module) else None,
        settings={*SETTINGS, *config.optimizer_args},
    )


def new_loss(config: Config, device: torch.device, class_weights: Tensor | None = None) -> Criterion:
    """The loss of a batch, on the device; `class_weights` (num_class,) are those that `weights_of_classes` gives."""
    weights, smoothing = class_weights, config.label_smoothing
    return build_loss(config.loss, config.loss_args, device=device, class_weights=weights, label_smoothing=smoothing)


def _class_weights(run: Run) -> Tensor | None:
    """The weights of the classes in the loss, if the configuration asks for some."""
    if not run.config.class_weights:
        return None
    labels = np.asarray(run.loaders["train"].feeder.label)
    labels = np.unique(labels) if run.config.sampler == "balanced" else labels  # as often as they are drawn
    return weights_of_classes(run.config.class_weights, labels, run.config.class_names)


def loader_args(config: Config, part: str, device: torch.device) -> dict[str, Any]:
    """The arguments of the loader of `part`, `train`, `validation` or `test`."""
    training = part == "train"
    return {
        "batch_size": config.batch_size if training else config.test_batch_size,
        "workers": config.num_worker,
        "device": device,
        "seed": config.seed if training else None,
        "balanced": training and config.sampler == "balanced",
        "repeat": config.repeat if training else 1,
    }


def open_feeder(config: Config, part: str) -> Any:
    """The feeder of `part`, `train`, `validation` or `test`; `make_data` makes the data first, unless they exist.

    Raises:
        ValueError: data is missing, with what the config's `data_help` says about it.
    """
    args = dict(getattr(config, f"{part}_feeder_args"))
    if config.make_data is not None:
        if missing := missing_files(args):
            log.info("%s not found, making it by %s", missing[0], config.make_data)
        with distributed.one_by_one():  # the function itself checks what data exist, and of which settings
            import_object(config.make_data)(**config.make_data_args)
    if missing := missing_files(args):
        made = f" ({config.make_data} ran)" if config.make_data else ""
        raise ValueError(
            f"data: {' and '.join(missing)} not found{beginning(*missing)}{made}\n{config.data_help or ''}".rstrip()
        )
    kind = import_object(config.feeder)
    if "seed" in inspect.signature(kind).parameters:
        args.setdefault("seed", config.seed)
    feeder = kind(**args)
    check_feeder(feeder, config.feeder)
    return feeder


def _taken(config: Config, *keys: str) -> dict[str, Any]:
    """The values of some keys, as arguments of the same names."""
    return {key: getattr(config, key) for key in keys}


def missing_files(args: Mapping[str, Any]) -> list[str]:
    """The files that feeder arguments name, and that do not exist."""
    paths = [value for key, value in args.items() if key.endswith("_path") and isinstance(value, str | Path)]
    return [str(path) for path in paths if not Path(path).exists()]


def _resume(state: State, config: Config, about: Mapping[str, Any]) -> Path | None:
    """Loads `state` from the checkpoint that `resume` names, and returns its path; None for a new run."""
    if config.resume != "auto":
        path = Path(config.resume) if config.resume else None
    else:  # one process searches, for it may rename damaged files
        path = distributed.from_rank_0(lambda: state.load_newest(config.work_dir, about))
    if path and (config.resume != "auto" or distributed.rank()):
        state.load(path, about)
    if state.epoch > config.num_epoch:
        raise ValueError(
            f"num_epoch: {config.num_epoch}, but {path} has trained {state.epoch}; take as many or more, or another "
            "--work_dir"
        )
    if state.epoch == config.num_epoch and state.samples:
        raise ValueError(
            f"num_epoch: {config.num_epoch}, but {path} has trained {plural(state.samples, 'sample')} of epoch "
            f"{state.epoch + 1}; take {state.epoch + 1} or more, or another --work_dir"
        )
    return path
