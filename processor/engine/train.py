"""Training and test, top to bottom."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph.common.files import beginning
from graph.common.words import plural
from processor.config.schema import Config, names_of_classes, resolved
from processor.engine.data import Loader, check_fit, open_feeder
from processor.engine.evaluate import cross_entropy, evaluate
from processor.engine.models import build_model
from processor.engine.optimizer import build_optimizer, learning_rate
from processor.engine.sources import learnt, settle_sources
from processor.results import work_dir
from processor.results.report import write_report_or_warn
from processor.results.scores import SCORE, Scores, save_scores, top_k
from processor.runtime import distributed
from processor.runtime.device import autocast, choose_device, effective_precision, gradient_scaler, progress, to_device
from processor.runtime.failure import sentence
from processor.runtime.signals import StoppedError, stop_signals
from processor.state.checkpoint import LAST, PREVIOUS, Checkpoints, State
from processor.state.weights import complete, load_weights, read_weights

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
    model = build_model(config, weights)
    feeder, test_feeder = open_feeder(config, "train"), open_feeder(config, "test")
    config = settle_sources(config, {"train": feeder, "test": test_feeder}, weights)
    check_fit(feeder, model, config, "train")
    check_fit(test_feeder, model, config, "test")
    if weights:
        load_weights(model, weights, config.ignore_weights)
    model.to(device)
    if config.sync_batch_norm:
        distributed.synchronise_batch_norm(model)
    state = State(model, build_optimizer(model, config), gradient_scaler(device, config.precision))
    if distributed.rank():
        torch.manual_seed(config.seed + distributed.rank())  # each process drops other numbers
    about = {"config": resolved(config), **learnt(config)}
    path = _resume(state, about, config, device)
    replica = distributed.replica(model, device)
    work_dir.prepare(config, path)
    checkpoints = Checkpoints(config.work_dir, about, config.checkpoint_minutes)
    with (
        closing(Loader(feeder, config, device, train=True)) as loader,
        closing(Loader(test_feeder, config, device, train=False)) as test_loader,
        work_dir.journal(config.work_dir, state.step) as record,
        stop_signals() as stop,
    ):
        precision = effective_precision(device, config.precision)
        where = f"{distributed.world()} processes, this one on {device}" if distributed.world() > 1 else f"on {device}"
        log.info("%s: %s, %s in %s", config.model, plural(_size(model), "parameter"), where, precision)
        log.info("%d training and %s", len(feeder), plural(len(test_feeder), "test sample"))
        if path:
            log.info("resumed after epoch %d and %s from %s", state.epoch, plural(state.samples, "sample"), path)
        scores = None
        while True:
            last = state.epoch == config.num_epoch
            if state.evaluated < state.epoch and (last or state.epoch % config.eval_interval == 0):
                scores = _evaluate(state, test_loader, checkpoints, config, device, record)
            if last:
                break
            started = time.perf_counter()
            for losses in train_epoch(state, replica, loader, config, device, record):
                stopped, due = _agree(stop, checkpoints.due)
                if stopped or due:
                    losses.means()  # nothing is saved that is no longer finite
                    checkpoints.save(state)
                if stopped:
                    raise StoppedError(signal.Signals(stopped), f"in epoch {state.epoch + 1}")
            distributed.agree(model)
            state.epoch, state.samples = state.epoch + 1, 0
            stopped, _ = _agree(stop)
            intervals = (config.save_interval, config.eval_interval)  # an evaluation that fails costs no epoch
            if stopped or state.epoch == config.num_epoch or any(state.epoch % n == 0 for n in intervals):
                checkpoints.save(state)
            log.info("epoch %d of %d took %.1f s", state.epoch, config.num_epoch, time.perf_counter() - started)
            if stopped and state.epoch < config.num_epoch:
                raise StoppedError(signal.Signals(stopped), f"after epoch {state.epoch}")
        if scores is None:  # the run was complete when it was resumed
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
    optimizer, scaler = state.optimizer, state.scaler
    losses = Losses(state, loader, config, device)
    name = f"epoch {state.epoch + 1}/{config.num_epoch}"
    done, total = loader.batches_in(state.samples, config.accumulation), len(loader.sizes)
    batches = loader.epoch(state.epoch, begin=done)
    state.samples = sum(loader.sizes[:done])
    bar = progress(batches, name, total=total, initial=done)
    for i, (x, label, _) in enumerate(bar, start=done):
        first = i - i % config.accumulation
        group = loader.sizes[first : first + config.accumulation]  # the batches that make this step
        last = i + 1 == first + len(group)
        x, label = to_device(x, device), to_device(label, device)
        with distributed.averaging(model, when=last):
            with autocast(device, config.precision):
                logits = model(x).float()
                loss = F.cross_entropy(logits, label, label_smoothing=config.label_smoothing)
            scaler.scale(loss * (len(x) * distributed.world() / sum(group))).backward()
        losses.add(i, loss.detach(), logits.detach(), label)
        del loss, logits  # and what hangs on them, before the next forward pass
        if not last:
            continue
        lr = learning_rate(config, state.epoch + (i + 1) / total)
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr
        if config.max_grad_norm is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), config.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.samples += sum(group)
        if state.step % config.log_interval == 0 or i + 1 == total:
            mean, top1 = losses.means()
            losses.clear()
            bar.set_postfix(loss=f"{mean:.3f}")
            for key, value in (("loss", mean), ("top1", top1), ("lr", lr)):
                record(f"train/{key}", value, state.step)
            about = (state.epoch + 1, state.step, mean, 100 * top1, lr)
            log.info("epoch %d, step %d: loss %.4f, top-1 %.2f %%, lr %.3g", *about)
        yield losses


class Losses:
    """Loss and accuracy of the training batches since the last log line; a GPU is waited for when they are read."""

    def __init__(self, state: State, loader: Loader, config: Config, device: torch.device) -> None:
        self.state, self.loader, self.config, self.device = state, loader, config, device
        self.first_bad = torch.tensor(-1, device=device)  # the number of a batch
        self.clear()

    def add(self, number: int, loss: Tensor, logits: Tensor, label: Tensor) -> None:
        """Takes in a batch of the epoch, by its number."""
        self.batches += 1
        self.samples += len(label)
        self.loss += loss
        self.right += (logits.argmax(dim=1) == label).sum()
        self.first_bad = torch.where((self.first_bad < 0) & ~torch.isfinite(loss), number, self.first_bad)

    def clear(self) -> None:
        """Begins anew."""
        self.batches = self.samples = 0
        self.loss, self.right = torch.zeros((), device=self.device), torch.zeros((), device=self.device)

    def means(self) -> tuple[float, float]:
        """The mean loss and the top-1 accuracy, over all processes; nan if there was no batch.

        Raises:
            ValueError: a loss is infinite or not a number; the names of the samples of its batch are in `work_dir`.
        """
        if not self.batches:
            return math.nan, math.nan
        bad = int(self.first_bad)
        names = [self.loader.feeder.sample_name[i] for i in self.loader.order.part(bad)] if bad >= 0 else []
        mean, top1 = self.loss.item() / self.batches, self.right.item() / self.samples
        told = distributed.gather((mean, top1, bad, names))
        wrong = [(bad, names) for _, _, bad, names in told if bad >= 0]
        if not wrong:
            return sum(mean for mean, *_ in told) / len(told), sum(top1 for _, top1, *_ in told) / len(told)
        _, names = min(wrong)
        path = self.config.work_dir / work_dir.NOT_FINITE
        if distributed.rank() == 0:
            path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        raise ValueError(
            f"the loss is no longer finite in epoch {self.state.epoch + 1}, at or before step {self.state.step}; the "
            f"samples of the first such batch are in {path}: check them for NaN, or try a smaller base_lr, a "
            "warm_up_epoch or max_grad_norm; earlier checkpoints are untouched"
        )


def _agree(stop: Sequence[signal.Signals], due: bool = False) -> list[int]:
    """What the processes do next: the signal by which any was asked to stop, or 0; whether a save is due for any."""
    agreed = distributed.maximum(max(stop, default=0), due)
    if agreed[0]:
        distributed.all_stop.set()
    return agreed


def _evaluate(
    state: State,
    loader: Loader,
    checkpoints: Checkpoints,
    config: Config,
    device: torch.device,
    record: work_dir.Record,
) -> Scores | None:
    """An evaluation in training, noted in checkpoints, events and log; None: it failed, before the last epoch."""
    try:
        scores = evaluate(state.model, loader, device, config.precision)
    except Exception as error:
        if state.epoch == config.num_epoch:
            raise
        log.warning("epoch %d could not be evaluated, training goes on: %s", state.epoch, sentence(error))
        work_dir.log_failure(config.work_dir, error)
        return None
    state.evaluated = state.epoch
    if (top1 := _top(scores, 1)) > state.best:
        state.best, state.best_epoch = top1, state.epoch
        checkpoints.save_best(state)
    checkpoints.save(state)
    record("test/loss", cross_entropy(scores), state.step)  # after the save, or a killed run would record it again
    for k in config.show_topk:
        record(f"test/top{k}", _top(scores, k), state.step)
    log.info("epoch %d, test: %s", state.epoch, _accuracy(scores, config))
    return scores


def test(config: Config) -> Scores:
    """Tests the weights of `weights`, or else of `work_dir`; scores and reports go to `work_dir`.

    Raises:
        ValueError: a user's mistake, before anything is written.
    """
    work_dir.check_place(config.work_dir)
    device = choose_device(config.device)
    own = [path for name in (LAST, PREVIOUS) if (path := config.work_dir / name).is_file()]  # a kill may leave one
    path = config.weights or (own or [config.work_dir / LAST])[0]
    if not path.is_file():
        raise ValueError(
            f"weights: {path} is no file{beginning(path)}; name a checkpoint with --weights, or train first"
        )
    weights = read_weights(path)
    config = complete(replace(config, ignore_weights=[]), weights)  # fine-tuning leaves weights out, a test takes all
    model = build_model(config, weights)
    feeder = open_feeder(config, "test")
    config = settle_sources(config, {"test": feeder}, weights)
    check_fit(feeder, model, config, "test")
    load_weights(model, weights)
    if path.parent.resolve() != config.work_dir.resolve():  # a folder's own weights may renew its test results
        work_dir.prepare(config)
    with closing(Loader(feeder, config, device, train=False)) as loader, work_dir.journal(config.work_dir):
        scores = evaluate(model.to(device), loader, device, config.precision)
        finish(scores, config, str(path))
    return scores


def finish(scores: Scores, config: Config, weights: str) -> None:
    """Writes scores and reports, and says how good they are and where they lie."""
    if distributed.rank() == 0:
        save_scores(config.work_dir / SCORE, scores)
        write_report_or_warn(config.work_dir, scores, names_of_classes(config))
    log.info("test of %s: %s", weights, _accuracy(scores, config))
    log.info("scores, reports, checkpoints and log are in %s", config.work_dir)


def _accuracy(scores: Scores, config: Config) -> str:
    return ", ".join(f"top-{k} {100 * _top(scores, k):.2f} %" for k in config.show_topk)


def _top(scores: Scores, k: int) -> float:
    return top_k(scores.scores, scores.labels, k)


def _resume(state: State, about: Mapping[str, Any], config: Config, device: torch.device) -> Path | None:
    """Takes `state` from the checkpoint to go on from, and gives its path; None for a new run."""
    if config.resume is None:
        return None
    if config.resume != "auto":
        state.load(Path(config.resume), device, about)
        return Path(config.resume)
    path = state.load_newest(config.work_dir, device, about) if distributed.rank() == 0 else None  # this may rename it
    path = distributed.first(path)
    if path and distributed.rank():
        state.load(path, device, about)
    return path


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
