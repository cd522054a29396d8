"""Training and test, top to bottom."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph.common.words import plural
from processor.config.schema import resolved
from processor.engine.attention import first_clip
from processor.engine.attribution import glance
from processor.engine.data import Group, Loader
from processor.engine.evaluate import cross_entropy
from processor.engine.features import Features
from processor.engine.loss import Criterion
from processor.engine.optimizer import set_lr
from processor.engine.setup import Run, Training
from processor.results import work_dir
from processor.results.provenance import Made
from processor.results.scores import Scores
from processor.runtime import distributed
from processor.runtime.device import autocast, progress, to_device
from processor.runtime.failure import sentence
from processor.runtime.signals import StoppedError, stop_signals
from processor.state.checkpoint import BEST, State

log = logging.getLogger(__name__)


def train(run: Training, *, after_epoch: Callable[[int, float], None] = lambda epoch, seconds: None) -> Scores:
    """Trains, evaluates on the way, and tests the weights of the last epoch, whose scores it returns.

    Evaluations on the way are on the validation data where there are some; the test data are then seen once.

    Args:
        run: what it works with.
        after_epoch: is told the number of each epoch that has ended, and the seconds that it took.

    Raises:
        ValueError: the loss is no longer finite.
        StoppedError: a signal asked the run to stop; the state is saved.
    """
    config, state, checkpoints, device, precision = run.config, run.state, run.checkpoints, run.device, run.precision
    loader, judge = run.loaders["train"], config.judge
    with (
        closing(run),
        work_dir.locked(config.work_dir),
        work_dir.journal(config.work_dir, state.step) as record,
        stop_signals() as signals,
    ):
        _log_beginning(run)
        tested = None  # the scores of the test
        features = Features(run.model, len(run.loaders["test"].feeder))
        while True:
            # evaluate the epochs that are done, if the next one has not begun; an error in the last test ends the run
            last, begun = state.epoch >= config.num_epoch, state.samples > 0
            if not begun and state.evaluated < state.epoch and (last or state.epoch % config.eval_interval == 0):
                scores = _evaluate(run, features, must=last and judge == "test")
                tested = scores if judge == "test" else None
                if scores is not None:
                    state.evaluated, top1 = state.epoch, scores.top_k(1)
                    if top1 > state.best:
                        state.best, state.best_epoch = top1, state.epoch
                        checkpoints.save_best(state)
                    checkpoints.save(state)  # before the record, or a killed run would record it again
                    _record(record, judge, scores, state.step, config.show_topk)
                    log.info("epoch %d, %s: %s", state.epoch, judge, _accuracy(scores, config.show_topk))
                _stop_if_asked(signals, f"after epoch {state.epoch}")
            waited = state.evaluated - state.best_epoch
            if last or (config.early_stopping and not begun and waited >= config.patience):
                break

            # train an epoch, or what is left of it
            started, losses, total = time.perf_counter(), Losses(device), len(loader.sizes)
            begin = loader.batches_in(state.samples, config.accumulation)
            steps = loader.steps(state.epoch, begin, config.accumulation)
            number = {"total": math.ceil(total / config.accumulation), "initial": begin // config.accumulation}
            bar = progress(steps, f"epoch {state.epoch + 1}/{config.num_epoch}", **number)
            for group in bar:
                lr = run.schedule(state.epoch + group.end / total)
                step(
                    state, run.replica, group, losses, lr=lr, device=device, precision=precision,
                    criterion=run.criterion, max_grad_norm=config.max_grad_norm, frozen=run.frozen,
                )  # fmt: skip

                # check: has the run been asked to stop, is a checkpoint due, is the loss finite
                stopped, due = _agree(signals, due=checkpoints.due)
                logs = state.step % config.log_interval == 0 or group.end == total
                if logs or stopped or due:
                    loss, top1, bad = losses.read(loader)
                    if bad:
                        work_dir.write_not_finite(config.work_dir, bad)
                        raise ValueError(_not_finite(state, config.work_dir))
                if logs:
                    losses.clear()
                    bar.set_postfix(loss=f"{loss:.3f}")
                    for key, value in (("loss", loss), ("top1", top1), ("lr", lr)):
                        record(f"train/{key}", value, state.step)
                    numbers = (state.epoch + 1, state.step, loss, 100 * top1, lr)
                    log.info("epoch %d, step %d: loss %.4f, top-1 %.2f %%, lr %.3g", *numbers)

                # save within the epoch
                if stopped or due:
                    checkpoints.save(state)
                if stopped:
                    raise StoppedError(signal.Signals(stopped), f"in epoch {state.epoch + 1}")

            # save the epoch, before an evaluation that may fail
            distributed.average_statistics(run.model)
            state.epoch, state.samples = state.epoch + 1, 0
            last = state.epoch == config.num_epoch
            stopped, _ = _agree(signals)
            if stopped or last or any(state.epoch % n == 0 for n in (config.save_interval, config.eval_interval)):
                checkpoints.save(state)
            seconds = time.perf_counter() - started
            log.info("epoch %d of %d took %.1f s", state.epoch, config.num_epoch, seconds)
            after_epoch(state.epoch, seconds)
            if stopped:
                raise StoppedError(signal.Signals(stopped), f"after epoch {state.epoch}")
        if tested is None:  # the run has a validation, was stopped early, or was complete when it was resumed
            tested = run.evaluate("test", features)
            if judge != "test":
                _record(record, "test", tested, state.step, config.show_topk)
        _log_end(run)
        best = f"{BEST}: epoch {state.best_epoch}, {judge} top-1 {100 * state.best:.2f} %"
        _finish(run, tested, features, record, f"epoch {state.epoch}, the last ({best})")
        _stop_if_asked(signals)  # for a study has further runs
    return tested


def step(
    state: State,
    model: nn.Module,
    group: Group,
    losses: Losses,
    *,
    lr: float,
    device: torch.device,
    precision: str,
    criterion: Criterion = F.cross_entropy,
    max_grad_norm: float | None = None,
    frozen: Iterable[nn.Module] = (),
) -> None:
    """One step of the optimiser on the mean loss of the samples of a group: forward, backward, clip, step.

    `model` is that of the state, or its replica, which averages gradients over processes; `criterion` is the mean loss
    of a batch; parts of the model that are `frozen` stay in evaluation mode.
    """
    model.train()
    for part in frozen:
        part.eval()
    for number, (x, label, _) in enumerate(group.batches, start=group.begin):
        x, label = to_device(x, device), to_device(label, device)
        with nullcontext() if number + 1 == group.end else distributed.accumulating(model):
            with autocast(device, precision):
                logits = model(x).float()
                loss = criterion(logits, label)
            state.scaler.scale(loss * (len(x) * distributed.world() / sum(group.sizes))).backward()
        losses.add(number, loss.detach(), logits.detach(), label)
        del loss, logits  # and the graph of the forward pass, before the next one
    set_lr(state.optimizer, lr)
    if max_grad_norm is not None:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), max_grad_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    state.samples = group.samples


class Losses:
    """Loss and accuracy of the training batches since the last log line; only reading them waits for a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.first_bad = torch.tensor(-1, device=device)  # the number of the first batch whose loss is not finite
        self.clear()

    def add(self, number: int, loss: Tensor, logits: Tensor, label: Tensor) -> None:
        """Adds the batch of this number in the epoch."""
        self.samples += len(label)
        self.loss += loss * len(label)
        self.right += (logits.argmax(dim=1) == label).sum()
        self.first_bad = torch.where((self.first_bad < 0) & ~torch.isfinite(loss), number, self.first_bad)

    def clear(self) -> None:
        """Begins anew."""
        self.samples = 0
        self.loss, self.right = torch.zeros((), device=self.device), torch.zeros((), device=self.device)

    def read(self, loader: Loader) -> tuple[float, float, list[str]]:
        """The mean loss and top-1 accuracy of all processes' samples, and those of the first batch that is not finite.

        Returns:
            Loss, accuracy, and sample names: none where the loss of all batches is finite.
        """
        number = int(self.first_bad)
        names = loader.names(number) if number >= 0 else []
        local = self.loss.item(), self.right.item(), self.samples, (number, names)
        loss, right, samples, bad = zip(*distributed.gather(local), strict=True)  # of each process
        _, names = min((batch for batch in bad if batch[0] >= 0), default=(-1, []))
        return sum(loss) / sum(samples), sum(right) / sum(samples), names


def test(run: Run) -> Scores:
    """Tests the model, and writes scores and reports."""
    with closing(run), work_dir.journal(run.config.work_dir) as record:
        features = Features(run.model, len(run.loaders["test"].feeder))
        scores = run.evaluate("test", features)
        _finish(run, scores, features, record, str(run.config.weights))
    return scores


def _log_beginning(run: Training) -> None:
    number = distributed.world()
    where = f"{number} processes, this one on {run.device}" if number > 1 else f"on {run.device}"
    size = sum(p.numel() for p in run.model.parameters())
    *others, test_samples = (len(loader.feeder) for loader in run.loaders.values())
    log.info("%s: %s, %s in %s", run.config.model, plural(size, "parameter"), where, run.precision)
    before = ", ".join(f"{n} {name}" for n, name in zip(others, ("training", "validation"), strict=False))
    times = f"; each training sample is drawn {run.config.repeat} times an epoch" if run.config.repeat > 1 else ""
    log.info("%s and %s%s", before, plural(test_samples, "test sample"), times)
    if run.resumed:
        done = plural(run.state.samples, "sample")
        log.info("resumed after epoch %d and %s from %s", run.state.epoch, done, run.resumed)


def _log_end(run: Training) -> None:
    state, config = run.state, run.config
    if state.epoch < config.num_epoch:
        log.info(
            "stopped early after epoch %d of %d: top-1 on the %s data has not risen for %s",
            state.epoch, config.num_epoch, config.judge, plural(state.evaluated - state.best_epoch, "epoch"),
        )  # fmt: skip
    log.info("trained for %.1f minutes, seed %d", state.seconds / 60, config.seed)


def _record(record: work_dir.Record, part: str, scores: Scores, step: int, ks: Iterable[int]) -> None:
    """Records loss and accuracies of an evaluation."""
    record(f"{part}/loss", cross_entropy(scores), step)
    for k in ks:
        record(f"{part}/top{k}", scores.top_k(k), step)


def _agree(signals: Sequence[signal.Signals], due: bool = False) -> list[int]:
    """What all processes do next: the signal by which any was asked to stop, or 0; whether any is to save."""
    agreed = distributed.maximum(max(signals, default=0), due)
    if agreed[0]:
        distributed.all_stop.set()
    return agreed


def _stop_if_asked(signals: Sequence[signal.Signals], place: str = "") -> None:
    stopped, _ = _agree(signals)
    if stopped:
        raise StoppedError(signal.Signals(stopped), place)


def _evaluate(run: Training, features: Features, *, must: bool) -> Scores | None:
    """The scores of an evaluation in training; None: it failed, which is logged, unless it `must` not."""
    try:
        return run.evaluate(run.config.judge, features)
    except Exception as error:
        if must:
            raise
        log.warning("epoch %d could not be evaluated, training goes on: %s", run.state.epoch, sentence(error))
        work_dir.log_failure(run.config.work_dir, error)
        return None


def _not_finite(state: State, folder: Path) -> str:
    return (
        f"the loss is no longer finite in epoch {state.epoch + 1}, at or before step {state.step}; the samples of the "
        f"first such batch are in {folder / work_dir.NOT_FINITE}: check them for NaN, or try a smaller base_lr, a "
        "warm_up_epoch or max_grad_norm; earlier checkpoints are untouched"
    )


def _finish(run: Run, scores: Scores, features: Features, record: work_dir.Record, weights: str) -> None:
    """Writes scores and reports, and logs the accuracy."""
    config, state = run.config, run.state if isinstance(run, Training) else None
    made = Made(
        config=resolved(config),
        weights=weights,
        seed=config.seed,
        seconds=state.seconds if state else 0.0,
        step=state.step if state else 0,
        device=str(run.device),
        precision=run.precision,
        data={part: getattr(config, f"{part}_feeder_args") for part in run.loaders},
        features=features.gathered(),
        glance=lambda index: glance(run.model, to_device(first_clip(run.loaders["test"].feeder, index), run.device)),
    )
    work_dir.write_results(config.work_dir, scores, config.class_names, made, record)
    log.info("test of %s: %s", weights, _accuracy(scores, config.show_topk))
    log.info("scores, reports, checkpoints and log are in %s", config.work_dir)


def _accuracy(scores: Scores, ks: Iterable[int]) -> str:
    return ", ".join(f"top-{k} {100 * scores.top_k(k):.2f} %" for k in ks)
