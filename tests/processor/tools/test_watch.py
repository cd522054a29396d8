"""Frames come in, labels come out: the way behind a pose estimator, on poses that a test makes."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from conftest import ROOT
from runs import say

from data_gen.formats.persons import Tracker
from data_gen.formats.recording import Recording
from graph import coco, mediapipe, ntu_rgb_d
from graph.channels import Channels
from graph.common.files import atomic_write
from model.st_tr import Model
from processor.tools import pose as poses_module
from processor.tools import video as video_module
from processor.tools.overlay import overlay
from processor.tools.pose import MODEL, MediaPipe, model_file
from processor.tools.predict import Recognizer
from processor.tools.video import Live, Video, plain_name
from processor.tools.watch import Watcher, check_pixels, watch
from processor.tools.watch import main as watch_command

SIZE = (320, 240)
RATE = 10.0
SMALL = {"num_class": 3, "channels": [8, 8, 16], "Nh": 2, "classifier_std": 1.0}


@pytest.fixture(scope="module")
def kinetics(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Weights of a small model of Kinetics-skeleton, its configuration (on the real one), and names of classes."""
    folder = tmp_path_factory.mktemp("kinetics")
    torch.manual_seed(0)
    args = {**SMALL, "num_point": 18, "graph": "graph.kinetics.Graph", "num_person": 2}
    torch.save(Model(**args).state_dict(), folder / "w.pt")
    config = f"_base_: {ROOT}/config/kinetics/s-tr.yaml\nclass_names: [a, b, c]\nmodel_args: {json.dumps(SMALL)}\n"
    (folder / "c.yaml").write_text(config)
    (folder / "names.txt").write_text("sit\nwave\n走\n", encoding="utf-8")
    return folder / "w.pt", folder / "c.yaml", folder / "names.txt"


def recognizer_of(kinetics: tuple[Path, Path, Path]) -> Recognizer:
    weights, config, names = kinetics
    return Recognizer.load(weights, config=config, class_names=names, device="cpu")


def bodies(T: int, persons: int = 1, seed: int = 0) -> np.ndarray:
    """(T, M, 33, 3): bodies that tremble, side by side, in pixels with scores."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(0, 60, (persons, 33, 2)) + 100 * np.arange(persons)[:, None, None] + 10
    position = body + rng.normal(size=(T, persons, 33, 2))
    return np.concatenate([position, rng.uniform(0.6, 1, (T, persons, 33, 1))], axis=-1)


class Frames:
    """Pictures that hold nothing, with what a video tells of itself."""

    name, rate, size, is_camera, lost = "clip.mp4", RATE, SIZE, False, ""

    def __init__(self, T: int, lost: str = "") -> None:
        self.T, self.told = T, lost

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for number in range(self.T):
            yield number, np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        self.lost = self.told


class Known:
    """An estimator that finds the poses of a table (T, M, 33, 3); persons without a number above 0 are absent."""

    skeleton = mediapipe.SKELETON

    def __init__(self, joints: np.ndarray) -> None:
        self.joints = joints

    def __call__(self, picture: np.ndarray, seconds: float) -> list[np.ndarray]:
        return [joints for joints in self.joints[round(seconds * RATE)] if joints.any()]


class Pictures:
    """A writer that keeps pictures, and writes their number."""

    made: ClassVar[list[Pictures]] = []

    def __init__(self, path: Path, suffix: str, rate: float, size: tuple[int, int]) -> None:
        self.path, self.pictures = path, []
        Pictures.made.append(self)
        assert path.name.endswith(suffix)

    def add(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)

    def close(self) -> None:
        self.path.write_text(str(len(self.pictures)))


def watcher_of(recognizer: Recognizer, **changes: Any) -> Watcher:
    settings = {"name": "clip.mp4", "size": SIZE, "rate": RATE, "window": 1.0, "every": 0.5}
    return Watcher(recognizer, mediapipe.SKELETON, **{**settings, **changes})


def labels_of(watcher: Watcher, joints: np.ndarray) -> list[Any]:
    estimator, predictions = Known(joints), []
    for number in range(len(joints)):
        predictions += watcher.push(number, estimator(np.zeros(0), number / RATE))
    return predictions + watcher.end()


@pytest.mark.parametrize("T", [4, 23])
@pytest.mark.parametrize("per_person", [False, True])
def test_labels_are_those_of_the_recording(kinetics: Any, T: int, per_person: bool) -> None:
    recognizer, joints = recognizer_of(kinetics), bodies(T, 2)
    watched = labels_of(watcher_of(recognizer, per_person=per_person), joints)
    channels = Channels(("x", "y", "score"), "pixels", SIZE)
    whole = Recording.of("clip.mp4", joints, channels, skeleton=mediapipe.SKELETON, frame_rate=RATE)
    expected = recognizer(whole, window=1, every=0.5, per_person=per_person)
    key = [(p.start, p.end, p.start_seconds, p.end_seconds, p.person) for p in watched]
    order = sorted(expected, key=lambda p: (p.start, p.person or 0))
    assert sorted(key) == [(p.start, p.end, p.start_seconds, p.end_seconds, p.person) for p in order]
    assert {p.end - p.start for p in watched} == {min(T, 10)}
    same = {(p.start, p.person): p.logits for p in expected}
    for p in watched:
        assert np.abs(p.logits).max() > 0.01
        np.testing.assert_allclose(p.logits, same[p.start, p.person], atol=1e-5)


def test_files_hold_what_is_told(
    kinetics: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    joints = bodies(20)
    joints[5:8] = 0  # nobody for a while
    out = tmp_path / "new" / "a.mp4"
    watcher = watcher_of(recognizer_of(kinetics))
    assert watch(Frames(20), Known(joints), watcher, stem=tmp_path / "p", out=out, writer=Pictures) == 0
    rows = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert (tmp_path / "p.json").read_text(encoding="utf-8") == json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    assert [(row["start"], row["end"]) for row in rows] == [(0, 10), (5, 15), (10, 20)]
    assert rows[1]["recording"] == "clip.mp4"
    table = list(csv.reader((tmp_path / "p.csv").open(encoding="utf-8")))
    assert table[2][6] == rows[1]["label"]
    assert len(table[0]) == 8 + 2 * 2
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"0.00-1.00 s  {rows[0]['label']}  {100 * rows[0]['probability']:.1f} %"
    assert out.read_text() == "20"
    pictures = Pictures.made.pop().pictures
    assert pictures[0].any()
    assert not pictures[6].any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "p.csv", "p.json"]


def test_nobody_and_lost_streams(kinetics: Any, tmp_path: Path) -> None:
    recognizer = recognizer_of(kinetics)
    with pytest.raises(ValueError, match=r"^input: clip.mp4 gets no label: nobody was found in its 12 frames$"):
        watch(Frames(12), Known(np.zeros((12, 1, 33, 3))), watcher_of(recognizer), stem=tmp_path / "p")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"^input: the stream x broke; what came before is complete$"):
        watch(Frames(12, "input: the stream x broke"), Known(bodies(12)), watcher_of(recognizer), stem=tmp_path / "p")
    assert len(json.loads((tmp_path / "p.json").read_text())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 0), ("SIGTERM", 143)])
def test_a_signal_finishes_the_files(kinetics: Any, tmp_path: Path, name: str, status: int) -> None:
    class Stopped(Known):
        def __call__(self, picture: np.ndarray, seconds: float) -> list[np.ndarray]:
            if seconds == 1.5:
                os.kill(os.getpid(), number)
            return super().__call__(picture, seconds)

    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)  # a shell may have it ignored
    try:
        watcher = watcher_of(recognizer_of(kinetics))
        assert watch(Frames(10**9), Stopped(bodies(40)), watcher, stem=tmp_path / "p") == status
    finally:
        signal.signal(number, before)
    rows = json.loads((tmp_path / "p.json").read_text())
    assert [(row["start"], row["end"]) for row in rows] == [(0, 10), (5, 15), (6, 16)]


def test_memory_holds_one_window_and_missed_frames_keep_the_time(kinetics: Any) -> None:
    watcher = watcher_of(recognizer_of(kinetics))
    joints = bodies(1)[0]
    starts = []
    for number in (0, 3, 6, 9, 12, 15, 10_000):
        starts += [p.start for p in watcher.push(number, [*joints])]
        assert len(watcher.frames) <= 10
        assert watcher.recognizer.skipped == []
    assert starts == [0, 5]
    assert watcher.count == 10_001
    assert [p.start for p in watcher.end()] == [9991]


def test_tracker_keeps_numbers_through_any_order() -> None:
    tracker, rng = Tracker(patience=3), np.random.default_rng(0)
    body, present = rng.uniform(0, 1, (3, 5, 2)) + 10 * np.arange(3)[:, None, None], np.ones((3, 5), bool)
    assert tracker.step(0, body, present) == [0, 1, 2]
    assert tracker.step(1, body[[2, 0, 1]] + 0.1, present) == [2, 0, 1]
    assert tracker.step(2, body[[1]], present[:1]) == [1]
    assert tracker.step(4, body, present) == [0, 1, 2]
    assert tracker.step(9, body, present) == [3, 4, 5]  # forgotten after three frames
    assert tracker.step(10, body + 100, present) == [6, 7, 8]  # too far away
    assert tracker.step(11, body[:0], present[:0]) == []


def test_models_of_depth_are_refused_before_the_video_is_opened(kinetics: Any, tmp_path: Path) -> None:
    check_pixels(recognizer_of(kinetics), mediapipe.SKELETON)
    check_pixels(recognizer_of(kinetics), coco.SKELETON)
    args = {**SMALL, "num_point": 25, "graph": "graph.ntu_rgb_d.Graph", "num_person": 2}
    torch.save(Model(**args).state_dict(), tmp_path / "w.pt")
    (tmp_path / "c.yaml").write_text(
        f"_base_: {ROOT}/config/ntu60_xsub/s-tr.yaml\nclass_names: [a, b, c]\nmodel_args: {json.dumps(SMALL)}\n",
        encoding="utf-8",
    )
    depth = Recognizer.load(tmp_path / "w.pt", config=tmp_path / "c.yaml", class_names=kinetics[2], device="cpu")
    with pytest.raises(ValueError, match=r"w\.pt cannot label videos, .*its channels are x, y, score, the model takes"):
        check_pixels(depth, mediapipe.SKELETON)
    with pytest.raises(ValueError, match=r"COCO joints do not make these of NTU RGB\+D: "):
        check_pixels(depth, coco.SKELETON)
    assert len(ntu_rgb_d.SKELETON.joints) == 25


def test_the_picture_shows_bones_numbers_and_labels() -> None:
    joints = np.zeros((33, 3))
    joints[11], joints[13] = (40, 60, 1), (140, 60, 1)  # left shoulder and elbow
    joints[12] = (90, 160, 0)  # not seen
    picture = np.full((240, 320, 3), 10, np.uint8)
    drawn = overlay(picture, [joints], [0], {0: "wave 90 %"}, mediapipe.SKELETON)
    assert drawn.shape == picture.shape
    assert (picture == 10).all()
    blue = (0x30, 0x79, 0xB6)
    assert tuple(drawn[60, 90]) == blue  # in the middle of the bone
    assert tuple(drawn[160, 90]) == (10, 10, 10)
    named = overlay(picture, [joints], [0], {}, mediapipe.SKELETON)
    changed = np.argwhere((drawn != named).any(axis=2))
    assert len(changed) > 50
    assert changed[:, 0].max() <= 60  # the label stands above the box
    unseen = overlay(picture, [np.zeros((33, 3))], [0], {}, mediapipe.SKELETON)
    assert (unseen == picture).all()
    top = overlay(picture, [], [], {None: "走 $x_1$ 50 %"}, mediapipe.SKELETON)
    assert np.argwhere((top != 10).any(axis=2))[:, 0].max() < 40


class Capture:
    """What OpenCV's VideoCapture answers, of a file of so many frames."""

    def __init__(self, frames: int, rate: float = 25.0, told: int = 0) -> None:
        self.left, self.values = frames, {5: rate, 7: told}
        self.released = False

    def get(self, key: int) -> float:
        return self.values[key]

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        picture = np.zeros((2, 4, 3), np.uint8)
        picture[..., 0] = (self.left + 1) % 256  # blue comes first
        return (self.left >= 0), picture if self.left >= 0 else None

    def release(self) -> None:
        self.released = True


@pytest.fixture
def cv2(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's numbers, without OpenCV."""
    fake = type("cv2", (), {"CAP_PROP_FPS": 5, "CAP_PROP_FRAME_COUNT": 7})
    monkeypatch.setattr(video_module, "opencv", lambda: fake)


@pytest.mark.usefixtures("cv2")
def test_files_cameras_and_their_rates() -> None:
    video = Video(Capture(3, told=3), "a.mp4", None)
    frames = list(video)
    assert [(number, picture[0, 0].tolist()) for number, picture in frames] == [
        (0, [0, 0, 3]), (1, [0, 0, 2]), (2, [0, 0, 1]),
    ]  # fmt: skip
    assert (video.rate, video.size, video.lost) == (25, (4, 2), "")
    cut = Video(Capture(3, told=9), "a.mp4", 12.5)
    assert len(list(cut)) == 3
    assert (cut.rate, cut.lost) == (12.5, "a.mp4: 3 of the 9 frames that it tells of can be read")
    with pytest.raises(ValueError, match=r"^input: a\.mp4 does not tell its frame rate; give it \(--frame_rate\)$"):
        Video(Capture(3, rate=0), "a.mp4", None)
    with pytest.raises(ValueError, match=r"^input: a\.mp4 has no frame that can be read$"):
        Video(Capture(0), "a.mp4", None)
    ticks = iter([0.0, 0.0, 0.31, 0.32])
    live = Live(Capture(10**9), "0", 10.0, camera=True, clock=lambda: next(ticks, 1.0))
    pictures = iter(live)
    assert [next(pictures)[0] for _ in range(4)] == [0, 3, 4, 10]
    live.close()
    assert live.capture.released
    ended = Live(Capture(1), "0", 10.0, camera=True, clock=lambda: 0.0)
    assert [number for number, _ in ended] == [0]
    assert ended.lost == "input: the camera 0 gave no more pictures after 0.1 s"


def test_a_password_is_not_told() -> None:
    assert plain_name("rtsp://me:secret@cam.example:554/a/b?token=1") == "rtsp://cam.example:554/a/b"
    assert plain_name("rtsp://me:p@ss@cam.example/a") == "rtsp://cam.example/a"
    assert plain_name("0") == "0"
    assert plain_name("/a/b c.mp4") == "b c.mp4"


def test_the_model_of_the_estimator_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(poses_module, "urlopen", refuse)
    with pytest.raises(
        ValueError, match=r"^pose_model: https://.*\.task cannot be downloaded \(no route to host\); put"
    ):
        model_file(tmp_path / "models")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"m\.task is no file; download https://"):
        model_file(tmp_path / "m.task")
    (tmp_path / "page").write_text("<html>log in")
    monkeypatch.setattr(poses_module, "urlopen", lambda *_, **__: (tmp_path / "page").open("rb"))
    with pytest.raises(ValueError, match="the answer is no model"):
        model_file(tmp_path / "models")
    assert not (tmp_path / "models").exists()
    import zipfile

    with zipfile.ZipFile(tmp_path / "page", "w") as archive:
        archive.writestr("a", "b")
    assert model_file(tmp_path / "models") == tmp_path / "models" / MODEL
    monkeypatch.setattr(poses_module, "urlopen", refuse)
    assert model_file(tmp_path / "models") == model_file(tmp_path / "models" / MODEL)
    (tmp_path / "models").rename(tmp_path / "models.v1")
    assert model_file(tmp_path / "models.v1") == tmp_path / "models.v1" / MODEL


class Landmarker:
    """MediaPipe's pose landmarker, which finds nobody, and tells of it."""

    times: ClassVar[list[int]] = []

    @classmethod
    def create_from_options(cls, options: dict[str, Any]) -> Landmarker:
        os.write(2, b"INFO: created\n")
        if "wrong" in options["base_options"]:
            raise RuntimeError(8000 * "no zip archive ")
        return cls()

    def detect_for_video(self, picture: Any, time: int) -> Any:
        os.write(2, b"INFO: a picture\n")
        self.times.append(time)
        return type("result", (), {"pose_landmarks": []})

    def close(self) -> None:
        os.write(2, b"INFO: closed\n")


@pytest.fixture
def landmarker(monkeypatch: pytest.MonkeyPatch) -> None:
    """MediaPipe, as far as `MediaPipe` uses it."""
    mode = type("mode", (), {"VIDEO": 0, "SRGB": 0})
    vision = {"PoseLandmarkerOptions": dict, "RunningMode": mode, "PoseLandmarker": Landmarker}
    python = {"vision": type("vision", (), vision), "BaseOptions": lambda model_asset_path: model_asset_path}
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", type("python", (), python))
    monkeypatch.setitem(sys.modules, "mediapipe", type("mediapipe", (), {"Image": dict, "ImageFormat": mode}))
    Landmarker.times.clear()


@pytest.mark.usefixtures("landmarker")
def test_the_estimator_gets_times_that_increase_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    estimator = MediaPipe(Path("a.task"))
    for number in range(3):
        assert estimator(np.zeros((2, 2, 3), np.uint8), number / 5000) == []
    estimator(np.zeros((2, 2, 3), np.uint8), 1.0)
    estimator.close()
    assert Landmarker.times == [0, 1, 2, 1000]
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match=r"^pose_model: wrong\.task is no model of MediaPipe's .* \(no zip") as caught:
        MediaPipe(Path("wrong.task"))
    assert len(str(caught.value)) < 200


@pytest.mark.usefixtures("cv2")
def test_the_input_is_looked_at_before_the_model_of_the_estimator(
    kinetics: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.tools.watch.require", lambda: None)
    weights, config, names = kinetics
    words = ["--weights", weights, "--config", config, "--class_names", names, "--pose_model", tmp_path / "no.task"]
    with pytest.raises(ValueError, match=r"^input: .*nix\.mp4 does not exist"):
        watch_command([*map(str, ["--phase", "watch", *words, "--input", tmp_path / "nix.mp4"])])


def test_a_temporary_name_may_tell_the_format(tmp_path: Path) -> None:
    (tmp_path / "a.mp4.1.tmp.mp4").touch()  # left by a killed process
    with atomic_write(tmp_path / "a.mp4", suffix=".mp4") as temporary:
        assert temporary.suffix == ".mp4"
        assert [path.name for path in tmp_path.iterdir()] == [temporary.name]
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "watch: the following arguments are required: --input"),
        (["--input", "a.mp4", "--out", "a.gif"], "out: a.gif is no name of a .mp4 or .avi file"),
        (["--input", "a.mp4", "--out", "a.mp4"], "out: a.mp4 is one of the files that are read"),
        (["--input", "a.mp4", "--table", "a.mp4"], "table: a.mp4 is no name of a .json or .csv file"),
        (["--input", "a.mp4", "--every", "0"], "every: 0.0 must be a number above 0"),
        (["--input", "a.mp4"], "watch: mediapipe and cv2 not installed; pip install -r requirements-video.txt"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], problem: str, tmp_path: Path, capsys: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("processor.tools.pose.find_spec", lambda _: None)
    status, _, error = say(["--phase", "watch", "--weights", "w.pt", *words], capsys, caplog)
    assert status == 1
    assert error.startswith(f"error: {problem}")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_video_of_a_real_picture(kinetics: Any, tmp_path: Path, capsys: Any, caplog: Any) -> None:
    """An astronaut (NASA, public domain) moves to the right; needs the extra, scikit-image and the model."""
    for name in ("mediapipe", "cv2", "skimage"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (requirements-video.txt, scikit-image)")
    model = Path(os.environ.get("STTR_POSE_MODEL", ROOT / "checkpoints" / MODEL))
    if not model.is_file():
        pytest.skip(f"no pose model: {model} is absent (set STTR_POSE_MODEL)")
    import cv2
    from skimage.data import astronaut

    picture = astronaut()
    video = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    for t in range(15):
        video.write(np.ascontiguousarray(np.roll(picture, 4 * t, axis=1)[..., ::-1]))
    video.release()
    weights, config, names = kinetics
    words = ["--weights", weights, "--config", config, "--class_names", names, "--device", "cpu", "--window", "1"]
    words += ["--pose_model", model, "--per_person"]
    files = ["--out", tmp_path / "b.mp4", "--table", tmp_path / "p.json", "--input", tmp_path / "a.avi"]
    status, said, error = say(["--phase", "watch", *map(str, [*words, *files])], capsys, caplog)
    assert (status, error) == (0, "")
    assert f"wrote {tmp_path / 'b.mp4'}" in said
    rows = json.loads((tmp_path / "p.json").read_text())
    assert [(row["person"], row["start"], row["end"]) for row in rows] == [(0, 0, 10), (0, 5, 15)]
    read = cv2.VideoCapture(str(tmp_path / "b.mp4"))
    pictures = []
    while (answer := read.read())[0]:
        pictures.append(answer[1])
    assert len(pictures) == 15
    assert np.abs(pictures[0][..., ::-1].astype(int) - picture).mean() > 1
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for name, problem in (
        ("broken.mp4", "input: broken.mp4 is no video that OpenCV can read"),
        ("nix.mp4", f"input: {tmp_path / 'nix.mp4'} does not exist"),
        ("", f"input: {tmp_path} is a folder"),
    ):
        status, _, error = say(["--phase", "watch", *map(str, words), "--input", str(tmp_path / name)], capsys, caplog)
        assert status == 1
        assert f"error: {problem}" in error


FOLLOW = """
from processor.tools.video import open_video
video = open_video("rtsp://127.0.0.1:%d/live", None, 30.0)
numbers = [number for number, _ in video]
print(video.rate, *video.size, numbers[-1], numbers == sorted(set(numbers)), video.lost)
video.close()
"""


@pytest.mark.slow
def test_a_network_stream_is_followed() -> None:
    """A program sends three seconds by RTSP; OpenCV waits for it (`rtsp_flags`), so that no server is needed."""
    pytest.importorskip("cv2", reason="pip install -r requirements-video.txt")
    if not (ffmpeg := shutil.which("ffmpeg")):
        pytest.skip("ffmpeg is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waits = os.environ | {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_flags;listen|listen_timeout;60"}
    follow = subprocess.Popen(
        [sys.executable, "-c", FOLLOW % port], cwd=ROOT, env=waits, stdout=subprocess.PIPE, text=True
    )
    clip = ["-re", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=30", "-t", "3", "-c:v", "mpeg4", "-f", "rtsp"]
    send = [ffmpeg, "-loglevel", "error", *clip, "-rtsp_transport", "tcp", f"rtsp://127.0.0.1:{port}/live"]
    for _ in range(60):  # until somebody listens
        if follow.poll() is not None or subprocess.run(send, check=False).returncode == 0:
            break
        time.sleep(1)
    out, _ = follow.communicate(timeout=90)
    rate, width, height, last, rises, lost = out.split(maxsplit=5)
    assert (rate, width, height, rises) == ("30.0", "64", "48", "True")
    assert 60 < int(last) <= 95
    assert "gave no more pictures after" in lost
