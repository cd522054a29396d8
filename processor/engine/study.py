"""Many runs from one command: models x streams x seeds x folds; a training or test alone is the smallest case.

Each run has its folder below `work_dir`, such as `s-tr/bone/seed0/fold1`. What has ended is kept, what was interrupted
goes on from its last checkpoint, so that the same command, given again after anything, does what is left. A run that
fails is listed at the end, and the others go on. Whoever ends the last run, of all parts, writes the ledger.
"""

from __future__ import annotations

import json
import logging
import shlex
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from graph.common.files import ROOT, write_csv, write_text
from graph.common.words import few_of, plural
from model.base import SkeletonModel
from processor.config.schema import Config, Study, resolved
from processor.engine.jobs import OF_NO_RESULT, Job, check, choose, jobs_of, refuse_others
from processor.engine.models import build_model, count_flops
from processor.engine.setup import Run, Training, set_up_test, set_up_training
from processor.engine.train import test, train
from processor.results.ledger import RESULT, Finished, about_run, copies, ledger, write_ledger
from processor.results.provenance import Made, fingerprint, provenance
from processor.results.scores import Scores
from processor.results.work_dir import FOLDS, Record, check_place, log_failure, write_results
from processor.runtime import distributed
from processor.runtime.distributed import from_rank_0, on_rank_0
from processor.runtime.failure import sentence

log = logging.getLogger(__name__)

SILENT = 60.0  # seconds between two lines about the time that is left


def run(study: Study) -> None:
    """Trains or tests as `phase` says, each run of a study; writes below `work_dir`.

    Raises:
        ValueError: a user's mistake, before anything is written; or the loss is no longer finite; or runs of a study
            failed.
        StoppedError: a signal asked the run to stop; the state is saved.
    """
    config, jobs = study.config, jobs_of(study)
    if not jobs[0].name:
        if config.phase == "train":
            train(set_up_training(config))
        else:
            test(set_up_test(config))
        return
    check_place(config.work_dir)
    chosen = choose(jobs, config)
    check(study, chosen)
    kept = from_rank_0(lambda: [job.name for job in chosen if _is_kept(job)])
    if kept:
        log.info("%s of %d had ended before, and stay", plural(len(kept), "run"), len(chosen))
    _run_each([job for job in chosen if job.name not in kept], Clock(chosen, kept))
    left = from_rank_0(lambda: [job.name for job in jobs if not job.is_finished])
    if left:
        log.info("%s left before there is a ledger: %s", plural(len(left), "run is", "runs are"), few_of(left, 3))
    else:
        refuse_others([job for job in jobs if job.name not in {each.name for each in chosen}])
        _summarise(study, jobs)


def _is_kept(job: Job) -> bool:
    if job.config.phase == "test" or job.config.overwrite or not job.is_finished:
        return False
    epoch = about_run(job.config.work_dir)["epoch"]
    return epoch is not None  # or it was only tested, perhaps before its training had ended


def _run_each(jobs: Sequence[Job], clock: Clock) -> None:
    """Runs what is left; a run that fails does not end the others, unless several processes must stay in step."""
    failed: dict[str, str] = {}
    for job in jobs:
        clock.begin(job)
        try:
            _run_one(job, clock)
        except Exception as error:
            if distributed.world() > 1:
                raise
            log_failure(job.config.work_dir, error)
            failed[job.name] = sentence(error)
            log.warning("%s failed, the others go on: %s", job.name, failed[job.name])
    if failed:
        lines = "".join(f"\n  {name}: {problem}" for name, problem in failed.items())
        count = plural(len(failed), "run")
        again = "give the command again, without --overwrite, when that is mended; it does what is left"
        raise ValueError(f"{count} failed; {again}{lines}")


def _run_one(job: Job, clock: Clock) -> None:
    config, done = job.config, job.config.work_dir / RESULT
    if config.phase == "test":
        tested = set_up_test(config)
        test(tested)
        if not done.is_file():
            _write_result(done, tested)
        return
    training = set_up_training(config if config.overwrite else replace(config, resume=config.resume or "auto"))
    train(training, after_epoch=clock.epoch)
    _write_result(done, training)


@on_rank_0
def _write_result(path: Path, run: Run) -> None:
    """Writes what the ledger tells of a run, the last of its files: a folder that has it holds a run that has ended."""
    config, state = run.config, run.state if isinstance(run, Training) else None
    args = {part: getattr(config, f"{part}_feeder_args") for part in ("train", "test")}
    files = [str(args[part].get(key, "")) for part in ("train", "test") for key in ("data_path", "label_path")]
    about = {
        "epoch": state.epoch if state else None,
        "seconds": state.seconds if state else 0.0,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "flops": _flops(config, run.model),
        "data": {part: fingerprint(args[part]) for part in args},
        "copies": copies(*files),
        "precision": run.precision,
        **provenance(str(run.device), run.precision),
    }
    write_text(path, json.dumps(about, indent=1))


def _flops(config: Config, model: nn.Module) -> int | None:
    """FLOPs of a test sample; None: the model tells no shape."""
    if not isinstance(model, SkeletonModel):
        return None
    args = config.test_feeder_args
    shape = model.input_shape(args.get("window_size", 0))
    return count_flops(build_model(config.model, config.model_args), shape) * (args.get("num_clips") or 1)


class Clock:
    """Tells how far a study is, and about how long it will still take."""

    def __init__(self, jobs: Sequence[Job], kept: Sequence[str]) -> None:
        self.left = [job for job in jobs if job.name not in kept]
        self.count, self.paces, self.said = len(jobs), dict[tuple[str, str], float](), 0.0

    def begin(self, job: Job) -> None:
        """A run begins."""
        self.job, self.said = job, 0.0
        number = self.count - len(self.left) + self.left.index(job) + 1
        log.info("run %d of %d: %s%s", number, self.count, job.name, self._estimate(job, 0))

    def epoch(self, epoch: int, seconds: float) -> None:
        """An epoch of the run has ended, which took so long."""
        self.paces[self.job.member] = seconds
        if time.monotonic() - self.said >= SILENT:
            self.said = time.monotonic()
            log.info("%s%s", self.job.name, self._estimate(self.job, epoch))

    def _estimate(self, job: Job, done: int) -> str:
        if not self.paces:
            return ""
        usual = statistics.mean(self.paces.values())
        after = self.left[self.left.index(job) :]
        epochs = [other.config.num_epoch - (done if other is job else 0) for other in after]
        seconds = sum(n * self.paces.get(other.member, usual) for n, other in zip(epochs, after, strict=True))
        return f"; about {_duration(seconds)} left for all runs"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"


@on_rank_0
def _summarise(study: Study, jobs: Sequence[Job]) -> None:
    """Writes what all runs reach together: for folds their common scores and reports, and the ledger."""
    runs = [Finished.read(job.config.work_dir, job.member, job.config.seed, job.fold) for job in jobs]
    for group in dict.fromkeys(job.group for job in jobs if job.fold is not None):
        folds = {job.fold: run for job, run in zip(jobs, runs, strict=True) if job.group == group}
        of_group = next(job.config for job in jobs if job.group == group)
        _summarise_folds(replace(of_group, work_dir=study.config.work_dir / group), folds)
    path = Path(study.file)
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    changes = {key: json.dumps(value) for key, value in study.changes.items() if key not in OF_NO_RESULT}
    words = [name.as_posix(), *(f"--{key} {shlex.quote(value)}" for key, value in changes.items())]
    rows = ledger(" ".join(words) if study.file else str(study.config.work_dir), runs, study.weights)
    write_ledger(study.config.work_dir, rows)
    for row in rows:
        log.info("%s: top-1 %s %%%s", row["name"], row["top1"], f", SD {row['sd']} over seeds" if row["sd"] else "")
    log.info("the ledger is %s", study.config.work_dir / "results.md")


def _summarise_folds(config: Config, folds: dict[int | None, Finished]) -> None:
    """Writes `folds.csv`, and scores and reports of all folds together."""
    accuracy = {fold: 100 * run.scores.top_k(1) for fold, run in folds.items()}
    together = Scores(
        tuple(name for run in folds.values() for name in run.scores.names),
        np.concatenate([run.scores.scores for run in folds.values()]),
        np.concatenate([run.scores.known_labels for run in folds.values()]),
    )
    names = dict.fromkeys(run.scores.class_names for run in folds.values())
    if len(names) > 1:
        raise ValueError(f"folds: those below {config.work_dir} have classes of different names, or in another order")
    rows = [(fold, len(folds[fold].scores.names), f"{a:.4f}") for fold, a in accuracy.items()]
    write_csv(config.work_dir / FOLDS, [("fold", "samples", "top1"), *rows])
    write_results(config.work_dir, together, next(iter(names)), Made(resolved(config), seed=config.seed), Record())
    log.info("top-1 of folds %s: %s", ", ".join(map(str, accuracy)), ", ".join(f"{a:.2f}" for a in accuracy.values()))
    log.info("mean %s; all are in %s", mean_and_spread(list(accuracy.values())), config.work_dir)


def mean_and_spread(accuracies: list[float]) -> str:
    """The mean of accuracies in per cent, with the standard deviation of several."""
    mean = f"{statistics.mean(accuracies):.2f} %"
    return f"{mean}, standard deviation {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else mean
