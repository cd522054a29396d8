"""The layers equal plain loops; gradients show what mixes with what."""

from __future__ import annotations

import numpy as np
import pytest
import slow_reference as slow
import torch

from model.layers import attention as module
from model.layers.attention import Attention, attend
from model.layers.gcn import AdaptiveGCN, GraphConv, propagate
from model.layers.norm import TokenNorm
from model.layers.relative import RelativeFrames, RelativeJoints
from model.layers.transformer import SpatialAttention, TemporalAttention
from model.st_tr import Model


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def inputs(L: int, d: int = 4, dv: int = 6) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(2, 3, L, width, dtype=torch.float64, requires_grad=True) for width in (d, d, dv))


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("extra", ["", "relative", "distances", "bias", "own bias"])
@pytest.mark.parametrize("L", [1, 7, 17])
def test_attention_equals_the_loop(monkeypatch: pytest.MonkeyPatch, on_gpu: bool, extra: str, L: int) -> None:
    if on_gpu:  # what a GPU would run for many tokens, in parts of one sample, computed here
        monkeypatch.setattr(torch.Tensor, "is_cpu", False)
        monkeypatch.setattr(module, "LONG", 1)
        monkeypatch.setattr(module, "PART", 3 * L * L)
    q, k, v = inputs(L=L)
    keep = torch.rand(2, 3, L, 1) > 0.5
    keep[0, 0] = False  # all keys dropped
    relative = torch.randn(L, L, 4).double() if extra == "relative" else None
    bias = torch.randn(*(2, 3)[: 2 * (extra == "own bias")], L, L).double() if "bias" in extra else None
    distances = torch.randn(2 * L - 1, 4).double()
    y = attend(q, k, v, keep=keep, relative=distances if extra == "distances" else relative, bias=bias)
    if extra == "distances":
        i = torch.arange(L)
        relative = distances[i[None, :] - i[:, None] + L - 1]
    for b in range(2):
        for h in range(3):
            arrays = (x[b, h].detach().numpy() for x in (q, k, v))
            own = bias[b, h] if extra == "own bias" else bias
            r, e = (None if x is None else x.numpy() for x in (relative, own))
            expected = slow.attend(*arrays, keep[b, h, :, 0].numpy(), r, e)
            np.testing.assert_allclose(y[b, h].detach().numpy(), expected, atol=1e-6)
    y.sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (q, k, v))


@pytest.mark.parametrize("L", [1, 3, module.SHORT - 1, module.SHORT])
def test_softmax_of_short_rows_is_softmax(L: int) -> None:
    x = (100 * torch.randn(5, 4, L, dtype=torch.float64)).requires_grad_()
    other = x.detach().clone().requires_grad_()
    with torch.no_grad():
        x[0, ..., 1:] = other[0, ..., 1:] = -torch.inf
    weight = torch.randn(5, 4, L, dtype=torch.float64)
    p, expected = module._softmax(x), other.softmax(dim=-1)
    torch.testing.assert_close(p, expected)
    (p * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_attention_without_dropped_keys_has_the_loops_gradient() -> None:
    q, k, v = inputs(L=5)
    assert torch.autograd.gradcheck(lambda *x: attend(*x), (q, k, v))


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_long_attention_keeps_nothing_of_size_L_x_L(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool, relative: bool, dropping: bool
) -> None:
    L = 2 * module.LONG
    if on_gpu:  # what a GPU would run, computed here
        monkeypatch.setattr(torch.Tensor, "is_cpu", False)
    else:
        monkeypatch.setattr("model.layers.pieces.WHOLE", 0)
    attention = Attention(
        8, 8, heads=2, key_width=4, value_width=4, scale=0.5, drop_connect=dropping,
        relative=RelativeFrames(L, 4) if relative else None,
    )  # fmt: skip
    sizes: list[int] = []

    def note(x: torch.Tensor) -> torch.Tensor:
        if x.untyped_storage().nbytes() and x.dtype != torch.int64:
            sizes.append(x.untyped_storage().size() // x.element_size())
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        attention(torch.randn(2, 3, L, 8))
    per_row = 2 * 3 * 2 * L * L  # (B, R, H, L, L)
    assert sizes
    assert max(sizes) < per_row / 2


def test_drop_connect_draws_keys_for_every_row_and_head_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    original = module.attend
    monkeypatch.setattr(module, "attend", lambda *a, keep, **k: (drawn.append(keep), original(*a, keep=keep, **k))[1])
    attention = Attention(4, 6, heads=2, key_width=2, value_width=3, scale=1.0, drop_connect=True)
    x = torch.randn(5, 10, 9, 4)
    attention.train()(x)
    attention.eval()(x)
    keep, none = drawn
    assert keep.shape == (5, 10, 2, 9, 1)
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
    r = table(3)
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    for row, (i, j) in enumerate(pairs):
        torch.testing.assert_close(r[i, j], table.key_rel[row])
    torch.testing.assert_close(r[1, 1], table.key_rel_diagonal[0])


def test_relative_frames_are_signed_distances_and_refuse_longer_input() -> None:
    table = RelativeFrames(4, 2)
    assert torch.equal(table(4), table.key_rel)
    assert torch.equal(table(3), table.key_rel[1:6])  # distance 0 in the middle
    with pytest.raises(ValueError, match=r"5 frames reach the attention.*window_size"):
        table(5)


def test_token_norm_has_statistics_of_its_own_for_every_trailing_number() -> None:
    norm = TokenNorm(4 * 5)
    x = torch.randn(2, 3, 4, 5) * torch.rand(4, 5) + torch.rand(4, 5)
    y = norm(x)
    torch.testing.assert_close(y.mean(dim=(0, 1)), torch.zeros(4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(dim=(0, 1), unbiased=False), torch.ones(4, 5), atol=5e-2, rtol=0)


def dependence(unit: torch.nn.Module, x: torch.Tensor, t: int, v: int) -> torch.Tensor:
    """(T, V): whether the output at frame t and joint v depends on the input there."""
    x = x.clone().requires_grad_()
    unit.eval()(x)[0, t, v].sum().backward()
    return x.grad[0].abs().sum(dim=-1) > 0


def unit_attention(window: int | None = None, stride: int = 1, kernel: int = 1) -> TemporalAttention:
    return TemporalAttention(
        8,
        attention=Attention(8 * kernel, 8, heads=2, key_width=2, value_width=4, scale=1.0),
        norm=TokenNorm(5 * 8), conv=None, skip=True, stride=stride, kernel=kernel, window=window,
    )  # fmt: skip


def test_spatial_attention_mixes_joints_of_one_frame() -> None:
    attention = Attention(8, 8, heads=2, key_width=2, value_width=4, scale=1.0)
    unit = SpatialAttention(8, attention=attention, norm=TokenNorm(5 * 8), conv=None, skip=True)
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
    x, label = torch.randn(8, 3, 17, 25, 1), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("seed", range(3))
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
    with pytest.raises(ValueError, match=r"classifier_std: -1 must be from 0"):
        Model(classifier_std=-1)
    with pytest.raises(TypeError, match="atention"):
        Model(atention=True)
