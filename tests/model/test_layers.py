"""The layers equal plain loops; gradients show what mixes with what."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import slow_reference as slow
import torch
from torch import nn

from model import fast
from model.layers import attention as module
from model.layers.attention import Attention, Term, attend
from model.layers.basic import Projection, normalise
from model.layers.gcn import AdaptiveGCN, GraphConv, propagate
from model.layers.terms import RelativeFrames, RelativeJoints
from model.layers.units import SpatialAttention, TemporalAttention
from model.st_tr import Model


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def inputs(L: int, d: int = 4, dv: int = 6) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(2, 3, L, width, dtype=torch.float64, requires_grad=True) for width in (d, d, dv))


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("extra", ["", "joints", "frames", "bias"])
@pytest.mark.parametrize("L", [1, 7, 17])
def test_attention_equals_the_loop(reference: bool, extra: str, L: int) -> None:
    q, k, v = inputs(L=L)
    keep = torch.rand(2, 3, 1, L) > 0.5
    keep[0, 0] = False  # all keys dropped
    bias = torch.randn(2, 3, L, L).double() if extra == "bias" else None
    terms: list[Term] = []
    relative = None
    if extra == "joints":
        terms.append(table := RelativeJoints(L, 4).double())
        relative = table.table()
    elif extra == "frames":
        terms.append(table := RelativeFrames(L + 2, 4).double())
        i = torch.arange(L)
        relative = table.key_rel[i[None, :] - i[:, None] + L + 1]
    elif bias is not None:
        terms.append(lambda _: bias)
    with fast.reference() if reference else nullcontext():
        y = attend(q, k, v, terms, keep)
    for b in range(2):
        for h in range(3):
            arrays = (x[b, h].detach().numpy() for x in (q, k, v))
            r, e = (None if x is None else x.detach().numpy() for x in (relative, None if bias is None else bias[b, h]))
            expected = slow.attend(*arrays, keep[b, h, 0].numpy(), r, e)
            np.testing.assert_allclose(y[b, h].detach().numpy(), expected, atol=1e-6)
    y.sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (q, k, v))


def test_attention_without_dropped_keys_has_the_loops_gradient() -> None:
    q, k, v = inputs(L=5)
    assert torch.autograd.gradcheck(lambda *x: attend(*x), (q, k, v))


def test_drop_connect_draws_keys_for_every_row_and_head_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    original = module.attend
    monkeypatch.setattr(module, "attend", lambda *args: (drawn.append(args[-1]), original(*args))[1])
    attention = Attention(4, 6, heads=2, key_width=2, value_width=3, scale=1.0, drop_key=0.5)
    x = torch.randn(5, 10, 9, 4)
    attention.train()(x)
    attention.eval()(x)
    keep, none = drawn
    assert keep.shape == (5, 10, 2, 1, 9)
    assert 0.4 < keep.float().mean() < 0.6
    assert not torch.equal(keep[0], keep[1])
    assert not torch.equal(keep[:, 0], keep[:, 1])
    assert not torch.equal(keep[:, :, 0], keep[:, :, 1])
    assert none is None


def test_propagate_equals_the_loop() -> None:
    x, A = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.rand(3, 4, 4, dtype=torch.float64)
    expected = np.stack([slow.propagate(sample, A.numpy()) for sample in x.numpy()])
    np.testing.assert_allclose(propagate(x, A).numpy(), expected.reshape(2, 3, 4, 15))
    by_sample = torch.stack([A, 2 * A])
    np.testing.assert_allclose(propagate(x, by_sample[:, None])[1].numpy(), 2 * expected[1].reshape(3, 4, 15))


def test_graph_convolution_is_the_sum_over_partitions() -> None:
    A = torch.rand(3, 4, 4)
    conv = GraphConv(5, 6, A=A, mask_learning=True)
    torch.nn.init.uniform_(conv.mask)
    x = torch.randn(2, 3, 4, 5)
    gathered = slow.propagate(x[0].numpy(), (A * conv.mask).detach().numpy())
    weights = conv.linear.weight.detach().numpy().reshape(6, 3, 5)
    expected = sum(gathered[:, :, k] @ weights[:, k].T for k in range(3)) + conv.linear.bias.detach().numpy()
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), expected, atol=1e-5)


def test_adaptive_graph_starts_as_the_residual() -> None:
    unit = AdaptiveGCN(8, 8, A=torch.rand(3, 4, 4)).eval()
    x = torch.rand(2, 3, 4, 8)
    torch.testing.assert_close(unit(x), x, atol=1e-4, rtol=0)


def test_relative_joints_fill_row_by_row() -> None:
    table = RelativeJoints(3, 2)
    r = table.table()
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    for row, (i, j) in enumerate(pairs):
        torch.testing.assert_close(r[i, j], table.key_rel[row])
    torch.testing.assert_close(r[1, 1], table.key_rel_diagonal[0])


def test_relative_frames_are_signed_distances_and_refuse_longer_input() -> None:
    table = RelativeFrames(4, 2)
    q = torch.eye(2).repeat(2, 1)[:3]  # picks the two channels
    logits = table(q)
    for i in range(3):
        for j in range(3):
            torch.testing.assert_close(logits[i, j], table.key_rel[3 + j - i] @ q[i])  # distance 0 in the middle
    with pytest.raises(ValueError, match=r"this attention gets 5 frames .*window_size"):
        table(torch.randn(5, 2))


def test_batch_norm_has_statistics_for_every_trailing_number() -> None:
    norm = nn.BatchNorm1d(4 * 5)
    x = torch.randn(2, 3, 4, 5) * torch.rand(4, 5) + torch.rand(4, 5)
    y = normalise(x, norm)
    torch.testing.assert_close(y.mean(dim=(0, 1)), torch.zeros(4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(dim=(0, 1), unbiased=False), torch.ones(4, 5), atol=5e-2, rtol=0)


def dependence(unit: torch.nn.Module, x: torch.Tensor, t: int, v: int) -> torch.Tensor:
    """(T, V): whether the output at frame t and joint v depends on the input there."""
    x = x.clone().requires_grad_()
    unit.eval()(x)[0, t, v].sum().backward()
    return x.grad[0].abs().sum(dim=-1) > 0


def unit_attention(window: int | None = None, stride: int = 1, kernel: int = 1) -> TemporalAttention:
    down = Projection(8, 8, stride=stride) if stride > 1 else nn.Identity()
    return TemporalAttention(
        8,
        attention=Attention(8 * kernel, 8, heads=2, key_width=2, value_width=4, scale=1.0),
        norm=nn.BatchNorm1d(5 * 8), conv=None, down=down, stride=stride, kernel=kernel, window=window,
    )  # fmt: skip


def test_spatial_attention_mixes_joints_of_one_frame() -> None:
    attention = Attention(8, 8, heads=2, key_width=2, value_width=4, scale=1.0)
    unit = SpatialAttention(8, attention=attention, norm=nn.BatchNorm1d(5 * 8), conv=None, skip=True)
    expected = torch.zeros(6, 5, dtype=torch.bool)
    expected[2] = True
    assert torch.equal(dependence(unit, torch.randn(1, 6, 5, 8), 2, 3), expected)


def test_temporal_attention_mixes_frames_of_one_joint() -> None:
    expected = torch.zeros(6, 5, dtype=torch.bool)
    expected[:, 3] = True
    assert torch.equal(dependence(unit_attention(), torch.randn(1, 6, 5, 8), 2, 3), expected)


@pytest.mark.parametrize(("t", "frames"), [(2, slice(0, 3)), (4, slice(3, 6)), (7, slice(6, 8))])
def test_windows_attend_inside_themselves_and_a_last_one_may_be_short(t: int, frames: slice) -> None:
    expected = torch.zeros(8, 5, dtype=torch.bool)
    expected[frames, 1] = True
    assert torch.equal(dependence(unit_attention(window=3), torch.randn(1, 8, 5, 8), t, 1), expected)


@pytest.mark.parametrize("kernel", [1, 2])
@pytest.mark.parametrize("T", [6, 7])
def test_stride_gives_half_of_the_frames_rounded_up(T: int, kernel: int) -> None:
    unit = unit_attention(stride=2, kernel=kernel)
    assert unit.eval()(torch.randn(2, T, 5, 8)).shape == (2, (T + 1) // 2, 5, 8)


SMALL = {"num_class": 4, "channels": [16, 32, 64], "window_size": 17, "num_person": 1, "num_point": 25}


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"attention": False, "tcn_attention": True},
        {"tcn_attention": True, "relative": True, "adjacency": True},
        {"only_attention": False, "tcn_attention": True, "only_temporal_attention": False, "agcn": True, "dv": 0.5},
        {"tcn_attention": True, "all_layers": True, "dim_block1": 5, "relative": True, "Nh": 4},
        {"more_channels": True, "n": 2, "Nh": 4},
        {"attention": False, "agcn": True},
        {"attention": False, "use_local_bn": True, "concat_original": False},
    ],
    ids=lambda switches: "+".join(switches) or "s-tr",
)
def test_every_parameter_learns(switches: dict[str, object]) -> None:
    model = Model(**{**SMALL, **switches}).train()
    for name, parameter in model.named_parameters():
        if name.endswith("bn.weight") and parameter.abs().max() < 1e-5:
            torch.nn.init.ones_(parameter)  # adaptive units start closed, which leaves their inside without gradient
    model(torch.randn(3, 3, 17, 25, 1)).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not idle


def test_training_fits_a_small_batch() -> None:
    model = Model(**SMALL, dropout=0.0, tcn_attention=True).train()
    x, label = torch.randn(4, 3, 9, 25, 1), torch.arange(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize("switches", [{}, {"attention": False, "tcn_attention": True}], ids=["s-tr", "t-tr"])
def test_the_first_loss_is_that_of_guessing_unless_the_classifier_starts_as_published(
    seed: int, switches: dict[str, object]
) -> None:
    torch.manual_seed(seed)
    x, label = torch.randn(8, 3, 17, 25, 1), torch.arange(8)
    far = []
    for start in ({}, {"classifier_std": None}):
        model = Model(**{**SMALL, "num_class": 10, "channels": [64, 128, 256], **switches, **start}).train()
        far.append(torch.nn.functional.cross_entropy(model(x), label).item() - np.log(10))
    assert abs(far[0]) < 0.2
    assert far[1] > 1


def test_options_report_all_problems_at_once() -> None:
    with pytest.raises(ValueError, match=r"num_class: 0 must be .*; dropout: 2 must be .*; attention: 8 key"):
        Model(num_class=0, dropout=2, Nh=12, channels=[16, 32, 64])
    for wrong in (
        {"more_channels": True, "n": 100},
        {"more_channels": True, "Nh": 64},
        {"dim_block1": 0},
        {"graph": "x"},
    ):
        with pytest.raises(ValueError, match="model_args: "):
            Model(**wrong)
    for only in ("only_attention", "only_temporal_attention"):
        with pytest.raises(ValueError, match=f"dv: 1 leaves no channels for the convolution .* {only}: true"):
            Model(attention=True, tcn_attention=True, dv=1.0, **{only: False})
    with pytest.raises(ValueError, match=r"classifier_std: -1 must be from 0"):
        Model(classifier_std=-1)
    with pytest.raises(TypeError, match="atention"):
        Model(atention=True)


def test_options_of_another_type_are_told_with_the_other_problems() -> None:
    with pytest.raises(ValueError, match="model_args: ") as error:
        Model(num_class="60", channels=64, dropout=True, attention="yes", Nh=None, window_size=0)
    assert str(error.value) == (
        "model_args: num_class: '60' must be a whole number; channels: 64 must be a list of whole numbers; "
        "attention: 'yes' must be true or false; Nh: None must be a whole number; dropout: True must be a number; "
        "window_size: 0 must be at least 1"
    )
    assert Model(num_class=np.int64(3), channels=(np.int32(16), 16, 32), Nh=2, dropout=0).fcn.out_features == 3
