"""Training and test, top to bottom."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from processor import work_dir
from processor.checkpoint import State
from processor.config import Config, names_of_classes, resolved
from processor.config_check import import_object
from processor.data import Loader, check_fit, open_feeder
from processor.evaluate import evaluate
from processor.optim import build_optimizer, learning_rate
from processor.report import write_report
from processor.runtime import autocast, choose_device, effective_precision, to_device
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
    if path := _resume_path(config):
        state.load(path, device)
    work_dir.prepare(config, path)
    loader = Loader(feeder, config, device, train=True)
    test_loader = Loader(test_feeder, config, device, train=False)
    with work_dir.journal(config.work_dir, state.step) as writer:
        precision = effective_precision(device, config.precision)
        log.info("%s: %s parameters, on %s in %s", config.model, f"{_size(model):,}", device, precision)
        log.info("%d training and %d test samples", len(feeder), len(test_feeder))
        if path:
            log.info("resumed after epoch %d from %s", state.epoch, path)
        scores = None
        for epoch in range(state.epoch, config.num_epoch):
            started = time.perf_counter()
            train_epoch(state, loader, config, device, writer)
            state.epoch += 1
            last = state.epoch == config.num_epoch
            if last or state.epoch % config.eval_interval == 0:
                scores = evaluate(model, test_loader, device, config.precision)
                _note_accuracy(scores, state, config, writer)
            state.seconds += time.perf_counter() - started
            if last or state.epoch % config.save_interval == 0:
                state.save(config.work_dir / work_dir.LAST, resolved(config))
            log.info("epoch %d of %d took %.1f s", epoch + 1, config.num_epoch, time.perf_counter() - started)
        if scores is None:
            scores = evaluate(model, test_loader, device, config.precision)
        log.info("trained for %.1f minutes, seed %d", state.seconds / 60, config.seed)
        finish(scores, config, f"epoch {state.epoch}, the last")
    return scores


def train_epoch(state: State, loader: Loader, config: Config, device: torch.device, writer: SummaryWriter) -> None:
    """One pass over the training data: accumulate, autocast, clip, step, schedule."""
    model, optimizer = state.model.train(), state.optimizer
    batches = loader.epoch(state.epoch)
    losses: list[Tensor] = []  # of the steps since the last log line
    name = f"epoch {state.epoch + 1}/{config.num_epoch}"
    bar = tqdm(batches, desc=name, leave=False, dynamic_ncols=True, disable=None)
    for i, (x, label, _) in enumerate(bar):
        first = i - i % config.accumulation
        group = min(config.accumulation, len(batches) - first)  # batches that make this step, and their samples
        samples = min(group * config.batch_size, len(loader.feeder) - first * config.batch_size)
        x, label = to_device(x, device), to_device(label, device)
        with autocast(device, config.precision):
            loss = F.cross_entropy(model(x).float(), label, label_smoothing=config.label_smoothing)
        (loss * (len(x) / samples)).backward()
        losses.append(loss.detach())
        if i + 1 < first + group:
            continue
        lr = learning_rate(config, state.epoch + (first + group) / len(batches))
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        if state.step % config.log_interval == 0 or i + 1 == len(batches):
            mean = _finite_mean(losses, state, lr)
            bar.set_postfix(loss=f"{mean:.3f}")
            writer.add_scalar("train/loss", mean, state.step)
            writer.add_scalar("train/lr", lr, state.step)
            log.info("epoch %d, step %d: loss %.4f, lr %.3g", state.epoch + 1, state.step, mean, lr)
            losses.clear()


def test(config: Config) -> Scores:
    """Tests the weights of `weights`, or else of `work_dir`; scores and reports go to `work_dir`.

    Raises:
        ValueError: a user's mistake, before anything is written.
    """
    device = choose_device(config.device)
    own = config.work_dir / work_dir.LAST
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


def _note_accuracy(scores: Scores, state: State, config: Config, writer: SummaryWriter) -> None:
    """Logs an evaluation during training, and keeps the weights if they are the best so far."""
    for k in config.show_topk:
        writer.add_scalar(f"test/top{k}", _top(scores, k), state.epoch)
    log.info("epoch %d, test: %s", state.epoch, _accuracy(scores, config))
    if (top1 := _top(scores, 1)) > state.best:
        state.best, state.best_epoch = top1, state.epoch
        state.save(config.work_dir / work_dir.BEST, resolved(config))


def _accuracy(scores: Scores, config: Config) -> str:
    return ", ".join(f"top-{k} {100 * _top(scores, k):.2f} %" for k in config.show_topk)


def _top(scores: Scores, k: int) -> float:
    return top_k(scores.scores, scores.labels, k)


def _finite_mean(losses: list[Tensor], state: State, lr: float) -> float:
    """Mean loss of some steps.

    Raises:
        ValueError: one of them is infinite or not a number.
    """
    mean = torch.stack(losses).mean().item()
    if not math.isfinite(mean):
        raise ValueError(
            f"the loss is no longer finite in epoch {state.epoch + 1}, at or before step {state.step} "
            f"(learning rate {lr:.3g}); try a smaller base_lr, a warm_up_epoch or max_grad_norm, or check the "
            "data for NaN; checkpoints of earlier epochs are untouched"
        )
    return mean


def _resume_path(config: Config) -> Path | None:
    """The checkpoint to go on from, or None for a new run."""
    if config.resume != "auto":
        return None if config.resume is None else Path(config.resume)
    last = config.work_dir / work_dir.LAST
    return last if last.is_file() else None


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
