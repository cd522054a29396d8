"""ZiT-ZoT: the original's logits, what mixes with what, and what does not matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoom_twin as twin
from golden.golden import golden_input
from golden_weights import golden_weights
from torch import Tensor

from graph import adjacency, graph_of
from model import Model
from model.published import from_published
from model.zit_zot import GroupRelation, Options

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "zoom.json").read_text())
ZOOM = GOLDEN["variants"]["zoom-volleyball"]
SMALL: dict[str, Any] = {"num_class": 5, "num_point": 17, "num_person": 3, "graph": "graph.coco.Graph", "max_T": 9}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def small(**changes: Any) -> Model:
    """A model whose every parameter counts: nothing is zero, nothing equal, as after training."""
    model = Model(**{**SMALL, **changes})
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer += 0.1 * torch.rand_like(buffer)
    return model.eval()


def error(ours: Tensor, expected: Any) -> float:
    ours, expected = ours.detach(), torch.as_tensor(expected).detach()
    return float((ours - expected).norm() / expected.norm())


class TestOriginal:
    @pytest.mark.parametrize("given", [ZOOM["model_args"], None], ids=["options", "inferred"])
    def test_golden_logits(self, given: dict[str, Any] | None) -> None:
        model = from_published(golden_weights(ZOOM["state"]), given).double()
        with torch.no_grad():
            logits = model(torch.from_numpy(golden_input(ZOOM["input"])).double())
        assert error(logits, ZOOM["logits"]) < 1e-6

    def test_the_twin_has_the_golden_logits(self) -> None:
        state = {key: torch.from_numpy(x).double() for key, x in golden_weights(ZOOM["state"]).items()}
        x = torch.from_numpy(golden_input(ZOOM["input"])).double()
        A = adjacency("graph.volleyball.AdjMatrixGraph", {}, 17)
        assert error(twin.logits(state, x, A, 6), ZOOM["logits"]) < 1e-7

    @pytest.mark.parametrize(
        ("V", "M", "C", "T", "graph"),
        [
            (25, 2, 3, 9, "graph.ntu_rgb_d.Graph"),
            (15, 1, 2, 4, "graph.sbu.Graph"),
            (20, 5, 6, 5, "graph.nw_ucla.Graph"),
        ],
    )
    def test_other_skeletons_and_groups_give_the_logits_of_the_twin(
        self, V: int, M: int, C: int, T: int, graph: str | None
    ) -> None:
        weights = golden_weights(twin.shapes(ZOOM["state"], V=V, M=M, C=C))
        x = torch.from_numpy(golden_input([2, C, T, V, M])).double()
        A = adjacency(graph or graph_of(V), {"labeling_mode": "spatial" if graph else "spatial*"}, V)
        model = from_published(weights, {"graph": graph} if graph else None).double()
        state = {key: torch.from_numpy(w).double() for key, w in weights.items()}
        with torch.no_grad():
            assert error(model(x), twin.logits(state, x, A, 6)) < 1e-6

    def test_it_is_as_large_as_the_original(self) -> None:
        model = from_published(golden_weights(ZOOM["state"]))
        idle = [k for k in ZOOM["state"] if k.endswith(".mask") or k.startswith("group_transf.conv")]
        folded = 2 * 48  # the biases of three partitions are one
        size = sum(p.numel() for p in model.parameters()) + sum(np.prod(ZOOM["state"][k]) for k in idle) + folded
        assert size == 2_790_281

    def test_absent_persons_count_as_in_the_original(self) -> None:
        weights = golden_weights(ZOOM["state"])
        state = {key: torch.from_numpy(w).double() for key, w in weights.items()}
        x = torch.from_numpy(golden_input([1, 3, 5, 17, 12])).double()
        x[..., 7:] = 0
        expected = twin.logits(state, x, adjacency("graph.volleyball.AdjMatrixGraph", {}, 17), 6)
        with torch.no_grad():
            assert error(from_published(weights).double()(x), expected) < 1e-6

    def test_weights_of_another_form_are_refused(self) -> None:
        weights = golden_weights(ZOOM["state"])
        with pytest.raises(ValueError, match=r"these weights hold num_class: 8, model_args say num_class: 9"):
            from_published(weights, {"num_class": 9})
        del weights["body_transf.l3.tcn1.conv22.bias"]
        with pytest.raises(ValueError, match=r"zit\.1\.tcn1\.convs\.1\.bias is missing"):
            from_published(weights)


def mixed(model: Model, unit: str, which: tuple[int, ...]) -> Tensor:
    """Where the input of `unit` has a gradient from its output at the index `which`, over channels."""
    module = model.get_submodule(unit)
    x = torch.randn(*SHAPES[unit.split(".")[0]], module.norm.weight.numel(), requires_grad=True)
    module(x)[which].square().sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum(dim=-1) > 0


SHAPES = {"zit": (2, 6, 17), "zot": (2, 6, 3)}  # (B, T, V) and, with persons in the place of joints, (N, T, M)


class TestShapes:
    @pytest.mark.parametrize("layer", [0, 3])
    def test_spatial_attention_mixes_joints_of_one_frame_and_person(self, layer: int) -> None:
        reached = mixed(small(), f"zit.{layer}.spatial", (1, 4, 2))
        expected = torch.zeros(2, 6, 17, dtype=torch.bool)
        expected[1, 4] = True
        assert torch.equal(reached, expected)

    def test_temporal_attention_mixes_frames_of_one_joint_and_person(self) -> None:
        model = small()
        module = model.zit[2].temporal
        x = torch.randn(2, 17, 6, 48, requires_grad=True)  # rows are joints, tokens frames
        module(x)[1, 4, 2].square().sum().backward()
        expected = torch.zeros(2, 17, 6, dtype=torch.bool)
        expected[1, 4] = True
        assert torch.equal(x.grad.abs().sum(dim=-1) > 0, expected)

    def test_a_block_gives_its_temporal_attention_frames_as_tokens(self) -> None:
        seen = []
        model = small()
        model.zit[0].temporal.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
        model(torch.randn(1, 3, 8, 17, 3))
        assert seen == [(3, 17, 8, 48)]

    def test_zot_mixes_persons_of_one_frame(self) -> None:
        reached = mixed(small(), "zot.0.spatial", (1, 4, 2))
        expected = torch.zeros(2, 6, 3, dtype=torch.bool)
        expected[1, 4] = True
        assert torch.equal(reached, expected)

    def test_persons_do_not_mix_below_zot(self) -> None:
        model = small()
        h: list[Tensor] = []
        model.zit[-1].register_forward_hook(lambda *args: h.append(args[2]))
        x = torch.randn(2, 3, 8, 17, 3, requires_grad=True)
        model(x)
        h[0].view(2, 3, 2, 17, 192)[1, 2].square().sum().backward()
        reached = x.grad.abs().sum(dim=(1, 2, 3)) > 0
        assert reached.tolist() == [[False] * 3, [False, False, True]]

    @pytest.mark.parametrize("T", [1, 2, 5, 9])
    def test_any_number_of_frames(self, T: int) -> None:
        assert small()(torch.randn(2, 3, T, 17, 3)).shape == (2, 5)

    def test_four_axes_are_one_person(self) -> None:
        x = torch.randn(2, 3, 8, 17)
        model = small(num_person=1)
        assert torch.equal(model(x), model(x[..., None]))

    def test_the_documented_example(self) -> None:
        model = Model(
            num_class=60, in_channels=3, num_person=2, num_point=17, num_head=6,
            graph="graph.coco.Graph", graph_args={"labeling_mode": "spatial"},
        )  # fmt: skip
        with torch.no_grad():
            assert model(torch.randn(8, 3, 64, 17, 2)).shape == (8, 60)
        assert sum(p.numel() for p in model.parameters()) == 4_272_629


class TestPersons:
    def test_their_order_does_not_matter(self) -> None:
        x = torch.randn(2, 3, 8, 17, 3).double()
        model = small().double()
        expected = model(x)
        for order in ([1, 0, 2], [2, 0, 1]):
            assert error(model(x[..., order]), expected) < 1e-12
        assert error(model(x[..., [0, 0, 0]]), expected) > 1e-3

    def test_absent_ones_take_no_part(self) -> None:
        x = torch.randn(2, 3, 8, 17, 3).double()
        x[0, ..., 1] = 0
        model = small().double()
        together = model(x)
        assert error(model(x[:1][..., [0, 2]]), together[:1]) < 1e-12
        assert error(model(x[1:]), together[1:]) < 1e-12

    def test_absent_ones_receive_no_gradient_and_break_none(self) -> None:
        x = torch.randn(2, 3, 8, 17, 3)
        x[0, ..., 1] = 0
        model = small()  # in training, batch norms join all persons
        h: list[Tensor] = []
        model.zot[0].register_forward_pre_hook(lambda _, inputs: (inputs[0].retain_grad(), h.append(inputs[0]))[0])
        model(x).sum().backward()
        assert (h[0].grad.abs().sum(dim=(1, 3)) > 0).tolist() == [[True, False, True], [True] * 3]
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)

    def test_a_sample_without_any_person_has_logits(self) -> None:
        x = torch.randn(2, 3, 8, 17, 3)
        x[0] = 0
        assert torch.isfinite(small()(x)).all()

    def test_the_original_counts_them_and_knows_their_order(self) -> None:
        x = torch.randn(1, 3, 8, 17, 3).double()
        x[..., 2] = 0
        model = small(person_order=True).double()
        assert error(model(x[..., [1, 0, 2]]), model(x)) > 1e-6
        used = model(x)
        model.options.person_order = False  # the same weights, without the absent one
        assert error(model(x), used) > 1e-6

    def test_the_group_relation_depends_on_both(self) -> None:
        """softmax_j(a_j - b_i) would not depend on i, and its gradient by b would be zero."""
        relation = GroupRelation(4, 2)
        x = torch.randn(1, 1, 3, 4, requires_grad=True)
        logits = relation(x)
        (by_x,) = torch.autograd.grad(logits[0, 0, :, 1, 2].sum(), x, retain_graph=True)
        assert (by_x[0, 0].abs().sum(dim=-1) > 0).tolist() == [False, True, True]
        share = logits.softmax(dim=-1)
        by_b = torch.autograd.grad(share[0, 0, 0, 1, 2], relation.b.weight)[0]
        assert by_b.abs().sum() > 0
        assert not torch.allclose(share[..., 0, :], share[..., 1, :])


class TestOptions:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"parallel": True},
            {"spatial": False, "temporal": False, "multi_scale": False},
            {"drop_connectivity": True, "num_head": 12},
            {"relative": False, "adaptive_mask": False, "group_relation": False, "person_order": True},
        ],
        ids=str,
    )
    def test_every_parameter_learns(self, changes: dict[str, Any]) -> None:
        model = small(**changes).train()
        model(torch.randn(3, 3, 9, 17, 3)).square().sum().backward()
        still = [
            name
            for name, p in model.named_parameters()
            if p.grad is None or (not (p.grad.abs().sum() > 0) and not name.endswith("attention.qkv.bias"))
        ]
        assert not still

    @pytest.mark.parametrize(
        "name", ["spatial", "temporal", "multi_scale", "relative", "adaptive_mask", "group_relation", "parallel"]
    )
    def test_every_switch_counts(self, name: str) -> None:
        model, other = small().double(), Model(**{**SMALL, name: not getattr(Options, name)}).double().eval()
        with torch.no_grad():
            ours, theirs = model.state_dict(), other.state_dict()
            shared = {k: v for k, v in ours.items() if k in theirs and v.shape == theirs[k].shape}
            other.load_state_dict({**theirs, **shared})
            x = torch.randn(1, 3, 4, 17, 3).double()
            assert error(model(x), other(x)) > 1e-6

    def test_masks_hold_the_graph_and_learn_it_from_the_fourth_layer_on(self) -> None:
        model = Model(**SMALL)
        A = torch.from_numpy(adjacency("graph.coco.Graph", {}, 17)).sum(dim=0)
        for i, block in enumerate(model.zit, start=2):
            mask = block.spatial.attention.terms["adjacency"]
            assert torch.equal(mask(torch.empty(17, 8)), A)
            assert isinstance(mask.adjacency, torch.nn.Parameter) == (i >= 4)

    def test_frames_beyond_the_table_are_refused_with_the_remedy(self) -> None:
        with pytest.raises(ValueError, match=r"gets 10 frames .* for 9; set model_args\.max_T to"):
            small()(torch.randn(1, 3, 10, 17, 3))
        assert small(relative=False)(torch.randn(1, 3, 10, 17, 3)).shape == (1, 5)

    def test_a_graph_of_other_joints_is_refused_with_the_one_that_fits(self) -> None:
        with pytest.raises(
            ValueError, match=r"graph\.volleyball\.AdjMatrixGraph has 17 joints.*graph\.ntu_rgb_d\.Graph"
        ):
            Model(num_class=60, num_point=25, graph="graph.volleyball.AdjMatrixGraph")

    def test_all_problems_in_one_message(self) -> None:
        with pytest.raises(ValueError, match=r"num_class: 0 .*dropout: 1\.5 must be .*num_head: 5 does not divide"):
            Options(num_class=0, num_head=5, dropout=1.5)

    def test_training_fits_a_small_batch(self) -> None:
        model = Model(**{**SMALL, "dropout": 0.0})
        x, label = torch.randn(3, 3, 4, 17, 1), torch.arange(3)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(12):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), label)
            loss.backward()
            optimizer.step()
        assert loss < 0.1


def test_memory_grows_linearly_with_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for backward, relative positions included."""
    monkeypatch.setattr("model.fast.chunks.SMALL", 0)
    kept = []
    for T in (64, 256):
        model = Model(**{**SMALL, "num_person": 1, "max_T": T})
        storages: dict[int, int] = {}

        def note(x: Tensor, storages: dict[int, int] = storages) -> Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            model(torch.randn(1, 3, T, 17, 1))
        kept.append(sum(storages.values()))
    assert kept[1] < 4 * kept[0]
