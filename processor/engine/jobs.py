"""The runs of a study: their names, folders and configurations, and what is checked before the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from graph.common.bounded_yaml import YamlError, read_text
from graph.common.words import few_of, plural
from graph.common.yaml_text import Section, load, plain
from processor.config.schema import Config, Study, resolved
from processor.engine.fit import check_fit
from processor.engine.models import build_model
from processor.engine.setup import open_feeder
from processor.results.ledger import RESULT, about_run
from processor.results.provenance import fingerprint
from processor.results.scores import SCORE
from processor.results.work_dir import CONFIG, check_place

MARK = "{fold}"  # a fold's number stands in its place
OF_NO_RESULT = {  # keys that change no result of a training
    "phase", "training", "device", "num_worker", "work_dir", "resume", "overwrite", "save_interval", "only", "part",
    "checkpoint_minutes", "log_interval", "show_topk", "test_batch_size", "data_help", "make_data", "make_data_args",
    "gradient_checkpointing", "cuda_graphs",
}  # fmt: skip
OF_TRAINING = {"weights", "ignore_weights"}  # a test may take others


@dataclass(frozen=True)
class Job:
    """A run of a study."""

    name: str  # its folder below the study's; "" where the study is a single run
    member: tuple[str, str]  # model and stream
    fold: int | None
    config: Config

    @property
    def group(self) -> str:
        """What it is without its fold."""
        return self.name.rpartition(f"fold{self.fold}")[0].rstrip("/") if self.fold is not None else self.name

    @property
    def is_finished(self) -> bool:
        """Whether its training has ended and its scores are there."""
        return all((self.config.work_dir / file).is_file() for file in (SCORE, RESULT))


def jobs_of(study: Study) -> list[Job]:
    """All runs of a study; those of a seed stand together, so that each stream is there after the first seed."""
    jobs = []
    seeds: Sequence[int | None] = study.seeds or [None]
    for seed in seeds:
        for member, config in study.members.items():
            folds: Sequence[int | None] = config.folds or [None]
            for fold in folds:
                parts = [*member, "" if seed is None else f"seed{seed}", "" if fold is None else f"fold{fold}"]
                name = "/".join(filter(None, parts))
                filled = config if fold is None else of_fold(config, fold)
                changes: dict[str, Any] = {"study": {}, "folds": [], "only": [], "part": None}
                changes |= {"work_dir": config.work_dir / name} | ({} if seed is None else {"seed": seed})
                jobs.append(Job(name, member, fold, replace(filled, **changes)))
    return jobs


def choose(jobs: Sequence[Job], config: Config) -> list[Job]:
    """The runs that `only` and `part` leave.

    Raises:
        ValueError: there are none, or none has a name that `only` gives.
    """
    matching = {pattern: {job.name for job in jobs if _is_called(job, pattern)} for pattern in config.only}
    if unknown := [pattern for pattern, names in matching.items() if not names]:
        names = few_of((job.name for job in jobs), 8)
        raise ValueError(f"only: no run is called {' or '.join(unknown)}; the runs are {names}")
    chosen = [job for job in jobs if not matching or job.name in set().union(*matching.values())]
    number, count = map(int, config.part.split("/")) if config.part else (1, 1)
    if number > len(chosen):
        raise ValueError(f"part: {config.part} of {plural(len(chosen), 'run')} is empty; take fewer parts")
    return chosen[number - 1 :: count]


def _is_called(job: Job, pattern: str) -> bool:
    return any(fnmatchcase(job.name, each) for each in (pattern, f"{pattern}/*"))


def of_fold(config: Config, fold: int) -> Config:
    """The configuration of one fold: its number in the place of every `{fold}`."""
    return replace(config, **{f.name: _fill(getattr(config, f.name), fold) for f in fields(config)})


def _fill(value: Any, fold: int) -> Any:
    if isinstance(value, str):
        return value.replace(MARK, str(fold))
    if isinstance(value, Path):
        return Path(str(value).replace(MARK, str(fold)))
    if isinstance(value, dict):
        return {key: _fill(x, fold) for key, x in value.items()}
    return [_fill(x, fold) for x in value] if isinstance(value, list) else value


def check(study: Study, jobs: Sequence[Job]) -> None:
    """Checks, before hours are spent, that every run has its data and its folder, and that folds are folds."""
    for job in jobs:
        check_place(job.config.work_dir)
    refuse_others([job for job in jobs if not job.config.overwrite])
    for member in study.members.values():
        if member.folds:
            _check_marks(member)
    _check_fusion(study)
    _check_resume(jobs)
    tested: dict[tuple[str, str], int | None] = {}
    names: dict[str, list[str]] = {}  # of the samples of each part of the data; a feeder may hold all its data
    for job in jobs:
        if job.config.weights and not job.config.weights.is_file():
            raise ValueError(f"{job.name}: weights: {job.config.weights} does not exist")
        for part in job.config.parts:
            if (key := _key(job, part)) not in names:
                names[key] = _names(part, [each for each in jobs if _key(each, part) == key])
        for name in names[key] if job.fold is not None else ():
            if (other := tested.setdefault((job.group, name), job.fold)) != job.fold:
                raise ValueError(f"folds: {other} and {job.fold} both test {name}; each sample belongs to one fold")


def refuse_others(jobs: Sequence[Job]) -> None:
    """Refuses folders that hold runs of another configuration, or of other data."""
    for job in jobs:
        if different := list(differences(job)):
            raise ValueError(
                f"work_dir: {job.config.work_dir} was made with another configuration ({'; '.join(different)}); train "
                f"it anew with --overwrite --only {job.name}, or choose another --work_dir"
            )


def _key(job: Job, part: str) -> str:
    """What tells the data of a part from others."""
    return f"{part} {getattr(job.config, f'{part}_feeder_args') if part in job.config.parts else None}"


def _names(part: str, jobs: Sequence[Job]) -> list[str]:
    """The samples of the data of a part that these runs share, after a look whether they fit each model and stream."""
    feeder = open_feeder(jobs[0].config, part)
    for job in {job.member: job for job in jobs if not job.config.weights}.values():
        try:
            check_fit(feeder, build_model(job.config.model, job.config.model_args), part)
        except ValueError as error:
            raise ValueError(f"{job.name}: {error}") from error
    return [*feeder.sample_name]


def _check_marks(config: Config) -> None:
    for key, value in (("weights", config.weights), ("resume", config.resume)):
        if value not in (None, "auto") and MARK not in str(value):
            raise ValueError(
                f"folds: {key}: {value} would give every fold the weights of one, which has seen what others test; put "
                f"{MARK} where a fold's number belongs, such as work_dir/sbu/fold{MARK}/last.pt"
            )
    for key in (f"{part}_feeder_args" for part in config.parts):
        if MARK not in str(getattr(config, key)):
            raise ValueError(
                f"folds: {key} must hold {MARK} where a fold's number belongs, such as data/fold{MARK}/x.npy"
            )


def _check_fusion(study: Study) -> None:
    """Refuses to fuse members of other seeds or folds: the ledger adds the scores of the same seed and fold."""
    fused = {"/".join(filter(None, name)): study.members[name] for name, weight in study.weights.items() if weight}
    for (name, first), (other, config) in pairwise(fused.items()):
        if not study.seeds and config.seed != first.seed:
            raise ValueError(
                f"study.fusion: {name} has seed: {first.seed}, {other} has seed: {config.seed}; scores of the same "
                "seed are fused, so name the seeds in study.seeds"
            )
        if set(config.folds) != set(first.folds):
            raise ValueError(
                f"study.fusion: {name} has folds: {first.folds}, {other} has folds: {config.folds}; scores of the same "
                "fold are fused, so give both the same folds, or leave one out of study.fusion"
            )


def _check_resume(jobs: Sequence[Job]) -> None:
    """Refuses a checkpoint that several runs go on from: they would become the same."""
    names: dict[str, str] = {}
    for job in jobs:
        path = job.config.resume
        if path and path != "auto" and names.setdefault(path, job.name) != job.name:
            raise ValueError(
                f"resume: {names[path]} and {job.name} would both go on from {path}; leave it out, a study goes on by "
                "itself, or begin with these weights: --weights"
            )


def differences(job: Job) -> Iterator[str]:
    """What differs between a run and the configuration in its folder, among what changes a result."""
    path = job.config.work_dir / CONFIG
    if not path.is_file():
        return
    before = _written(path, job.name)
    asked, default = (plain(load(resolved(config), "", [])) for config in (job.config, Config()))
    ignored = OF_NO_RESULT | (OF_TRAINING if job.config.phase == "test" else set())
    if not asked["class_names"]:
        ignored = ignored | {"class_names"}  # the data tell them
    for key, value in asked.items():
        earlier = before.get(key, default[key])
        if key == "model_args" and job.config.weights and isinstance(earlier, dict):
            # the file of the weights told the rest
            earlier = {name: x for name, x in earlier.items() if name in value}
        if key not in ignored and value != earlier:
            yield from _differing(key, earlier, value)
    for part, earlier in (about_run(job.config.work_dir)["data"] if job.is_finished else {}).items():
        now = fingerprint(getattr(job.config, f"{part}_feeder_args"))
        if earlier and now and earlier != now:
            yield f"the {part} data had the fingerprint {earlier}, and have {now}"


def _written(path: Path, name: str) -> dict[str, Any]:
    """The configuration in the folder of the run of this name."""
    try:
        content = load(read_text(path), str(path), [])
        if not isinstance(content, Section):
            raise YamlError("no configuration")
    except YamlError as error:
        raise ValueError(
            f"work_dir: {path} is damaged{error.where}: {error.problem}; train this run anew with --overwrite --only "
            f"{name}, or choose another --work_dir"
        ) from error
    return {key: plain(value) for key, value in content.items()}


def _differing(key: str, earlier: Any, value: Any) -> Iterator[str]:
    if isinstance(earlier, dict) and isinstance(value, dict):
        for name in {**earlier, **value}:
            if earlier.get(name) != value.get(name):
                yield from _differing(f"{key}.{name}", earlier.get(name), value.get(name))
    else:
        yield f"{key}: {earlier}, now {value}"
