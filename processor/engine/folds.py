"""From a configuration to scores: training or test, or in cross-validation one of these for every fold."""

from __future__ import annotations

import logging
import statistics
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from graph.common.files import write_csv
from processor.config.schema import Config, resolved
from processor.engine.setup import open_feeder, set_up_test, set_up_training
from processor.engine.train import test, train
from processor.results.provenance import Made
from processor.results.scores import Scores
from processor.results.work_dir import FOLDS, Record, check_place, write_results
from processor.runtime.distributed import on_rank_0

log = logging.getLogger(__name__)

MARK = "{fold}"  # a fold's number stands in its place


def run(config: Config) -> Scores:
    """Trains or tests as `phase` says, all `folds` where there are some; writes to `work_dir`, returns the test scores.

    Raises:
        ValueError: a user's mistake, before anything is written; or the loss is no longer finite.
        StoppedError: a signal asked the run to stop; the state is saved.
    """
    if config.folds:
        return _cross_validate(config)
    return train(set_up_training(config)) if config.phase == "train" else test(set_up_test(config))


def _cross_validate(config: Config) -> Scores:
    """Runs each fold in `work_dir/fold{fold}`; `work_dir` gets the summary and common reports."""
    check_place(config.work_dir)
    configs = {fold: of_fold(config, fold) for fold in config.folds}
    _check(config, configs)
    scores = {}
    for fold, of_this in configs.items():
        log.info("fold %d of %s", fold, ", ".join(map(str, configs)))
        scores[fold] = run(of_this)
    accuracy = {fold: 100 * s.top_k(1) for fold, s in scores.items()}
    together = Scores(
        tuple(name for s in scores.values() for name in s.names),
        np.concatenate([s.scores for s in scores.values()]),
        np.concatenate([s.known_labels for s in scores.values()]),
    )
    rows = [(fold, len(scores[fold].names), f"{a:.4f}") for fold, a in accuracy.items()]
    on_rank_0(write_csv)(config.work_dir / FOLDS, [("fold", "samples", "top1"), *rows])
    made = Made(resolved(config), seed=config.seed)
    write_results(config.work_dir, together, config.class_names, made, Record())
    log.info("top-1 of folds %s: %s", ", ".join(map(str, accuracy)), ", ".join(f"{a:.2f}" for a in accuracy.values()))
    log.info("mean %s; all are in %s", mean_and_spread(list(accuracy.values())), config.work_dir)
    return together


def of_fold(config: Config, fold: int) -> Config:
    """The configuration of one fold: its number in the place of every `{fold}`, and `work_dir/fold{fold}`."""
    changed = {f.name: _fill(getattr(config, f.name), fold) for f in fields(config)}
    return replace(config, **{**changed, "folds": [], "work_dir": config.work_dir / f"fold{fold}"})


def mean_and_spread(accuracies: list[float]) -> str:
    """The mean of accuracies in per cent, with the standard deviation of several."""
    mean = f"{statistics.mean(accuracies):.2f} %"
    return f"{mean}, standard deviation {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else mean


def _fill(value: Any, fold: int) -> Any:
    if isinstance(value, str):
        return value.replace(MARK, str(fold))
    if isinstance(value, Path):
        return Path(str(value).replace(MARK, str(fold)))
    if isinstance(value, dict):
        return {key: _fill(x, fold) for key, x in value.items()}
    return [_fill(x, fold) for x in value] if isinstance(value, list) else value


def _check(config: Config, configs: dict[int, Config]) -> None:
    """Checks, before hours are spent, that every fold has its data and that no sample is tested twice."""
    for key, value in (("weights", config.weights), ("resume", config.resume)):
        if value not in (None, "auto") and MARK not in str(value):
            raise ValueError(
                f"folds: {key}: {value} would give every fold the weights of one, which has seen what others test; put "
                f"{MARK} where a fold's number belongs, such as work_dir/sbu/fold{MARK}/last.pt"
            )
    parts = ("train", "validation", "test") if config.validation_feeder_args else ("train", "test")
    for key in (f"{part}_feeder_args" for part in parts):
        if MARK not in str(getattr(config, key)):
            raise ValueError(
                f"folds: {key} must hold {MARK} where a fold's number belongs, such as data/fold{MARK}/x.npy"
            )
    tested: dict[str, int] = {}
    for fold, of_this in configs.items():
        feeders = {part: open_feeder(of_this, part) for part in parts}
        for name in feeders["test"].sample_name:
            if name in tested:
                raise ValueError(f"folds: {tested[name]} and {fold} both test {name}; each sample belongs to one fold")
            tested[name] = fold
