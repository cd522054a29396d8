"""Every fast route has the values and the gradients of the plain functions, for inputs and for every parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import permutations

import pytest
import short
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook

from model import fast, zit_zot
from model.fast import attention as fused
from model.fast import chunks, convolution
from model.layers.attention import Attention, attend, similarity
from model.layers.basic import Dropout, Linear, Projection, linear
from model.layers.gcn import GCN, AdaptiveGCN, GraphConv
from model.layers.tcn import TemporalConv
from model.layers.terms import MaskedAdjacency, RelativeFrames, RelativeJoints
from model.layers.units import SpatialAttention, TemporalAttention

ROUTES = ("all rows", "chunks", "chunks of one row", "as on a GPU", "as on a GPU, in chunks")
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 1e-1}


class Plus(nn.Module):
    """A user's own term: a learnable number for each pair of tokens, times the mean of the query."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(length, length))

    def forward(self, q: Tensor) -> Tensor:
        return self.weight[: q.shape[-2], : q.shape[-2]] * q.mean(dim=-1, keepdim=True)


def attention(L: int, **terms: nn.Module) -> Attention:
    return Attention(6, 6, heads=2, key_width=2, value_width=3, scale=0.5, terms=terms, drop_key=0.5)


UNITS: dict[str, Callable[[int], nn.Module]] = {  # of L tokens with 6 channels
    "attention": attention,
    "relative joints": lambda L: attention(L, relative=RelativeJoints(L, 2)),
    "relative frames": lambda L: attention(L, relative=RelativeFrames(L + 2, 2)),
    "adjacency": lambda L: attention(L, adjacency=MaskedAdjacency(torch.rand(3, L, L), learnable=True)),
    "own term": lambda L: attention(L, relative=RelativeFrames(L, 2), own=Plus(L)),
    "transformer": lambda L: zit_zot.Transformer(attention(L), dropout=0.0),
    "graph": lambda L: GraphConv(6, 4, A=torch.rand(3, L, L), mask_learning=True),
    "gcn": lambda L: GCN(6, 4, A=torch.rand(3, L, L), local_bn=True),
    "adaptive": lambda L: AdaptiveGCN(6, 8, A=torch.rand(3, L, L)),
    "tcn": lambda L: TemporalConv(6, 4, stride=2),
    "spatial": lambda L: SpatialAttention(
        6, attention=attention(L), norm=nn.BatchNorm1d(6 * L), conv=None, skip=True
    ),
    "temporal": lambda L: TemporalAttention(
        6, attention=Attention(12, 6, heads=2, key_width=2, value_width=3, scale=0.5),
        norm=nn.BatchNorm1d(6 * L), conv=None, down=Projection(6, 6, stride=2), stride=2, kernel=2, window=3,
    ),
}  # fmt: skip
BIASED = ("attention", "relative frames", "transformer")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def take(route: str, patch: pytest.MonkeyPatch, L: int) -> None:
    """Makes small inputs take a route that large ones take."""
    if route.startswith("as on a GPU"):  # what a GPU would run for many tokens, computed here
        patch.setattr(Tensor, "is_cpu", False)
        patch.setattr(fused, "LONG", 1)
        patch.setattr(chunks, "LONG", 1)
        patch.setattr(chunks, "GPU_CHUNK", 2 * L * L if "chunks" in route else 2**30)
    elif route != "all rows":
        patch.setattr(chunks, "SMALL", 0)
        patch.setattr(chunks, "CPU_CHUNK", 1 if "one row" in route else 500)
        patch.setattr(convolution, "_pays", lambda *_: True)


def outcome(unit: nn.Module, x: Tensor, *others: Tensor) -> dict[str, Tensor | None]:
    """The result, and the gradients of the inputs and of all parameters."""
    torch.manual_seed(1)  # of the dropped keys
    inputs = [
        tensor.detach().clone().as_strided(tensor.shape, tensor.stride()).requires_grad_() for tensor in (x, *others)
    ]
    unit.zero_grad()
    y = unit(*inputs)
    (y * torch.linspace(0, 1, y.numel(), dtype=y.dtype, device=y.device).view(y.shape)).sum().backward()
    gradients = {f"input {i}": tensor.grad for i, tensor in enumerate(inputs)}
    return {"y": y.detach(), **gradients, **{name: p.grad for name, p in unit.named_parameters()}}


def assert_equal(ours: dict[str, Tensor | None], plain: dict[str, Tensor | None], tolerance: float) -> None:
    """Within `tolerance` of each tensor's norm; what is next to zero (biases before a batch norm), of the others'."""
    assert ours.keys() == plain.keys()
    typical = max(float(value.float().square().mean().sqrt()) for value in plain.values() if value is not None)
    for name, expected in plain.items():
        value = ours[name]
        assert value is not None, f"{name} has no gradient"
        assert expected is not None
        assert value.dtype == expected.dtype
        scale = expected.float().norm() + 0.1 * typical * expected.numel() ** 0.5
        assert (value.float() - expected.float()).norm() <= tolerance * scale, (name, scale)


@pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
@pytest.mark.parametrize(("dtype", "L"), [*((torch.float64, L) for L in (1, 5)), *((dtype, 17) for dtype in DTYPES)])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", UNITS)
def test_every_route_equals_the_plain_functions(
    monkeypatch: pytest.MonkeyPatch, name: str, route: str, dtype: torch.dtype, L: int, device: str
) -> None:
    unit = UNITS[name](L).to(device, dtype)
    for parameter in unit.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    x = torch.randn(3, 7, L, 6, device=device, dtype=dtype)
    if L == 5:  # as features that were transposed
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    biases: list[list[Tensor]] = [[]]
    if name in BIASED:
        biases += [[torch.randn(*size, L, L).to(x)] for size in ((3, 7, 2), (3, 1, 1))]
    for bias in biases:
        with fast.reference():
            plain = outcome(unit, x, *bias)
        with monkeypatch.context() as patch:
            if device == "cpu":
                take(route, patch, L)
            assert_equal(outcome(unit, x, *bias), plain, DTYPES[dtype])


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "s-tr": lambda: short.Model(**SMALL),
    "t-tr": lambda: short.Model(**SMALL, attention=False, tcn_attention=True),
    "zit-zot": lambda: short.ZitZot(num_class=4, num_point=15, num_person=2, max_T=12, dropout=0.0),
}
SMALL = {"num_class": 4, "channels": [16, 16, 32], "Nh": 2, "window_size": 12, "num_point": 15, "dropout": 0.0}
every_family = pytest.mark.parametrize("family", FAMILIES)


def batch() -> Tensor:
    return torch.randn(2, 3, 8, 15, 2)


def attentions(model: nn.Module) -> list[Attention]:
    return [module for module in model.modules() if isinstance(module, Attention)]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("family", ["s-tr", "t-tr"])
def test_a_users_own_term_acts_and_learns_on_every_route(
    monkeypatch: pytest.MonkeyPatch, family: str, route: str
) -> None:
    model, x = FAMILIES[family]().double(), batch().double()
    before = outcome(model, x)["y"]
    for module in attentions(model):
        module.terms["own"] = Plus(15).double()
    with fast.reference():
        plain = outcome(model, x)
    with monkeypatch.context() as patch:
        take(route, patch, 15)
        ours = outcome(model, x)
    assert_equal(ours, plain, 1e-9)
    assert (plain["y"] - before).norm() > 1e-3 * before.norm()
    assert all(ours[name].norm() > 0 for name in ours if ".own." in name)


@pytest.mark.parametrize("route", ROUTES)
@every_family
def test_second_derivatives_are_right_or_refused(monkeypatch: pytest.MonkeyPatch, family: str, route: str) -> None:
    model, x = FAMILIES[family]().double(), batch()[:1].double()

    def second() -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        z = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(model(z).square().sum(), z, create_graph=True)
        wanted = [z, *(p for p in model.parameters() if p.dim() > 1)]
        return torch.autograd.grad(first.square().sum(), wanted, allow_unused=True, materialize_grads=True)

    with fast.reference():
        plain = second()
    with monkeypatch.context() as patch:
        take(route, patch, 15)
        if route.startswith("as on a GPU") and family != "zit-zot":  # by fused kernels
            with pytest.raises(RuntimeError, match=r"no second derivatives; call the model inside `model\.fast\.ref"):
                second()
            return
        ours = second()
    for value, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9 * float(plain[0].abs().max()))


@pytest.fixture(params=["all rows", "chunks"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        take(request.param, patch, 15)
        yield request.param


@every_family
def test_parameters_given_from_outside_count(family: str, route: str) -> None:
    model, other = FAMILIES[family]().eval(), FAMILIES[family]().eval()
    given = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    y = torch.func.functional_call(model, given, (batch(),))
    torch.manual_seed(0)
    y.sum().backward()
    expected = other(batch_of := batch()), torch.func.functional_call(model, given, (batch_of,))
    torch.testing.assert_close(*expected)
    assert all(p.grad is not None for p in given.values())
    assert all(p.grad is None for p in model.parameters())


@every_family
def test_transforms_of_torch_func(family: str, route: str) -> None:
    """Gradients of each sample at once, and derivatives in a direction, beside autograd."""
    model, x = FAMILIES[family]().double().eval(), batch().double()
    parameters = dict(model.named_parameters())

    def loss(given: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(model, given, (sample[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for number in range(len(x)):
        expected = torch.autograd.grad(loss(parameters, x[number]), [*parameters.values()])
        for (name, gradients), gradient in zip(each.items(), expected, strict=True):
            torch.testing.assert_close(gradients[number], gradient, rtol=1e-6, atol=1e-9, msg=name)
    direction = torch.randn_like(x)
    _, along = torch.func.jvp(lambda x: model(x).square().sum(), (x,), (direction,))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
    torch.testing.assert_close(along, (gradient * direction).sum())


@every_family
def test_backward_hooks_see_every_module(family: str, route: str) -> None:
    model = FAMILIES[family]().train()
    seen: list[str] = []
    for name, module in model.named_modules():
        module.register_full_backward_hook(lambda *_, name=name: seen.append(name))
    x = batch()
    torch.manual_seed(1)
    y = model(x.requires_grad_())
    y.square().sum().backward()
    hooked = [p.grad.clone() for p in model.parameters()]
    silent = nn.ModuleList | nn.ModuleDict | MaskedAdjacency  # are not called, or give what depends on no input
    called = {name for name, module in model.named_modules() if not isinstance(module, silent)}
    assert called <= {*seen}
    other = FAMILIES[family]().train()
    other.load_state_dict(model.state_dict())
    torch.manual_seed(1)
    other(x.detach()).square().sum().backward()
    for value, parameter in zip(hooked, other.parameters(), strict=True):
        torch.testing.assert_close(value, parameter.grad, rtol=1e-3, atol=1e-4)


def test_a_forward_hook_keeps_what_it_saw() -> None:
    unit, kept = GCN(6, 4, A=torch.rand(3, 5, 5)), []
    unit.bn.register_forward_hook(lambda *args: kept.append(args[2]))
    unit(torch.randn(3, 7, 5, 6))
    assert (kept[0] < 0).any()
    unit, kept = GCN(6, 4, A=torch.rand(3, 5, 5)), []
    handle = register_module_forward_hook(lambda *args: kept.append(args[2]) if args[0] is unit.bn else None)
    try:
        unit(torch.randn(3, 7, 5, 6))
    finally:
        handle.remove()
    assert (kept[0] < 0).any()


def test_a_wrapped_layer_inside_a_chunk_acts_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrapped(nn.Module):
        def __init__(self, inner: Linear) -> None:
            super().__init__()
            self.inner, self.more = inner, Linear(inner.in_features, inner.out_features)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + self.more(x)

    unit = GraphConv(6, 4, A=torch.rand(3, 5, 5))
    unit.linear = Wrapped(unit.linear)
    nn.utils.parametrizations.weight_norm(unit.linear.inner)
    x = torch.randn(3, 7, 5, 6)
    with fast.reference():
        plain = outcome(unit, x)
    take("chunks", monkeypatch, 5)
    assert_equal(outcome(unit, x), plain, 1e-4)


def test_a_hook_sees_the_gradient_of_a_weight_once(monkeypatch: pytest.MonkeyPatch) -> None:
    take("chunks of one row", monkeypatch, 5)
    for name, weight in (("attention", "qkv.weight"), ("own term", "terms.own.weight"), ("graph", "mask")):
        unit, seen = UNITS[name](5), []
        unit.get_parameter(weight).register_hook(seen.append)
        unit(torch.randn(3, 7, 5, 6)).sum().backward()
        assert len(seen) == 1
        torch.testing.assert_close(seen[0], unit.get_parameter(weight).grad)


@pytest.mark.slow
@every_family
def test_a_compiled_model_has_the_logits_and_gradients(family: str) -> None:
    model, x = FAMILIES[family]().eval(), batch()
    plain = outcome(model, x)
    compiled = torch.compile(model)
    assert_equal({k.removeprefix("_orig_mod."): v for k, v in outcome(compiled, x).items()}, plain, 1e-3)


@every_family
def test_an_exported_model_has_the_logits(family: str) -> None:
    model, x = FAMILIES[family]().eval(), batch()
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-4)


def test_autocast_holds_when_a_chunk_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    take("chunks", monkeypatch, 5)
    unit = UNITS["attention"](5).eval()
    x = torch.randn(2, 3, 5, 6)
    exact = outcome(unit, x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outcome(unit, x)
    assert rounded["y"].dtype == torch.bfloat16
    for name in exact.keys() - {"y"}:
        assert rounded[name].dtype == torch.float32
        assert (rounded[name] - exact[name]).norm() < 0.05 * exact[name].norm() + 1e-3


def test_only_what_needs_a_gradient_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    take("chunks", monkeypatch, 5)
    unit = GraphConv(6, 4, A=torch.rand(3, 5, 5))
    unit.linear.weight.requires_grad_(False)
    unit(torch.randn(2, 3, 5, 6)).sum().backward()
    assert unit.linear.weight.grad is None
    assert unit.linear.bias.grad is not None


def test_reference_holds_inside_and_ends_with_an_error() -> None:
    q = torch.randn(1, 1, 4, 2, requires_grad=True)
    with suppress(ZeroDivisionError), fast.reference():
        assert "Similarity" not in similarity(q, q).grad_fn.name()
        raise ZeroDivisionError
    assert "Similarity" in similarity(q, q).grad_fn.name()


def test_rows_are_cut_inside_samples_or_between_them() -> None:
    x = torch.empty(3, 7, 2)
    for size, count in ((1, 21), (3, 9), (7, 3), (14, 2), (100, 1)):
        parts = [x[chunk] for chunk in chunks._grid(3, 7, size)]
        assert len(parts) == count
        assert all(part.shape[0] * part.shape[1] <= size for part in parts)
        assert sum(part.shape[0] * part.shape[1] for part in parts) == 21


def test_results_lie_in_memory_as_the_input_does(monkeypatch: pytest.MonkeyPatch) -> None:
    take("chunks", monkeypatch, 7)
    unit = GraphConv(6, 4, A=torch.rand(3, 5, 5))
    x = torch.randn(2, 5, 7, 6).transpose(1, 2)
    assert unit(x).transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("dropping", [False, True])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("route", ["chunks", "as on a GPU"])
def test_long_attention_keeps_nothing_of_size_L_x_L(
    monkeypatch: pytest.MonkeyPatch, route: str, relative: bool, dropping: bool
) -> None:
    L = 2 * fused.LONG
    take(route, monkeypatch, L)
    unit = Attention(
        8, 8, heads=2, key_width=4, value_width=4, scale=0.5, drop_key=0.5 * dropping,
        terms={"relative": RelativeFrames(L, 4)} if relative else {},
    )  # fmt: skip
    sizes: list[int] = []

    def note(x: Tensor) -> Tensor:
        if x.untyped_storage().nbytes() and x.dtype != torch.int64:
            sizes.append(x.untyped_storage().size() // x.element_size())
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        unit(torch.randn(2, 3, L, 8))
    assert sizes
    assert max(sizes) < 2 * 3 * 2 * L * L / 2


class TestLinear:
    @staticmethod
    def gradients(y: Tensor, *inputs: Tensor) -> list[Tensor]:
        """Of first and second order."""
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
        first = torch.autograd.grad((y * weights).sum(), inputs, create_graph=True)
        total = sum(x.square().sum() for x in first)
        return [*first, *torch.autograd.grad(total, inputs, allow_unused=True)]

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    @pytest.mark.parametrize("biased", [False, True])
    def test_any_order_of_memory(self, order: tuple[int, ...], biased: bool) -> None:
        shape = [(2, 5, 3)[axis] for axis in order]
        x = torch.randn(*shape, 7).permute(*(order.index(axis) for axis in range(3)), 3).requires_grad_()
        weight, bias = torch.randn(4, 7, requires_grad=True), torch.randn(4, requires_grad=True)
        inputs = (x, weight, bias) if biased else (x, weight)
        y, expected = linear(*inputs), F.linear(*inputs)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        assert y.permute(*order, 3).is_contiguous()
        for value, plain in zip(self.gradients(y, *inputs), self.gradients(expected, *inputs), strict=True):
            assert (value is None) == (plain is None)
            if plain is not None:
                torch.testing.assert_close(value, plain, rtol=1e-4, atol=1e-4)

    def test_other_precisions(self) -> None:
        layer, x = Linear(5, 3), torch.randn(2, 4, 5)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        torch.testing.assert_close(layer.double()(x.double()), F.linear(x.double(), layer.weight, layer.bias))
        assert layer.float()(torch.empty(0, 5)).shape == (0, 3)


def test_gradients_of_similarity() -> None:
    q, k = (torch.randn(2, 3, L, 4, dtype=torch.float64, requires_grad=True) for L in (5, 6))
    assert torch.autograd.gradcheck(similarity, (q, k))
    assert torch.autograd.gradgradcheck(similarity, (q, k))


class TestDropout:
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_what_is_kept_is_scaled_and_so_is_its_gradient(self, p: float, dtype: torch.dtype) -> None:
        x = torch.rand(101, 103, dtype=dtype).add_(1).requires_grad_()  # no multiple of four
        y = Dropout(p)(x)
        kept = y != 0
        assert abs(kept.double().mean().item() - (1 - p)) < 0.02
        torch.testing.assert_close(
            y[kept], (x / (1 - p)).detach()[kept], rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
        )
        y.sum().backward()
        torch.testing.assert_close(x.grad, kept / (1 - p), rtol=1e-2, atol=0, check_dtype=False)

    def test_numbers_are_dropped_for_themselves(self) -> None:
        kept = Dropout(0.5)(torch.ones(64, 4096)) != 0
        for other in (kept[:, 1:] == kept[:, :-1], kept[1:] == kept[:-1], kept[:, 4:] == kept[:, :-4]):
            assert abs(other.double().mean().item() - 0.5) < 0.01

    def test_it_draws_anew_and_the_seed_decides(self) -> None:
        unit, x = Dropout(0.5), torch.ones(1000)
        first, second = unit(x), unit(x)
        torch.manual_seed(0)
        assert torch.equal(unit(x), first)
        assert not torch.equal(first, second)

    @pytest.mark.parametrize(
        "x",
        [torch.ones(30, 40).T, torch.ones(30, 40)[:, ::2], torch.ones(30, 1).expand(30, 40), torch.ones(0, 3)],
        ids=["transposed", "gaps", "expanded", "empty"],
    )
    def test_any_memory_layout(self, x: Tensor) -> None:
        y = Dropout(0.5)(x)
        assert y.shape == x.shape
        assert not x.numel() or 0.4 < (y != 0).double().mean() < 0.6

    def test_evaluation_and_no_dropout_leave_everything(self) -> None:
        x = torch.randn(10)
        assert torch.equal(Dropout(0.5).eval()(x), x)
        assert torch.equal(Dropout(0.0)(x), x)
        assert not Dropout(1.0)(x).any()


def test_attend_takes_terms_that_are_used_up() -> None:
    q = torch.randn(1, 2, 5, 4)
    expected = attend(q, q, q, [lambda q: q.sum() * torch.eye(5)])
    assert torch.equal(attend(q, q, q, iter([lambda q: q.sum() * torch.eye(5)])), expected)
    assert not torch.equal(attend(q, q, q), expected)
