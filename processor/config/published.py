"""Published configurations are read as they are: keys with another name here, and keys that do nothing.

`model.names` has the names of their classes and of the model options without effect.
"""

from __future__ import annotations

from graph.common.yaml_text import Section, plain

RENAMED_KEYS = {"optimize_every": "accumulation"}
IDLE_KEYS = (
    "scheduler", "clip_grad_norm", "feeder_augmented", "train_feeder_args_new", "test_feeder_args_new", "val_split",
    "data_dir", "log_dir", "exp_name", "num_workers", "writer_enabled", "gcn0_flag", "scheduling_lr", "complete",
    "bn_flag", "data_mirroring", "local_rank", "save_score", "print_log", "display_by_category",
    "display_recall_precision",
)  # fmt: skip
IDLE_VALUES = {"clip": False, "validation_split": False, "accumulating_gradients": True, "start_epoch": 0}  # at these


def modernised(layer: Section, problems: list[str], renamed: dict[str, str]) -> Section:
    """`layer` with our names of keys, and `phase` and `training` agreeing.

    A layer at a time, so that `--phase test` overrides `training: True` in a file.

    Args:
        renamed: gets the published names that occur, with ours.
    """
    for old, new in RENAMED_KEYS.items():
        if old in layer:
            place = layer.places[old]
            if new in layer:
                problems.append(f"{place}: {old} is another name of {new}; leave one out")
            layer.set(new, layer.pop(old), place=place)
            renamed[old] = new
    if str(layer.get("model")).startswith("st_gcn.") and "accumulation" not in layer:
        layer.set("accumulation", 2, place=layer.places["model"])
        renamed["optimize_every, 2 by default there,"] = "accumulation"
    phase, training = layer.get("phase"), plain(layer.get("training"))
    if phase is None and isinstance(training, bool):
        layer.set("phase", "train" if training else "test", place=layer.places["training"])
    elif phase in ("train", "test"):
        if isinstance(training, bool) and training is not (phase == "train"):
            text = f"training: {training} contradicts phase: {phase}; leave one out"
            problems.append(f"{layer.places['training']}: {text}")
        if training is None:
            layer.set("training", phase == "train", place=layer.places["phase"])
    return layer


def is_idle(key: str, value: object) -> bool:
    """Whether a published key does nothing, or nothing at this value."""
    return key in IDLE_KEYS or (key in IDLE_VALUES and plain(value) == IDLE_VALUES[key])
