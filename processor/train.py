"""Training and test, top to bottom."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from processor import distributed, work_dir
from processor.checkpoint import LAST, Checkpoints, State
from processor.config import Config, names_of_classes, resolved
from processor.config_check import import_object
from processor.data import Loader, check_fit, open_feeder
from processor.evaluate import evaluate
from processor.optim import build_optimizer, learning_rate
from processor.report import write_report
from processor.runtime import (
    StoppedError,
    autocast,
    choose_device,
    effective_precision,
    progress,
    stop_signals,
    to_device,
)
from processor.scores import Scores, save_scores, top_k
from processor.weights import complete, load_weights, read_weights

log = logging.getLogger(__name__)


def train(config: Config) -> Scores:
    """Trains, evaluates on the way, tests the weights of the last epoch; everything goes to `work_dir`.

    Returns:
        The test scores.

    Raises:
        ValueError: a user's mistake, before anything is written; or the loss is no longer finite.
    """
    work_dir.check_place(config.work_dir)
    device = choose_device(config.device)
    weights = read_weights(config.weights) if config.weights else None
    config = complete(config, weights) if weights else config
    torch.manual_seed(config.seed)
    model = import_object(config.model)(**config.model_args)
    feeder, test_feeder = open_feeder(config, "train"), open_feeder(config, "test")
    check_fit(feeder, model, config, "train")
    check_fit(test_feeder, model, config, "test")
    if weights:
        load_weights(model, weights, config.ignore_weights)
    model.to(device)
    if config.sync_batch_norm:
        distributed.synchronise_batch_norm(model)
    state = State(model, build_optimizer(model, config))
    if distributed.rank():
        torch.manual_seed(config.seed + distributed.rank())  # each process drops other numbers
    path = _resume(state, config, device)
    replica = distributed.replica(model, device)
    work_dir.prepare(config, path)
    checkpoints = Checkpoints(config.work_dir, resolved(config), config.checkpoint_minutes)
    loader = Loader(feeder, config, device, train=True)
    test_loader = Loader(test_feeder, config, device, train=False)
    with work_dir.journal(config.work_dir, state.step) as record, stop_signals() as stop:
        precision = effective_precision(device, config.precision)
        where = f"{distributed.world()} processes, this one on {device}" if distributed.world() > 1 else f"on {device}"
        log.info("%s: %s parameters, %s in %s", config.model, f"{_size(model):,}", where, precision)
        log.info("%d training and %d test samples", len(feeder), len(test_feeder))
        if path:
            log.info("resumed after epoch %d and %d samples from %s", state.epoch, state.samples, path)
        scores = None
        while state.epoch < config.num_epoch:
            started = time.perf_counter()
            for losses in train_epoch(state, replica, loader, config, device, record):
                stopped, due = distributed.maximum(max(stop, default=0), checkpoints.due)
                if stopped or due:
                    losses.mean()  # nothing is saved that is no longer finite
                    checkpoints.save(state)
                if stopped:
                    raise StoppedError(signal.Signals(stopped), f"in epoch {state.epoch + 1}")
            distributed.agree(model)
            number = state.epoch + 1
            last = number == config.num_epoch
            if last or number % config.eval_interval == 0:
                if distributed.world() > 1:
                    checkpoints.save(state)  # a launcher that stops its processes may not wait for the evaluation
                scores = evaluate(model, test_loader, device, config.precision)
                _note_accuracy(scores, number, state, config, record)
            state.epoch, state.samples = number, 0
            if state.best_epoch == number:
                checkpoints.save_best(state)
            (stopped,) = distributed.maximum(max(stop, default=0))
            if stopped or last or number % config.save_interval == 0:
                checkpoints.save(state)
            if stopped and not last:
                raise StoppedError(signal.Signals(stopped), f"after epoch {number}")
            log.info("epoch %d of %d took %.1f s", number, config.num_epoch, time.perf_counter() - started)
        if scores is None:
            scores = evaluate(model, test_loader, device, config.precision)
        log.info("trained for %.1f minutes, seed %d", state.seconds / 60, config.seed)
        finish(scores, config, f"epoch {state.epoch}, the last")
    return scores


def train_epoch(
    state: State, model: nn.Module, loader: Loader, config: Config, device: torch.device, record: work_dir.Record
) -> Iterator[Losses]:
    """What is left of a pass over the training data: accumulate, autocast, clip, step, schedule.

    `model` is the state's, or a replica of it that averages gradients over processes. Yields after each step, when the
    state is whole.
    """
    model.train()
    optimizer = state.optimizer
    losses = Losses(state, loader, config)
    name = f"epoch {state.epoch + 1}/{config.num_epoch}"
    done, total = loader.batches_in(state.samples, config.accumulation), len(loader.sizes)
    batches = loader.epoch(state.epoch, begin=done)
    state.samples = sum(loader.sizes[:done])
    bar = progress(batches, name, total=total, initial=done)
    for i, (x, label, index) in enumerate(bar, start=done):
        first = i - i % config.accumulation
        group = loader.sizes[first : first + config.accumulation]  # the batches that make this step
        last = i + 1 == first + len(group)
        x, label = to_device(x, device), to_device(label, device)
        with distributed.averaging(model, when=last):
            with autocast(device, config.precision):
                loss = F.cross_entropy(model(x).float(), label, label_smoothing=config.label_smoothing)
            (loss * (len(x) * distributed.world() / sum(group))).backward()
        losses.add(loss.detach(), index)
        del loss  # and what hangs on it, before the next forward pass
        if not last:
            continue
        lr = learning_rate(config, state.epoch + (i + 1) / total)
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.samples += sum(group)
        if state.step % config.log_interval == 0 or i + 1 == total:
            mean = losses.mean()
            losses.clear()
            bar.set_postfix(loss=f"{mean:.3f}")
            record("train/loss", mean, state.step)
            record("train/lr", lr, state.step)
            log.info("epoch %d, step %d: loss %.4f, lr %.3g", state.epoch + 1, state.step, mean, lr)
        yield losses


class Losses:
    """The losses of the batches since the last log line, and which samples they are of."""

    def __init__(self, state: State, loader: Loader, config: Config) -> None:
        self.state, self.loader, self.config = state, loader, config
        self.clear()

    def add(self, loss: Tensor, index: Tensor) -> None:
        self.values.append(loss)
        self.indices.append(index)

    def clear(self) -> None:
        self.values: list[Tensor] = []
        self.indices: list[Tensor] = []

    def mean(self) -> float:
        """Their mean, over all processes; nan if there is none.

        Raises:
            ValueError: one of them is infinite or not a number; the names of its batch are in `work_dir`.
        """
        if not self.values:
            return math.nan
        values = torch.stack(self.values).cpu()
        bad = (~torch.isfinite(values)).nonzero().flatten().tolist()
        names = [self.loader.feeder.sample_name[i] for i in self.indices[bad[0]].tolist()] if bad else []
        found = distributed.gather((values.mean().item(), bad[:1], names))
        if not any(bad for _, bad, _ in found):
            return sum(mean for mean, _, _ in found) / len(found)
        _, _, names = min((part for part in found if part[1]), key=lambda part: part[1])
        path = self.config.work_dir / work_dir.NOT_FINITE
        if distributed.rank() == 0:
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        raise ValueError(
            f"the loss is no longer finite in epoch {self.state.epoch + 1}, at or before step {self.state.step}; the "
            f"samples of the first such batch are in {path}: check them for NaN, or try a smaller base_lr, a "
            "warm_up_epoch or max_grad_norm; earlier checkpoints are untouched"
        )


def test(config: Config) -> Scores:
    """Tests the weights of `weights`, or else of `work_dir`; scores and reports go to `work_dir`.

    Raises:
        ValueError: a user's mistake, before anything is written.
    """
    work_dir.check_place(config.work_dir)
    device = choose_device(config.device)
    own = config.work_dir / LAST
    path = config.weights or own
    if not path.is_file():
        raise ValueError(f"weights: {path} is no file; name a checkpoint with --weights, or train first")
    weights = read_weights(path)
    config = complete(replace(config, ignore_weights=[]), weights)  # fine-tuning leaves weights out, a test takes all
    model = import_object(config.model)(**config.model_args)
    feeder = open_feeder(config, "test")
    check_fit(feeder, model, config, "test")
    load_weights(model, weights)
    if path.parent.resolve() != config.work_dir.resolve():  # a folder's own weights may renew its test results
        work_dir.prepare(config)
    with work_dir.journal(config.work_dir):
        scores = evaluate(model.to(device), Loader(feeder, config, device, train=False), device, config.precision)
        finish(scores, config, str(path))
    return scores


def finish(scores: Scores, config: Config, weights: str) -> None:
    """Writes scores and reports, and says how good they are and where they lie."""
    if distributed.rank() == 0:
        save_scores(config.work_dir / work_dir.SCORE, scores)
        write_report(config.work_dir, scores, names_of_classes(config))
    log.info("test of %s: %s", weights, _accuracy(scores, config))
    log.info("scores, reports, checkpoints and log are in %s", config.work_dir)


def _note_accuracy(scores: Scores, epoch: int, state: State, config: Config, record: work_dir.Record) -> None:
    """Logs an evaluation during training, and notes whether it is the best so far."""
    for k in config.show_topk:
        record(f"test/top{k}", _top(scores, k), epoch)
    log.info("epoch %d, test: %s", epoch, _accuracy(scores, config))
    if (top1 := _top(scores, 1)) > state.best:
        state.best, state.best_epoch = top1, epoch


def _accuracy(scores: Scores, config: Config) -> str:
    return ", ".join(f"top-{k} {100 * _top(scores, k):.2f} %" for k in config.show_topk)


def _top(scores: Scores, k: int) -> float:
    return top_k(scores.scores, scores.labels, k)


def _resume(state: State, config: Config, device: torch.device) -> Path | None:
    """Takes `state` from the checkpoint to go on from, and gives its path; None for a new run."""
    if config.resume is None:
        return None
    if config.resume != "auto":
        state.load(Path(config.resume), device)
        return Path(config.resume)
    path = state.load_newest(config.work_dir, device) if distributed.rank() == 0 else None  # this may rename it
    path = distributed.first(path)
    if path and distributed.rank():
        state.load(path, device)
    return path


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
