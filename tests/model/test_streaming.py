"""After t frames a stream has the logits that the model has of these t frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model import Model as ZitZot
from model.st_tr import Model
from model.streaming import STEP, Step, Stream, Tail, Window

SMALL: dict[str, Any] = {"num_class": 5, "num_point": 15, "window_size": 24, "channels": [8, 16, 32], "Nh": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "s-tr": {},
    "one person": {"num_person": 1},
    "augmented": {"only_attention": False, "relative": True, "adjacency": True},
    "all layers": {"all_layers": True},
    "no skips": {"skip_conn": False, "concat_original": False, "data_normalization": False, "use_data_bn": False},
    "graph alone": {"attention": False, "use_local_bn": True},
}


def model_of(**options: Any) -> Model:
    torch.manual_seed(0)
    model = Model(**{**SMALL, **options}).double()
    model.train()(torch.randn(4, 3, 24, 15, model.options.num_person, dtype=torch.float64))  # batch norms that differ
    return model.eval()


def told(t: int) -> bool:
    """Whether the logits after t of 29 frames are looked at, where not after all of them."""
    return t < 6 or t % 5 == 0 or t > 27


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_after_each_frame_are_those_of_the_clip(name: str) -> None:
    model = model_of(**VARIANTS[name])
    x = torch.randn(2, 3, 29, 15, model.options.num_person, dtype=torch.float64)
    x[:, :, 9:14, :, -1] = 0  # a person who is absent for a while
    stream = Stream(model)
    with torch.no_grad():
        for t in range(1, 30):
            stream.push(x[:, :, t - 1])
            if name == "s-tr" or told(t):
                torch.testing.assert_close(stream.logits(), model(x[:, :, :t]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_of_fixed_shapes_give_the_logits_of_the_clip(name: str) -> None:
    model = model_of(**VARIANTS[name])
    step = Step(model)
    tail, state = Tail(step), step.empty(2)
    shapes = {key: x.shape for key, x in state.items()}
    assert not any(x.any() for x in state.values())
    x = torch.randn(2, 3, 29, 15, model.options.num_person, dtype=torch.float64)
    with torch.no_grad():
        for t in range(1, 30):
            before = (t - 1) // STEP * STEP
            frames = torch.full((2, 3, STEP, 15, model.options.num_person), 7.0, dtype=torch.float64)  # no frames
            frames[:, :, : t - before] = x[:, :, before:t]
            expected = model(x[:, :, :t]) if told(t) else None
            for _ in range(2 if expected is not None else 0):  # it leaves the state as it is
                y = tail(frames, torch.tensor([t - before]), state)
                torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
            if t % STEP == 0:
                state = step(frames, state)
            if t % STEP == 0 and expected is not None:
                torch.testing.assert_close(tail(frames, torch.tensor([0]), state), expected, rtol=0, atol=1e-10)
    assert expected.abs().max() > 0.01
    assert {key: x.shape for key, x in state.items()} == shapes


def test_compilers_get_a_convolution_of_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    step, frames = Step(model_of()), torch.randn(2, 3, STEP, 15, 2, dtype=torch.float64)
    state, count = step(frames, step.empty(2)), torch.tensor([3])
    expected, logits = step(frames, state), Tail(step)(frames, count, state)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(step(frames, state), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(Tail(step)(frames, count, state), logits, rtol=0, atol=1e-10)


def test_frames_may_come_several_at_a_time_and_answers_may_be_left_out() -> None:
    model = model_of()
    x = torch.randn(1, 3, 40, 15, 2, dtype=torch.float64)
    stream = Stream(model)
    for part in x.split([3, 1, 17, 2, 17], dim=2):
        stream.push(part)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x), rtol=0, atol=1e-10)
    stream.reset()
    stream.push(x[:, :, 5])
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x[:, :, 5:6]), rtol=0, atol=1e-10)


def test_single_precision_of_a_long_stream() -> None:
    model = model_of().float()
    x = torch.randn(1, 3, 400, 15, 2)
    stream = Stream(model)
    for frame in x.unbind(dim=2):
        stream.push(frame)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x), rtol=0, atol=1e-5)


def test_a_stream_takes_the_weights_of_its_first_frame() -> None:
    stream, other, x = Stream(model := model_of()), model_of(), torch.randn(1, 3, 12, 15, 2)
    model.load_state_dict(other.state_dict())
    stream.push(x)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), other(x), rtol=0, atol=1e-5)


def test_memory_does_not_grow() -> None:
    stream, sizes = Stream(model_of()), []
    for t in range(160):
        stream.push(torch.randn(1, 3, 15, 2))
        if t % 3 == 0:
            stream.logits()
        kept = [*stream._state.values(), *stream._frames]
        sizes.append(sum(x.untyped_storage().nbytes() for x in kept if isinstance(x, torch.Tensor)))
    assert max(sizes[80:]) <= max(sizes[:80])


def test_a_caller_may_use_the_same_memory_for_every_frame() -> None:
    x, frame = torch.randn(1, 3, 6, 15, 2, dtype=torch.float64), torch.empty(1, 3, 15, 2, dtype=torch.float64)
    streams = [Stream(model := model_of()), Window(model, 6)]
    for t in range(6):
        frame.copy_(x[:, :, t])
        for stream in streams:
            stream.push(frame)
    for stream in streams:
        with torch.no_grad():
            torch.testing.assert_close(stream.logits(), model(x), rtol=0, atol=1e-10)
    streams[0].logits().zero_()
    torch.testing.assert_close(streams[0].logits(), stream.logits(), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"attention": False, "tcn_attention": True}, "temporal attention looks at all frames"),
        ({"tcn_attention": True}, "temporal attention looks at all frames"),
        ({"agcn": True}, "made of all frames"),
    ],
)
def test_what_sees_all_frames_is_refused_and_has_a_window(options: dict[str, Any], reason: str) -> None:
    model = model_of(**options)
    with pytest.raises(ValueError, match=reason):
        Stream(model)
    with pytest.raises(ValueError, match=reason):
        Step(model)
    window, x = Window(model, 24), torch.randn(1, 3, 30, 15, 2, dtype=torch.float64)
    for frame in x.unbind(dim=2):
        window.push(frame)
    with torch.no_grad():
        torch.testing.assert_close(window.logits(), model(x[:, :, -24:]))


def test_frames_of_another_shape_are_refused_before_they_are_kept() -> None:
    window, x = Window(model_of(), 4), torch.randn(1, 3, 15, 2, dtype=torch.float64)
    window.push(x)
    before = window.logits()
    for other in (x[..., :1], x.repeat(2, 1, 1, 1)):
        with pytest.raises(ValueError, match=r"push: a frame \(.* after \(1, 3, 15, 2\); call reset\(\)"):
            window.push(other)
    torch.testing.assert_close(window.logits(), before)


def test_zit_zot_and_training_are_refused() -> None:
    with pytest.raises(ValueError, match="made of all frames"):
        Stream(ZitZot(num_class=3, num_point=17).eval())
    with pytest.raises(ValueError, match="training mode"):
        Stream(model_of().train())


@pytest.mark.parametrize("part", ["", "backbone.4.gcn1"])
def test_a_model_that_goes_back_to_training_is_refused_and_stays_as_it_is(part: str) -> None:
    streams, x = [Stream(model := model_of()), Window(model, 8)], torch.randn(2, 3, 15, 2, dtype=torch.float64)
    for stream in streams:
        stream.push(x)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.get_submodule(part).train()
    for stream in streams:
        with pytest.raises(ValueError, match=r"training mode.*call model.eval\(\)"):
            stream.logits()
    with pytest.raises(ValueError, match="training mode"):
        streams[0].push(x)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    model.eval()
    torch.testing.assert_close(streams[0].logits(), streams[1].logits(), rtol=0, atol=1e-10)


def test_mistakes_are_told() -> None:
    stream = Stream(model_of())
    with pytest.raises(ValueError, match="no frame was pushed"):
        stream.logits()
    stream.push(torch.randn(2, 3, 15, 2))
    with pytest.raises(ValueError, match="3 streams, after 2"):
        stream.push(torch.randn(3, 3, 15, 2))
    with pytest.raises(ValueError, match="joints"):
        stream.push(torch.randn(2, 3, 14, 2))
