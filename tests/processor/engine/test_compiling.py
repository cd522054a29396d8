"""Compiled models and checkpointed gradients train, test and save as plain ones do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, run_test, train, write_data
from small import Model as Small
from torch import Tensor, nn

from model import st_tr, zit_zot
from processor.config.schema import Config
from processor.engine.checkpointing import compute_blocks_again
from processor.results import work_dir
from processor.results.provenance import Made
from processor.state.checkpoint import read_checkpoint

EXACT = {"model": "small.Model", "model_args": {"dropout": 0.0}}  # compiled code draws other numbers for dropout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


def small_run(data: Data, tmp_path: Path, name: str, **changes: Any) -> Config:
    settings = {"batch_size": 10, "test_batch_size": 6, "accumulation": 1, "num_epoch": 2, "num_worker": 0}
    return make(data, tmp_path, work_dir=tmp_path / name, **{**EXACT, **settings, **changes})


def weights_of(config: Config) -> dict[str, Tensor]:
    return read_checkpoint(config.work_dir / "last.pt")["model"]


def assert_close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        torch.testing.assert_close(tensor, b[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_run_is_the_plain_one_and_each_goes_on_from_the_other(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """25 samples in batches of 10 and a test of 10 in batches of 6, so that the last batches are of other sizes."""
    shapes: list[tuple[int, bool]] = []
    made: list[Made] = []
    original = torch._dynamo.lookup_backend("aot_eager")  # all but the compiling of kernels, which takes minutes

    def backend(graph: Any, inputs: Any) -> Any:
        if sizes := [len(x) for x in inputs if isinstance(x, Tensor) and x.dim() == 5]:
            shapes.append((sizes[0], torch.is_grad_enabled()))
        return original(graph, inputs)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    monkeypatch.setattr(work_dir, "write_results", lambda folder, scores, names, about, record: made.append(about))
    plain, compiled = small_run(data, tmp_path, "plain"), small_run(data, tmp_path, "compiled", compile=True)
    expected, scores = train(plain), train(compiled)
    assert sorted(shapes) == [(4, False), (5, True), (6, False), (10, True)]
    np.testing.assert_allclose(scores.scores, expected.scores, rtol=1e-4, atol=1e-5)
    assert_close(weights_of(compiled), weights_of(plain))
    (indices, features), (others, of_compiled) = (about.features for about in made)
    assert indices.tolist() == others.tolist() == [*range(10)]
    np.testing.assert_allclose(of_compiled, features, rtol=1e-4, atol=1e-5)
    for begins, goes_on in ((plain, compiled), (compiled, plain)):
        resumed = replace(goes_on, resume="auto", work_dir=begins.work_dir, num_epoch=3)
        train(resumed)
    assert_close(weights_of(compiled), weights_of(plain))
    tested = replace(compiled, phase="test", weights=plain.work_dir / "last.pt", work_dir=tmp_path / "test")
    again = replace(tested, compile=False, work_dir=tmp_path / "again")
    np.testing.assert_allclose(run_test(tested).scores, run_test(again).scores, rtol=1e-4, atol=1e-5)


def test_a_machine_that_cannot_compile_says_so_at_once(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda _: fail)
    with pytest.raises(
        ValueError, match=r"^compile: torch cannot compile for cpu .*\(no C\+\+ compiler\); leave it out$"
    ):
        train(small_run(data, tmp_path, "run", compile=True))
    assert not (tmp_path / "run").exists()


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "s-tr": lambda: st_tr.Model(window_size=16, channels=[16, 16, 32], Nh=2),
    "t-tr": lambda: st_tr.Model(window_size=16, channels=[16, 16, 32], Nh=2, attention=False, tcn_attention=True),
    "one-stream": lambda: st_tr.Model(window_size=16, channels=[16, 16, 32], Nh=2, tcn_attention=True, relative=True),
    "zit-zot": lambda: zit_zot.Model(),
}


def graphs(model: nn.Module) -> tuple[int, int]:
    """Into how many graphs the compiler takes a model in training, and how many breaks there are between them."""
    torch._dynamo.reset()
    found = torch._dynamo.explain(model.train())(torch.randn(2, 3, 16, 25, 2))
    return found.graph_count, found.graph_break_count


def test_blocks_of_both_attentions_are_one_graph() -> None:
    model = FAMILIES["one-stream"]()
    model.backbone, model.fcn = model.backbone[2:4], nn.Linear(16, 60)
    model.joined = 1
    assert graphs(model) == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_one_graph(family: str) -> None:
    assert graphs(FAMILIES[family]()) == (1, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_that_are_computed_again_have_the_same_gradients_and_statistics(family: str) -> None:
    torch.manual_seed(0)
    plain = FAMILIES[family]()
    again = FAMILIES[family]()
    again.load_state_dict(plain.state_dict())
    compute_blocks_again(again)
    kept, x = [], torch.randn(2, 3, 16, 25, 2)
    for model in (plain, again):
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        torch.manual_seed(1)  # of dropout
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            logits = model(x)
        logits.square().sum().backward()
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2
    for (name, a), b in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=0, atol=0, msg=name)
    for name, buffer in plain.state_dict().items():
        assert torch.equal(again.state_dict()[name], buffer), name
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(x), plain.eval()(x), rtol=0, atol=0)


def test_checkpointed_gradients_are_those_of_the_plain_run(data: Data, tmp_path: Path) -> None:
    plain = small_run(data, tmp_path, "plain", model_args={})
    checkpointed = small_run(data, tmp_path, "checkpointed", model_args={}, gradient_checkpointing=True)
    assert train(checkpointed).scores.tolist() == train(plain).scores.tolist()
    assert_close(weights_of(checkpointed), weights_of(plain))


def test_a_model_without_blocks_is_told_so() -> None:
    with pytest.raises(ValueError, match=r"gradient_checkpointing: Model has no nn\.ModuleList"):
        compute_blocks_again(Small(listed=False))
