"""What a model learnt from and what it is given are compared: names of classes, joints or bones, folds."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, run_test, train, write_data

from processor.config.schema import Study
from processor.engine import study
from processor.engine.sources import check_streams, settle_classes, stream_of
from processor.results.scores import load_scores

NAMES = ["jump", "run", "sit"]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    (tmp_path / "a").mkdir()
    args = write_data(tmp_path / "a")
    (tmp_path / "a" / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return args


def renumbered(data: Data, folder: Path, names: list[str]) -> Data:
    """The same recordings, as far as their classes are among `names`, whose order numbers them anew."""
    folder.mkdir()
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    args = {}
    for part, paths in data.items():
        samples, labels = pickle.loads(Path(paths["label_path"]).read_bytes())
        kept = [i for i, label in enumerate(labels) if NAMES[label] in names]
        np.save(folder / f"{part}.npy", np.load(paths["data_path"])[kept])
        content = [samples[i] for i in kept], [names.index(NAMES[labels[i]]) for i in kept]
        (folder / f"{part}.pkl").write_bytes(pickle.dumps(content))
        args[part] = {"data_path": str(folder / f"{part}.npy"), "label_path": str(folder / f"{part}.pkl")}
    return args


def test_classes_are_matched_by_name(data: Data, tmp_path: Path) -> None:
    """A test on two of three classes, numbered the other way round, has the logits and the labels of the first."""
    scores = train(make(data, tmp_path, num_epoch=2))
    other = renumbered(data, tmp_path / "b", ["sit", "jump"])
    config = make(data, tmp_path, test_feeder_args=other["val"], work_dir=tmp_path / "other")
    again = run_test(config.__class__(**{**vars(config), "weights": tmp_path / "run" / "last.pt"}))
    expected = scores.take(again.names)
    np.testing.assert_array_equal(again.known_labels, expected.known_labels)
    assert set(again.known_labels) == {0, 2}
    np.testing.assert_allclose(again.scores, expected.scores, atol=1e-5)
    assert (tmp_path / "other" / "per_class_accuracy.csv").read_text().splitlines()[1].startswith("0,jump,")


def test_data_of_another_order_train_the_same_model(data: Data, tmp_path: Path) -> None:
    """`class_names` say how the model numbers them, whatever the data do."""
    first = train(make(data, tmp_path, num_epoch=1, class_names=NAMES))
    other = renumbered(data, tmp_path / "b", ["sit", "run", "jump"])
    second = train(
        make(
            other,
            tmp_path,
            num_epoch=1,
            class_names=NAMES,
            work_dir=tmp_path / "other",
            train_feeder_args={**other["train"], "random_choose": True, "window_size": 8, "random_move": True},
        )
    )
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.known_labels, second.known_labels)


def test_a_class_that_the_model_does_not_know_is_refused(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    (tmp_path / "a" / "classes.txt").write_text("jump\nrun\ndance\n")
    config = make(data, tmp_path, work_dir=tmp_path / "other", weights=tmp_path / "run" / "last.pt")
    with pytest.raises(ValueError, match=r"test data: the model does not know 'dance'; its classes are jump, run, sit"):
        run_test(config)
    with pytest.raises(ValueError, match=r"resume: .* was trained with class_names \['jump', 'run', 'sit'\]"):
        train(make(data, tmp_path, num_epoch=2, resume="auto"))


def test_numbers_are_no_names(data: Data, tmp_path: Path) -> None:
    (tmp_path / "a" / "classes.txt").write_text("0\n1\n2\n")
    train(make(data, tmp_path, num_epoch=1, class_names=NAMES))


@pytest.mark.parametrize(
    ("args", "stream"),
    [
        ({"data_path": "x/train_data_joint.npy"}, "joint"),
        ({"data_path": "x/train_data_joint.npy", "stream": "bone"}, "bone"),
        ({"data_path": "x/train_data_bone.npy"}, "bone"),
        ({"data_path": "x/train_data_joint_bones.npy"}, "joint+bone"),
        ({"data_path": "x/train_data_bone.npy", "stream": "bone_motion"}, "bone_motion of bone"),
        ({"samples": 3}, None),
    ],
)
def test_streams(args: dict[str, Any], stream: str | None) -> None:
    assert stream_of(args) == stream


def test_joints_are_not_tested_with_weights_of_bones(data: Data, tmp_path: Path) -> None:
    bones = {part: {**args, "stream": "bone"} for part, args in data.items()}
    with pytest.raises(ValueError, match="the model learns from bone, test_feeder_args give joint; make them agree"):
        train(make(data, tmp_path, num_epoch=1, train_feeder_args=bones["train"]))
    train(make(data, tmp_path, num_epoch=1, train_feeder_args=bones["train"], test_feeder_args=bones["val"]))
    weights = tmp_path / "run" / "last.pt"
    with pytest.raises(
        ValueError, match=r"weights: .*last\.pt: the model learns from bone, test_feeder_args give joint"
    ):
        run_test(make(data, tmp_path, weights=weights, work_dir=tmp_path / "other"))
    with pytest.raises(ValueError, match="was trained with stream bone, this run has joint"):
        train(make(data, tmp_path, num_epoch=2, resume="auto"))


@pytest.mark.parametrize("key", ["weights", "resume"])
def test_a_fold_takes_no_weights_of_another(data: Data, tmp_path: Path, key: str) -> None:
    train(make(data, tmp_path, num_epoch=1, work_dir=tmp_path / "one"))
    for fold in (1, 2):
        shutil.copytree(tmp_path / "a", tmp_path / f"fold{fold}")
    args = {
        part: {name: path.replace("/a/", "/fold{fold}/") for name, path in paths.items()}
        for part, paths in data.items()
    }
    value: Any = tmp_path / "one" / "last.pt"
    config = make(
        data,
        tmp_path,
        folds=[1, 2],
        train_feeder_args=args["train"],
        test_feeder_args=args["val"],
        **{key: value if key == "weights" else str(value)},
    )
    with pytest.raises(ValueError, match=rf"folds: {key}: .*one/last\.pt would give every fold the weights of one"):
        study.run(Study.of(config))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_tells_what_it_learnt(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    content = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert content["class_names"] == NAMES
    assert content["stream"] == "joint"
    assert load_scores(tmp_path / "run" / "test_score.npz").known_labels.max() == 2


@pytest.mark.parametrize("key", ["min_max", "published"])
def test_numbers_mean_the_same_in_training_and_test(key: str) -> None:
    check_streams({"train": {key: True}, "test": {key: True}})
    check_streams({"train": {}, "test": {key: False}})
    with pytest.raises(ValueError, match=f"^{key}: True in train_feeder_args, False in test_feeder_args; the model"):
        check_streams({"train": {key: True}, "test": {}})


@pytest.mark.parametrize(
    ("key", "value", "default"),
    [("center", 0, None), ("center_person", "mean", "first"), ("normalization", True, False)],
)
def test_the_origin_and_the_unit_are_the_same_in_training_and_test(key: str, value: Any, default: Any) -> None:
    check_streams({"train": {key: value}, "test": {key: value}})
    check_streams({"train": {key: default}, "test": {}})
    with pytest.raises(ValueError, match=f"^{key}: {default} in train_feeder_args, {value} in test_feeder_args; the"):
        check_streams({"train": {}, "test": {key: value}})


def test_a_stream_is_derived_at_the_same_step_in_all_parts() -> None:
    args = {"train": {"derive": "after"}, "validation": {"derive": "before"}, "test": {"derive": "after"}}
    with pytest.raises(ValueError, match=r"^derive: after in train_feeder_args, before in validation"):
        check_streams(args)


def test_a_training_goes_on_with_the_names_that_were_learnt_or_is_refused() -> None:
    nothing, said, learnt = SimpleNamespace(label=[]), ("sit", "stand"), ("stand", "sit")
    with pytest.raises(ValueError, match="weights and class_names name other classes: 'stand' and 'sit'"):
        settle_classes({"train": nothing}, {"train": {}}, said=("sit", "jump"), learnt=learnt)
    assert settle_classes({"train": nothing}, {"train": {}}, said=said, learnt=learnt) == learnt  # in another order
    assert settle_classes({"train": nothing}, {"train": {}}, said=said, learnt=said) == said
    assert settle_classes({"test": nothing}, {"test": {}}, said=said, learnt=learnt) == learnt
