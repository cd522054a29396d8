"""Training and test, top to bottom."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from processor import work_dir
from processor.checkpoint import LAST, Checkpoints, State
from processor.config import Config, names_of_classes, resolved
from processor.config_check import import_object
from processor.data import Loader, check_fit, open_feeder
from processor.evaluate import evaluate
from processor.optim import build_optimizer, learning_rate
from processor.report import write_report
from processor.runtime import StoppedError, autocast, choose_device, effective_precision, stop_signals, to_device
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
    state = State(model, build_optimizer(model, config))
    path = _resume(state, config, device)
    work_dir.prepare(config, path)
    checkpoints = Checkpoints(config.work_dir, resolved(config), config.checkpoint_minutes)
    loader = Loader(feeder, config, device, train=True)
    test_loader = Loader(test_feeder, config, device, train=False)
    with work_dir.journal(config.work_dir, state.step) as writer, stop_signals() as stop:
        precision = effective_precision(device, config.precision)
        log.info("%s: %s parameters, on %s in %s", config.model, f"{_size(model):,}", device, precision)
        log.info("%d training and %d test samples", len(feeder), len(test_feeder))
        if path:
            log.info("resumed after epoch %d, batch %d from %s", state.epoch, state.batch, path)
        scores = None
        while state.epoch < config.num_epoch:
            started = time.perf_counter()
            for losses in train_epoch(state, loader, config, device, writer):
                if stop or checkpoints.due:
                    losses.mean()  # nothing is saved that is no longer finite
                    checkpoints.save(state)
                if stop:
                    raise StoppedError(stop[0], f"in epoch {state.epoch + 1}")
            number = state.epoch + 1
            last = number == config.num_epoch
            if last or number % config.eval_interval == 0:
                scores = evaluate(model, test_loader, device, config.precision)
                _note_accuracy(scores, number, state, config, writer)
            state.epoch, state.batch = number, 0
            if state.best_epoch == number:
                checkpoints.save_best(state)
            if stop or last or number % config.save_interval == 0:
                checkpoints.save(state)
            if stop and not last:
                raise StoppedError(stop[0], f"after epoch {number}")
            log.info("epoch %d of %d took %.1f s", number, config.num_epoch, time.perf_counter() - started)
        if scores is None:
            scores = evaluate(model, test_loader, device, config.precision)
        log.info("trained for %.1f minutes, seed %d", state.seconds / 60, config.seed)
        finish(scores, config, f"epoch {state.epoch}, the last")
    return scores


def train_epoch(
    state: State, loader: Loader, config: Config, device: torch.device, writer: SummaryWriter
) -> Iterator[Losses]:
    """What is left of a pass over the training data: accumulate, autocast, clip, step, schedule.

    Yields after each step, when the state is whole.
    """
    model, optimizer = state.model.train(), state.optimizer
    losses = Losses(state, loader, config)
    name = f"epoch {state.epoch + 1}/{config.num_epoch}"
    batches = loader.epoch(state.epoch, begin=state.batch)
    done, total = state.batch, len(loader)
    bar = tqdm(batches, desc=name, total=total, initial=done, leave=False, dynamic_ncols=True, disable=None)
    for i, (x, label, index) in enumerate(bar, start=done):
        first = i - i % config.accumulation
        group = min(config.accumulation, total - first)  # batches that make this step, and their samples
        samples = min(group * config.batch_size, len(loader.feeder) - first * config.batch_size)
        x, label = to_device(x, device), to_device(label, device)
        with autocast(device, config.precision):
            loss = F.cross_entropy(model(x).float(), label, label_smoothing=config.label_smoothing)
        (loss * (len(x) / samples)).backward()
        losses.add(loss.detach(), index)
        if i + 1 < first + group:
            continue
        lr = learning_rate(config, state.epoch + (first + group) / total)
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.batch = i + 1
        if state.step % config.log_interval == 0 or i + 1 == total:
            mean = losses.mean()
            losses.clear()
            bar.set_postfix(loss=f"{mean:.3f}")
            writer.add_scalar("train/loss", mean, state.step)
            writer.add_scalar("train/lr", lr, state.step)
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
        """Their mean; nan if there is none.

        Raises:
            ValueError: one of them is infinite or not a number; the names of its batch are in `work_dir`.
        """
        if not self.values:
            return math.nan
        values = torch.stack(self.values).cpu()
        if torch.isfinite(values).all():
            return values.mean().item()
        index = self.indices[int((~torch.isfinite(values)).nonzero()[0])]
        path = self.config.work_dir / work_dir.NOT_FINITE
        path.write_text("".join(f"{self.loader.feeder.sample_name[i]}\n" for i in index.tolist()), encoding="utf-8")
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
    save_scores(config.work_dir / work_dir.SCORE, scores)
    write_report(config.work_dir, scores, names_of_classes(config))
    log.info("test of %s: %s", weights, _accuracy(scores, config))
    log.info("scores, reports, checkpoints and log are in %s", config.work_dir)


def _note_accuracy(scores: Scores, epoch: int, state: State, config: Config, writer: SummaryWriter) -> None:
    """Logs an evaluation during training, and notes whether it is the best so far."""
    for k in config.show_topk:
        writer.add_scalar(f"test/top{k}", _top(scores, k), epoch)
    log.info("epoch %d, test: %s", epoch, _accuracy(scores, config))
    if (top1 := _top(scores, 1)) > state.best:
        state.best, state.best_epoch = top1, epoch


def _accuracy(scores: Scores, config: Config) -> str:
    return ", ".join(f"top-{k} {100 * _top(scores, k):.2f} %" for k in config.show_topk)


def _top(scores: Scores, k: int) -> float:
    return top_k(scores.scores, scores.labels, k)


def _resume(state: State, config: Config, device: torch.device) -> Path | None:
    """Takes `state` from the checkpoint to go on from, and gives its path; None for a new run."""
    if config.resume == "auto":
        return state.load_newest(config.work_dir, device)
    if config.resume is not None:
        state.load(Path(config.resume), device)
    return None if config.resume is None else Path(config.resume)


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
