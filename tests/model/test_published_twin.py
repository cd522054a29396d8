"""The slow twin of the published ST-TR gives the published shapes and scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.golden import golden_input
from golden_weights import golden_weights
from published_twin import logits, model, state_shapes

Changes = dict[str, Any]

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "st_tr.json").read_text())
VARIANTS = GOLDEN["variants"]
# seconds each in float64: they prove the twin, which changes seldom
LONG = {name for name, variant in VARIANTS.items() if variant["input"][2] == 300}

S_TR: Changes = {}
T_TR: Changes = {"attention": False, "tcn_attention": True}
ONE_STREAM: Changes = {"tcn_attention": True}
BESIDE: Changes = {"only_attention": False, "only_temporal_attention": False}  # convolution beside attention
BONES: Changes = {"double_channel": True, "channel": 6}

COMBINATIONS: dict[str, Changes] = {
    "one stream beside, relative": ONE_STREAM | BESIDE | {"relative": True},
    "one stream beside, adjacency, agcn": ONE_STREAM | BESIDE | {"adjacency": True, "agcn": True},
    "all layers, bones": ONE_STREAM | BONES | {"all_layers": True, "relative": True, "dim_block2": 5},
    "all layers, beside, agcn, adjacency": BESIDE | {"all_layers": True, "agcn": True, "adjacency": True},
    "all layers, T-TR, agcn, short last window": T_TR | {"all_layers": True, "agcn": True, "dim_block1": 7},
    "all layers, beside, more channels": ONE_STREAM | BESIDE | {"all_layers": True, "more_channels": True},
    "adjacency, relative, more channels": {"adjacency": True, "relative": True, "more_channels": True},
    "two partitions": ONE_STREAM | BESIDE | {"graph_args": {"labeling_mode": "distance"}, "adjacency": True},
    "one partition, agcn": T_TR | {"graph_args": {"labeling_mode": "uniform"}, "agcn": True},
    "one partition, local bn": {"graph_args": {"labeling_mode": "DAD"}, "use_local_bn": True},
    "T-TR without skip or norm": T_TR | {"skip_conn": False, "data_normalization": False},
    "T-TR beside, bones of three channels": T_TR | BESIDE | {"double_channel": True, "relative": True},
    "even joints": T_TR | {"num_point": 18, "relative": True},
    "even joints, more channels": ONE_STREAM | {"num_point": 20, "more_channels": True, "num_person": 1},
    "odd frames": T_TR | BESIDE | {"window_size": 13, "relative": True},
    "odd frames, even joints": T_TR | {"window_size": 13, "num_point": 18, "relative": True},
    "no data_bn, few heads": ONE_STREAM | {"use_data_bn": False, "Nh": 2, "n": 2, "dk": 0.5, "num_class": 7},
    "plain graph convolutions": {"attention": False, "use_local_bn": True, "concat_original": False},
}


def args_of(changes: Changes) -> dict[str, Any]:
    """The golden variants' common options, with `changes`."""
    return GOLDEN["base"] | changes


def short(changes: Changes) -> dict[str, Any]:
    return args_of({"window_size": 16} | changes)


def clips(args: dict[str, Any], N: int = 2) -> np.ndarray:
    return golden_input([N, *(args[key] for key in ("channel", "window_size", "num_point", "num_person"))])


def checkpoint(args: dict[str, Any]) -> dict[str, np.ndarray]:
    return golden_weights(state_shapes(args))


def difference(scores: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(scores - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_are_the_published_ones(name: str) -> None:
    assert state_shapes(args_of(VARIANTS[name]["model_args"])) == VARIANTS[name]["state"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in VARIANTS]
)
def test_scores_are_the_published_ones(name: str) -> None:
    variant = VARIANTS[name]
    args, x = args_of(variant["model_args"]), golden_input(variant["input"])
    assert difference(logits(checkpoint(args), x, args), np.array(variant["logits"])) < 1e-6


class Recorder(dict[str, torch.Tensor]):
    """A state dict that knows which keys were read."""

    def __init__(self, state: dict[str, np.ndarray]) -> None:
        super().__init__((key, torch.from_numpy(value).double()) for key, value in state.items())
        self.unread = set(state)

    def __getitem__(self, key: str) -> torch.Tensor:
        self.unread.discard(key)
        return super().__getitem__(key)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (n % 3 > 0)) for n, name in enumerate(COMBINATIONS)]
)
def test_every_described_key_is_read_but_the_idle_ones(name: str) -> None:
    args = short(COMBINATIONS[name])
    idle = [r"person_bn\..*", r".*\.num_batches_tracked"]
    if not args["use_data_bn"]:
        idle.append(r"data_bn\..*")
    if not args["data_normalization"]:
        idle.append(r"backbone\.\d\.gcn1\.data_bn\..*")
    if not args["skip_conn"]:
        idle.append(r"backbone\.\d\.tcn1\.down\..*")
    state = Recorder(checkpoint(args))
    expected = {key for key in state if re.fullmatch("|".join(idle), key)}
    scores = model(state, torch.from_numpy(clips(args, N=1)).double(), args)
    assert scores.shape == (1, args["num_class"])
    assert scores.isfinite().all()
    assert state.unread == expected


@pytest.mark.parametrize("base", [ONE_STREAM, ONE_STREAM | BESIDE, ONE_STREAM | {"all_layers": True, "agcn": True}])
@pytest.mark.parametrize(("option", "neutral"), [("relative", "key_rel"), ("adjacency", "attention_conv.mask")])
def test_a_term_of_zeros_changes_nothing(base: Changes, option: str, neutral: str) -> None:
    plain, args = short(base), short(base | {option: True})
    state, x = checkpoint(args), clips(args, N=1)
    zeroed = {key: 0 * value if neutral in key else value for key, value in state.items()}
    expected = logits(checkpoint(plain), x, plain)
    assert difference(logits(zeroed, x, args), expected) < 1e-12
    assert difference(logits(state, x, args), expected) > 1e-6


def test_one_window_of_all_frames_is_the_plain_attention() -> None:
    wide, wider, narrow = (
        short(T_TR | {"all_layers": True, "relative": True, "dim_block1": size}) for size in (16, 20, 10)
    )
    state, x = checkpoint(wide), clips(wide)
    expected = logits(state, x, wide)
    # rows of `key_rel` count from the middle: a larger table has idle rows at both ends
    padded = {
        key: np.pad(value, ((4, 4), (0, 0))) if key.endswith("key_rel") and len(value) == 31 else value
        for key, value in state.items()
    }
    cut = {key: value[6:-6] if key.endswith("key_rel") and len(value) == 31 else value for key, value in state.items()}
    assert difference(logits(padded, x, wider), expected) < 1e-12
    assert difference(logits(cut, x, narrow), expected) > 1e-6


@pytest.mark.parametrize("base", [ONE_STREAM | BESIDE, T_TR | {"relative": True}])
def test_more_channels_shared_by_all_heads_are_no_more(base: Changes) -> None:
    plain, args = short(base), short(base | {"more_channels": True, "n": 8})
    x = clips(args)
    assert state_shapes(args) == state_shapes(plain)
    assert difference(logits(checkpoint(args), x, args), logits(checkpoint(plain), x, plain)) < 1e-12


def test_relative_positions_need_the_frames_of_the_window() -> None:
    args = short(T_TR | {"relative": True})
    with pytest.raises(ValueError, match="key_rel has 15 rows, 10 frames need 19"):
        logits(checkpoint(args), clips(args | {"window_size": 20}), args)
